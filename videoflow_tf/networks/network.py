"""What a network is: weights that can be folded apart from the forward pass, and an initialisation by data."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from bijectors.actnorm import normalizing_statistics
from videoflow_tf.seeds import ALGORITHM, split_seed

KERNEL_STDDEV = 0.05

# A nest (tuples) of tensors.
Weights = Any


class Network(tf.Module, abc.ABC):
    """A layer, or a network of layers, on images [..., H, W, C].

    - `fold(size, ...) -> weights` computes all that depends on the variables alone, for images of `size` (H, W).
    - `apply(weights, x, ...) -> y` is the forward pass. It reads no variable.
    - calling the network does both; in a loop, fold before it.
    - `initialize(x) -> y` is the data-dependent initialisation: it sets every actnorm in the network from its input.

    A network of layers has one method with its forward pass, `_connect`, as a function of its layers as functions:
    `apply` hands it the layers' `apply`, `initialize` their `initialize`.
    """

    @abc.abstractmethod
    def fold(self, size: tuple[int, int], *facts: Any) -> Weights:
        """The weights for images of `size`; `facts`: what else a layer must know before, as the number of steps."""

    @abc.abstractmethod
    def apply(self, weights: Weights, x: tf.Tensor, *facts: Any) -> tf.Tensor:
        """The forward pass on x [..., H, W, C] with the weights of `fold(size of x, *facts)`."""

    @abc.abstractmethod
    def initialize(self, x: tf.Tensor) -> tf.Tensor:
        """Data-dependent initialisation on x [..., H, W, C]; the output is that of the initialised network."""

    def __call__(self, x: tf.Tensor, *facts: Any, **options: Any) -> tf.Tensor:
        """`options`: of `apply` alone, such as a seed."""
        return self.apply(self.fold(tuple(x.shape[-3:-1]), *facts), x, *facts, **options)


# A layer as a function of its input alone.
Layer = Callable[[tf.Tensor], tf.Tensor]


def conv_block(x: tf.Tensor, conv: Layer, activation: Layer, dropout_rate: float, seed: tf.Tensor | None) -> tf.Tensor:
    """The forward pass that all blocks share, of x [..., H, W, C]: activation(relu(conv(x))), dropout after both."""
    first, second = split_seed(seed, 2)
    hidden = dropout(tf.nn.relu(conv(x)), dropout_rate, first)
    return dropout(activation(hidden), dropout_rate, second)


def dropout(x: tf.Tensor, rate: float, seed: tf.Tensor | None) -> tf.Tensor:
    """Drops activations with probability `rate`; without a seed (int32 [2]) nothing is dropped."""
    if seed is None or rate == 0.0:
        return x
    return tf.nn.experimental.stateless_dropout(x, rate, seed, rng_alg=ALGORITHM)


def initial_kernel(shape: tuple[int, ...], rng: np.random.Generator | None) -> np.ndarray:
    """Weights N(0, 0.05) of that shape, or zeros without a generator."""
    if rng is None:
        return np.zeros(shape, np.float32)
    return KERNEL_STDDEV * rng.standard_normal(shape, np.float32)


def normalize(
    bias: tf.Variable, log_scale: tf.Variable, evaluate: Callable[[], tf.Tensor], axes: list[int] | None = None
) -> None:
    """Sets a layer's shift and scale so that its output has zero mean and unit variance over `axes`, by default all
    but the last. `evaluate`: the layer on the batch."""
    for variable in (bias, log_scale):
        variable.assign(tf.zeros_like(variable))
    for variable, value in zip((bias, log_scale), normalizing_statistics(evaluate(), axes), strict=True):
        variable.assign(value)
