import numpy as np
import pytest
import tensorflow as tf

from bijectors.actnorm import normalizing_statistics
from tests import reference
from videoflow_tf.networks import conv2d as networks
from videoflow_tf.networks.network import dropout

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


def test_an_unknown_activation_raises_and_names_the_known_ones(rng):
    with pytest.raises(ValueError, match="unknown activation 'gatted'; one of: relu, gated"):
        networks.ConvStack(3, 4, 6, "gatted", rng)


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
    assert dropout(x, 0.5, None) is x
    assert dropout(x, 0.0, tf.constant([1, 2])) is x
    dropped, again = (dropout(x, 0.25, tf.constant([1, 2])).numpy() for _ in range(2))
    np.testing.assert_array_equal(dropped, again)
    assert set(np.unique(dropped)) == {0.0, np.float32(1 / 0.75)}
    assert (dropped == 0).mean() == pytest.approx(0.25, abs=0.05)
    assert not np.array_equal(dropped, dropout(x, 0.25, tf.constant([1, 3])))


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
