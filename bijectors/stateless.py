"""Modules as functions of their variables' values (as `torch.func.functional_call`, or Keras 3's `stateless_call`).

With the values as arguments, one trace serves all modules of the same structure, such as the steps of a level, and a
forward pass can be run again for the gradient.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import tensorflow as tf
from tensorflow.python.eager import record  # Nothing public gives a tape an operation with a gradient of its own.
from tensorflow.python.ops import control_flow_util  # Nothing public tells whether XLA will compile.

M = TypeVar("M", bound=tf.Module)

# More calls than this share a trace: a model of 24 steps a level then starts in half of the time. A call costs some 50
# microseconds, 3 % of a training step of a small model, whose graph is traced whole.
_MOST_APART = 8
_NUMBERS = itertools.count()  # Of gradients in TensorFlow's registry, where a name is given once.


def values_of(module: tf.Module) -> list[tf.Tensor]:
    """The values of all variables of a module and the modules in it, in an order that their structure gives."""
    values: list[tf.Tensor] = []
    _replace_variables(module, lambda variable: values.append(tf.convert_to_tensor(variable)))
    return values


def with_values(module: M, values: Iterable[tf.Tensor]) -> M:
    """A copy of a module that has tensors for its variables; `values` as `values_of` gives them."""
    values = iter(values)
    return _replace_variables(module, lambda _: next(values))


def with_same_variables(module: M) -> M:
    """A copy of a module and the modules in it that has the same variables, not copies of them."""
    return _replace_variables(module, lambda variable: variable)


def recomputed(module: tf.Module, method: Callable[..., Any]) -> Callable[..., Any]:
    """`method(module, x, **kwargs)` as a function of x and kwargs that keeps x alone for the gradient, and computes the
    rest again. No gradient goes to kwargs."""

    def call(x: tf.Tensor, **kwargs: Any) -> Any:
        # The values are arguments: no gradient goes to what a recomputed function captures.
        def run(x: tf.Tensor, *values: tf.Tensor) -> Any:
            return method(with_values(module, values), x, **kwargs)

        recompute = tf.recompute_grad if tf.executing_eagerly() else _recomputed_in_graph
        return recompute(run)(x, *values_of(module))

    return call


def _recomputed_in_graph(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `tf.recompute_grad`, of which TensorFlow's registry of gradients keeps the whole graph for ever."""

    def call(*inputs: tf.Tensor) -> Any:
        with record.stop_recording():
            result = function(*inputs)
        plain = tf.nest.flatten(result)

        def gradient(*gradients: tf.Tensor) -> list[tf.Tensor | None]:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                again = [x + tf.cast(_zero_after(gradients[0]), x.dtype) for x in inputs]
                tape.watch(again)
                outputs = tf.nest.flatten(function(*again))
            of_inputs = tape.gradient(outputs, again, gradients[: len(plain)], tf.UnconnectedGradients.ZERO)
            return [None] * len(plain) + of_inputs

        # The graph keeps the gradient, and the registry a name for it.
        graph, kept, name = tf.compat.v1.get_default_graph(), weakref.ref(gradient), f"Recomputed-{next(_NUMBERS)}"
        graph._recomputed = [*getattr(graph, "_recomputed", ()), gradient]
        tf.RegisterGradient(name)(lambda _, *gradients: kept()(*gradients))
        with graph.gradient_override_map({"IdentityN": name}):
            outputs = tf.identity_n([*plain, *inputs])
        record.record_operation(name, outputs, [*plain, *inputs], gradient)
        return tf.nest.pack_sequence_as(result, outputs[: len(plain)])

    return call


def _zero_after(x: tf.Tensor) -> tf.Tensor:
    """Zero, for which x has to be there: XLA heeds no control dependencies. As in `tf.recompute_grad`."""
    known = tf.cast(tf.reduce_max(tf.reshape(x, [-1])[:1]), tf.bool)
    return tf.where(known == known, 0.0, float("nan"))


def shared_trace(function: Callable[..., Any], calls: int) -> Callable[..., Any]:
    """A function of nests of tensors that, called many times in a graph, is traced once.

    It is optimised by itself, so its results may differ in the last bits from those of the plain function. To XLA the
    plain function is given: it compiles all calls as one program anyway, and takes whatever a call depends on whose
    gradient needs a constant, such as an axis, for constants: compiled anew whenever a weight changes.
    """
    if calls <= _MOST_APART:
        return function
    # Not copied into the graph of its caller, so that it is optimised and loaded once, too.
    traced = tf.function(function, autograph=False, experimental_attributes={"_noinline": True})

    def call(*args: Any, **kwargs: Any) -> Any:
        compiled = control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())
        return (function if compiled else traced)(*args, **kwargs)

    return call


def shared_method(module: tf.Module, method: Callable[..., Any], calls: int) -> Callable[..., Any]:
    """`method(module, *tensors)` as `shared_trace`, for modules of the structure of `module`.

    What is not a variable (sizes, names, rates) is taken from `module` where the trace is shared.
    """
    if calls <= _MOST_APART:
        return method
    run = shared_trace(lambda values, *args: method(with_values(module, values), *args), calls)
    return lambda module, *args: run(values_of(module), *args)


def _replace_variables(part: Any, replace: Callable[[tf.Tensor | tf.Variable], Any]) -> Any:
    """A copy of a module, or of a list of them, with its variables replaced; what has a private name stays."""
    if tf.is_tensor(part):  # A variable; or, in a copy of a copy, the tensor in its place.
        return replace(part)
    if isinstance(part, list):
        return [_replace_variables(item, replace) for item in part]
    if not isinstance(part, tf.Module):
        return part
    # Not `copy.copy`: some modules bring a method for that which makes them anew.
    copied = object.__new__(type(part))
    for name, value in vars(part).items():
        copied.__dict__[name] = value if name.startswith("_") else _replace_variables(value, replace)
    return copied
