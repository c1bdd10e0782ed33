"""Convolutional building blocks of the coupling networks and latent encoders, on [N, H, W, C].

All follow the official model (Kumar et al. 2020, appendix B; Kingma and Dhariwal 2018): convolutions know where the
frame ends ("edge bias"), and each is followed by a learned per-channel shift and scale. The forms here are cheaper
than the literal ones and give the same numbers: the edge channel's response is computed once; the scale is folded into
the kernel. `causal_conv3d.py` has the same over windows in time.
"""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

from bijectors.actnorm import LOG_SCALE_FACTOR
from bijectors.fast_forms import conv2d, mix_channels
from videoflow_tf.networks.activations import find_activation
from videoflow_tf.networks.edge import edge_response, taps_outside
from videoflow_tf.networks.network import Layer, Network, Weights, conv_block, initial_kernel, normalize


class EdgeConv2D(Network):
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
        name: str = "conv",
    ) -> None:
        """`rng`: source of the N(0, 0.05) weights, to be followed by `initialize`. None: all zeros, as the last layer
        of a network that must start as nothing; such a layer has no data-dependent initialisation."""
        super().__init__(name=name)
        self.in_channels, self.kernel_size = in_channels, kernel_size
        self.starts_at_zero = rng is None
        shape = (kernel_size, kernel_size, in_channels + (kernel_size > 1), out_channels)
        self.kernel = tf.Variable(initial_kernel(shape, rng), dtype=dtype, name="kernel")
        self.bias = tf.Variable(np.zeros(out_channels), dtype=dtype, name="bias")
        self.log_scale = tf.Variable(np.zeros(out_channels), dtype=dtype, name="log_scale")

    def fold(self, size: tuple[int, int]) -> tuple[tf.Tensor, tf.Tensor]:
        """Kernel [k, k, C, D], and offset [1, H, W, D] or [D]."""
        scale = tf.exp(LOG_SCALE_FACTOR * self.log_scale)
        kernel, offset = self.kernel * scale, self.bias * scale
        if self.kernel_size > 1:
            kernel, edge = tf.split(kernel, [self.in_channels, 1], axis=2)
            offset += edge_response(edge, taps_outside(self.kernel_size, size), size)
        return kernel, offset

    def apply(self, weights: Weights, x: tf.Tensor) -> tf.Tensor:
        kernel, offset = (tf.cast(t, x.dtype) for t in weights)
        if self.kernel_size == 1:
            return mix_channels(x, tf.reshape(kernel, kernel.shape[2:]), offset)
        return conv2d(x, kernel) + offset

    def initialize(self, x: tf.Tensor) -> tf.Tensor:
        if not self.starts_at_zero:
            normalize(self.bias, self.log_scale, lambda: self(x))
        return self(x)


class Activation2D(Network):
    """The second layer of a block: a 1x1 convolution, then relu, or tanh(1x1) * sigmoid(1x1) when gated.

    Shapes: [N, H, W, C] -> [N, H, W, C].
    """

    def __init__(self, channels: int, kind: str, rng: np.random.Generator, dtype: tf.DType, name: str = "activation"):
        """`kind`: one of `ACTIVATIONS`; another raises a ValueError."""
        super().__init__(name=name)
        names, self._function = find_activation(kind)
        self.gated = kind == "gated"
        self.convs = [EdgeConv2D(channels, channels, rng, kernel_size=1, dtype=dtype, name=n) for n in names]

    def fold(self, size: tuple[int, int]) -> Weights:
        return tuple(conv.fold(size) for conv in self.convs)

    def apply(self, weights: Weights, x: tf.Tensor) -> tf.Tensor:
        convs = zip(self.convs, weights, strict=True)
        return self._connect(x, *(functools.partial(conv.apply, folded) for conv, folded in convs))

    def _connect(self, x: tf.Tensor, *convs: Layer) -> tf.Tensor:
        return self._function(*(conv(x) for conv in convs))

    def initialize(self, x: tf.Tensor) -> tf.Tensor:
        return self._connect(x, *(conv.initialize for conv in self.convs))


class ConvBlock(Network):
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

    def fold(self, size: tuple[int, int]) -> Weights:
        return self.conv.fold(size), self.activation.fold(size)

    def apply(self, weights: Weights, x: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        conv, activation = weights
        layers = functools.partial(self.conv.apply, conv), functools.partial(self.activation.apply, activation)
        return self._connect(x, *layers, seed)

    def _connect(self, x: tf.Tensor, conv: Layer, activation: Layer, seed: tf.Tensor | None = None) -> tf.Tensor:
        return conv_block(x, conv, activation, self.dropout_rate, seed)

    def initialize(self, x: tf.Tensor) -> tf.Tensor:
        return self._connect(x, self.conv.initialize, self.activation.initialize)


class ConvStack(Network):
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

    def fold(self, size: tuple[int, int]) -> Weights:
        return self.block.fold(size), self.last.fold(size)

    def apply(self, weights: Weights, x: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        block, last = weights
        layers = functools.partial(self.block.apply, block, seed=seed), functools.partial(self.last.apply, last)
        return tf.cast(self._connect(tf.cast(x, self.compute_dtype), *layers), x.dtype)

    def _connect(self, x: tf.Tensor, block: Layer, last: Layer) -> tf.Tensor:
        return last(block(x))

    def initialize(self, x: tf.Tensor) -> tf.Tensor:
        return self._connect(x, self.block.initialize, self.last.initialize)
