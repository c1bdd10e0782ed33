import dataclasses
import pickle
import shutil

import numpy as np
import pytest

from videoflow_tf import data
from videoflow_tf.errors import UserError
from videoflow_tf.files import read_json
from videoflow_tf.metrics.arguments import EvaluateArguments
from videoflow_tf.metrics.evaluate import check_videos, drawn_clips, make_metrics, measure_samples
from videoflow_tf.metrics.measurements import Measurements
from videoflow_tf.metrics.metric import Clips, MetricOptions
from videoflow_tf.metrics.results import summary
from videoflow_tf.metrics.similarity import PSNR
from videoflow_tf.predictors.future_sampler import FutureSampler
from videoflow_tf.predictors.video_flow import VideoFlowPredictor
from videoflow_tf.protocol import Protocol
from videoflow_tf.training.checkpoints import load_workdir

NAMES = ("psnr", "ssim", "diversity")


@pytest.fixture(scope="module")
def model(micro_run):
    return load_workdir(micro_run)[1]


@pytest.fixture(scope="module")
def protocol(model):
    """Three videos, three predicted frames."""
    return Protocol.of(VideoFlowPredictor(model), split="test", videos=3, frames=4, temperature=0.5, seed=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Measurements of `result`; tests that write to it copy it."""
    return tmp_path_factory.mktemp("measurements")


@pytest.fixture(scope="module")
def result(model, protocol, folder):
    return _measure(model, protocol, folder, NAMES, 5)


def _make(names, config, num_samples: int) -> list:
    return make_metrics(MetricOptions(Clips.of(config, 3, 3), EvaluateArguments("", metrics=names), num_samples))


def _measure(model, protocol, folder, names, num_samples: int) -> dict:
    predictor = VideoFlowPredictor(model)
    clips = drawn_clips(predictor, protocol, FutureSampler(predictor, 4))
    return measure_samples(
        _make(names, model.config, num_samples), clips, protocol, Measurements(folder, predictor.identity)
    )


@pytest.fixture
def refuse_to_sample(monkeypatch):
    def refuse(*args):
        raise AssertionError("sampled again")

    monkeypatch.setattr(FutureSampler, "batches", refuse)


def test_results_and_protocol(result):
    for name in ("psnr", "ssim"):
        kinds = [np.array(result[name][kind]["per_video"]) for kind in ("best", "mean", "worst")]
        assert (kinds[0] > kinds[1]).all() and (kinds[1] > kinds[2]).all()
        assert len(result[name]["best"]["per_frame"]) == 3  # Without the context.
    assert result["diversity"]["mean"] > 0
    protocol = dict(result["psnr"]["protocol"])
    assert [len(protocol.pop(name)) for name in ("identity", "videos_digest")] == [16, 16]
    assert protocol == {
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


def test_temperature_zero_has_no_diversity(model, protocol, tmp_path):
    cold = dataclasses.replace(protocol, temperature=0.0)
    result = _measure(model, cold, tmp_path, ["psnr", "diversity"], 3)
    assert result["diversity"]["per_frame"] == [0, 0, 0]
    assert result["psnr"]["best"] == result["psnr"]["worst"]


def test_finished_videos_are_not_sampled_again(model, protocol, folder, result, refuse_to_sample):
    assert _measure(model, protocol, folder, NAMES, 5) == result
    got = _measure(model, dataclasses.replace(protocol, videos=2), folder, ["psnr"], 5)
    assert got["psnr"]["best"]["per_video"] == result["psnr"]["best"]["per_video"][:2]


def test_samples_that_are_not_finite_are_counted_and_left_out(model, protocol, tmp_path, monkeypatch):
    """Of every video number 1 runs away, of video 2 number 4 as well: the others are measured, again from the disk."""
    drawn = FutureSampler(VideoFlowPredictor(model))
    whole = FutureSampler.__call__

    def some_lost(self, context, num_frames, temperature, seed, video, count):
        lost = (1, 4) if video == 2 else (1,)
        numbers = [number for number in range(count + 2) if number not in lost][:count]
        yield numbers, np.stack([samples[video][number] for number in numbers])

    videos = data.eval_videos(model.config, None, "test", num_videos=3, num_frames=4).as_numpy_iterator()
    samples = [whole(drawn, element["video"][:1], 3, 0.5, 2, i, 7) for i, element in enumerate(videos)]
    monkeypatch.setattr(FutureSampler, "batches", some_lost)
    result = _measure(model, protocol, tmp_path, ["psnr"], 5)
    assert result["psnr"]["not_finite"] == 4 and result["psnr"]["protocol"]["samples"] == 5
    assert _measure(model, protocol, tmp_path, ["psnr"], 5) == result
    assert _measure(model, protocol, tmp_path, ["psnr"], 3)["psnr"]["not_finite"] == 3
    (line,) = summary(["psnr"], [result])
    assert line.endswith("(3 test videos, 5 samples each, temperature 0.5; 4 samples left out as not finite)")


def test_a_damaged_measurement_is_made_again(model, protocol, folder, result, tmp_path):
    copied = shutil.copytree(folder, tmp_path / "measurements")
    first, second, third = sorted(copied.glob("psnr-*"))
    first.write_bytes(first.read_bytes()[:-8])
    data = np.load(second)["measurement"].tobytes()
    second.write_bytes(second.read_bytes().replace(data, bytes([data[0] ^ 1, *data[1:]])))  # One bit.
    third.write_bytes(pickle.dumps("not an array"))
    assert _measure(model, protocol, copied, NAMES, 5) == result


def test_goes_on_where_it_was(model, protocol, folder, result, tmp_path):
    copied = shutil.copytree(folder, tmp_path / "measurements")
    for lost in (*copied.glob("*-000002-*"), *copied.glob("ssim-000001-*")):
        lost.unlink()
    assert _measure(model, protocol, copied, NAMES, 5) == result


@pytest.mark.parametrize("change", [{"seed": 3}, {"temperature": 0.6}, {"split": "validation"}, {"frames": 3}])
def test_another_protocol_is_measured_anew(model, protocol, folder, result, change, refuse_to_sample):
    with pytest.raises(AssertionError, match="sampled again"):
        _measure(model, dataclasses.replace(protocol, **change), folder, ["psnr"], 5)


def test_other_weights_and_numbers_of_samples_are_measured_anew(micro_run, protocol, folder, result, refuse_to_sample):
    _, model = load_workdir(micro_run)
    for change, num_samples in ((0.0, 4), (1e-3, 5)):
        model.trainable_variables[-1].assign_add(model.trainable_variables[-1] * 0 + change)
        with pytest.raises(AssertionError, match="sampled again"):
            _measure(model, protocol, folder, ["psnr"], num_samples)


def test_videos_are_checked_before_sampling(model, protocol):
    other = dataclasses.replace(protocol, split="tset")
    with pytest.raises(UserError, match="split"):
        check_videos(VideoFlowPredictor(model), other)


def test_a_measurement_that_is_not_finite_is_one_line(model, protocol, tmp_path, monkeypatch):
    monkeypatch.setattr(PSNR, "measure", lambda self, context, real, samples: np.full([1, len(real)], np.nan))
    with pytest.raises(UserError, match="^the psnr of video 0 of split test is not finite") as error:
        _measure(model, protocol, tmp_path, ["psnr"], 1)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_from_python(micro_run, tmp_path):
    """The public function: what it gives is what it writes."""
    import videoflow_tf

    workdir = shutil.copytree(micro_run, tmp_path / "run")
    results = videoflow_tf.evaluate(workdir, metrics=["bits_per_pixel", "psnr"], num_videos=2, num_samples=2, seed=1)
    stem = "metrics_num_videos-2_num_samples-2_seed-1"
    assert results.paths == [workdir / "eval" / f"{stem}.json", workdir / "eval" / f"{stem}.png"]
    assert read_json(results.paths[0]) == results.metrics == results.measured[0]
    assert [line.split(":")[0] for line in results.lines] == ["bits_per_pixel", "psnr"]
    assert results.metrics["protocol"]["frames"] == results.metrics["psnr"]["protocol"]["frames"] == 5
    again = videoflow_tf.evaluate(workdir, metrics=["psnr"], num_videos=2, num_samples=2, seed=1, temperatures=[0.5, 0])
    assert [at["psnr"]["protocol"]["temperature"] for at in again.measured] == [0, 0.5]
    assert again.measured[1]["psnr"] | {"argv": results.metrics["psnr"]["argv"]} == results.metrics["psnr"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metrics": ["psnr", "mse"]}, "no metric 'mse'.*vgg_cosine"),
        ({"metrics": []}, "--metrics is empty"),
        ({"metrics": ["psnr"], "temperatures": [0.5, -1]}, "--temperatures=0.5,-1 must be"),
        ({"temperatures": [0.5]}, "bits_per_pixel is not: give for example --metrics=psnr"),
        ({"metrics": ["psnr"], "temperature": -1.0}, "temperature=-1.0 must be"),
        ({"num_videos": 0}, "videos=0 must be at least 1"),
        ({"metrics": ["psnr"], "num_frames": 0}, "num_frames=0 must be at least 1"),
        ({"metrics": ["psnr"], "num_samples": 0}, "num_samples=0 must be at least 1"),
        ({"dequantization_samples": 0}, "dequantization_samples=0 must be at least 1"),
        ({"split": "tset"}, "no split 'tset'"),
    ],
)
def test_mistakes_in_python(micro_run, arguments, message):
    import videoflow_tf

    with pytest.raises(UserError, match=message):
        videoflow_tf.evaluate(micro_run, **arguments)
    assert not (micro_run / "eval").exists()
