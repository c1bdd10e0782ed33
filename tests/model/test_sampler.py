"""What draws depend on, and that their division into chunks is bounded and of no consequence."""

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import DEEP, ENCODERS
from videoflow_tf.model.level import Level

SEED = tf.constant([3, 4])


@pytest.mark.parametrize("encoder", ["conv3d_relu", "conv2d_first_frame", "conv_lstm", "pointwise_level", "deep"])
def test_chunks_change_no_sample(make_model, make_video, encoder):
    model = make_model(moved=0.02, **(ENCODERS | {"deep": DEEP})[encoder])
    video = make_video(frames=2)
    whole, *chunked = (model.sample_frames(video, 5, 0.7, SEED, frames_at_once=most) for most in (10, 1, 4, None))
    assert whole.shape == (1, 2, 5, 8, 8, 3)
    for drawn in chunked:
        np.testing.assert_allclose(drawn, whole, rtol=1e-10, atol=1e-10)


def test_number_of_frames_known_at_run_time(make_model, make_video):
    """As in exported models: neither the batch nor the number of frames is known when the graph is built."""
    model, video = make_model(), make_video(frames=2)

    @tf.function(input_signature=[tf.TensorSpec([None, 2, 8, 8, 3], tf.uint8), tf.TensorSpec([], tf.int32)])
    def draw(context, num_frames):
        drawn = model.future(context, num_frames, 0.7).sample(seed=SEED)
        return drawn, model.predict_frames(context, num_frames, 0.7, SEED)

    for num_frames in (1, 5, 7):
        expected = model.sample_frames(video, num_frames, 0.7, SEED)[0]
        drawn, predicted = draw(video, num_frames)
        np.testing.assert_allclose(drawn, expected, rtol=1e-9, atol=1e-9)
        for found in (predicted, model.predict_frames(video, tf.constant(num_frames), 0.7, SEED)):
            np.testing.assert_array_equal(found, model.quantize(expected))


@pytest.mark.parametrize(
    ("num_frames", "frames_at_once", "most"), [(1, 64, 1), (40, 64, 32), (20, 7, 3), (9, 1, 1), (20, None, 2)]
)
def test_no_more_frames_together_than_asked_for(make_model, make_video, monkeypatch, num_frames, frames_at_once, most):
    """A batch of two, so half as many frames of each; without a number, a tenth of the frames on a CPU."""
    together, apply_decode = [], Level.apply_decode

    def spy(level, weights, y):
        together.append(y.shape[0] * y.shape[1])
        return apply_decode(level, weights, y)

    monkeypatch.setattr(Level, "apply_decode", spy)
    model, video = make_model(moved=0.005), make_video(frames=2)
    drawn = model.sample_frames(video, num_frames, 0.5, SEED, frames_at_once=frames_at_once)
    assert drawn.shape[2] == num_frames
    chunks = -(-num_frames // most)
    even = -(-num_frames // chunks)
    assert even <= most and together == [2 * even] * 2 * chunks


def test_temperature_zero_has_one_outcome(make_model, make_video):
    model, context = make_model("float32"), make_video(2, 2)
    first = model.predict_frames(context, 4, temperature=0.0, seed=1)
    np.testing.assert_array_equal(model.predict_frames(context, 4, temperature=0.0, seed=2), first)
    np.testing.assert_array_equal(model.predict_frames(context, 4, temperature=0.0), first)
    assert not np.array_equal(model.predict_frames(context, 4, temperature=1.0, seed=1), first)


def test_with_a_seed_of_its_own_a_sample_depends_on_nothing_else(make_model, make_video):
    model, context = make_model(), make_video(3, 2)
    seeds = tf.constant([[1, 2], [3, 4], [1, 2]])
    together = model.predict_frames(context, 3, seed=seeds).numpy()
    for i in range(3):
        alone = model.predict_frames(context[i : i + 1], 3, seed=seeds[i : i + 1])
        np.testing.assert_array_equal(alone[0], together[i])
    same_context = model.predict_frames(np.repeat(context[:1], 3, axis=0), 3, seed=seeds).numpy()
    np.testing.assert_array_equal(same_context[0], same_context[2])
    assert not np.array_equal(same_context[0], same_context[1])


@pytest.mark.parametrize("latent_encoder", ["conv3d", "conv_lstm"])
def test_a_hundred_frames_from_three(make_model, make_video, latent_encoder):
    # Of random models moved by 0.01 one in two grows beyond all bounds within a hundred frames.
    model = make_model("float32", moved=0.005, latent_encoder=latent_encoder, num_past_latents=3, num_context=3)
    frames = model.predict_frames(make_video(1, 3), 100, temperature=0.5, seed=1)
    assert frames.shape == [1, 100, 8, 8, 3]
    assert np.ptp(frames[:, -1]) > 0
