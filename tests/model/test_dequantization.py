import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import TINY
from videoflow_tf.model.dequantization import Dequantizer, NoiseFlow

VARIATIONAL = {"dequantization": "variational", "dequantization_width": 6}


@pytest.fixture(scope="module")
def noise_flow(move_variables) -> NoiseFlow:
    """In float64, moved off its initial values."""
    return moved_flow(3, move_variables)


def moved_flow(channels: int, move_variables) -> NoiseFlow:
    flow = NoiseFlow(channels, 2, 6, np.random.default_rng(0), tf.float64)
    move_variables(flow, 0.05)
    widen(flow)
    return flow


def widen(flow: NoiseFlow) -> None:
    """Makes the noise cover its bin to the ends, so that means of 1 / q converge."""
    flow.steps[-1].actnorm.log_scale.assign_add(
        tf.constant(0.33, tf.float64) * tf.ones_like(flow.steps[-1].actnorm.log_scale)
    )


def draw(shape, seed=0) -> tuple[tf.Tensor, tf.Tensor]:
    """Images around [-0.5, 0.5) and uniform noise."""
    rng = np.random.default_rng(seed)
    return tf.constant(rng.random(shape) - 0.5), tf.constant(rng.random(shape), tf.float32)


@pytest.mark.parametrize("shape", [(2, 2, 3), (2, 6, 1), (6, 4, 1)])
def test_density_is_the_inverse_volume_of_the_map_from_uniform_noise(move_variables, shape):
    noise_flow, count = moved_flow(shape[-1], move_variables), np.prod(shape)
    images, noise = draw((1, *shape))
    noise = tf.cast(noise, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(noise)
        u, log_q = noise_flow(images, noise)
    jacobian = tape.jacobian(u, noise).numpy().reshape(count, count)
    assert ((u > 0) & (u < 1)).numpy().all()
    # Up to the factor (1 - 2^-23) per component that keeps the quantiles finite.
    np.testing.assert_allclose(log_q.numpy()[0], -np.linalg.slogdet(jacobian)[1], atol=1e-5)


def test_density_integrates_to_one(noise_flow):
    """Of samples of q, the mean of 1 / q is the volume of what q covers: the unit cube."""
    images, _ = draw((1, 2, 2, 3))
    count = 100_000
    _, noise = draw((count, 2, 2, 3), seed=1)
    _, log_q = noise_flow(tf.repeat(images, count, axis=0), noise)
    weights = np.exp(-log_q.numpy())
    assert abs(weights.mean() - 1) < 5 * weights.std() / np.sqrt(count) < 0.25


@pytest.mark.parametrize("noise", [0.0, 1 - 2**-24])
def test_extreme_noise_stays_within_the_bin(noise_flow, noise):
    images, _ = draw((1, 2, 2, 3))
    u, log_q = noise_flow(images, tf.fill([1, 2, 2, 3], tf.constant(noise, tf.float32)))
    assert ((u > 0) & (u < 1)).numpy().all() and np.isfinite(log_q.numpy()).all()


def test_noise_of_a_frame_depends_on_its_own_pixels_alone(make_model, make_video):
    dequantizer = make_model(**VARIATIONAL).dequantizer
    video, other = make_video(batch=2), make_video(batch=2, seed=1)
    mixed = np.stack([video[0], other[1]])
    noise = tf.random.stateless_uniform(video.shape, (0, 1))
    frames, log_q = dequantizer(tf.constant(video), noise)
    mixed_frames, mixed_log_q = dequantizer(tf.constant(mixed), noise)
    np.testing.assert_array_equal(frames[0], mixed_frames[0])
    np.testing.assert_array_equal(log_q[0], mixed_log_q[0])
    assert np.abs(frames[1] - mixed_frames[1]).max() > 0 and np.abs(log_q[1] - mixed_log_q[1]).min() > 0


def test_initialisation_by_data_leaves_noise_of_moderate_width():
    """Sigmoid of nearly standard Gaussians: about the middle of the bin, neither a point nor piled up at its ends."""
    dequantizer = Dequantizer(TINY.replace(**VARIATIONAL), np.random.default_rng(0), tf.float64)
    images, noise = draw((64, 8, 8, 3))
    dequantizer.noise_flow.initialize(images, noise)
    u, _ = dequantizer.noise_flow(images, noise)
    assert abs(u.numpy().mean() - 0.5) < 0.02 and 0.1 < u.numpy().std() < 0.25


ONE_BIT = {"frame_size": 2, "levels": 1, "n_bits": 1, "conditional": False, "num_context": 0}


class TestTinyModelWhoseMassCanBeSummed:
    """One frame of 2 x 2 pixels with one bit each: the probability of an image is an integral over its bins."""

    COUNT = 60_000

    def bits(self, model, image: np.ndarray, noise: tf.Tensor) -> np.ndarray:
        """Of every draw of noise, bits of the whole image."""
        video = tf.constant(np.tile(image, [len(noise), 1, 1, 1, 1]))
        return model.bits_per_pixel(video, dequantization_noise=noise).numpy().astype(np.float64) * image.size

    @pytest.fixture(scope="class")
    def both(self, make_model):
        """The same flow with variational and with uniform noise."""
        variational = make_model(moved=0.05, **ONE_BIT, **VARIATIONAL)
        widen(variational.dequantizer.noise_flow)
        # Most of the density inside the cube.
        variational.levels[0].steps[0].actnorm.log_scale.assign_add(tf.fill([12], tf.constant(0.4, tf.float64)))
        uniform = make_model(**ONE_BIT)
        for a, b in zip(uniform.levels, variational.levels, strict=True):
            for mine, theirs in zip(a.trainable_variables, b.trainable_variables, strict=True):
                mine.assign(theirs)
        return variational, uniform

    @pytest.mark.parametrize("index", range(4))
    def test_bound_is_never_below_the_true_bits(self, both, index):
        variational, uniform = both
        image = (255 * np.random.default_rng(index).integers(0, 2, (1, 1, 2, 2, 3))).astype(np.uint8)
        noise = tf.random.stateless_uniform([self.COUNT, 1, 2, 2, 3], (index, 7))

        probabilities = 2 ** -self.bits(uniform, image, noise)
        truth = probabilities.mean()
        error = probabilities.std() / np.sqrt(self.COUNT) / truth
        assert error < 0.02
        bits = self.bits(variational, image, noise)
        assert bits.mean() > -np.log2(truth) + 5 * error
        # Importance weighting closes the gap: the same probability from other noise.
        weights = 2**-bits
        assert (
            abs(weights.mean() / truth - 1) < 5 * (error + weights.std() / weights.mean() / np.sqrt(self.COUNT)) < 0.5
        )

    def test_masses_of_all_images_add_up_to_that_of_the_whole_cube(self, both):
        variational, _ = both
        images = np.array(list(itertools.product([0, 255], repeat=12)), np.uint8).reshape(-1, 1, 2, 2, 3)
        noise = tf.random.stateless_uniform([len(images), 1, 2, 2, 3], (3, 4))
        masses = 2 ** -(variational.bits_per_pixel(images, dequantization_noise=noise).numpy().astype(np.float64) * 12)
        inside = variational.future(tf.zeros([1, 0, 2, 2, 3], tf.float64), 1).sample(40_000, seed=(0, 1)).numpy()
        share = (np.abs(inside) <= 0.5).all(axis=(-4, -3, -2, -1)).mean()
        error = masses.std() * np.sqrt(len(masses)) + np.sqrt(share / 40_000)
        assert 0 < error < 0.2 * share
        assert abs(masses.sum() - share) < 5 * error


def test_every_weight_of_the_noise_flow_has_the_gradient_of_finite_differences(make_model, make_video):
    dequantizer = make_model(moved=0.1, **VARIATIONAL).dequantizer
    video = tf.constant(make_video())
    noise = tf.random.stateless_uniform(video.shape, (0, 1))
    rng, step = np.random.default_rng(0), 1e-4
    slopes = tf.constant(rng.normal(size=video.shape))

    def loss() -> tf.Tensor:
        frames, log_q = dequantizer(video, noise)
        return tf.reduce_sum(256 * slopes * frames) - tf.reduce_sum(log_q)

    variables = dequantizer.trainable_variables
    with tf.GradientTape() as tape:
        value = loss()
    gradients = tape.gradient(value, variables)
    for variable, gradient in zip(variables, gradients, strict=True):
        direction = rng.normal(size=variable.shape)
        before = variable.numpy()
        ends = []
        for sign in (1, -1):
            variable.assign(before + sign * step * direction)
            ends.append(loss().numpy())
        variable.assign(before)
        expected = (ends[0] - ends[1]) / (2 * step)
        assert abs(expected) > 1e-3, variable.name
        np.testing.assert_allclose((gradient.numpy() * direction).sum(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_compiled_by_xla_the_same_bits(make_model, make_video):
    model = make_model("float32", **VARIATIONAL)
    video = tf.constant(make_video())
    noise = tf.random.stateless_uniform(video.shape, (0, 1))
    plain, compiled = (
        tf.function(model.frame_bits_per_pixel, jit_compile=jit)(video, dequantization_noise=noise)
        for jit in (False, True)
    )
    np.testing.assert_allclose(compiled, plain, rtol=1e-5)
    np.testing.assert_allclose(
        plain, make_model("float64", **VARIATIONAL).frame_bits_per_pixel(video, None, noise), rtol=1e-4
    )
