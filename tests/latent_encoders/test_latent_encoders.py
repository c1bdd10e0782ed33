import numpy as np
import pytest
import tensorflow as tf

from tests import reference
from videoflow_tf import VideoFlowConfig
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
        defaults = {
            "frame_size": 8,
            "levels": 2,
            "latent_encoder_depth": 1,
            "latent_encoder_width": 5,
            "latent_dilations": (1,),
            "num_past_latents": 2,
        }
        config = VideoFlowConfig(**(defaults | changes))
        encoder = LATENT_ENCODERS[config.latent_encoder](config, level, np.random.default_rng(3), tf.float64)
        move_variables(encoder, 0.2)
        rng = np.random.default_rng(4)
        mean, log_std, latents = rng.normal(size=(3, BATCH, FRAMES, *config.latent_shape(level)))
        own = None if level == TOP else DiagonalGaussian(tf.constant(mean), tf.constant(0.3 * log_std))
        return encoder, tf.constant(latents), own

    return make


def sequence(encoder, latents: tf.Tensor, own: DiagonalGaussian | None, start: int) -> DiagonalGaussian:
    """`encoder.sequence` with what it takes of the level's Gaussians of all frames."""
    return encoder.sequence(latents, None if own is None else own.frames(encoder.level_start(start)), start)


