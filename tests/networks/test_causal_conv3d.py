import numpy as np
import pytest
import tensorflow as tf

from tests import reference
from videoflow_tf.networks.causal_conv3d import Activation3D, CausalConvStack, CausalEdgeConv3D

F64 = tf.float64


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape)


def time_first(x: np.ndarray) -> tf.Tensor:
    """[N, K, ...], as the literal layers have it, -> [K, N, ...]."""
    return tf.constant(np.swapaxes(x, 0, 1))


def assert_last_steps(y: tf.Tensor, expected: np.ndarray) -> None:
    """y [m, N, ...] is the end of `expected` [N, K, ...]."""
    np.testing.assert_allclose(y, np.swapaxes(expected[:, -len(y) :], 0, 1), atol=1e-12)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.mark.parametrize("window", [1, 2, 3, 4])
@pytest.mark.parametrize("dilation", [1, 2, 4])
@pytest.mark.parametrize("starts_at_zero", [False, True])
@pytest.mark.parametrize("channels", [(2, 3), (3, 2)])
def test_causal_edge_conv3d_is_the_literal_one(rng, move_variables, window, dilation, starts_at_zero, channels):
    layer = CausalEdgeConv3D(window, *channels, None if starts_at_zero else rng, dilation, dtype=F64)
    move_variables(layer, 0.3)
    x = random(2, window, 9, 10, channels[0])
    expected = reference.edge_conv3d(x, layer)
    for steps in range(1, window + 1):
        y = layer(time_first(x), steps)
        assert len(y) == steps
        assert_last_steps(y, expected)
        if steps < window:  # One step more than is asked for is all that the layer needs to be given.
            assert_last_steps(layer(time_first(x[:, -steps - 1 :]), steps), expected)


@pytest.mark.parametrize("dilation", [1, 4])
def test_causal_edge_conv3d_agrees_with_tensorflows_conv3d(rng, move_variables, dilation):
    layer = CausalEdgeConv3D(3, 2, 4, rng, dilation, dtype=tf.float32)
    move_variables(layer, 0.3)
    x = random(2, 3, 9, 9, 2).astype(np.float32)
    inside, edge = reference.padded(x, [(1, 0), (dilation, dilation), (dilation, dilation)])

    @tf.function(jit_compile=True)  # Without XLA there is no dilated conv3d on the CPU.
    def literal(stacked):
        y = tf.nn.conv3d(stacked, layer.kernel, [1] * 5, "VALID", dilations=[1, 1, dilation, dilation, 1])
        bias, log_scale = (v[:, tf.newaxis, tf.newaxis] for v in (layer.bias, layer.log_scale))
        return (y + bias) * tf.exp(3.0 * log_scale)

    expected = literal(tf.constant(np.concatenate([edge, inside], axis=-1), tf.float32))
    np.testing.assert_allclose(np.swapaxes(layer(time_first(x), 3), 0, 1), expected, atol=1e-4)


@pytest.mark.parametrize("kind", ["gated", "relu"])
def test_activation_is_the_literal_one(rng, move_variables, kind):
    layer = Activation3D(3, 4, kind, rng, F64)
    move_variables(layer, 0.3)
    x = random(2, 3, 5, 4, 4)
    expected = reference.activation3d(x, layer)
    for steps in (1, 2, 3):
        assert_last_steps(layer(time_first(x), steps), expected)


@pytest.mark.parametrize("kind", ["gated", "relu"])
def test_a_stack_is_the_literal_one(rng, move_variables, kind):
    x = random(2, 3, 6, 5, 3)
    stack = CausalConvStack(3, 3, 4, kind, rng, dilation=2, dtype=F64)
    move_variables(stack, 0.2)
    expected = reference.causal_conv_stack(x, stack)
    for steps in (1, 2, 3):
        assert_last_steps(stack(time_first(x), steps), expected)


def test_an_unknown_activation_raises_and_names_the_known_ones(rng):
    with pytest.raises(ValueError, match="unknown activation 'tanh'; one of: relu, gated"):
        CausalConvStack(3, 3, 4, "tanh", rng)


def test_a_new_stack_gives_zero(rng):
    stack = CausalConvStack(3, 3, 4, "gated", rng)
    assert not stack(tf.cast(time_first(random(2, 3, 5, 4, 3)), tf.float32), 3).numpy().any()


@pytest.mark.parametrize("kind", ["gated", "relu"])
def test_initialize_normalizes_every_time_step(rng, kind):
    x = 3.0 + 2.0 * random(8, 3, 6, 6, 3)
    stack = CausalConvStack(3, 3, 4, kind, rng, dilation=2, dtype=F64)
    out = stack.initialize(time_first(x))
    hidden = reference.edge_conv3d(x, stack.conv)
    for y in (hidden, *reference.activation3d_parts(reference.relu(hidden), stack.activation)):
        np.testing.assert_allclose(np.mean(y, (0, 2, 3)), 0.0, atol=1e-9)
        np.testing.assert_allclose(np.var(y, (0, 2, 3)), 1.0, atol=1e-3)
    assert_last_steps(out, reference.causal_conv_stack(x, stack))


def test_a_stack_drops_only_when_given_a_seed(rng, move_variables):
    stack = CausalConvStack(2, 3, 8, "gated", rng, dropout_rate=0.5, dtype=F64)
    move_variables(stack)
    x = random(2, 2, 4, 4, 3)
    plain, seeded, again, other = (
        stack(time_first(x), 2, seed=seed).numpy()
        for seed in (None, tf.constant([1, 2]), tf.constant([1, 2]), tf.constant([3, 4]))
    )
    assert_last_steps(plain, reference.causal_conv_stack(x, stack))
    np.testing.assert_array_equal(seeded, again)
    assert not np.allclose(seeded, plain) and not np.allclose(seeded, other)
