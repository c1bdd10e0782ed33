"""Building blocks of `Conv3DEncoder`: those of `networks.py`, over a window of K time steps.

Layers are called on the last m of the window's steps, time first, [m, N, H, W, C], and computed as 2-D convolutions
with the time steps folded into the batch. `fold` and `initialize` as there.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from bijectors.actnorm import LOG_SCALE_FACTOR
from bijectors.fast_forms import mix_channels, slice_axis
from videoflow_tf.networks.conv2d import (
    Folded,
    activate,
    conv2d,
    dropout,
    edge_response,
    initial_kernel,
    normalize,
    taps_outside,
)
from videoflow_tf.seeds import split_seed


class CausalEdgeConv3D(tf.Module):
    """Convolution over a window of K time steps that looks one step back, with edge bias, then shift and scale.

    y_t = (conv(x_{t-1}, x_t) + bias_t) * exp(3 log_scale_t), x_0 without a past; a window of one step has no step
    back. After a layer that starts from N(0, 0.05), bias and scale are per time step; after one that starts at zero
    they are shared. The kernel [1 or 2, 3, 3, 1 + C, D] has the edge channel first. Only the last `steps` outputs are
    computed, and so many inputs must be there as they need: x [m, N, H, W, C] are the last m of K steps, m = K or
    m > steps.
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
        self.window, self.in_channels, self.dilation = window, in_channels, dilation
        self.taps = min(window, 2)
        self.starts_at_zero = rng is None
        shape = (self.taps, 3, 3, 1 + in_channels, out_channels)
        self.kernel = tf.Variable(initial_kernel(shape, rng), dtype=dtype, name="kernel")
        norm_shape = (out_channels,) if self.starts_at_zero else (window, out_channels)
        self.bias = tf.Variable(np.zeros(norm_shape), dtype=dtype, name="bias")
        self.log_scale = tf.Variable(np.zeros(norm_shape), dtype=dtype, name="log_scale")

    def fold(self, size: tuple[int, int], steps: int) -> Folded:
        """The layer for [m, N, *size, C] -> [steps, N, *size, D]."""
        if self.starts_at_zero:
            scale = tf.exp(LOG_SCALE_FACTOR * self.log_scale)
            return self._fold_convolution(self.kernel * scale, self.bias * scale, size, steps)
        convolve, scale = self.fold_unscaled(size, steps)
        return lambda x: convolve(x) * tf.cast(tf.reshape(scale, [steps, 1, 1, 1, -1]), x.dtype)

    def fold_unscaled(self, size: tuple[int, int], steps: int) -> tuple[Folded, tf.Tensor]:
        """The layer without its scale per time step, and that scale, [steps, D]: positive, so that it may as well be
        applied after a relu."""
        bias = tf.reshape(last_of(self.bias, steps), [steps, 1, 1, 1, -1])
        scale = tf.exp(LOG_SCALE_FACTOR * last_of(self.log_scale, steps))
        return self._fold_convolution(self.kernel, bias, size, steps), scale

    def _fold_convolution(self, kernel: tf.Tensor, bias: tf.Tensor, size: tuple[int, int], steps: int) -> Folded:
        """Convolution with edge bias, and bias [D] or [steps, 1, 1, 1, D]."""
        edge, kernel = tf.split(kernel, [1, self.in_channels], axis=3)
        offset = self._edge_response(edge, size, steps) + bias
        # The two steps meet on the side that has fewer channels: side by side on the way in, or summed on the way out.
        # (But to convolve a step for the one after it alone would be half in vain.)
        meet_before = self.in_channels <= kernel.shape[-1] or steps < self.window
        kernel = tf.concat(tf.unstack(kernel), axis=2 if meet_before else 3)

        def convolve(x: tf.Tensor) -> tf.Tensor:
            x = last_of(x, steps + self.taps - 1)
            if self.taps == 2 and meet_before:
                x = tf.concat([_one_step_back(x, steps), last_of(x, steps)], axis=-1)
            y = conv2d(tf.reshape(x, [-1, *x.shape[2:]]), tf.cast(kernel, x.dtype), self.dilation)
            y = tf.reshape(y, [x.shape[0], -1, *y.shape[1:]])
            if self.taps == 2 and not meet_before:
                from_before, from_present = tf.split(y, 2, axis=-1)
                y = _one_step_back(from_before, steps) + last_of(from_present, steps)
            return y + tf.cast(offset, x.dtype)

        return convolve

    def __call__(self, x: tf.Tensor, steps: int) -> tf.Tensor:
        return self.fold(tuple(x.shape[2:4]), steps)(x)

    def _edge_response(self, kernel: tf.Tensor, size: tuple[int, int], steps: int) -> tf.Tensor:
        """Response to the padding, [steps, 1, H, W, D] or [1, 1, H, W, D] for all steps: at the frame's border, and
        before the first step everywhere; kernel [1 or 2, 3, 3, 1, D]."""
        border = taps_outside(3, size, self.dilation)  # [1, H*W, 9]
        outside = [border] * self.taps
        if self.taps == 2 and steps == self.window:
            before = np.concatenate([np.ones_like(border), np.repeat(border, steps - 1, axis=0)])
            outside = [before, np.repeat(border, steps, axis=0)]
        return tf.expand_dims(edge_response(kernel, np.concatenate(outside, axis=-1), size), axis=1)

    def initialize(self, x: tf.Tensor) -> tf.Tensor:
        """x [K, N, H, W, C], all steps."""
        if not self.starts_at_zero:
            normalize(self.bias, self.log_scale, lambda: self(x, self.window), axes=[1, 2, 3])
        return self(x, self.window)


