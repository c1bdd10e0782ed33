import numpy as np
import pytest
import tensorflow as tf

from tests.checks import refused
from tests.conftest import TINY
from videoflow_tf.explorer.clips import Clip, clip_of_split
from videoflow_tf.explorer.futures import Between, draw_futures, frame_bits
from videoflow_tf.metrics.likelihood import BitsPerPixel
from videoflow_tf.predictors.predictor import NotFiniteError
from videoflow_tf.predictors.video_flow import VideoFlowPredictor
from videoflow_tf.studies.arguments import SampleArguments
from videoflow_tf.studies.interpolation import interpolate
from videoflow_tf.studies.samples import sample_futures

HOW = {"count": 2, "num_frames": 3, "temperature": 0.7, "seed": 5}


@pytest.fixture(scope="module")
def predictor(make_model):
    return VideoFlowPredictor(make_model())


@pytest.fixture(scope="module")
def futures(predictor):
    return draw_futures(predictor, clip_of_split(TINY, None, "test", 1, 3), **HOW)


def test_futures_are_those_of_sample(predictor, futures):
    arguments = SampleArguments("", num_videos=2, num_samples=2, num_frames=3, temperature=0.7, seed=5)
    expected = sample_futures(predictor, arguments)
    assert list(futures.clips) == ["real", "sample 1", "sample 2"] and futures.notes == ()
    np.testing.assert_array_equal(futures.context, expected.context[1])
    np.testing.assert_array_equal(list(futures.clips.values()), [expected.future[1], *expected.samples[1]])


def test_bits_are_those_of_evaluate(predictor, futures):
    bits = frame_bits(predictor, futures)
    assert list(bits) == list(futures.clips)
    videos = np.stack([np.concatenate([futures.context, clip]) for clip in futures.clips.values()])
    expected = BitsPerPixel(TINY).measure(predictor, videos, [1, 1, 1], 5)[:, 0]
    np.testing.assert_array_equal(list(bits.values()), expected)
    assert not np.allclose(bits["sample 1"], bits["sample 2"])


def test_a_sample_that_is_not_finite_is_said(make_model, monkeypatch):
    predictor = VideoFlowPredictor(make_model())
    draw, calls = predictor.predict_frames, []

    def fails_at_first(context, num_frames, temperature, seeds):
        calls.append(len(seeds))
        if len(calls) <= 2:  # Two samples at once, then the first of them alone.
            raise NotFiniteError
        return draw(context, num_frames, temperature, seeds)

    monkeypatch.setattr(predictor, "predict_frames", fails_at_first)
    context = np.zeros([2, 8, 8, 3], np.uint8)
    drawn = draw_futures(predictor, Clip(context, None, notes=("of the clip",)), **HOW)
    assert list(drawn.clips) == ["sample 1", "sample 2"]
    assert drawn.notes == ("of the clip", "1 sample not finite: left out, others drawn instead")


@pytest.mark.parametrize("scaling", ["exact", "official"])
def test_the_ends_of_the_way_are_the_two_futures(make_model, make_video, scaling):
    model, context = make_model(pixel_scaling=scaling), make_video(1, 2)[0]
    drawn = draw_futures(VideoFlowPredictor(model), Clip(context, None), **HOW)
    between = Between(model, drawn, "sample 2", "sample 1")
    ends = drawn.clips["sample 2"], drawn.clips["sample 1"]
    for weight, end in zip((0.0, 1.0), ends, strict=True):
        np.testing.assert_array_equal(between.at(weight), end)
        # What lies next to an end is all but the end.
        near = between.at(abs(weight - 1e-6)).astype(int)
        assert np.abs(near - end).max() <= (0 if scaling == "exact" else 1)


def test_what_lies_between_is_interpolated_frame_by_frame(predictor, futures):
    between = Between(predictor.model, futures, "real", "sample 1")
    ends = np.stack([futures.clips["real"], futures.clips["sample 1"]])
    expected = [interpolate(predictor.model, ends[:, t], 5, [0, 1]).frames[1] for t in range(3)]
    np.testing.assert_array_equal(between.at(0.25), expected)


def test_what_is_not_finite_is_one_line(make_model, futures, monkeypatch):
    model = make_model()
    between = Between(model, futures, "real", "sample 1")
    monkeypatch.setattr(model, "decode", lambda _: tf.fill([1, 3, 8, 8, 3], np.nan))
    with refused("^frame 1 between the two is not finite"):
        between.at(0.5)
