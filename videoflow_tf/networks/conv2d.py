"""Convolutional building blocks of the coupling networks and latent encoders.

All follow the official model (Kumar et al. 2020, appendix B; Kingma and Dhariwal 2018): convolutions know where the
frame ends ("edge bias"), and each is followed by a learned per-channel shift and scale. The forms here are cheaper
than the literal ones and give the same numbers: the edge channel does not depend on the data, so its response is
computed once at batch 1; the scale is folded into the kernel.

Layers are called on [N, H, W, C]; `causal_networks.py` has those over windows in time. Every layer has
- `fold(size, ...)`, which computes all that depends on the weights alone and returns the layer as a function of its
  input. Calling the layer does both; in a loop, fold before it.
- `initialize(x)`, the data-dependent initialisation: sets the layer's actnorm from its input and returns its output.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from bijectors.actnorm import LOG_SCALE_FACTOR, normalizing_statistics
from bijectors.fast_forms import conv2d, mix_channels
from videoflow_tf.seeds import ALGORITHM, split_seed

KERNEL_STDDEV = 0.05

# A layer as a function of its input alone, or of its input and a seed for dropout.
Folded = Callable[..., tf.Tensor]


def dropout(x: tf.Tensor, rate: float, seed: tf.Tensor | None) -> tf.Tensor:
    """Drops activations with probability `rate`; without a seed (int32 [2]) nothing is dropped."""
    if seed is None or rate == 0.0:
        return x
    return tf.nn.experimental.stateless_dropout(x, rate, seed, rng_alg=ALGORITHM)


def edge_response(kernel: tf.Tensor, outside: np.ndarray, size: tuple[int, int]) -> tf.Tensor:
    """Response to the edge channel, which is 1 in the zero padding and 0 inside.

    Args:
      kernel: [..., 1, D] of n taps in all.
      outside: bool [S, H*W, n], the taps that fall into the padding at every pixel of S kinds of frames.
      size: H, W.

    Returns:
      [S, H, W, D]
    """
    kinds, num_pixels, taps = outside.shape
    mask = tf.constant(outside.reshape(kinds * num_pixels, taps), kernel.dtype)
    return tf.reshape(tf.matmul(mask, tf.reshape(kernel, [taps, -1])), [kinds, *size, kernel.shape[-1]])


@functools.lru_cache(maxsize=64)
def taps_outside(taps: int, size: tuple[int, int], dilation: int = 1) -> np.ndarray:
    """Whether each of the k*k taps of a kernel falls into the padding, for every pixel: bool [1, H*W, k*k]."""
    offsets = dilation * (np.arange(taps) - taps // 2)
    inside = [(0 <= (at := np.arange(n)[:, np.newaxis] + offsets)) & (at < n) for n in size]  # [H, k], [W, k]
    return ~(inside[0][:, None, :, None] & inside[1][None, :, None, :]).reshape(1, size[0] * size[1], taps**2)


class EdgeConv2D(tf.Module):
    """Convolution with edge bias, then shift and scale: y = (conv(x) + bias) * exp(3 log_scale).

    Shapes: x [N, H, W, C] -> [N, H, W, D]. The kernel has C + 1 input channels; the last is the edge channel's (a
    1x1 kernel has no padding, hence no edge channel).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        rng: np.random.Generator | None,
        kernel_size: int = 3,
        dtype: tf.DType = tf.float32,
        edge: bool = True,
        name: str = "conv",
    ) -> None:
        """`rng`: source of the N(0, 0.05) weights, to be followed by `initialize`. None: all zeros, as the last layer
        of a network that must start as nothing; such a layer has no data-dependent initialisation."""
        super().__init__(name=name)
        self.in_channels, self.kernel_size = in_channels, kernel_size
        self.starts_at_zero = rng is None
        self.has_edge = edge and kernel_size > 1
        shape = (kernel_size, kernel_size, in_channels + self.has_edge, out_channels)
        self.kernel = tf.Variable(initial_kernel(shape, rng), dtype=dtype, name="kernel")
        self.bias = tf.Variable(np.zeros(out_channels), dtype=dtype, name="bias")
        self.log_scale = tf.Variable(np.zeros(out_channels), dtype=dtype, name="log_scale")

    def fold(self, size: tuple[int, int]) -> Folded:
        """The layer for images [N, *size, C]."""
        scale = tf.exp(LOG_SCALE_FACTOR * self.log_scale)
        kernel, offset = self.kernel * scale, self.bias * scale
        if self.has_edge:
            kernel, edge = tf.split(kernel, [self.in_channels, 1], axis=2)
            offset += edge_response(edge, taps_outside(self.kernel_size, size), size)

        def convolve(x: tf.Tensor) -> tf.Tensor:
            k, b = tf.cast(kernel, x.dtype), tf.cast(offset, x.dtype)
            if self.kernel_size == 1:
                return mix_channels(x, tf.reshape(k, k.shape[2:]), b)
            return conv2d(x, k) + b

        return convolve

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return self.fold(tuple(x.shape[1:3]))(x)

    def initialize(self, x: tf.Tensor) -> tf.Tensor:
        if not self.starts_at_zero:
            normalize(self.bias, self.log_scale, lambda: self(x))
        return self(x)


