import gc

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework.func_graph import FuncGraph

from bijectors.stateless import recomputed, shared_method, values_of, with_values


class Affine(tf.Module):
    """y = a x + b, its second variable in a list, as some networks keep theirs."""

    def __init__(self, slope: float, offset: float) -> None:
        super().__init__()
        self.slope = tf.Variable(slope, dtype=tf.float64)
        self.offsets = [tf.Variable(offset, dtype=tf.float64)]

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return self.slope * x + self.offsets[0]


class Pair(tf.Module):
    def __init__(self, *numbers: float) -> None:
        super().__init__()
        self.first, self.second = Affine(*numbers[:2]), Affine(*numbers[2:])

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return tf.sin(self.second(self.first(x)))


X = tf.constant([0.3, -1.2], tf.float64)


def gradients(function, module: tf.Module) -> list[np.ndarray]:
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(function(X))
    return [g.numpy() for g in tape.gradient(loss, module.trainable_variables, unconnected_gradients="zero")]


def test_values_are_those_of_all_variables_in_their_order():
    assert [float(v) for v in values_of(Pair(1.0, 2.0, 3.0, 4.0))] == [1.0, 2.0, 3.0, 4.0]


def test_a_copy_computes_with_its_values_and_the_module_keeps_its_own():
    module = Pair(1.0, 2.0, 3.0, 4.0)
    copy = with_values(module, tf.unstack(tf.constant([0.5, -1.0, 2.0, 0.1], tf.float64)))
    np.testing.assert_allclose(copy(X), np.sin(2.0 * (0.5 * X.numpy() - 1.0) + 0.1))
    np.testing.assert_allclose(module(X), np.sin(3.0 * (X.numpy() + 2.0) + 4.0))
    assert [float(v) for v in values_of(module)] == [1.0, 2.0, 3.0, 4.0]
    # A copy of a copy is one too: what is shared may be recomputed.
    np.testing.assert_array_equal(with_values(copy, values_of(module))(X), module(X))


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("shared", [False, True], ids=["alone", "in a shared trace"])
def test_recomputation_has_the_gradients_of_the_module(compiled, shared):
    module = Pair(1.0, 2.0, 3.0, 4.0)
    function = recomputed(module, Pair.__call__)
    if shared:
        method = shared_method(module, lambda pair, x: recomputed(pair, Pair.__call__)(x), calls=9)
        function = lambda x: method(module, x)  # noqa: E731
    if compiled:
        function = tf.function(function)
    found, expected = gradients(function, module), gradients(module, module)
    assert all(np.abs(g) > 0 for g in expected)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_recomputation_is_saved_with_its_gradient(tmp_path):
    module, saved = Pair(1.0, 2.0, 3.0, 4.0), tf.Module()
    saved.pair = module
    saved.run = tf.function(recomputed(module, Pair.__call__), input_signature=[tf.TensorSpec([2], tf.float64)])
    tf.saved_model.save(saved, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    of_input = []
    for function in (loaded.run, module):
        with tf.GradientTape() as tape:
            tape.watch(X)
            y = function(X)
        of_input.append(tape.gradient(y, X))
    np.testing.assert_allclose(*of_input, rtol=1e-12)


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "in a shared trace"])
def test_recomputation_lets_go_of_its_graphs(shared):
    """TensorFlow's own keeps them, as long as the process lives."""

    def train(module: Pair) -> None:
        method = shared_method(module, lambda pair, x: recomputed(pair, Pair.__call__)(x), calls=9 if shared else 1)
        gradients(tf.function(lambda x: method(module, x)), module)

    def use() -> int:
        train(Pair(1.0, 2.0, 3.0, 4.0))
        gc.collect()
        return sum(isinstance(found, FuncGraph) for found in gc.get_objects())

    assert use() == use() == use()


def test_one_trace_serves_many_modules():
    traced = []

    def method(module: Pair, x: tf.Tensor) -> tf.Tensor:
        traced.append(module)
        return module(x)

    modules = [Pair(1.0 + i, 2.0, 3.0, 4.0 - i) for i in range(9)]
    shared = shared_method(modules[0], method, calls=9)
    for module in modules:
        np.testing.assert_allclose(shared(module, X), module(X), rtol=1e-12)
        found = gradients(lambda x, module=module: shared(module, x), module)
        np.testing.assert_allclose(found, gradients(module, module), rtol=1e-12)
    modules[1].first.slope.assign(7.0)
    np.testing.assert_allclose(shared(modules[1], X), modules[1](X), rtol=1e-12)
    assert len(traced) == 1


def test_xla_takes_no_weight_of_a_shared_method_for_a_constant():
    """It would compile anew at every training step: the gradient of `split` needs an axis, a constant of the call."""
    module = Pair(0.7312, 2.0, 3.0, 4.0)
    method = shared_method(module, lambda pair, x: tf.concat(tf.split(pair(x), 2, axis=0)[::-1], axis=0), calls=9)

    @tf.function(jit_compile=True, autograph=False)
    def slope_gradient() -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(method(module, X))
        return tape.gradient(loss, module.first.slope)

    assert "0.7312" not in slope_gradient.experimental_get_compiler_ir()(stage="hlo")
