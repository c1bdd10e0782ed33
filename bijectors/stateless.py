"""Modules as functions of their variables' values (as `torch.func.functional_call`, or Keras 3's `stateless_call`).

With the values as arguments, one trace serves all modules of the same structure, such as the steps of a level, and a
forward pass can be run again for the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import tensorflow as tf

M = TypeVar("M", bound=tf.Module)

# More modules than this, and a trace is called, not copied into the graph of its caller: a model of 24 steps a level
# then starts in two thirds of the time. A call costs some 50 microseconds, 3 % of a training step of a small model.
_MOST_INLINED = 8


def values_of(module: tf.Module) -> list[tf.Tensor]:
    """The values of all variables of a module and the modules in it, in an order that their structure gives."""
    values: list[tf.Tensor] = []
    _replace_variables(module, lambda variable: values.append(tf.convert_to_tensor(variable)))
    return values


def with_values(module: M, values: Iterable[tf.Tensor]) -> M:
    """A copy of a module that has tensors for its variables; `values` as `values_of` gives them."""
    values = iter(values)
    return _replace_variables(module, lambda _: next(values))


def recomputed(module: tf.Module, method: Callable[..., Any]) -> Callable[..., Any]:
    """`method(module, x, **kwargs)` as a function of x and kwargs that keeps x alone for the gradient, and computes the
    rest again. No gradient goes to kwargs."""

    def call(x: tf.Tensor, **kwargs: Any) -> Any:
        # The values are arguments: to what a recomputed function captures, TensorFlow gives no gradient.
        @tf.recompute_grad
        def run(x: tf.Tensor, *values: tf.Tensor) -> Any:
            return method(with_values(module, values), x, **kwargs)

        return run(x, *values_of(module))

    return call


class SharedTrace:
    """`method(module, *tensors)` for `count` modules of the same structure, traced once for all of them.

    What is not a variable (sizes, names, rates) is taken from the first module it is called on.
    """

    def __init__(self, method: Callable[..., Any], count: int) -> None:
        self._method = method
        self._module: tf.Module | None = None
        attributes = {"_noinline": True} if count > _MOST_INLINED else None
        self._function = tf.function(self._run, autograph=False, experimental_attributes=attributes)

    def __call__(self, module: tf.Module, *tensors: Any) -> Any:
        """`tensors`: nests of tensors."""
        if self._module is None:
            self._module = module
        return self._function(values_of(module), *tensors)

    def _run(self, values: list[tf.Tensor], *tensors: Any) -> Any:
        return self._method(with_values(self._module, values), *tensors)


def _replace_variables(part: Any, replace: Callable[[tf.Variable], Any]) -> Any:
    """A copy of a module, or of a list of them, with its variables replaced; what has a private name is kept as it is."""
    if isinstance(part, tf.Variable):
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
