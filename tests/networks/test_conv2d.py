import numpy as np
import pytest
import tensorflow as tf

from bijectors.actnorm import normalizing_statistics
from tests import reference
from videoflow_tf.networks import conv2d as networks

F64 = tf.float64


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


# --- Convolutions ---


@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("starts_at_zero", [False, True])
def test_edge_conv2d_is_the_literal_one(rng, move_variables, kernel_size, starts_at_zero):
    layer = networks.EdgeConv2D(3, 4, None if starts_at_zero else rng, kernel_size, dtype=F64)
    move_variables(layer, 0.3)
    x = random(2, 5, 4, 3)
    expected = reference.edge_conv2d(x, layer)
    np.testing.assert_allclose(layer(tf.constant(x)), expected, atol=1e-12)


def test_initial_weights():
    rng = np.random.default_rng(0)
    layer = networks.EdgeConv2D(30, 40, rng)
    assert layer.kernel.numpy().std() == pytest.approx(0.05, rel=0.03)
    assert not layer.bias.numpy().any() and not layer.log_scale.numpy().any()
    last = networks.EdgeConv2D(3, 4, None)
    np.testing.assert_array_equal(last(tf.ones([1, 4, 4, 3])), np.zeros([1, 4, 4, 4]))


@pytest.mark.parametrize("dilation", [2, 3, 4])
@pytest.mark.parametrize("size", [(9, 9), (10, 13), (12, 12)])
def test_dilated_conv2d_is_the_literal_one(dilation, size):
    x, kernel = random(2, *size, 3), random(3, 3, 3, 2, seed=1)
    pad = (dilation, dilation)
    expected = reference.convolve(np.pad(x, [(0, 0), pad, pad, (0, 0)]), kernel, (dilation, dilation))
    np.testing.assert_allclose(networks.conv2d(tf.constant(x), tf.constant(kernel), dilation), expected, atol=1e-12)


def test_dilated_conv2d_has_the_right_gradient_on_the_cpu():
    x, kernel = tf.constant(random(2, 7, 7, 2)), tf.constant(random(3, 3, 2, 3, seed=1))
    weights = tf.constant(random(2, 7, 7, 3, seed=2))

    def loss(x, kernel):
        return tf.reduce_sum(weights * tf.sin(networks.conv2d(x, kernel, dilation=2)))

    with tf.device("CPU"), tf.GradientTape() as tape:
        tape.watch([x, kernel])
        value = loss(x, kernel)
    gradients = tape.gradient(value, [x, kernel])
    dx, dkernel = random(*x.shape, seed=3), random(*kernel.shape, seed=4)
    eps = 1e-6
    numeric = (loss(x + eps * dx, kernel + eps * dkernel) - loss(x - eps * dx, kernel - eps * dkernel)) / (2 * eps)
    analytic = sum(tf.reduce_sum(g * d) for g, d in zip(gradients, (dx, dkernel), strict=True))
    np.testing.assert_allclose(analytic, numeric, rtol=1e-7)


# --- Activations and stacks ---


@pytest.mark.parametrize("kind", ["gated", "relu"])
def test_activation_is_the_literal_one(rng, move_variables, kind):
    flat = networks.Activation2D(4, kind, rng, F64)
    move_variables(flat, 0.3)
    x = random(2, 5, 4, 4)
    np.testing.assert_allclose(flat(tf.constant(x)), reference.activation2d(x, flat), atol=1e-12)


@pytest.mark.parametrize("kind", ["gated", "relu"])
def test_a_stack_is_the_literal_one(rng, move_variables, kind):
    x = random(2, 5, 4, 3)
    stack = networks.ConvStack(3, 4, 6, kind, rng, dtype=F64)
    move_variables(stack, 0.2)
    expected = reference.conv_stack(x, stack)
    np.testing.assert_allclose(stack(tf.constant(x)), expected, atol=1e-12)


def test_a_new_stack_gives_zero(rng):
    stack = networks.ConvStack(3, 4, 6, "gated", rng)
    assert not stack(tf.constant(random(2, 5, 4, 3), tf.float32)).numpy().any()


# --- Initialisation ---


def assert_normalized(y: np.ndarray, axes: tuple[int, ...]) -> None:
    np.testing.assert_allclose(np.mean(y, axes), 0.0, atol=1e-9)
    np.testing.assert_allclose(np.var(y, axes), 1.0, atol=1e-3)


@pytest.mark.parametrize("kind", ["gated", "relu"])
def test_initialize_normalizes_every_layer_of_a_stack(rng, kind):
    x = 3.0 + 2.0 * random(8, 6, 6, 3)
    stack = networks.ConvStack(3, 4, 6, kind, rng, dtype=F64)
    out = stack.initialize(tf.constant(x))
    hidden = reference.edge_conv2d(x, stack.block.conv)
    assert_normalized(hidden, (0, 1, 2))
    for conv in stack.block.activation.convs:
        assert_normalized(reference.edge_conv2d(reference.relu(hidden), conv), (0, 1, 2))
    np.testing.assert_allclose(out, reference.conv_stack(x, stack), atol=1e-12)


def test_initialize_twice_on_one_batch_is_initialize_once(rng):
    x = tf.constant(random(8, 6, 6, 3))
    stack = networks.ConvStack(3, 4, 6, "gated", rng, dtype=F64)
    stack.initialize(x)
    once = [v.numpy() for v in stack.variables]
    stack.initialize(x)
    for before, after in zip(once, stack.variables, strict=True):
        np.testing.assert_allclose(after, before, atol=1e-12)


def test_initialize_keeps_a_channel_without_variance_finite():
    bias, log_scale = normalizing_statistics(tf.zeros([4, 3, 3, 2], F64))
    assert np.isfinite(bias).all() and np.isfinite(log_scale).all()


# --- Dropout and seeds ---


def test_dropout_needs_a_seed_and_follows_it(rng):
    x = tf.ones([1000])
    assert networks.dropout(x, 0.5, None) is x
    assert networks.dropout(x, 0.0, tf.constant([1, 2])) is x
    dropped, again = (networks.dropout(x, 0.25, tf.constant([1, 2])).numpy() for _ in range(2))
    np.testing.assert_array_equal(dropped, again)
    assert set(np.unique(dropped)) == {0.0, np.float32(1 / 0.75)}
    assert (dropped == 0).mean() == pytest.approx(0.25, abs=0.05)
    assert not np.array_equal(dropped, networks.dropout(x, 0.25, tf.constant([1, 3])))


def test_a_stack_drops_only_when_given_a_seed(rng, move_variables):
    stack = networks.ConvStack(3, 8, 4, "gated", rng, dropout_rate=0.5, dtype=F64)
    x = tf.constant(random(2, 4, 4, 3))
    move_variables(stack)
    plain, seeded, again, other = (
        stack(x, seed=seed).numpy() for seed in (None, tf.constant([1, 2]), tf.constant([1, 2]), tf.constant([3, 4]))
    )
    np.testing.assert_allclose(plain, reference.conv_stack(x, stack))
    np.testing.assert_array_equal(seeded, again)
    assert not np.allclose(seeded, plain) and not np.allclose(seeded, other)


def test_split_seed():
    assert networks.split_seed(None, 3) == [None, None, None]
    seeds = np.array([s.numpy() for s in networks.split_seed(tf.constant([1, 2]), 4)])
    assert len(np.unique(seeds, axis=0)) == 4
