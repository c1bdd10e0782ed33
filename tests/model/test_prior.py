import numpy as np
import pytest
import tensorflow as tf

from tests.checks import assert_all_close
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


def draw(prior: LatentPrior, clip: LevelLatents, given: int, noise, temperature=1.0, condition=None) -> list[tf.Tensor]:
    """The latents after the first `given` ones of a clip, for its hidden ones; drawn at once, and the first apart."""
    drawn = []
    for parts in ([ALL], [slice(0, 1), slice(1, None)]):
        state, drawer = prior.sampler(cut(clip, ALL, slice(given)), temperature, condition)
        latents = []
        for part in parts:
            hidden = None if clip.hidden is None else clip.hidden[:, given:][:, part]
            state, z = drawer(state, hidden, tf.constant(noise)[:, part])
            latents.append(z)
        drawn.append(tf.concat(latents, axis=1))
    return drawn


ALL = slice(None)


@LEVELS
@pytest.mark.parametrize("condition", [None, False])
def test_sampling_frame_by_frame_inverts_the_parallel_path(build, encoder_changes, level, condition):
    prior, clip = build(level, **encoder_changes)
    condition = None if condition is None else tf.constant(condition)
    noise = standardized(prior, clip, condition)
    for given in range(1, FRAMES):  # Contexts shorter and longer than the window.
        for drawn in draw(prior, clip, given, noise[:, given:], condition=condition):
            np.testing.assert_allclose(drawn, clip.latents[:, given:], atol=1e-9)


@LEVELS
def test_a_later_start_or_a_shorter_clip_changes_no_gaussian(build, encoder_changes, level):
    prior, clip = build(level, **encoder_changes)
    window = prior.encoder.window
    every = prior.sequence(clip, 0)
    for start in range(FRAMES):
        assert_all_close(prior.sequence(clip, start), [t[:, start:] for t in every], atol=1e-12)
    assert_all_close(prior.sequence(cut(clip, ALL, slice(window)), 0), [t[:, :window] for t in every])


@LEVELS
def test_condition_switches_the_past_off(build, encoder_changes, level):
    prior, clip = build(level, **encoder_changes)
    own = prior.own_gaussian(clip.hidden, BATCH, FRAMES)
    assert_all_close(prior.sequence(clip, 0, tf.constant(False)), own)
    on = prior.sequence(clip, 0, tf.constant(True))
    assert_all_close(on, prior.sequence(clip, 0))
    window = prior.encoder.window
    assert_all_close([t[:, :window] for t in on], [t[:, :window] for t in own])  # Frames without enough past.
    assert not np.allclose(on.mean[:, window:], own.mean[:, window:])
