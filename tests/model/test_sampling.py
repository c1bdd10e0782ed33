import numpy as np
import pytest
import tensorflow as tf

from videoflow_tf.model import pixels
from videoflow_tf.model.likelihood import encode_frames


def test_many_draws_have_the_mean_and_sigma_of_the_prior(make_model, make_frames):
    model = make_model(frame_size=4, depth=2)
    context = tf.constant(make_frames(1, 2, 4))
    count = 4000
    draws = model.future(context, 1).sample(count, seed=(1, 1))[:, 0]
    clip = tf.concat([tf.repeat(context, count, axis=0), draws], axis=1)
    top = encode_frames(model.levels, clip).levels[-1]
    one = top._replace(latents=top.latents[:1])
    gaussian = model.levels[-1].prior.sequence(one, 2)  # A function of the context: the same for every draw.
    z = top.latents[:, 2].numpy()
    sigma = np.exp(gaussian.log_std[0, 0])
    assert (np.abs(z.mean(axis=0) - gaussian.mean[0, 0]) < 5 * sigma / np.sqrt(count)).all()
    np.testing.assert_allclose(z.std(axis=0), sigma, rtol=5 / np.sqrt(2 * count))


def test_temperature_zero_has_one_outcome(make_model, make_video):
    model, context = make_model("float32"), make_video(2, 2)
    first = model.predict_frames(context, 4, temperature=0.0, seed=1)
    np.testing.assert_array_equal(model.predict_frames(context, 4, temperature=0.0, seed=2), first)
    np.testing.assert_array_equal(model.predict_frames(context, 4, temperature=0.0), first)
    assert not np.array_equal(model.predict_frames(context, 4, temperature=1.0, seed=1), first)


def test_samples_follow_the_seed(make_model, make_video):
    model, context = make_model("float32"), make_video(2, 2)
    first = model.predict_frames(context, 3, seed=(1, 2)).numpy()
    np.testing.assert_array_equal(model.predict_frames(context, 3, seed=(1, 2)), first)
    assert not np.array_equal(model.predict_frames(context, 3, seed=(1, 3)), first)
    assert not np.array_equal(model.predict_frames(context, 3), model.predict_frames(context, 3))


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


def test_the_number_of_frames_may_be_a_tensor(make_model, make_video):
    model, context = make_model("float32"), make_video(2, 2)
    expected = model.predict_frames(context, 3, seed=1)
    np.testing.assert_array_equal(model.predict_frames(context, tf.constant(3), seed=1), expected)
    traced = tf.function(lambda n: model.predict_frames(context, n, seed=1))
    np.testing.assert_array_equal(traced(tf.constant(3)), expected)
    eager = pixels.to_uint8(model.future(context, 3).sample(seed=1))
    np.testing.assert_array_equal(eager, expected)


def test_a_prediction_does_not_depend_on_the_rest_of_the_batch(make_model, make_video):
    model, context = make_model("float32"), make_video(3, 2)
    together = model.predict_frames(context, 3, temperature=0.0).numpy().astype(int)
    alone = model.predict_frames(context[2:], 3, temperature=0.0).numpy().astype(int)
    assert np.abs(together[2:] - alone).max() <= 1  # A rounding at a bin's edge.
