import copy
import json

import numpy as np
from PIL import Image

from videoflow_tf.files import read_json, write_json
from videoflow_tf.metrics import figures
from videoflow_tf.metrics.arguments import EvaluateArguments
from videoflow_tf.metrics.metric import curve_statistics
from videoflow_tf.metrics.results import summary, write


def _likelihood(step: int) -> dict:
    protocol = {"split": "test", "videos": 2, "context": 1, "frames": 4, "step": step}
    return {"bits_per_pixel": curve_statistics(np.random.default_rng(0).normal(2, 0.1, (2, 3))), "protocol": protocol}


def _fvd(step: int) -> dict:
    protocol = {"split": "test", "videos": 2, "samples": 3, "context": 1, "frames": 9, "step": step}
    return {"fvd": {"mean": 100.0, "standard_deviation": 5.0, "per_draw": [95.0, 105.0], "protocol": protocol}}


def _write(folder, measured: dict, step: int = 5, **arguments) -> dict:
    """Writes metrics as if measured at that step; gives what is then in the file."""
    measured = copy.deepcopy(measured)
    names = [name for name in measured if name != "protocol"]
    for name in names:
        (measured if name == "bits_per_pixel" else measured[name])["protocol"]["step"] = step
    written = write(EvaluateArguments(folder, metrics=names, **arguments), [measured])
    assert list(written.paths) == sorted(written.paths)
    return read_json(written.paths[0])


def _without_argv(result: dict) -> dict:
    return {name: {k: v for k, v in part.items() if k != "argv"} for name, part in result.items()}


def test_metrics_of_one_protocol_stand_together(tmp_path):
    assert _without_argv(_write(tmp_path, _likelihood(5))) == _likelihood(5)
    both = _write(tmp_path, _fvd(5))
    assert _without_argv(both) == _likelihood(5) | _fvd(5)
    assert both["bits_per_pixel"]["argv"] == ["launch/evaluate.py", f"--workdir={tmp_path}", "--metrics=bits_per_pixel"]
    assert both["fvd"]["argv"] == ["launch/evaluate.py", f"--workdir={tmp_path}", "--metrics=fvd"]
    assert sorted(path.name for path in (tmp_path / "eval").iterdir()) == ["metrics.json", "metrics.png"]


def test_metrics_of_another_step_other_data_or_another_model_stand_by_themselves(tmp_path, monkeypatch):
    """The first are not touched, and each goes on where it was."""
    monkeypatch.setattr(figures, "save_curves", lambda path, metrics: path.write_bytes(bytes(len(metrics))))
    _write(tmp_path, _likelihood(5) | _fvd(5))
    first = {path: path.read_bytes() for path in (tmp_path / "eval").iterdir()}
    changes = {"videos": 9, "videos_digest": "0a", "split": "train", "identity": "0b", "seed": 7}
    marks = ["step-0000006", "step-0000005", *(f"step-0000005_result-{number}" for number in range(2, 6))]
    for mark, (name, value) in zip(marks, [("step", 6), *changes.items()], strict=True):
        step = value if name == "step" else 5
        fvd, likelihood = _fvd(step), _likelihood(step)
        if name != "step":
            fvd["fvd"]["protocol"][name] = likelihood["protocol"][name] = value
        assert _without_argv(_write(tmp_path, fvd, step)) == fvd
        assert _without_argv(_write(tmp_path, likelihood, step)) == fvd | likelihood
        assert (tmp_path / "eval" / f"metrics_{mark}.png").exists()
    assert len(list((tmp_path / "eval").iterdir())) == 14
    assert {path: path.read_bytes() for path in first} == first


def test_a_metric_with_another_network_stands_by_itself(tmp_path):
    for number, network in enumerate("aba"):
        fvd = _fvd(5)
        fvd["fvd"]["protocol"]["network"] = network
        assert _without_argv(_write(tmp_path, fvd)) == fvd
        assert len(list((tmp_path / "eval").iterdir())) == min(number + 1, 2)


def test_the_command_that_repeats_it_names_the_step(tmp_path):
    for checkpoint in ("latest", "best", "7"):
        assert "--checkpoint=7" in EvaluateArguments(tmp_path, checkpoint=checkpoint).at_step(7).argv()
    assert "--checkpoint=7" not in EvaluateArguments(tmp_path, predictor="linear").at_step(7).argv()


def test_what_differs_from_the_defaults_has_a_name_of_its_own(tmp_path):
    for arguments in ({}, {"split": "validation"}, {"temperature": 1.0}, {"num_samples": 9}, {"num_videos": 3}):
        _write(tmp_path, _fvd(5), **arguments)
    assert sorted(path.name for path in (tmp_path / "eval").iterdir()) == [
        "metrics.json",
        "metrics_num_samples-9.json",
        "metrics_num_videos-3.json",
        "metrics_split-validation.json",
        "metrics_temperature-1.json",
    ]


def test_a_file_of_another_form_is_left_alone(tmp_path):
    (tmp_path / "eval").mkdir()
    for old in ([1], "x", {"results": 3}, {"results": []}, _likelihood(5), {"psnr": 3}, {}):
        write_json(tmp_path / "eval" / "metrics.json", old)
        (tmp_path / "eval" / "metrics_result-2.json").unlink(missing_ok=True)
        assert _without_argv(_write(tmp_path, _fvd(5))) == _fvd(5)
        assert read_json(tmp_path / "eval" / "metrics.json") == old


def test_sweep_of_fvd_with_and_without_spread(tmp_path):
    one_draw = _fvd(5)
    one_draw["fvd"]["standard_deviation"] = None
    for measured in ([_fvd(5), _fvd(5)], [one_draw]):
        arguments = EvaluateArguments(tmp_path, metrics=["fvd"], temperatures=[0.5, 1.0][: len(measured)])
        json_path, picture_path = write(arguments, measured).paths
        assert json.loads(json_path.read_text())["results"][0]["fvd"] == measured[0]["fvd"]
        with Image.open(picture_path) as picture:
            # The band or the line is drawn in blue: some pixels have colour.
            pixels = np.asarray(picture.convert("RGB")).astype(int)
        assert (pixels.max(axis=-1) - pixels.min(axis=-1) > 50).sum() > 10
    assert len(list((tmp_path / "eval").iterdir())) == 4


def test_summary_lines():
    measured = [_likelihood(5) | _fvd(5)]
    lines = list(summary(["bits_per_pixel", "fvd"], measured))
    bits = measured[0]["bits_per_pixel"]
    assert lines == [
        f"bits_per_pixel: {bits['mean']:.4f} +- {bits['standard_error']:.4f} per colour component (2 test videos)",
        "fvd: 100.0000 +- 5.0000 (2 test videos, 3 samples each)",
    ]