def gaussian_of(out: np.ndarray, last: np.ndarray, skip: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mean and log sigma from the last convolution's output."""
    mean, log_std = np.split(out, 2, axis=-1)
    return mean + skip * last, log_std


def literal_conv3d(encoder, past: np.ndarray, level: DiagonalGaussian | None) -> tuple[np.ndarray, np.ndarray]:
    """All branches at all time steps of the window; past [N, K, h, w, c]."""
    h = past
    if level is not None:
        repeated = np.repeat(level.mean.numpy()[:, None], past.shape[1], axis=1)
        h = np.concatenate([past, repeated], axis=-1)
    for block in encoder.blocks:
        h = h + sum(reference.causal_conv_stack(h, branch) for branch in block)
    return gaussian_of(reference.edge_conv2d(h[:, -1], encoder.last), past[:, -1], encoder.skip)


def literal_conv2d(encoder, past: np.ndarray, level: DiagonalGaussian | None) -> tuple[np.ndarray, np.ndarray]:
    parts = [] if level is None else [level.mean.numpy()]
    h = np.concatenate([*parts, *np.moveaxis(past, 1, 0)], axis=-1)
    for block in encoder.blocks:
        h = h + reference.conv_stack(h, block) if encoder.architecture == "residual" else reference.conv_block(h, block)
    return gaussian_of(reference.edge_conv2d(h, encoder.last), past[:, -1], encoder.skip)


def literal_pointwise(encoder, past: np.ndarray, level: DiagonalGaussian | None) -> tuple[np.ndarray, np.ndarray]:
    mean = encoder.multiplier.numpy() * past[:, -1] + (encoder.skip * past[:, -1])
    if level is not None:
        mean += level.mean.numpy()
    if encoder.scale_from == "level":
        return mean, level.log_std.numpy()
    learned = 3 * encoder.log_scale.numpy() if encoder.scale_from == "past" else 0.0
    return mean, np.broadcast_to(learned, mean.shape)


def literal_windows(encoder, latents: np.ndarray, start: int) -> np.ndarray:
    """[T - start, B, window, h, w, c], the windows frame by frame."""
    windows = []
    for t in range(start, latents.shape[1]):
        window = latents[:, t - encoder.num_past : t]
        windows.append(np.concatenate([latents[:, :1], window], axis=1) if encoder.first_frame else window)
    return np.stack(windows)


@LEVELS
def test_window_encoders_are_the_literal_ones(build, encoder_changes, level):
    kind = encoder_changes.get("latent_encoder", "conv3d")
    if kind == "conv_lstm":
        pytest.skip("sees no window; it has its own test")
    literal = {"conv3d": literal_conv3d, "conv2d": literal_conv2d, "pointwise": literal_pointwise}[kind]
    encoder, latents, own = build(level, **encoder_changes)
    start = encoder.window
    gaussian = sequence(encoder, latents, own, start)
    for t, window in enumerate(literal_windows(encoder, latents.numpy(), start)):
        given = None if own is None else own.frame(start + t)
        mean, log_std = literal(encoder, window, given)
        np.testing.assert_allclose(gaussian.mean[:, t], mean, atol=1e-12)
        np.testing.assert_allclose(gaussian.log_std[:, t], log_std, atol=1e-12)


@LEVELS
@pytest.mark.parametrize("skip", [False, True])
def test_conv_lstm_is_the_literal_one(build, level, skip):
    encoder, latents, own = build(level, latent_encoder="conv_lstm", latent_skip=skip)
    z = latents.numpy()
    gaussian = encoder.sequence(latents, own, 1)
    cell = hidden = np.zeros([*z[:, 0].shape[:-1], 5])
    for t in range(1, FRAMES):
        parts = [] if own is None else [own.mean.numpy()[:, t]]
        x = np.concatenate([*parts, z[:, t - 1], hidden], axis=-1)
        x = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
        gates = reference.convolve(x, encoder.kernel.numpy(), (1, 1)) + encoder.bias.numpy()
        i, new, forget, output = np.split(gates, 4, axis=-1)
        cell = reference.sigmoid(forget + 1) * cell + reference.sigmoid(i) * np.tanh(new)
        hidden = reference.sigmoid(output) * np.tanh(cell)
        mean, log_std = gaussian_of(reference.edge_conv2d(hidden, encoder.last), z[:, t - 1], skip)
        np.testing.assert_allclose(gaussian.mean[:, t - 1], mean, atol=1e-12)
        np.testing.assert_allclose(gaussian.log_std[:, t - 1], log_std, atol=1e-12)


@LEVELS
def test_one_frame_at_a_time_is_all_at_once(build, encoder_changes, level):
    encoder, latents, own = build(level, **encoder_changes)
    window = encoder.window
    expected = sequence(encoder, latents, own, window)
    weights = encoder.fold()
    for given in range(1, FRAMES):  # Also fewer frames than the window: the state still fills up rightly.
        state = encoder.initial_state(latents[:, :given], None if own is None else own.frames(0, given))
        for t in range(given, FRAMES):
            gaussian, state = encoder.step(weights, state, None if own is None else own.frame(t))
            if t >= window:
                np.testing.assert_allclose(gaussian.mean, expected.mean[:, t - window], atol=1e-12)
                np.testing.assert_allclose(gaussian.log_std, expected.log_std[:, t - window], atol=1e-12)
            state = encoder.push(state, latents[:, t])


@LEVELS
def test_a_later_start_gives_the_same_gaussians(build, encoder_changes, level):
    encoder, latents, own = build(level, **encoder_changes)
    window = encoder.window
    every, later = sequence(encoder, latents, own, window), sequence(encoder, latents, own, window + 1)
    np.testing.assert_allclose(later.mean, every.mean[:, 1:], atol=1e-12)
    np.testing.assert_allclose(later.log_std, every.log_std[:, 1:], atol=1e-12)


@LEVELS
def test_no_gaussian_depends_on_its_own_frame_or_on_later_ones(build, encoder_changes, level):
    encoder, latents, own = build(level, **encoder_changes)
    window, changed_at = encoder.window, FRAMES - 2
    changed = tf.concat([latents[:, :changed_at], latents[:, changed_at:] + 1.0], axis=1)
    before, after = (sequence(encoder, z, own, window) for z in (latents, changed))
    unseen = changed_at - window + 1
    np.testing.assert_array_equal(after.mean[:, :unseen], before.mean[:, :unseen])
    np.testing.assert_array_equal(after.log_std[:, :unseen], before.log_std[:, :unseen])
    assert not np.allclose(after.mean[:, unseen:], before.mean[:, unseen:])


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
    for found, wanted in zip(step(weights, state, last), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_how_far_back_an_encoder_looks(build, encoder_changes):
    encoder, latents, _ = build(TOP, **encoder_changes)
    # The first frame among those that the last one's Gaussian changes with.
    expected = encoder.sequence(latents, None, FRAMES - 1).mean
    noticed = []
    for t in range(FRAMES - 1):
        changed = tf.concat([latents[:, :t], latents[:, t : t + 1] + 1.0, latents[:, t + 1 :]], axis=1)
        noticed.append(not np.array_equal(encoder.sequence(changed, None, FRAMES - 1).mean, expected))
    assert encoder.past == (None if noticed[0] else FRAMES - 1 - noticed.index(True))


def test_an_unknown_architecture_or_scale_raises_and_names_the_known_ones():
    cases = [
        ("conv2d", "latent_architecture", "unknown architecture 'x'; one of: single_conv, residual, conv_blocks"),
        ("pointwise", "pointwise_scale", "unknown scale 'x'; one of: level, past, standard"),
    ]
    for kind, field, message in cases:
        config = VideoFlowConfig(frame_size=8, levels=2)
        object.__setattr__(config, field, "x")
        with pytest.raises(ValueError, match=message):
            LATENT_ENCODERS[kind](config, LOWER, np.random.default_rng(0), tf.float64)


def test_dilations_that_do_not_fit_are_left_out(build):
    changes = {"frame_size": 20, "latent_dilations": (1, 2, 4)}
    assert build(LOWER, **changes)[0].dilations == (1, 2, 4)  # 10 pixels wide.
    assert build(TOP, **changes)[0].dilations == (1, 2)  # 5 pixels wide: as wide as the kernel at dilation 2.


def test_a_new_encoder_predicts_a_standard_normal_or_the_last_latent():
    config = VideoFlowConfig(frame_size=8, levels=2, latent_encoder_depth=1, latent_encoder_width=5)
    latents = tf.constant(np.random.default_rng(0).normal(size=(2, 5, *config.latent_shape(TOP))))
    for skip in (False, True):
        config = config.replace(latent_skip=skip)
        encoder = LATENT_ENCODERS["conv3d"](config, TOP, np.random.default_rng(0), tf.float64)
        gaussian = encoder.sequence(latents, None, 3)
        np.testing.assert_array_equal(gaussian.mean, latents[:, 2:-1] if skip else tf.zeros_like(latents[:, 3:]))
        np.testing.assert_array_equal(gaussian.log_std, np.zeros(gaussian.mean.shape))


@pytest.mark.parametrize("kind", ["conv3d", "conv2d", "conv_lstm"])
def test_noise_follows_the_seed(build, kind):
    encoder, latents, _ = build(TOP, latent_encoder=kind, latent_noise=0.3)
    seeds = (None, None, tf.constant([1, 2]), tf.constant([1, 2]), tf.constant([3, 4]))
    plain, plain_again, seeded, again, other = (encoder.sequence(latents, None, 2, s).mean.numpy() for s in seeds)
    np.testing.assert_array_equal(plain, plain_again)
    np.testing.assert_array_equal(seeded, again)
    assert not np.allclose(seeded, plain) and not np.allclose(seeded, other)


def test_conv3d_dropout_follows_the_seed(build):
    encoder, latents, _ = build(TOP, latent_dropout=0.5)
    seeds = (None, tf.constant([1, 2]), tf.constant([1, 2]), tf.constant([3, 4]))
    plain, seeded, again, other = (encoder.sequence(latents, None, 2, s).mean.numpy() for s in seeds)
    np.testing.assert_array_equal(seeded, again)
    assert not np.allclose(seeded, plain) and not np.allclose(seeded, other)


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