def _one_step_back(x: tf.Tensor, steps: int) -> tf.Tensor:
    """The step before each of the last `steps` ones, zeros before the first; x [steps or steps + 1, N, H, W, C]."""
    before = slice_axis(x, 0, -1)
    return before if x.shape[0] > steps else tf.pad(before, [[1, 0], [0, 0], [0, 0], [0, 0], [0, 0]])


def last_of(x: tf.Tensor, steps: int) -> tf.Tensor:
    """The last `steps` time steps of x [m, ...], or all if there are no more."""
    return slice_axis(x, max(0, x.shape[0] - steps))


class Activation3D(tf.Module):
    """`Activation2D` with shift and scale per time step; [m, N, H, W, C] -> the same, the last m of K steps."""

    def __init__(
        self, window: int, channels: int, kind: str, rng: np.random.Generator, dtype: tf.DType, name: str = "activation"
    ) -> None:
        super().__init__(name=name)
        self.window, self.gated = window, kind == "gated"
        count = 2 if self.gated else 1
        self.kernels = [
            tf.Variable(initial_kernel((channels, channels), rng), dtype=dtype, name=f"kernel_{i}")
            for i in range(count)
        ]
        zeros = np.zeros((window, channels))
        self.biases = [tf.Variable(zeros, dtype=dtype, name=f"bias_{i}") for i in range(count)]
        self.log_scales = [tf.Variable(zeros, dtype=dtype, name=f"log_scale_{i}") for i in range(count)]

    def fold(self, steps: int, scale: tf.Tensor | None = None) -> Folded:
        """The layer for [steps, N, H, W, C]. `scale`: [steps, C], what the input is yet to be multiplied by."""
        layers = [self._fold_one(i, steps, scale) for i in range(len(self.kernels))]
        return lambda x: activate(*(layer(x) for layer in layers))

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return self.fold(x.shape[0])(x)

    def _fold_one(self, index: int, steps: int, input_scale: tf.Tensor | None = None) -> Folded:
        """The index-th linear map, before the activation function: a matrix of its own for every step, with all scales
        in it, is cheaper than to scale the activations."""
        scale = tf.exp(LOG_SCALE_FACTOR * last_of(self.log_scales[index], steps))
        offset = last_of(self.biases[index], steps) * scale
        matrix = self.kernels[index] * tf.expand_dims(scale, 1)  # [steps, C, D]
        if input_scale is not None:
            matrix *= tf.expand_dims(input_scale, 2)

        def mix(x: tf.Tensor) -> tf.Tensor:
            w, b = tf.cast(matrix, x.dtype), tf.cast(offset, x.dtype)
            if steps == 1:
                y = mix_channels(tf.squeeze(x, axis=0), tf.squeeze(w, axis=0), tf.squeeze(b, axis=0))
            else:
                y = tf.matmul(tf.reshape(x, [steps, -1, x.shape[-1]]), w) + tf.expand_dims(b, 1)
            return tf.reshape(y, [steps, -1, *x.shape[2:]])

        return mix

    def initialize(self, x: tf.Tensor) -> tf.Tensor:
        """x [K, N, H, W, C], all steps."""
        for index, (bias, log_scale) in enumerate(zip(self.biases, self.log_scales, strict=True)):
            normalize(bias, log_scale, lambda i=index: self._fold_one(i, self.window)(x), axes=[1, 2, 3])
        return self.fold(self.window)(x)


class CausalConvStack(tf.Module):
    """`ConvStack` over a window in time: two causal 3-D convolutions around an `Activation3D`.

    Shapes: x [m, N, H, W, C], the last m of K steps -> [steps, N, H, W, D].
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

    def fold(self, size: tuple[int, int], steps: int) -> Folded:
        hidden_steps = min(steps + 1, self.window)  # The last convolution looks one step back.
        conv, scale = self.conv.fold_unscaled(size, hidden_steps)
        activation = self.activation.fold(hidden_steps, scale)
        last = self.last.fold(size, steps)

        def stack(x: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
            first, second = split_seed(seed, 2)
            inner = tf.cast(x, self.compute_dtype)
            hidden = dropout(tf.nn.relu(conv(inner)), self.dropout_rate, first)
            hidden = dropout(activation(hidden), self.dropout_rate, second)
            return tf.cast(last(hidden), x.dtype)

        return stack

    def __call__(self, x: tf.Tensor, steps: int, seed: tf.Tensor | None = None) -> tf.Tensor:
        return self.fold(tuple(x.shape[2:4]), steps)(x, seed)

    def initialize(self, x: tf.Tensor) -> tf.Tensor:
        """x [K, N, H, W, C] -> [K, N, H, W, C]."""
        return self.last.initialize(self.activation.initialize(tf.nn.relu(self.conv.initialize(x))))
