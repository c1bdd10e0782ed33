"""What holds for every network: it is the literal one; folding is apart from applying; initialisation normalizes."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from tests import reference
from tests.checks import assert_all_close, assert_follows_seed, assert_normalized
from videoflow_tf.networks.causal_conv3d import Activation3D, CausalConvStack, CausalEdgeConv3D
from videoflow_tf.networks.conv2d import Activation2D, ConvBlock, ConvStack, EdgeConv2D

F64 = tf.float64
SIZE, CHANNELS, WINDOW = (5, 6), 3, 3
KINDS = ("relu", "gated")
STACKS = {
    **{f"conv_stack_{kind}": partial(ConvStack, CHANNELS, 4, 6, kind, dtype=F64) for kind in KINDS},
    **{
        f"causal_conv_stack_{kind}": partial(CausalConvStack, WINDOW, CHANNELS, 4, kind, dilation=2, dtype=F64)
        for kind in KINDS
    },
}
NETWORKS = {
    "edge_conv2d": partial(EdgeConv2D, CHANNELS, 4, dtype=F64),
    "edge_conv2d_1x1": partial(EdgeConv2D, CHANNELS, 4, kernel_size=1, dtype=F64),
    "edge_conv2d_from_zero": lambda rng: EdgeConv2D(CHANNELS, 4, None, dtype=F64),
    "edge_conv2d_1x1_from_zero": lambda rng: EdgeConv2D(CHANNELS, 4, None, kernel_size=1, dtype=F64),
    "conv_block": partial(ConvBlock, CHANNELS, 4, "gated", dtype=F64),
    "causal_edge_conv3d": partial(CausalEdgeConv3D, WINDOW, CHANNELS, 4, dtype=F64),
    "causal_edge_conv3d_from_zero": lambda rng: CausalEdgeConv3D(WINDOW, CHANNELS, 4, None, dtype=F64),
    **{f"activation2d_{kind}": partial(Activation2D, CHANNELS, kind, dtype=F64) for kind in KINDS},
    **{f"activation3d_{kind}": partial(Activation3D, WINDOW, CHANNELS, kind, dtype=F64) for kind in KINDS},
    **STACKS,
}
LITERAL = {
    EdgeConv2D: reference.edge_conv2d,
    Activation2D: reference.activation2d,
    ConvBlock: reference.conv_block,
    ConvStack: reference.conv_stack,
    CausalEdgeConv3D: reference.edge_conv3d,
    Activation3D: reference.activation3d,
    CausalConvStack: reference.causal_conv_stack,
}


def literal(network, x: tf.Tensor, steps: int | None = None) -> np.ndarray:
    """The output at the last `steps` of all steps, the first dimension, where the network goes through time."""
    if steps is None:
        return LITERAL[type(network)](x.numpy(), network)
    return np.swapaxes(LITERAL[type(network)](np.swapaxes(x, 0, 1), network), 0, 1)[-steps:]


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


def test_it_is_the_literal_one(network):
    x, facts = batch_and_facts(network)
    for steps in [(1,), (2,), (3,)] if facts else [()]:
        np.testing.assert_allclose(network(x, *steps), literal(network, x, *steps), rtol=1e-12, atol=1e-12)


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


# --- Stacks ---


@pytest.fixture(params=STACKS)
def make_stack(request):
    return partial(STACKS[request.param], rng=np.random.default_rng(5))


def test_a_new_stack_gives_zero(make_stack):
    stack = make_stack()
    x, facts = batch_and_facts(stack)
    assert not stack(x, *facts).numpy().any()


def test_initialize_normalizes_every_layer_of_a_stack(make_stack):
    stack = make_stack()
    x, causal = batch_and_facts(stack)
    stack.initialize(x)
    if causal:  # At every time step.
        x = np.swapaxes(x, 0, 1)
        layers = [hidden := reference.edge_conv3d(x, stack.conv)]
        layers += reference.activation3d_parts(reference.relu(hidden), stack.activation)
    else:
        layers = [hidden := reference.edge_conv2d(x.numpy(), stack.block.conv)]
        layers += [reference.edge_conv2d(reference.relu(hidden), conv) for conv in stack.block.activation.convs]
    for y in layers:
        assert_normalized(y, (0, 2, 3) if causal else (0, 1, 2))


def test_initialize_twice_on_one_batch_is_initialize_once(make_stack):
    stack = make_stack()
    x, _ = batch_and_facts(stack)
    once = [(stack.initialize(x), *(v.numpy() for v in stack.variables)) for _ in range(2)]
    assert_all_close(*once, atol=1e-12)


def test_a_stack_drops_only_when_given_a_seed(make_stack, move_variables):
    stack = make_stack(dropout_rate=0.5)
    move_variables(stack)
    x, facts = batch_and_facts(stack)
    plain = assert_follows_seed(lambda seed: stack(x, *facts, seed=seed))
    np.testing.assert_allclose(plain, literal(stack, x, *facts), rtol=1e-12, atol=1e-12)


def test_an_unknown_activation_raises_and_names_the_known_ones():
    for make in (lambda rng: ConvStack(3, 4, 6, "gatted", rng), lambda rng: CausalConvStack(3, 3, 4, "gatted", rng)):
        with pytest.raises(ValueError, match="unknown activation 'gatted'; one of: relu, gated"):
            make(np.random.default_rng(5))
