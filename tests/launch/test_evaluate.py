import json
import shutil

import numpy as np
import pytest

from videoflow_tf.checkpoints import load_workdir
from videoflow_tf.errors import UserError
from videoflow_tf.evaluation.likelihood import evaluate_likelihood


def test_writes_metrics_and_protocol(command, micro_run, tmp_path):
    workdir = shutil.copytree(micro_run, tmp_path / "run")
    done = command("evaluate", f"--workdir={workdir}", "--num_videos=5", "--batch_size=2", "--seed=3")
    assert done.returncode == 0, done.stderr
    metrics = json.loads((workdir / "eval" / "metrics.json").read_text())
    bits = metrics["bits_per_pixel"]
    assert metrics["protocol"] == {
        "dataset": "shapes",
        "split": "test",
        "videos": 5,
        "context": 1,
        "frames": 5,
        "seed": 3,
        "pixel_scaling": "exact",
        "step": 6,
    }
    np.testing.assert_allclose(bits["mean"], np.mean(bits["per_video"]))
    np.testing.assert_allclose(bits["mean"], np.mean(bits["per_frame"]))
    np.testing.assert_allclose(bits["standard_error"], np.std(bits["per_video"], ddof=1) / np.sqrt(5))
    assert len(bits["per_frame"]) == 4 and len(bits["per_video"]) == 5
    assert f"{bits['mean']:.4f} +- {bits['standard_error']:.4f}" in done.stdout


def test_a_videos_result_depends_on_seed_and_index_alone(micro_run):
    _, model = load_workdir(micro_run)

    def bits(**kwargs):
        return evaluate_likelihood(model, None, **kwargs)["bits_per_pixel"]["per_video"]

    whole = bits(num_videos=5, batch_size=5)
    np.testing.assert_allclose(bits(num_videos=5, batch_size=2), whole, rtol=1e-5)
    np.testing.assert_allclose(bits(num_videos=3, batch_size=1), whole[:3], rtol=1e-5)
    assert not np.allclose(bits(num_videos=5, batch_size=5, seed=1), whole, rtol=1e-5)


def test_agrees_with_the_model_on_its_own(micro_run):
    """`model.bits_per_pixel` of the same videos; other noise, so only nearly the same."""
    from videoflow_tf import data

    config, model = load_workdir(micro_run)
    videos = np.stack([e["video"] for e in data.eval_videos(config, None, "test", num_videos=8).as_numpy_iterator()])
    expected = model.bits_per_pixel(videos).numpy().mean()
    got = evaluate_likelihood(model, None, num_videos=8)["bits_per_pixel"]["mean"]
    np.testing.assert_allclose(got, expected, rtol=0.02)


def test_one_video_has_no_standard_error(micro_run):
    _, model = load_workdir(micro_run)
    assert evaluate_likelihood(model, None, num_videos=1)["bits_per_pixel"]["standard_error"] is None


def test_unknown_split(micro_run):
    _, model = load_workdir(micro_run)
    with pytest.raises(UserError, match="split"):
        evaluate_likelihood(model, None, "tset", num_videos=1)
