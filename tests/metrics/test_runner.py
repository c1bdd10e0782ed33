import dataclasses
import shutil

import numpy as np
import pytest

from videoflow_tf.errors import UserError
from videoflow_tf.metrics.measurements import Measurements
from videoflow_tf.metrics.runner import Sampling, check_samples, evaluate_samples, make_metrics
from videoflow_tf.model.future_sampler import FutureSampler
from videoflow_tf.training.checkpoints import load_workdir

SAMPLING = Sampling("test", num_videos=3, num_frames=3, temperature=0.5, seed=2)
NAMES = ("psnr", "ssim", "diversity")


@pytest.fixture(scope="module")
def model(micro_run):
    return load_workdir(micro_run)[1]


@pytest.fixture(scope="module")
def sampler(model):
    return FutureSampler(model, batch_size=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Measurements of `SAMPLING`; tests that write to it copy it."""
    return tmp_path_factory.mktemp("measurements")


@pytest.fixture(scope="module")
def result(model, sampler, folder):
    metrics = make_metrics(NAMES, num_samples=5)
    return evaluate_samples(model, None, metrics, SAMPLING, Measurements(folder, model), sampler)


class _Refuses:
    """In the place of a sampler where nothing should be sampled."""

    def __call__(self, *args):
        raise AssertionError("sampled again")


def test_results_and_protocol(result):
    for name in ("psnr", "ssim"):
        kinds = [np.array(result[name][kind]["per_video"]) for kind in ("best", "mean", "worst")]
        assert (kinds[0] > kinds[1]).all() and (kinds[1] > kinds[2]).all()
        assert len(result[name]["best"]["per_frame"]) == 3  # Without the context.
    assert result["diversity"]["mean"] > 0
    assert result["psnr"]["protocol"] == {
        "dataset": "shapes",
        "split": "test",
        "videos": 3,
        "samples": 5,
        "context": 1,
        "frames": 4,
        "temperature": 0.5,
        "seed": 2,
        "step": 6,
    }


def test_temperature_zero_has_no_diversity(model, sampler, tmp_path):
    metrics = make_metrics(["psnr", "diversity"], num_samples=3)
    sampling = dataclasses.replace(SAMPLING, temperature=0.0)
    result = evaluate_samples(model, None, metrics, sampling, Measurements(tmp_path, model), sampler)
    assert result["diversity"]["per_frame"] == [0, 0, 0]
    assert result["psnr"]["best"] == result["psnr"]["worst"]


def test_finished_videos_are_not_sampled_again(model, folder, result):
    metrics = make_metrics(NAMES, num_samples=5)
    assert evaluate_samples(model, None, metrics, SAMPLING, Measurements(folder, model), _Refuses()) == result
    fewer = dataclasses.replace(SAMPLING, num_videos=2)
    got = evaluate_samples(model, None, metrics[:1], fewer, Measurements(folder, model), _Refuses())
    assert got["psnr"]["best"]["per_video"] == result["psnr"]["best"]["per_video"][:2]


def test_goes_on_where_it_was(model, sampler, folder, result, tmp_path):
    copied = shutil.copytree(folder, tmp_path / "measurements")
    for lost in (*copied.glob("*-000002-*"), *copied.glob("ssim-000001-*")):
        lost.unlink()
    metrics = make_metrics(NAMES, num_samples=5)
    assert evaluate_samples(model, None, metrics, SAMPLING, Measurements(copied, model), sampler) == result


@pytest.mark.parametrize("change", [{"seed": 3}, {"temperature": 0.6}, {"split": "validation"}, {"num_frames": 2}])
def test_another_protocol_is_measured_anew(model, folder, result, change):
    sampling = dataclasses.replace(SAMPLING, **change)
    with pytest.raises(AssertionError, match="sampled again"):
        evaluate_samples(
            model, None, make_metrics(["psnr"], num_samples=5), sampling, Measurements(folder, model), _Refuses()
        )


def test_other_weights_and_numbers_of_samples_are_measured_anew(micro_run, folder, result):
    _, model = load_workdir(micro_run)
    for change, num_samples in ((0.0, 4), (1e-3, 5)):
        model.trainable_variables[-1].assign_add(model.trainable_variables[-1] * 0 + change)
        metrics = make_metrics(["psnr"], num_samples=num_samples)
        with pytest.raises(AssertionError, match="sampled again"):
            evaluate_samples(model, None, metrics, SAMPLING, Measurements(folder, model), _Refuses())


def test_unknown_metric():
    with pytest.raises(UserError, match="no metric 'lpips'.*vgg_cosine"):
        make_metrics(["psnr", "lpips"], num_samples=1)


def test_videos_are_checked_before_sampling(model):
    sampling = dataclasses.replace(SAMPLING, split="tset")
    with pytest.raises(UserError, match="split"):
        check_samples(model, None, make_metrics(["psnr"], num_samples=1), sampling)
