"""Convolutional building blocks of the coupling networks and latent encoders.

All follow the official model (Kumar et al. 2020, appendix B; Kingma and Dhariwal 2018): convolutions know where the
frame ends ("edge bias"), and each is followed by a learned per-channel shift and scale. The forms here are cheaper
than the literal ones and give the same numbers: the edge channel does not depend on the data, so its response is
computed once at batch 1; the scale is folded into the kernel.

Layers are called on [N, H, W, C] (2-D) or [N, K, H, W, C] (K time steps). `initialize` is the data-dependent
initialisation: it sets the layer's actnorm from its input and returns its output.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from bijectors.actnorm import LOG_SCALE_FACTOR, normalizing_statistics
from videoflow_tf.seeds import ALGORITHM, split_seed

KERNEL_STDDEV = 0.05


def dropout(x: tf.Tensor, rate: float, seed: tf.Tensor | None) -> tf.Tensor:
    """Drops activations with probability `rate`; without a seed (int32 [2]) nothing is dropped."""
    if seed is None or rate == 0.0:
        return x
    return tf.nn.experimental.stateless_dropout(x, rate, seed, rng_alg=ALGORITHM)


def conv2d(x: tf.Tensor, kernel: tf.Tensor, dilation: int = 1) -> tf.Tensor:
    """Convolution with zero padding that keeps the size: [N, H, W, C], [k, k, C, D] -> [N, H, W, D].

    A dilated one is an ordinary one on interleaved sub-images: TensorFlow has no gradient of dilated convolutions on
    the CPU.
    """
    if dilation == 1 or kernel.shape[0] == 1:
        return tf.nn.conv2d(x, kernel, strides=1, padding="SAME")
    height, width = x.shape[1:3]
    pad = dilation * (kernel.shape[0] // 2)
    # The padded size must divide by the dilation; what is added for that is cropped again.
    extra_h, extra_w = -(height + 2 * pad) % dilation, -(width + 2 * pad) % dilation
    block = [dilation, dilation]
    images = tf.space_to_batch(x, block, [[pad, pad + extra_h], [pad, pad + extra_w]])
    images = tf.nn.conv2d(images, kernel, strides=1, padding="VALID")
    return tf.batch_to_space(images, block, [[0, extra_h], [0, extra_w]])


def shifted_conv2d(x: tf.Tensor, kernel: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
    """conv2d(x, kernel) + offset in x's dtype."""
    return conv2d(x, tf.cast(kernel, x.dtype)) + tf.cast(offset, x.dtype)


def edge_response(kernel: tf.Tensor, size: tuple[int, int], dilation: int = 1) -> tf.Tensor:
    """Response to the edge channel, which is 1 in the zero padding and 0 inside: [k, k, E, D] -> [1, H, W, D].

    All taps see a one, except those that fall inside the frame.
    """
    inside = tf.ones([1, *size, kernel.shape[2]], kernel.dtype)
    return tf.reduce_sum(kernel, axis=[0, 1, 2]) - conv2d(inside, kernel, dilation)


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
        self.in_channels = in_channels
        self.starts_at_zero = rng is None
        has_edge = edge and kernel_size > 1
        shape = (kernel_size, kernel_size, in_channels + has_edge, out_channels)
        self.kernel = tf.Variable(initial_kernel(shape, rng), dtype=dtype, name="kernel")
        self.bias = tf.Variable(np.zeros(out_channels), dtype=dtype, name="bias")
        self.log_scale = tf.Variable(np.zeros(out_channels), dtype=dtype, name="log_scale")

    def folded(self, size: tuple[int, int]) -> tuple[tf.Tensor, tf.Tensor]:
        """The layer as kernel [k, k, C, D] and offset [1, H, W, D] or [D]: y = conv2d(x, kernel) + offset."""
        scale = tf.exp(LOG_SCALE_FACTOR * self.log_scale)
        kernel = self.kernel * scale
        offset = self.bias * scale
        if kernel.shape[2] > self.in_channels:
            offset += edge_response(kernel[:, :, self.in_channels :], size)
            kernel = kernel[:, :, : self.in_channels]
        return kernel, offset

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return shifted_conv2d(x, *self.folded(tuple(x.shape[1:3])))

    def halves(self, x: tf.Tensor) -> tf.Tensor:
        """The output with its channels sorted from interleaved pairs (0, 1, 0, 1, ...) into two halves."""
        kernel, offset = self.folded(tuple(x.shape[1:3]))
        return shifted_conv2d(x, deinterleave(kernel), deinterleave(offset))

    def initialize(self, x: tf.Tensor) -> tf.Tensor:
        if not self.starts_at_zero:
            self.bias.assign(tf.zeros_like(self.bias))
            self.log_scale.assign(tf.zeros_like(self.log_scale))
            bias, log_scale = normalizing_statistics(self(x))
            self.bias.assign(bias)
            self.log_scale.assign(log_scale)
        return self(x)


