import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.checks import refused
from tests.conftest import TINY
from videoflow_tf.model.mixture import Mixture, sharpness_at
from videoflow_tf.model.prior import LatentPrior, LevelLatents

LATENT = (4, 4, 2)


@pytest.fixture
def mixture(move_variables):
    made = Mixture(3, 2, LATENT, 5, tf.float64, np.random.default_rng(0))
    move_variables(made, 0.3)
    return made


def latents(*leading: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(*leading, *LATENT))


def test_weights_of_a_clip_are_those_of_every_frame(mixture):
    clip = latents(2, 5)
    past = [clip[:, i : i + 3].reshape(6, *LATENT) for i in (0, 1)]  # Of frames 2, 3 and 4.
    found = tf.exp(mixture._log_weights_of(past, tf.constant([3, 2, 4]))).numpy()
    np.testing.assert_allclose(found.sum(axis=0), 1.0)
    np.testing.assert_allclose(found[:, :, 0], 1 / 3)  # Frame 1 has one frame before it, not two.
    for t in (2, 3, 4):
        each = tf.exp(mixture._log_weights(mixture.fold()[0], [clip[:, t - 2], clip[:, t - 1]])).numpy()
        np.testing.assert_allclose(found[:, :, t - 1], each.T)
        assert np.ptp(each, axis=1).min() > 0.01


def test_components_are_chosen_by_their_weights(mixture):
    past = [np.repeat(z, 20_000, axis=0) for z in latents(2, 1)]
    expected = tf.exp(mixture._log_weights(mixture.fold()[0], past)).numpy()[0]
    chosen = mixture.choose(mixture.fold(), past, tf.constant(np.random.default_rng(2).normal(size=20_000)))
    # Four standard errors.
    np.testing.assert_allclose(np.bincount(chosen, minlength=3) / 20_000, expected, atol=4 * 0.5 / np.sqrt(20_000))


def test_all_components_are_there_far_from_the_middle(mixture):
    past = [np.repeat(z, 2, axis=0) for z in latents(2, 1)]
    assert list(mixture.choose(mixture.fold(), past, tf.constant([-40.0, 40.0], tf.float64))) == [0, 2]


def test_futures_stay_apart_where_one_gaussian_would_blur_them(make_model, make_video):
    """At temperature 0 a sample is one of the components' means, the same one for the same seed."""
    model = make_model(moved=0.05, prior_components=3)
    context = np.repeat(make_video(1, 2), 32, axis=0)
    frames = model.sample_frames(context, 1, 0.0, seed=5)[0, :, 0].numpy()
    assert len({frame.tobytes() for frame in frames.round(9)}) == 3
    np.testing.assert_array_equal(frames, model.sample_frames(context, 1, 0.0, seed=5)[0, :, 0])


@pytest.mark.parametrize("changes", [{"latent_encoder": "conv_lstm"}, {"conditional": False}], ids=str)
def test_a_mixture_needs_a_window_of_past_frames(changes):
    with refused("prior_components=2 needs conditional=true and a latent encoder that sees a window of past frames"):
        TINY.replace(prior_components=2, **changes)


def test_sharpness_is_about_a_mixture():
    with refused("prior_anneal_steps is about a mixture: give prior_components, 2 or more"):
        TINY.replace(prior_anneal_steps=10)


def test_a_clip_shorter_than_the_window_is_scored(make_model, make_video):
    """No frame has enough past then: the level's own Gaussian, as without a mixture."""
    model, plain = (make_model(prior_components=n, num_past_latents=3, moved=0) for n in (2, 1))
    for num_context in (0, 1):
        found, expected = (m.frame_bits_per_pixel(make_video(2, 2), num_context) for m in (model, plain))
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_sharper_objective_is_the_likelihood_and_at_most_log_n_more(mixture):
    log_probs = np.random.default_rng(3).normal(size=(3, 2, 4), scale=5)
    past = list(latents(2, 6))  # Of the last three of the four frames.
    likelihood = mixture.log_prob(log_probs, past)
    np.testing.assert_allclose(mixture.log_prob(log_probs, past, tf.constant(1.0)), likelihood)
    equal = np.logaddexp.reduce(log_probs) - np.log(3)
    found = [mixture.log_prob(log_probs, past, tf.constant(s)).numpy() for s in (1.001, 3.0, 10.0, 1000.0)]
    np.testing.assert_allclose(found[0], equal, atol=0.01)
    assert all((b > a).all() for a, b in itertools.pairwise(found))
    np.testing.assert_allclose(found[-1], log_probs.max(axis=0), atol=0.01)
    assert (found[-1] <= equal + np.log(3)).all()


def test_sharpness_falls_to_one():
    found = [float(sharpness_at(tf.constant(step, tf.int64), 100)) for step in (0, 50, 75, 99, 100, 1000)]
    np.testing.assert_allclose(found, [10, 10, 1 / 0.55, 1 / 0.982, 1, 1], rtol=1e-5)
    assert found[4] == 1.0


@pytest.mark.parametrize(("sharpness", "part"), [(10.0, True), pytest.param(1.0, False, marks=pytest.mark.slow)])
def test_a_sharper_objective_parts_the_components(sharpness, part):
    """The same frame is followed by one of two: a component for each, where the likelihood keeps them together (not for
    ever, nor on all data: it is at a saddle)."""
    config = TINY.replace(levels=1, prior_components=2, num_past_latents=1)
    prior = LatentPrior(config, 0, np.random.default_rng(0), tf.float32)
    rng = np.random.default_rng(2)
    clip = rng.normal(size=(16, 2, *prior.latent_shape)).astype(np.float32) * 0.1
    clip[::2, 1, ..., 0] += 1
    clip[1::2, 1, ..., 0] -= 1
    clip = LevelLatents(tf.constant(clip), None)
    prior.initialize(clip)
    adam = tf.keras.optimizers.Adam(0.01)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(prior.frame_log_probs(clip, 1, sharpness=tf.constant(sharpness)))
        variables = prior.trainable_variables
        gradients = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        adam.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    for _ in range(80):
        step()
    means = [prior.sequence(clip, 1, marks=mark[None, None]).mean[:, 0, ..., 0] for mark in prior.mixture.embeddings]
    apart = np.abs(means[0] - means[1]).mean()
    assert (apart > 1.5) if part else (apart < 0.5)
