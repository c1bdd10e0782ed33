import numpy as np
import pytest
import tensorflow as tf

from tests import reference
from videoflow_tf.networks.causal_conv3d import CausalEdgeConv3D


@pytest.fixture
def build(move_variables):
    """Builds a layer, its weights moved, and an input of all its steps, [K, N, H, W, C]."""

    def make(window: int, channels: tuple[int, int], dilation: int, rng: bool = True, dtype: str = "float64"):
        layer = CausalEdgeConv3D(window, *channels, np.random.default_rng(5) if rng else None, dilation, dtype=dtype)
        move_variables(layer, 0.3)
        return layer, tf.constant(np.random.default_rng(0).normal(size=(window, 2, 9, 10, channels[0])), dtype)

    return make


@pytest.mark.parametrize("window", [1, 2, 3, 4])
@pytest.mark.parametrize("dilation", [1, 2, 4])
@pytest.mark.parametrize("starts_at_zero", [False, True])
@pytest.mark.parametrize("channels", [(2, 3), (3, 2)])
def test_causal_edge_conv3d_is_the_literal_one(build, window, dilation, starts_at_zero, channels):
    layer, x = build(window, channels, dilation, not starts_at_zero)
    expected = np.swapaxes(reference.edge_conv3d(np.swapaxes(x, 0, 1), layer), 0, 1)
    for steps in range(1, window + 1):
        for given in {window, min(window, steps + 1)}:  # One step more than is asked for is all that it needs.
            np.testing.assert_allclose(layer(x[-given:], steps), expected[-steps:], atol=1e-12)


@pytest.mark.parametrize("dilation", [1, 4])
def test_causal_edge_conv3d_agrees_with_tensorflows_conv3d(build, dilation):
    layer, x = build(3, (2, 4), dilation, dtype="float32")
    inside, edge = reference.padded(np.swapaxes(x, 0, 1), [(1, 0), (dilation, dilation), (dilation, dilation)])

    @tf.function(jit_compile=True)  # Without XLA there is no dilated conv3d on the CPU.
    def literal(stacked):
        y = tf.nn.conv3d(stacked, layer.kernel, [1] * 5, "VALID", dilations=[1, 1, dilation, dilation, 1])
        bias, log_scale = (v[:, tf.newaxis, tf.newaxis] for v in (layer.bias, layer.log_scale))
        return (y + bias) * tf.exp(3.0 * log_scale)

    expected = literal(tf.constant(np.concatenate([edge, inside], axis=-1), tf.float32))
    np.testing.assert_allclose(np.swapaxes(layer(x, 3), 0, 1), expected, atol=1e-4)