def initial_kernel(shape: tuple[int, ...], rng: np.random.Generator | None) -> np.ndarray:
    """Weights N(0, 0.05), or zeros without a generator."""
    if rng is None:
        return np.zeros(shape, np.float32)
    return KERNEL_STDDEV * rng.standard_normal(shape, np.float32)


def deinterleave(x: tf.Tensor) -> tf.Tensor:
    """Channels (a0, b0, a1, b1, ...) -> (a0, a1, ..., b0, b1, ...)."""
    return tf.concat([x[..., 0::2], x[..., 1::2]], axis=-1)


class Activation2D(tf.Module):
    """The second layer of a block: a 1x1 convolution, then relu, or tanh(1x1) * sigmoid(1x1) when gated.

    Shapes: [N, H, W, C] -> [N, H, W, C].
    """

    def __init__(self, channels: int, kind: str, rng: np.random.Generator, dtype: tf.DType, name: str = "activation"):
        super().__init__(name=name)
        self.gated = kind == "gated"
        names = ("tanh", "sigmoid") if self.gated else ("relu",)
        self.convs = [EdgeConv2D(channels, channels, rng, kernel_size=1, dtype=dtype, name=n) for n in names]

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        if not self.gated:
            return tf.nn.relu(self.convs[0](x))
        # Both convolutions as one of twice the width.
        (kernel_a, offset_a), (kernel_b, offset_b) = (conv.folded(()) for conv in self.convs)
        both = shifted_conv2d(x, tf.concat([kernel_a, kernel_b], axis=-1), tf.concat([offset_a, offset_b], axis=-1))
        a, b = tf.split(both, 2, axis=-1)
        return tf.tanh(a) * tf.sigmoid(b)

    def initialize(self, x: tf.Tensor) -> tf.Tensor:
        for conv in self.convs:
            conv.initialize(x)
        return self(x)


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

    def __call__(self, x: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        first, second = split_seed(seed, 2)
        hidden = dropout(tf.nn.relu(self.conv(x)), self.dropout_rate, first)
        return dropout(self.activation(hidden), self.dropout_rate, second)

    def initialize(self, x: tf.Tensor) -> tf.Tensor:
        return self.activation.initialize(tf.nn.relu(self.conv.initialize(x)))


class ConvStack(tf.Module):
    """A `ConvBlock`, then a 3x3 convolution that starts at zero; [N, H, W, C] -> [N, H, W, D].

    `paired`: the official model interleaves the two parameters of an affine coupling on the channels; they are
    returned as two halves. `compute_dtype`: of the activations; variables, input and output have `dtype`.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        out_channels: int,
        activation: str,
        rng: np.random.Generator,
        dropout_rate: float = 0.0,
        paired: bool = False,
        dtype: tf.DType = tf.float32,
        compute_dtype: tf.DType | None = None,
        name: str = "stack",
    ) -> None:
        super().__init__(name=name)
        self.paired = paired
        self.compute_dtype = compute_dtype or dtype
        self.block = ConvBlock(in_channels, width, activation, rng, dropout_rate, dtype)
        self.last = EdgeConv2D(width, out_channels, None, dtype=dtype, name="last")

    def __call__(self, x: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        hidden = self.block(tf.cast(x, self.compute_dtype), seed)
        return tf.cast(self.last.halves(hidden) if self.paired else self.last(hidden), x.dtype)

    def initialize(self, x: tf.Tensor) -> tf.Tensor:
        hidden = self.block.initialize(x)
        return self.last.halves(hidden) if self.paired else self.last(hidden)


class CausalEdgeConv3D(tf.Module):
    """Convolution over a window of K time steps that looks one step back, with edge bias, then shift and scale.

    y_t = (conv(x_{t-1}, x_t) + bias_t) * exp(3 log_scale_t), x_0 without a past; a window of one step has no step
    back. Computed as 2-D convolutions on [x_{t-1}, x_t]. After a layer that starts from N(0, 0.05), bias and scale are
    per time step; after one that starts at zero they are shared. The kernel [1 or 2, 3, 3, 1 + C, D] has the edge
    channel first. Only the last `steps` outputs are computed, and so many inputs must be there as they need:
    x [N, m, H, W, C] are the last m of K steps, m = K or m > steps.
    """

    def __init__(
        self,
        window: int,
        in_channels: int,
        out_channels: int,
        rng: np.random.Generator | None,
        dilation: int = 1,
        dtype: tf.DType = tf.float32,
        name: str = "conv",
    ) -> None:
        super().__init__(name=name)
        self.window, self.dilation = window, dilation
        self.taps = min(window, 2)
        self.starts_at_zero = rng is None
        shape = (self.taps, 3, 3, 1 + in_channels, out_channels)
        self.kernel = tf.Variable(initial_kernel(shape, rng), dtype=dtype, name="kernel")
        norm_shape = (out_channels,) if self.starts_at_zero else (window, out_channels)
        self.bias = tf.Variable(np.zeros(norm_shape), dtype=dtype, name="bias")
        self.log_scale = tf.Variable(np.zeros(norm_shape), dtype=dtype, name="log_scale")

    def __call__(self, x: tf.Tensor, steps: int) -> tf.Tensor:
        return self._normalize(self._convolve(x, steps), steps)

    def _convolve(self, x: tf.Tensor, steps: int) -> tf.Tensor:
        """[N, m, H, W, C] -> [N, steps, H, W, D], before shift and scale."""
        height, width, channels = x.shape[2:]
        present = x[:, -steps:]
        if self.taps == 1:
            pairs, kernel = present, self.kernel[0, :, :, 1:]
        else:
            if x.shape[1] > steps:
                before = x[:, -steps - 1 : -1]
            else:
                before = tf.concat([tf.zeros_like(x[:, :1]), x[:, :-1]], axis=1)
            pairs = tf.concat([before, present], axis=-1)  # [N, steps, H, W, 2C]
            kernel = tf.concat([self.kernel[0, :, :, 1:], self.kernel[1, :, :, 1:]], axis=2)
        images = tf.reshape(pairs, [-1, height, width, self.taps * channels])
        y = conv2d(images, tf.cast(kernel, x.dtype), self.dilation)
        y = tf.reshape(y, [-1, steps, height, width, y.shape[-1]])
        return y + tf.cast(self._edges((height, width), steps), x.dtype)

    def _edges(self, size: tuple[int, int], steps: int) -> tf.Tensor:
        """Response to the padding, [steps, H, W, D]: at the frame's border, and before the first step everywhere."""
        edge = self.kernel[:, :, :, :1]
        border = edge_response(tf.reduce_sum(edge, axis=0), size, self.dilation)  # [1, H, W, D]
        if self.taps == 1 or steps < self.window:
            return tf.tile(border, [steps, 1, 1, 1])
        first = edge_response(edge[1], size, self.dilation) + tf.reduce_sum(edge[0], axis=[0, 1, 2])
        return tf.concat([first, tf.tile(border, [steps - 1, 1, 1, 1])], axis=0)

    def _normalize(self, y: tf.Tensor, steps: int) -> tf.Tensor:
        bias, log_scale = self.bias, self.log_scale
        if not self.starts_at_zero:
            bias, log_scale = (v[-steps:, tf.newaxis, tf.newaxis] for v in (bias, log_scale))
        return (y + tf.cast(bias, y.dtype)) * tf.cast(tf.exp(LOG_SCALE_FACTOR * log_scale), y.dtype)

    def initialize(self, x: tf.Tensor) -> tf.Tensor:
        """x [N, K, H, W, C], all steps."""
        y = self._convolve(x, self.window)
        if not self.starts_at_zero:
            bias, log_scale = normalizing_statistics(y, axes=[0, 2, 3])
            self.bias.assign(bias)
            self.log_scale.assign(log_scale)
        return self._normalize(y, self.window)


class Activation3D(tf.Module):
    """`Activation2D` with shift and scale per time step; [N, m, H, W, C] -> the same, the last m of K steps."""

    def __init__(
        self, window: int, channels: int, kind: str, rng: np.random.Generator, dtype: tf.DType, name: str = "activation"
    ) -> None:
        super().__init__(name=name)
        self.gated = kind == "gated"
        count = 2 if self.gated else 1
        self.kernels = [
            tf.Variable(initial_kernel((channels, channels), rng), dtype=dtype, name=f"kernel_{i}")
            for i in range(count)
        ]
        zeros = np.zeros((window, channels))
        self.biases = [tf.Variable(zeros, dtype=dtype, name=f"bias_{i}") for i in range(count)]
        self.log_scales = [tf.Variable(zeros, dtype=dtype, name=f"log_scale_{i}") for i in range(count)]

    def _convolve(self, x: tf.Tensor) -> tf.Tensor:
        kernel = tf.concat([tf.convert_to_tensor(k) for k in self.kernels], axis=-1)
        folded = tf.reshape(x, [-1, *x.shape[2:]])
        y = conv2d(folded, tf.cast(kernel[tf.newaxis, tf.newaxis], x.dtype))
        return tf.reshape(y, [-1, *x.shape[1:4], y.shape[-1]])

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        steps = x.shape[1]
        bias, log_scale = (
            tf.concat([v[-steps:] for v in variables], axis=-1)[:, tf.newaxis, tf.newaxis]
            for variables in (self.biases, self.log_scales)
        )
        scale = tf.exp(LOG_SCALE_FACTOR * log_scale)
        y = (self._convolve(x) + tf.cast(bias, x.dtype)) * tf.cast(scale, x.dtype)
        if not self.gated:
            return tf.nn.relu(y)
        a, b = tf.split(y, 2, axis=-1)
        return tf.tanh(a) * tf.sigmoid(b)

    def initialize(self, x: tf.Tensor) -> tf.Tensor:
        bias, log_scale = normalizing_statistics(self._convolve(x), axes=[0, 2, 3])
        for variables, values in ((self.biases, bias), (self.log_scales, log_scale)):
            for variable, value in zip(variables, tf.split(values, len(variables), axis=-1), strict=True):
                variable.assign(value)
        return self(x)


class CausalConvStack(tf.Module):
    """`ConvStack` over a window in time: two causal 3-D convolutions around an `Activation3D`.

    Shapes: x [N, m, H, W, C], the last m of K steps -> [N, steps, H, W, D].
    """

    def __init__(
        self,
        window: int,
        in_channels: int,
        width: int,
        activation: str,
        rng: np.random.Generator,
        dilation: int = 1,
        dropout_rate: float = 0.0,
        dtype: tf.DType = tf.float32,
        compute_dtype: tf.DType | None = None,
        name: str = "stack",
    ) -> None:
        """`compute_dtype`: of the activations; variables, input and output have `dtype`."""
        super().__init__(name=name)
        self.window, self.dropout_rate = window, dropout_rate
        self.compute_dtype = compute_dtype or dtype
        self.conv = CausalEdgeConv3D(window, in_channels, width, rng, dilation, dtype)
        self.activation = Activation3D(window, width, activation, rng, dtype)
        self.last = CausalEdgeConv3D(window, width, in_channels, None, dilation, dtype, name="last")

    def __call__(self, x: tf.Tensor, steps: int, seed: tf.Tensor | None = None) -> tf.Tensor:
        first, second = split_seed(seed, 2)
        hidden_steps = min(steps + 1, self.window)  # The last convolution looks one step back.
        inner = tf.cast(x, self.compute_dtype)
        hidden = dropout(tf.nn.relu(self.conv(inner, hidden_steps)), self.dropout_rate, first)
        hidden = dropout(self.activation(hidden), self.dropout_rate, second)
        return tf.cast(self.last(hidden, steps), x.dtype)

    def initialize(self, x: tf.Tensor) -> tf.Tensor:
        """x [N, K, H, W, C] -> [N, K, H, W, C]."""
        return self.last(self.activation.initialize(tf.nn.relu(self.conv.initialize(x))), self.window)
