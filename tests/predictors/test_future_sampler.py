import numpy as np
import pytest
import tensorflow as tf

from tests.checks import refused
from tests.conftest import ENCODERS
from videoflow_tf.predictors.future_sampler import FutureSampler
from videoflow_tf.predictors.video_flow import VideoFlowPredictor
from videoflow_tf.seeds import as_seed, fold_in


def test_a_sample_is_a_function_of_seed_video_and_number(make_model, make_video):
    model, context = make_model(), make_video(1, 2)[0]
    whole = FutureSampler(VideoFlowPredictor(model), batch_size=8)(context, 3, 1.0, 1, 4, 7)
    assert whole.shape == (7, 3, 8, 8, 3) and whole.dtype == np.uint8
    sampler = FutureSampler(VideoFlowPredictor(model), batch_size=3)
    np.testing.assert_array_equal(sampler(context, 3, 1.0, 1, 4, 7), whole)
    np.testing.assert_array_equal(sampler(context, 3, 1.0, 1, 4, 2), whole[:2])
    for frames_at_once in (1, 5):
        chunked = FutureSampler(VideoFlowPredictor(model, frames_at_once), batch_size=3)
        np.testing.assert_array_equal(chunked(context, 3, 1.0, 1, 4, 7), whole)
    for seed, video in ((2, 4), (1, 5)):
        assert (sampler(context, 3, 1.0, seed, video, 7) != whole).mean() > 0.5
    assert (whole[0] != whole[1]).mean() > 0.5


# How the past is kept: a window with what goes on up, as a state.
QUICK = ("conv3d_of_level", "conv_lstm")
OTHERS = [pytest.param(name, marks=pytest.mark.slow) for name in ENCODERS if name not in QUICK]


@pytest.mark.parametrize("encoder", [*QUICK, *OTHERS])
def test_temperature_zero_is_the_models_own_prediction(make_model, make_video, encoder):
    model = make_model(**ENCODERS[encoder])
    context = make_video(1, 3, size=model.config.frame_size)
    expected = model.predict_frames(context, 3, temperature=0.0, seed=0).numpy()[0]
    for sample in FutureSampler(VideoFlowPredictor(model))(context[0], 3, 0.0, 0, 0, 2):
        np.testing.assert_array_equal(sample, expected)


def test_has_the_distribution_of_the_models_own_samples(make_model, make_video):
    """Mean and standard deviation of every frame's mean pixel, over many samples, and the pixels' own spread."""
    model, context, count = make_model(), make_video(1, 2), 400
    theirs = model.predict_frames(np.repeat(context, count, axis=0), 2, 0.7, seed=3).numpy().astype(np.float64)
    ours = FutureSampler(VideoFlowPredictor(model), batch_size=count)(context[0], 2, 0.7, 5, 0, count).astype(
        np.float64
    )
    error = np.sqrt((theirs.var(axis=0) + ours.var(axis=0)) / count)
    z = (theirs.mean(axis=0) - ours.mean(axis=0)) / error
    assert abs(z.std() - 1) < 0.25 and abs(z.mean()) < 0.3
    np.testing.assert_allclose(theirs.std(axis=0).mean(), ours.std(axis=0).mean(), rtol=0.03)


def test_frames_that_are_not_finite(make_model, make_video):
    model = make_model()
    model.trainable_variables[0].assign(np.nan * model.trainable_variables[0])
    with refused("4 of 4 samples of video 7 at temperature 0.5 are not finite"):
        FutureSampler(VideoFlowPredictor(model))(make_video(1, 2)[0], 2, 0.5, 0, 7, 1)


@pytest.mark.parametrize("batch_size", [3, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 16))])
def test_a_sample_that_is_not_finite_is_left_out(make_model, make_video, batch_size, monkeypatch):
    """Whichever the batches: number 1 and 4 of video 2 run away here, and 5 and 6 take their places."""
    model, context = make_model(), make_video(1, 2)[0]
    whole = FutureSampler(VideoFlowPredictor(model))(context, 2, 1.0, 0, 2, 7)
    bad = tf.stack([fold_in(as_seed((0, 2)), number) for number in (1, 4)])
    sample_frames = model.sample_frames

    def some_run_away(context, num_frames, temperature, seeds, **how):
        lost = tf.reduce_any(tf.reduce_all(seeds[:, None] == bad, axis=-1), axis=-1)[:, None, None, None, None, None]
        frames = sample_frames(context, num_frames, temperature, seeds, **how)
        return tf.where(lost, tf.cast(np.nan, frames.dtype), frames)

    monkeypatch.setattr(model, "sample_frames", some_run_away)
    numbers, samples = zip(
        *FutureSampler(VideoFlowPredictor(model), batch_size).batches(context, 2, 1.0, 0, 2, 5), strict=True
    )
    assert np.concatenate(numbers).tolist() == [0, 2, 3, 5, 6]
    np.testing.assert_array_equal(np.concatenate(samples), whole[[0, 2, 3, 5, 6]])


@pytest.mark.slow
def test_batches_are_as_large_as_asked_for(make_model, make_video):
    batches = FutureSampler(VideoFlowPredictor(make_model()), batch_size=3).batches(
        make_video(1, 2)[0], 2, 1.0, 0, 0, 7
    )
    assert [(numbers, len(batch)) for numbers, batch in batches] == [([0, 1, 2], 3), ([3, 4, 5], 3), ([6], 1)]
