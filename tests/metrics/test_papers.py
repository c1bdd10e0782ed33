import dataclasses

import numpy as np
import pytest

from tests.checks import refused
from videoflow_tf import evaluate
from videoflow_tf.metrics.arguments import EvaluateArguments, MeasureArguments
from videoflow_tf.metrics.papers import PAPERS, Paper
from videoflow_tf.workdir import write_config


@pytest.mark.parametrize("name", PAPERS)
def test_names_arguments_that_there_are(name):
    fields = {field.name for field in dataclasses.fields(MeasureArguments)}
    assert set(PAPERS[name].arguments) <= fields and PAPERS[name].source
    arguments = EvaluateArguments("w", protocol=name, metrics=["psnr"])
    assert all(getattr(arguments, field) == value for field, value in PAPERS[name].arguments.items())
    assert EvaluateArguments("w", protocol=name, metrics=["psnr"], num_frames=PAPERS[name].arguments["num_frames"])


def test_is_followed_and_named(micro_config, tmp_path, monkeypatch):
    paper = Paper("us", 1, {"num_videos": 2, "num_samples": 3, "num_frames": 2, "temperature": 0.7}, (16, 16, 3))
    monkeypatch.setitem(PAPERS, "ours", paper)
    write_config(tmp_path / "run", micro_config)
    how = {"predictor": "copy_last", "metrics": ["psnr"], "protocol": "ours", "num_samples": 3}
    protocol = evaluate(tmp_path / "run", **how).metrics["psnr"]["protocol"]
    wanted = {"name": "ours", "videos": 2, "samples": 3, "context": 1, "frames": 3, "temperature": 0.7}
    assert protocol.items() >= wanted.items()


def test_predictions_follow_what_is_about_them(tmp_path):
    arguments = EvaluateArguments(predictions="f.npz", protocol="savp")
    assert (arguments.num_samples, arguments.num_frames) == (100, 28)
    assert not any("temperature" in word for word in arguments.argv())
    frames = np.zeros([1, 2, 16, 16, 3], np.uint8)
    np.savez(tmp_path / "f.npz", context=frames, samples=frames[:, None], future=frames)
    with refused("--protocol=savp is about 2 frames given of 64x64x3 each, not about 2 frames given of 16x16x3 each"):
        evaluate(predictions=tmp_path / "f.npz", protocol="savp")


def test_predictions_of_another_temperature_do_not_follow(tmp_path, monkeypatch):
    paper = Paper("us", 2, {"num_videos": 1, "num_samples": 1, "num_frames": 2, "temperature": 0.7}, (16, 16, 3))
    monkeypatch.setitem(PAPERS, "ours", paper)
    frames, file = np.zeros([1, 2, 16, 16, 3], np.uint8), tmp_path / "f.npz"
    how = {"predictions": file, "protocol": "ours", "metrics": ["psnr"]}
    np.savez(file, context=frames, samples=frames[:, None], future=frames, temperature=0.5)
    with refused("f.npz says temperature=0.5 of its samples, not 0.7; leave --protocol=ours out"):
        evaluate(**how)
    assert not (tmp_path / "eval").exists()
    for says in ({"temperature": 0.7}, {}):
        np.savez(file, context=frames, samples=frames[:, None], future=frames, **says)
        protocol = evaluate(**how).metrics["psnr"]["protocol"]
        assert protocol["name"] == "ours" and protocol.get("temperature") == says.get("temperature")


def test_mistakes(micro_config, tmp_path):
    with refused("there is no protocol 'svap'; --protocol is one of videoflow, savp"):
        EvaluateArguments("w", protocol="svap")
    with refused("--protocol=savp has --num_frames=28, given is 10; leave one out"):
        EvaluateArguments("w", protocol="savp", num_frames=10)
    write_config(tmp_path / "run", micro_config)
    with refused(
        "--protocol=magvit is about 1 frame given of 64x64x3 each, not about 1 frame given of 16x16x3 each: Yu"
    ):
        evaluate(tmp_path / "run", predictor="copy_last", protocol="magvit")