def initial_kernel(shape: tuple[int, ...], rng: np.random.Generator | None) -> np.ndarray:
    """Weights N(0, 0.05), or zeros without a generator."""
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


class Activation2D(tf.Module):
    """The second layer of a block: a 1x1 convolution, then relu, or tanh(1x1) * sigmoid(1x1) when gated.

    Shapes: [N, H, W, C] -> [N, H, W, C].
    """

    def __init__(self, channels: int, kind: str, rng: np.random.Generator, dtype: tf.DType, name: str = "activation"):
        super().__init__(name=name)
        self.gated = kind == "gated"
        names = ("tanh", "sigmoid") if self.gated else ("relu",)
        self.convs = [EdgeConv2D(channels, channels, rng, kernel_size=1, dtype=dtype, name=n) for n in names]

    def fold(self, size: tuple[int, int]) -> Folded:
        convs = [conv.fold(size) for conv in self.convs]
        return lambda x: activate(*(conv(x) for conv in convs))

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return self.fold(tuple(x.shape[1:3]))(x)

    def initialize(self, x: tf.Tensor) -> tf.Tensor:
        return activate(*(conv.initialize(x) for conv in self.convs))


def activate(x: tf.Tensor, gate: tf.Tensor | None = None) -> tf.Tensor:
    """relu(x), or tanh(x) * sigmoid(gate)."""
    return tf.nn.relu(x) if gate is None else tf.tanh(x) * tf.sigmoid(gate)


class ConvBlock(tf.Module):
    """3x3 convolution, actnorm, relu, then `Activation2D`; [N, H, W, C] -> [N, H, W, width]."""

    def __init__(
        self,
        in_channels: int,
        width: int,
        activation: str,
        rng: np.random.Generator,
        dropout_rate: float = 0.0,
        dtype: tf.DType = tf.float32,
        name: str = "block",
    ) -> None:
        super().__init__(name=name)
        self.dropout_rate = dropout_rate
        self.conv = EdgeConv2D(in_channels, width, rng, dtype=dtype)
        self.activation = Activation2D(width, activation, rng, dtype)

    def fold(self, size: tuple[int, int]) -> Folded:
        conv, activation = self.conv.fold(size), self.activation.fold(size)

        def block(x: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
            first, second = split_seed(seed, 2)
            hidden = dropout(tf.nn.relu(conv(x)), self.dropout_rate, first)
            return dropout(activation(hidden), self.dropout_rate, second)

        return block

    def __call__(self, x: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        return self.fold(tuple(x.shape[1:3]))(x, seed)

    def initialize(self, x: tf.Tensor) -> tf.Tensor:
        return self.activation.initialize(tf.nn.relu(self.conv.initialize(x)))


class ConvStack(tf.Module):
    """A `ConvBlock`, then a 3x3 convolution that starts at zero; [N, H, W, C] -> [N, H, W, D].

    `compute_dtype`: of the activations; variables, input and output have `dtype`.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        out_channels: int,
        activation: str,
        rng: np.random.Generator,
        dropout_rate: float = 0.0,
        dtype: tf.DType = tf.float32,
        compute_dtype: tf.DType | None = None,
        name: str = "stack",
    ) -> None:
        super().__init__(name=name)
        self.compute_dtype = compute_dtype or dtype
        self.block = ConvBlock(in_channels, width, activation, rng, dropout_rate, dtype)
        self.last = EdgeConv2D(width, out_channels, None, dtype=dtype, name="last")

    def fold(self, size: tuple[int, int]) -> Folded:
        block, last = self.block.fold(size), self.last.fold(size)
        return lambda x, seed=None: tf.cast(last(block(tf.cast(x, self.compute_dtype), seed)), x.dtype)

    def __call__(self, x: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        return self.fold(tuple(x.shape[1:3]))(x, seed)

    def initialize(self, x: tf.Tensor) -> tf.Tensor:
        return self.last(self.block.initialize(x))
