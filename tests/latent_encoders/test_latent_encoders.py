import numpy as np
import pytest
import tensorflow as tf

from tests import reference
from tests.checks import assert_all_close, assert_follows_seed
from tests.conftest import TINY
from videoflow_tf.latent_encoders import DiagonalGaussian
from videoflow_tf.latent_encoders.base import add_noise
from videoflow_tf.registry import LATENT_ENCODERS

LOWER, TOP = 0, 1
LEVELS = pytest.mark.parametrize("level", [LOWER, TOP], ids=["lower", "top"])
BATCH, FRAMES = 2, 6


@pytest.fixture
def build(move_variables):
    """Builds (encoder, latents [B, T, h, w, c], level Gaussian or None at the top), float64, weights moved."""

    def make(level: int, **changes):
        config = TINY.replace(**changes)
        encoder = LATENT_ENCODERS[config.latent_encoder](config, level, np.random.default_rng(3), tf.float64)
        move_variables(encoder, 0.2)
        rng = np.random.default_rng(4)
        mean, log_std, latents, hidden = rng.normal(size=(4, BATCH, FRAMES, *config.latent_shape(level)))
        if config.latent_encoder_input == "level" and level != TOP:
            latents = np.concatenate([latents, hidden], axis=-1)
        own = None if level == TOP else DiagonalGaussian(tf.constant(mean), tf.constant(0.3 * log_std))
        return encoder, tf.constant(latents), own

    return make


def sequence(encoder, latents: tf.Tensor, own: DiagonalGaussian | None, start: int) -> DiagonalGaussian:
    """`encoder.sequence` with what it takes of the level's Gaussians of all frames."""
    return encoder.sequence(latents, None if own is None else own.frames(encoder.level_start(start)), start)


@LEVELS
@pytest.mark.parametrize("skip", [False, True])
def test_encoders_are_the_literal_ones(build, encoder_changes, level, skip):
    changes = encoder_changes | {"latent_skip": skip}
    config = TINY.replace(**changes)
    encoder, latents, own = build(level, **changes)
    assert encoder.window == reference.window(config)
    gaussian = sequence(encoder, latents, own, encoder.window)
    past = list(np.moveaxis(latents, 1, 0))
    levels = None if own is None else list(zip(*(np.moveaxis(part, 1, 0) for part in own), strict=True))
    for t in range(encoder.window, FRAMES):
        expected = reference.encoded_gaussian(config, encoder, past[:t], levels and levels[: t + 1])
        assert_all_close([part[:, t - encoder.window] for part in gaussian], expected, atol=1e-12)


@pytest.mark.parametrize("changes", [{}, {"latent_encoder": "conv2d", "condition_on_first_frame": True}], ids=str)
def test_the_window_of_a_frame_is_the_state_before_it(build, changes):
    encoder, latents, _ = build(TOP, **changes)
    windows = [tf.reshape(z, [BATCH, -1, *z.shape[1:]]) for z in encoder.windows(latents, encoder.window)]
    state = encoder.initial_state(latents[:, : encoder.window], None)
    for t in range(encoder.window, FRAMES):
        assert_all_close(state, [z[:, t - encoder.window] for z in windows], atol=0)
        state = encoder.push(state, latents[:, t])


@LEVELS
def test_a_step_reads_no_variable(build, encoder_changes, level):
    encoder, latents, own = build(level, **encoder_changes)
    state = encoder.initial_state(latents, own)
    last = None if own is None else own.frame(-1)
    expected, _ = encoder.step(encoder.fold(), state, last)
    weights = encoder.fold()
    step = tf.function(lambda *inputs: encoder.step(*inputs)[0], autograph=False)
    assert not step.get_concrete_function(weights, state, last).graph.variables
    for variable in encoder.variables:
        variable.assign(variable + 1.0)
    assert_all_close(step(weights, state, last), expected, atol=1e-12)


def test_how_far_back_an_encoder_looks(build, encoder_changes):
    encoder, latents, _ = build(TOP, **encoder_changes)
    # The first frame among those that the last one's Gaussian changes with.
    expected = encoder.sequence(latents, None, FRAMES - 1).mean
    noticed = []
    for t in range(FRAMES - 1):
        changed = tf.concat([latents[:, :t], latents[:, t : t + 1] + 1.0, latents[:, t + 1 :]], axis=1)
        noticed.append(not np.array_equal(encoder.sequence(changed, None, FRAMES - 1).mean, expected))
    assert encoder.past == (None if noticed[0] else FRAMES - 1 - noticed.index(True))


def test_dilations_that_do_not_fit_are_left_out(build):
    changes = {"frame_size": 20, "latent_dilations": (1, 2, 4)}
    assert build(LOWER, **changes)[0].dilations == (1, 2, 4)  # 10 pixels wide.
    assert build(TOP, **changes)[0].dilations == (1, 2)  # 5 pixels wide: as wide as the kernel at dilation 2.


@pytest.mark.parametrize("skip", [False, True])
def test_a_new_encoder_predicts_a_standard_normal_or_the_last_latent(skip):
    config = TINY.replace(latent_skip=skip)
    latents = tf.constant(np.random.default_rng(0).normal(size=(2, 5, *config.latent_shape(TOP))))
    encoder = LATENT_ENCODERS["conv3d"](config, TOP, np.random.default_rng(0), tf.float64)
    gaussian = encoder.sequence(latents, None, 3)
    np.testing.assert_array_equal(gaussian.mean, latents[:, 2:-1] if skip else tf.zeros_like(latents[:, 3:]))
    np.testing.assert_array_equal(gaussian.log_std, np.zeros(gaussian.mean.shape))


@pytest.mark.parametrize(
    ("kind", "option"), [("conv3d", "noise"), ("conv2d", "noise"), ("conv_lstm", "noise"), ("conv3d", "dropout")]
)
def test_noise_and_dropout_follow_the_seed(build, kind, option):
    encoder, latents, _ = build(TOP, latent_encoder=kind, **{f"latent_{option}": 0.4})
    assert_follows_seed(lambda seed: encoder.sequence(latents, None, 2, seed).mean)


def test_noise_has_the_standard_deviation_asked_for():
    zeros = tf.zeros([10_000], tf.float64)
    noise = add_noise(zeros, 0.3, tf.constant([1, 2])).numpy()
    assert noise.std() == pytest.approx(0.3, rel=0.05) and abs(noise.mean()) < 0.02
    assert add_noise(zeros, 0.3, None) is zeros


def test_gaussian_log_prob():
    mean, log_std, z = (tf.constant(v) for v in np.random.default_rng(0).normal(size=(3, 4, 5)))
    sigma = np.exp(log_std)
    expected = np.log(np.exp(-0.5 * ((z - mean) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi)))
    np.testing.assert_allclose(DiagonalGaussian(mean, log_std).log_prob(z), expected, atol=1e-12)
    # The log of a scale that float32 cannot hold.
    tiny = DiagonalGaussian(tf.zeros([1]), tf.constant([-80.0]))
    np.testing.assert_allclose(tiny.log_prob(tf.zeros([1])), 80.0 - 0.5 * np.log(2 * np.pi), rtol=1e-6)
