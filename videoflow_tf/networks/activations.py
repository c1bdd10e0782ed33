"""The activation functions at the end of a block, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf


class Activation(NamedTuple):
    """A function of the outputs of one or more linear maps, of which `maps` are the names."""

    maps: tuple[str, ...]
    function: Callable[..., tf.Tensor]


ACTIVATIONS = {
    "relu": Activation(("relu",), tf.nn.relu),
    "gated": Activation(("tanh", "sigmoid"), lambda x, gate: tf.tanh(x) * tf.sigmoid(gate)),
}


def find_activation(name: str) -> Activation:
    """The activation of that name.

    Raises:
      ValueError: there is none.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"unknown activation {name!r}; one of: {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]
