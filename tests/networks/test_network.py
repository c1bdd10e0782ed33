"""What holds for every network: folding apart from applying, and one forward pass for both and for initialisation."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from videoflow_tf.networks.causal_conv3d import Activation3D, CausalConvStack, CausalEdgeConv3D
from videoflow_tf.networks.conv2d import Activation2D, ConvBlock, ConvStack, EdgeConv2D

F64 = tf.float64
SIZE, CHANNELS, WINDOW = (5, 4), 3, 3
NETWORKS = {
    "edge_conv2d": lambda rng: EdgeConv2D(CHANNELS, 4, rng, dtype=F64),
    "edge_conv2d_1x1": lambda rng: EdgeConv2D(CHANNELS, 4, rng, kernel_size=1, dtype=F64),
    "edge_conv2d_from_zero": lambda rng: EdgeConv2D(CHANNELS, 4, None, dtype=F64),
    "activation2d_relu": lambda rng: Activation2D(CHANNELS, "relu", rng, F64),
    "activation2d_gated": lambda rng: Activation2D(CHANNELS, "gated", rng, F64),
    "conv_block": lambda rng: ConvBlock(CHANNELS, 4, "gated", rng, dtype=F64),
    "conv_stack": lambda rng: ConvStack(CHANNELS, 4, 6, "gated", rng, dtype=F64),
    "causal_edge_conv3d": lambda rng: CausalEdgeConv3D(WINDOW, CHANNELS, 4, rng, dtype=F64),
    "causal_edge_conv3d_from_zero": lambda rng: CausalEdgeConv3D(WINDOW, CHANNELS, 4, None, dtype=F64),
    "activation3d_relu": lambda rng: Activation3D(WINDOW, CHANNELS, "relu", rng, F64),
    "activation3d_gated": lambda rng: Activation3D(WINDOW, CHANNELS, "gated", rng, F64),
    "causal_conv_stack": lambda rng: CausalConvStack(WINDOW, CHANNELS, 4, "gated", rng, dtype=F64),
}


@pytest.fixture(params=NETWORKS)
def network(request, move_variables):
    network = NETWORKS[request.param](np.random.default_rng(5))
    move_variables(network, 0.2)
    return network


def batch_and_facts(network) -> tuple[tf.Tensor, tuple[int, ...]]:
    """An input, and what else the network must know: how many of its steps, where it goes through time."""
    causal = hasattr(network, "window")
    shape = (WINDOW, 4, *SIZE, CHANNELS) if causal else (4, *SIZE, CHANNELS)
    return tf.constant(1.0 + 2.0 * np.random.default_rng(0).normal(size=shape)), (2,) if causal else ()


def test_apply_reads_no_variable(network):
    x, facts = batch_and_facts(network)
    expected = network(x, *facts)
    weights = network.fold(SIZE, *facts)
    for variable in network.variables:
        variable.assign(variable + 1.0)
    np.testing.assert_array_equal(network.apply(weights, x, *facts), expected)
    assert not np.allclose(network(x, *facts), expected)


def test_weights_are_a_nest_of_tensors_that_a_function_can_be_given(network):
    x, facts = batch_and_facts(network)
    weights = network.fold(SIZE, *facts)
    assert all(type(weight) is type(x) for weight in tf.nest.flatten(weights))
    apply = tf.function(lambda weights, x: network.apply(weights, x, *facts), autograph=False)
    np.testing.assert_allclose(apply(weights, x), network(x, *facts), rtol=1e-12)
    assert not apply.get_concrete_function(weights, x).graph.variables


def test_initialize_gives_the_output_of_the_initialized_network(network):
    x, facts = batch_and_facts(network)
    every_step = (WINDOW,) if facts else ()
    np.testing.assert_allclose(network.initialize(x), network(x, *every_step), rtol=1e-10, atol=1e-12)
