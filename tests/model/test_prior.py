import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from videoflow_tf import VideoFlowConfig
from videoflow_tf.model.prior import AutoregressivePrior, HierarchicalPrior, LatentPrior, LevelLatents, fold_samples

LOWER, TOP = 0, 1
LEVELS = pytest.mark.parametrize("level", [LOWER, TOP], ids=["lower", "top"])
BATCH, FRAMES = 2, 6


@pytest.fixture
def build(move_variables):
    """Builds (prior, clip), float64, weights moved; the clip has `FRAMES` random latents and hidden ones."""

    def make(level: int, moved: float = 0.1, **changes) -> tuple[LatentPrior, LevelLatents]:
        defaults = {
            "frame_size": 8,
            "levels": 2,
            "latent_encoder_depth": 1,
            "latent_encoder_width": 5,
            "latent_dilations": (1,),
            "num_past_latents": 2,
        }
        config = VideoFlowConfig(**(defaults | changes))
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
    return ((clip.latents - gaussian.mean) * tf.exp(-gaussian.log_scale)).numpy()


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
    np.testing.assert_array_equal(every.log_scale[:, :window], own.log_scale[:, :window])
    assert not np.allclose(every.mean[:, window:], own.mean[:, window:])
    for start in range(FRAMES):
        later = prior.sequence(clip, start)
        np.testing.assert_allclose(later.mean, every.mean[:, start:], atol=1e-12)
        np.testing.assert_allclose(later.log_scale, every.log_scale[:, start:], atol=1e-12)
    short = prior.sequence(cut(clip, ALL, slice(window)), 0)
    np.testing.assert_array_equal(short.mean, own.mean[:, :window])


@LEVELS
def test_condition_switches_the_past_off(build, encoder_changes, level):
    prior, clip = build(level, **encoder_changes)
    own = prior.own_gaussian(clip.hidden, BATCH, FRAMES)
    off = prior.sequence(clip, 0, tf.constant(False))
    np.testing.assert_array_equal(off.mean, own.mean)
    np.testing.assert_array_equal(off.log_scale, own.log_scale)
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
    assert np.abs(gaussian.mean).max() > 0 and np.abs(gaussian.log_scale).max() > 0
    gaussian = standard.sequence(clip, 0)
    assert gaussian.mean.shape == clip.latents.shape
    assert not gaussian.mean.numpy().any() and not gaussian.log_scale.numpy().any()
    drawn = draw(standard, clip, None, clip.latents[:, :3], 0.5)
    np.testing.assert_array_equal(drawn, 0.5 * clip.latents[:, :3])


# --- The distributions ---


def distributions(build, **changes):
    """The two distributions of the frames after two frames of context, and the latents [B, T, h, w, c] that follow."""
    (top, top_clip), (lower, lower_clip) = build(TOP, **changes), build(LOWER, **changes)
    given, num_frames = slice(2), FRAMES - 2
    base = AutoregressivePrior(top, cut(top_clip, ALL, given), num_frames)
    # Stands for the flow between the levels: halves the top latent's channels and doubles its size.
    above = tfd.Independent(tfd.Normal(tf.zeros([BATCH, num_frames, *lower.latent_shape], tf.float64), 2.0), 4)
    joint = HierarchicalPrior(above, lower, cut(lower_clip, ALL, given), num_frames)
    future = cut(lower_clip, ALL, slice(2, None))
    return base, top_clip, joint, lower, lower_clip, future, above


def log_density(prior: LatentPrior, clip: LevelLatents, start: int, temperature: float = 1.0) -> np.ndarray:
    gaussian = prior.sequence(clip, start)
    normal = tfd.Normal(gaussian.mean, temperature * tf.exp(gaussian.log_scale))
    return tf.reduce_sum(normal.log_prob(clip.latents[:, start:]), axis=[1, 2, 3, 4]).numpy()


def test_shapes_of_the_distributions(build):
    base, _, joint, lower, *_ = distributions(build)
    assert base.batch_shape == joint.batch_shape == [BATCH]
    assert base.event_shape == [4, 2, 2, 24]
    assert joint.event_shape == [4, 4, 4, 12]
    for distribution in (base, joint):
        np.testing.assert_array_equal(distribution.event_shape_tensor(), distribution.event_shape)
        np.testing.assert_array_equal(distribution.batch_shape_tensor(), distribution.batch_shape)
        for sample_shape in ((), 3, (2, 3)):
            draws = distribution.sample(sample_shape, seed=1)
            leading = [*np.empty(sample_shape).shape, BATCH]
            assert draws.shape == [*leading, *distribution.event_shape]
            assert distribution.log_prob(draws).shape == leading
    assert lower.latent_shape == (4, 4, 6)


