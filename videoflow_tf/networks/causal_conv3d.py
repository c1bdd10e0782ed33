"""Building blocks of `Conv3DEncoder`: those of `conv2d.py`, over a window of K time steps.

Layers are called on the last m of the window's steps, time first, [m, N, H, W, C], and give the last `steps` outputs,
[steps, N, H, W, D]; `fold` and `apply` are told this number, `initialize` goes through all K. All is computed as 2-D
convolutions and matrix products with the time steps flattened into the batch.
"""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

from bijectors.actnorm import LOG_SCALE_FACTOR
from bijectors.fast_forms import causal_conv, join_taps, last_of, mix_channels
from videoflow_tf.networks.activations import find_activation
from videoflow_tf.networks.edge import edge_response, taps_outside
from videoflow_tf.networks.network import Layer, Network, Weights, conv_block, initial_kernel, normalize


class CausalEdgeConv3D(Network):
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

    def fold(self, size: tuple[int, int], steps: int) -> Weights:
        """Weights of the convolution and, where it is per time step, the scale [steps, D]."""
        if self.starts_at_zero:
            scale = tf.exp(LOG_SCALE_FACTOR * self.log_scale)
            return self._fold_convolution(self.kernel * scale, self.bias * scale, size, steps)
        return self.fold_unscaled(size, steps)

    def apply(self, weights: Weights, x: tf.Tensor, steps: int) -> tf.Tensor:
        if self.starts_at_zero:
            return self.apply_unscaled(weights, x, steps)
        convolution, scale = weights
        return self.apply_unscaled(convolution, x, steps) * tf.cast(tf.reshape(scale, [steps, 1, 1, 1, -1]), x.dtype)

    def fold_unscaled(self, size: tuple[int, int], steps: int) -> tuple[Weights, tf.Tensor]:
        """Weights of the convolution without the scale per time step, and that scale, [steps, D]: positive, so that it
        may as well be applied after a relu."""
        bias = tf.reshape(last_of(self.bias, steps), [steps, 1, 1, 1, -1])
        scale = tf.exp(LOG_SCALE_FACTOR * last_of(self.log_scale, steps))
        return self._fold_convolution(self.kernel, bias, size, steps), scale

    def apply_unscaled(self, weights: Weights, x: tf.Tensor, steps: int) -> tf.Tensor:
        """The layer without its scale per time step: the shapes of `apply`."""
        kernel, offset = (tf.cast(t, x.dtype) for t in weights)
        return causal_conv(x, kernel, self.taps, steps, self.dilation) + offset

    def _fold_convolution(
        self, kernel: tf.Tensor, bias: tf.Tensor, size: tuple[int, int], steps: int
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The kernel without its edge channel, its taps joined; and the offset of edge and bias together.

        `bias`: [D] or [steps, 1, 1, 1, D]; the offset: [steps or 1, 1, H, W, D].
        """
        edge, kernel = tf.split(kernel, [1, self.in_channels], axis=3)
        offset = self._edge_response(edge, size, steps) + bias
        return join_taps(kernel, from_the_first=steps == self.window), offset

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
        if not self.starts_at_zero:
            normalize(self.bias, self.log_scale, lambda: self(x, self.window), axes=[1, 2, 3])
        return self(x, self.window)


class Activation3D(Network):
    """`Activation2D` with shift and scale per time step; [m, N, H, W, C] -> [steps, N, H, W, C]."""

    def __init__(
        self, window: int, channels: int, kind: str, rng: np.random.Generator, dtype: tf.DType, name: str = "activation"
    ) -> None:
        """`kind`: one of `ACTIVATIONS`; another raises a ValueError."""
        super().__init__(name=name)
        names, self._function = find_activation(kind)
        self.window, self.gated = window, kind == "gated"
        maps = range(len(names))
        self.kernels = [
            tf.Variable(initial_kernel((channels, channels), rng), dtype=dtype, name=f"kernel_{i}") for i in maps
        ]
        zeros = np.zeros((window, channels))
        self.biases = [tf.Variable(zeros, dtype=dtype, name=f"bias_{i}") for i in maps]
        self.log_scales = [tf.Variable(zeros, dtype=dtype, name=f"log_scale_{i}") for i in maps]

    def fold(self, size: tuple[int, int], steps: int, input_scale: tf.Tensor | None = None) -> Weights:
        """Matrices [steps, C, D] and offsets [steps, D] of every linear map.

        `input_scale`: [steps, C], what the input is yet to be multiplied by.
        """
        del size
        return tuple(self._fold_map(i, steps, input_scale) for i in range(len(self.kernels)))

    def apply(self, weights: Weights, x: tf.Tensor, steps: int) -> tf.Tensor:
        x = last_of(x, steps)
        return self._function(*(_mix_steps(x, matrix, offset) for matrix, offset in weights))

    def _fold_map(self, index: int, steps: int, input_scale: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """The index-th linear map: a matrix of its own for every step, with all scales in it, is cheaper than to scale
        the activations."""
        scale = tf.exp(LOG_SCALE_FACTOR * last_of(self.log_scales[index], steps))
        offset = last_of(self.biases[index], steps) * scale
        matrix = self.kernels[index] * tf.expand_dims(scale, 1)  # [steps, C, D]
        if input_scale is not None:
            matrix *= tf.expand_dims(input_scale, 2)
        return matrix, offset

    def initialize(self, x: tf.Tensor) -> tf.Tensor:
        for index, (bias, log_scale) in enumerate(zip(self.biases, self.log_scales, strict=True)):
            normalize(bias, log_scale, lambda i=index: _mix_steps(x, *self._fold_map(i, self.window)), axes=[1, 2, 3])
        return self(x, self.window)


def _mix_steps(x: tf.Tensor, matrix: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
    """x [steps, N, H, W, C] times the matrix [steps, C, D] of every step, plus its offset [steps, D]."""
    matrix, offset = tf.cast(matrix, x.dtype), tf.cast(offset, x.dtype)
    steps = x.shape[0]
    if steps == 1:
        y = mix_channels(tf.squeeze(x, axis=0), tf.squeeze(matrix, axis=0), tf.squeeze(offset, axis=0))
    else:
        y = tf.matmul(tf.reshape(x, [steps, -1, x.shape[-1]]), matrix) + tf.expand_dims(offset, 1)
    return tf.reshape(y, [steps, -1, *x.shape[2:]])


class CausalConvStack(Network):
    """`ConvStack` over a window in time: two causal 3-D convolutions around an `Activation3D`.

    Shapes: x [m, N, H, W, C], the last m of K steps -> [steps, N, H, W, C].
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

    def fold(self, size: tuple[int, int], steps: int) -> Weights:
        hidden_steps = self._hidden_steps(steps)
        # The first convolution's scale moves behind the relu, into the matrices of the activation.
        conv, scale = self.conv.fold_unscaled(size, hidden_steps)
        return conv, self.activation.fold(size, hidden_steps, scale), self.last.fold(size, steps)

    def apply(self, weights: Weights, x: tf.Tensor, steps: int, seed: tf.Tensor | None = None) -> tf.Tensor:
        conv, activation, last = weights
        hidden_steps = self._hidden_steps(steps)
        layers = (
            functools.partial(self.conv.apply_unscaled, conv, steps=hidden_steps),
            functools.partial(self.activation.apply, activation, steps=hidden_steps),
            functools.partial(self.last.apply, last, steps=steps),
        )
        return tf.cast(self._connect(tf.cast(x, self.compute_dtype), *layers, seed), x.dtype)

    def _connect(
        self, x: tf.Tensor, conv: Layer, activation: Layer, last: Layer, seed: tf.Tensor | None = None
    ) -> tf.Tensor:
        return last(conv_block(x, conv, activation, self.dropout_rate, seed))

    def _hidden_steps(self, steps: int) -> int:
        """The last convolution looks one step back."""
        return min(steps + 1, self.window)

    def initialize(self, x: tf.Tensor) -> tf.Tensor:
        return self._connect(x, self.conv.initialize, self.activation.initialize, self.last.initialize)
