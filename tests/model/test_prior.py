import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import TINY
from videoflow_tf.model.prior import LatentPrior, LevelLatents

LOWER, TOP = 0, 1
LEVELS = pytest.mark.parametrize("level", [LOWER, TOP], ids=["lower", "top"])
BATCH, FRAMES = 2, 6


@pytest.fixture
def build(move_variables):
    """Builds (prior, clip), float64, weights moved; the clip has `FRAMES` random latents and hidden ones."""

    def make(level: int, moved: float = 0.1, **changes) -> tuple[LatentPrior, LevelLatents]:
        config = TINY.replace(**changes)
        prior = LatentPrior(config, level, np.random.default_rng(3), tf.float64)
        move_variables(prior, moved)
        latents, hidden = np.random.default_rng(4).normal(size=(2, BATCH, FRAMES, *config.latent_shape(level)))
        return prior, LevelLatents(tf.constant(latents), None if level == TOP else tf.constant(hidden))

    return make


def cut(clip: LevelLatents, *index) -> LevelLatents:
    return LevelLatents(*(None if t is None else t[index] for t in clip))


def standardized(prior: LatentPrior, clip: LevelLatents, condition=None) -> np.ndarray:
    """(z_t - mean_t) / sigma_t of all frames by the parallel path."""
    gaussian = prior.sequence(clip, 0, condition)
    return ((clip.latents - gaussian.mean) * tf.exp(-gaussian.log_std)).numpy()


def draw(prior: LatentPrior, context: LevelLatents, hidden, noise, temperature=1.0, condition=None) -> tf.Tensor:
    """The latents after the context."""
    state, drawer = prior.sampler(context, temperature, condition)
    return drawer(state, hidden, noise)[1]


ALL, FIRST = slice(None), slice(None, 1)


@LEVELS
def test_sampling_frame_by_frame_inverts_the_parallel_path(build, encoder_changes, level):
    prior, clip = build(level, **encoder_changes)
    noise = standardized(prior, clip)
    for given in range(1, FRAMES):  # Contexts shorter and longer than the window.
        hidden = None if level == TOP else clip.hidden[:, given:]
        context = cut(clip, ALL, slice(given))
        drawn = draw(prior, context, hidden, tf.constant(noise[:, given:]))
        np.testing.assert_allclose(drawn, clip.latents[:, given:], atol=1e-9)


@LEVELS
@pytest.mark.parametrize("given", [1, 3])
def test_drawing_goes_on_where_it_stopped(build, encoder_changes, level, given):
    prior, clip = build(level, **encoder_changes)
    hidden = None if level == TOP else clip.hidden[:, given:]
    noise = tf.constant(standardized(prior, clip)[:, given:])
    context = cut(clip, ALL, slice(given))
    whole = draw(prior, context, hidden, noise)
    state, drawer = prior.sampler(context, 1.0)
    parts = []
    for part in (slice(0, 1), slice(1, None)):
        state, z = drawer(state, None if hidden is None else hidden[:, part], noise[:, part])
        parts.append(z)
    np.testing.assert_allclose(tf.concat(parts, axis=1), whole, rtol=1e-12, atol=1e-12)


@LEVELS
@pytest.mark.parametrize("temperature", [0.0, 0.4])
def test_temperature_multiplies_sigma(build, encoder_changes, level, temperature):
    # Weights moved less than elsewhere: free-running dynamics of random weights explode.
    prior, clip = build(level, moved=0.02, **encoder_changes)
    hidden = None if level == TOP else clip.hidden[:, 1:]
    noise = np.random.default_rng(9).normal(size=clip.latents[:, 1:].shape)
    drawn = draw(prior, cut(clip, ALL, FIRST), hidden, tf.constant(noise), temperature)
    joined = clip._replace(latents=tf.concat([clip.latents[:, :1], drawn], axis=1))
    np.testing.assert_allclose(standardized(prior, joined)[:, 1:], temperature * noise, atol=1e-9)


@LEVELS
def test_early_frames_have_the_gaussian_of_the_level_alone(build, encoder_changes, level):
    prior, clip = build(level, **encoder_changes)
    window = prior.encoder.window
    own = prior.own_gaussian(clip.hidden, BATCH, FRAMES)
    every = prior.sequence(clip, 0)
    np.testing.assert_array_equal(every.mean[:, :window], own.mean[:, :window])
    np.testing.assert_array_equal(every.log_std[:, :window], own.log_std[:, :window])
    assert not np.allclose(every.mean[:, window:], own.mean[:, window:])
    for start in range(FRAMES):
        later = prior.sequence(clip, start)
        np.testing.assert_allclose(later.mean, every.mean[:, start:], atol=1e-12)
        np.testing.assert_allclose(later.log_std, every.log_std[:, start:], atol=1e-12)
    short = prior.sequence(cut(clip, ALL, slice(window)), 0)
    np.testing.assert_array_equal(short.mean, own.mean[:, :window])


@LEVELS
def test_condition_switches_the_past_off(build, encoder_changes, level):
    prior, clip = build(level, **encoder_changes)
    own = prior.own_gaussian(clip.hidden, BATCH, FRAMES)
    off = prior.sequence(clip, 0, tf.constant(False))
    np.testing.assert_array_equal(off.mean, own.mean)
    np.testing.assert_array_equal(off.log_std, own.log_std)
    np.testing.assert_array_equal(prior.sequence(clip, 0, tf.constant(True)).mean, prior.sequence(clip, 0).mean)
    noise = standardized(prior, clip, tf.constant(False))
    hidden = None if level == TOP else clip.hidden[:, 2:]
    context = cut(clip, ALL, slice(2))
    drawn = draw(prior, context, hidden, tf.constant(noise[:, 2:]), condition=tf.constant(False))
    np.testing.assert_allclose(drawn, clip.latents[:, 2:], atol=1e-9)


def test_the_top_prior_without_a_past_is_learned_or_standard(build):
    learned, clip = build(TOP, conditional=False)
    standard, _ = build(TOP, conditional=False, top_prior="standard")
    assert learned.encoder is None and standard.encoder is None and standard.own is None
    gaussian = learned.sequence(clip, 0)
    assert np.ptp(gaussian.mean, axis=(0, 1)).max() == 0  # The same for every video and frame.
    assert np.abs(gaussian.mean).max() > 0 and np.abs(gaussian.log_std).max() > 0
    gaussian = standard.sequence(clip, 0)
    assert gaussian.mean.shape == clip.latents.shape
    assert not gaussian.mean.numpy().any() and not gaussian.log_std.numpy().any()
    drawn = draw(standard, clip, None, clip.latents[:, :3], 0.5)
    np.testing.assert_array_equal(drawn, 0.5 * clip.latents[:, :3])
