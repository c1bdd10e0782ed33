import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import TINY
from videoflow_tf.errors import UserError
from videoflow_tf.model.mixture import MixtureWeights

LATENT = TINY.latent_shape(TINY.levels - 1)


@pytest.fixture
def mixture(move_variables):
    made = MixtureWeights(TINY.replace(prior_components=3), 2, np.random.default_rng(0), tf.float64)
    move_variables(made, 0.5)
    return made


def latents(*leading: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(*leading, *LATENT))


def test_weights_of_a_clip_are_those_of_every_frame(mixture):
    clip = latents(2, 5)
    found = tf.exp(mixture.sequence(tf.constant(clip), 1)).numpy()
    np.testing.assert_allclose(found.sum(axis=0), 1.0)
    np.testing.assert_allclose(found[:, :, 0], 1 / 3)  # Frame 1 has one frame before it, not two.
    for t in (2, 3, 4):
        each = tf.exp(mixture.log_weights(mixture.fold(), [clip[:, t - 2], clip[:, t - 1]])).numpy()
        np.testing.assert_allclose(found[:, :, t - 1], each.T)
        assert np.ptp(each, axis=1).min() > 0.001


def test_components_are_chosen_by_their_weights(mixture):
    past = [np.repeat(z, 20_000, axis=0) for z in latents(2, 1)]
    expected = tf.exp(mixture.log_weights(mixture.fold(), past)).numpy()[0]
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


def test_a_mixture_needs_an_encoder_that_knows_of_it(make_model):
    with pytest.raises(UserError, match="prior_components=2 goes with .*latent_encoder=conv3d"):
        make_model(prior_components=2, latent_encoder="conv2d")