def test_log_prob_is_that_of_the_gaussians(build, encoder_changes):
    base, top_clip, joint, lower, lower_clip, future, above = distributions(
        build, **(encoder_changes | {"frame_size": 8})
    )
    expected = log_density(base._prior, top_clip, 2)
    np.testing.assert_allclose(base.log_prob(top_clip.latents[:, 2:]), expected, rtol=1e-12)
    value = tf.concat([future.hidden, future.latents], axis=-1)
    expected = above.log_prob(future.hidden) + log_density(lower, lower_clip, 2)
    np.testing.assert_allclose(joint.log_prob(value), expected, rtol=1e-12)


def test_log_prob_folds_sample_dimensions(build):
    base, _, joint, *_ = distributions(build)
    for distribution in (base, joint):
        draws = distribution.sample((2, 3), seed=1)
        each = [[distribution.log_prob(draws[i, j]) for j in range(3)] for i in range(2)]
        np.testing.assert_allclose(distribution.log_prob(draws), each, rtol=1e-12)


def test_one_event_is_scored_for_every_context_of_the_batch(build):
    base, _, joint, *_ = distributions(build)
    for distribution in (base, joint):
        draws = distribution.sample(seed=1)
        both = tf.stack([draws[0], draws[0]])
        expected = distribution.log_prob(both)
        np.testing.assert_allclose(distribution.log_prob(draws[0]), expected, rtol=1e-12)
        np.testing.assert_allclose(distribution.log_prob(draws[:1]), expected, rtol=1e-12)
        assert not np.isclose(*expected.numpy())


def test_many_events_are_scored_for_a_context_batch_of_one(build):
    prior, clip = build(TOP)
    one = AutoregressivePrior(prior, cut(clip, FIRST, slice(2)), FRAMES - 2)
    repeated = LevelLatents(tf.repeat(clip.latents[:1], BATCH, axis=0), None)
    twice = AutoregressivePrior(prior, cut(repeated, ALL, slice(2)), FRAMES - 2)
    np.testing.assert_allclose(one.log_prob(clip.latents[:, 2:]), twice.log_prob(clip.latents[:, 2:]), rtol=1e-12)


def test_temperature_in_log_prob(build):
    prior, clip = build(TOP)
    hot = AutoregressivePrior(prior, cut(clip, ALL, slice(2)), FRAMES - 2, temperature=0.5)
    np.testing.assert_allclose(hot.log_prob(clip.latents[:, 2:]), log_density(prior, clip, 2, 0.5), rtol=1e-12)


def test_samples_have_the_moments_of_the_gaussians(build):
    prior, clip = build(TOP)
    context = cut(clip, FIRST, slice(2))
    draws = AutoregressivePrior(prior, context, 3).sample(3000, seed=5)[:, 0]
    repeated = tf.repeat(context.latents, 3000, axis=0)
    noise = standardized(prior, LevelLatents(tf.concat([repeated, draws], axis=1), None))[:, 2:].reshape(3000, -1)
    # 288 independent standard normals: five standard errors of the mean, the variance and the correlations.
    assert np.abs(noise.mean(axis=0)).max() < 5 / np.sqrt(3000)
    assert np.abs(noise.var(axis=0) - 1).max() < 5 * np.sqrt(2 / 3000)
    correlations = np.corrcoef(noise.T) - np.eye(noise.shape[1])
    assert np.abs(correlations).max() < 6 / np.sqrt(3000)


def test_seeds(build):
    base, _, joint, *_ = distributions(build)
    for distribution in (base, joint):
        first, again, other = (distribution.sample(2, seed=seed).numpy() for seed in ((1, 2), (1, 2), (1, 3)))
        np.testing.assert_array_equal(first, again)
        assert not np.allclose(first, other)
        assert not np.allclose(first[0], first[1])


def test_fold_samples():
    context = tf.zeros([2, 1, 1, 1, 1])
    value = tf.reshape(tf.range(24.0), [3, 2, 4, 1, 1, 1])
    folded, copies, leading = fold_samples(value, context)
    assert folded.shape == [6, 4, 1, 1, 1] and int(copies) == 3 and leading.numpy().tolist() == [3, 2]
    np.testing.assert_array_equal(tf.reshape(folded, value.shape), value)
    folded, copies, leading = fold_samples(value[0, 0], context)
    assert folded.shape == [2, 4, 1, 1, 1] and int(copies) == 1 and leading.numpy().tolist() == [2]
