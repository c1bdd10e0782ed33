"""Activation normalisation (Kingma and Dhariwal 2018, "Glow", section 3.1)."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from bijectors.bijector import Bijector, per_image

# The official code learns log(scale)/3: a scale then moves three times as far in a step.
LOG_SCALE_FACTOR = 3.0


class ActNorm(Bijector):
    """Per-channel shift and scale, set by the first batch to give zero mean and unit variance.

        forward   y = (x + bias) * exp(3 log_scale)
        inverse   x = y / exp(3 log_scale) - bias
        log|det dy/dx| =  H W sum_c 3 log_scale_c        [...]
        log|det dx/dy| = -H W sum_c 3 log_scale_c        [...]

    Shapes: x and y [..., H, W, C]; bias and log_scale [C].
    """

    def __init__(self, num_channels: int, dtype: tf.DType = tf.float32, name: str = "actnorm") -> None:
        super().__init__(num_channels=num_channels, dtype=dtype, name=name)
        zeros = np.zeros(num_channels)
        self.bias = tf.Variable(zeros, dtype=dtype, name="bias")
        self.log_scale = tf.Variable(zeros, dtype=dtype, name="log_scale")

    def initialize(self, x: tf.Tensor) -> None:
        """Sets bias and scale so that `forward(x)` has zero mean and unit variance per channel; x [..., H, W, C].

        Raises:
          ValueError: if x has another number of channels.
        """
        if x.shape[-1] != self.num_channels:
            raise ValueError(f"{self.name}: expected an input [..., H, W, {self.num_channels}], got {x.shape}")
        bias, log_scale = normalizing_statistics(x)
        self.bias.assign(bias)
        self.log_scale.assign(log_scale)

    def scale(self) -> tf.Tensor:
        """The factor of every channel, [C]."""
        return tf.exp(LOG_SCALE_FACTOR * self.log_scale)

    def log_det_per_pixel(self) -> tf.Tensor:
        """log|det| of one pixel's forward map, []."""
        return LOG_SCALE_FACTOR * tf.reduce_sum(self.log_scale)

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return (x + self.bias) * self.scale(), per_image(self.log_det_per_pixel(), x)

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return y / self.scale() - self.bias, -per_image(self.log_det_per_pixel(), y)


def normalizing_statistics(x: tf.Tensor, axes: list[int] | None = None) -> tuple[tf.Tensor, tf.Tensor]:
    """The bias and log_scale, as ActNorm applies them, that normalise x over `axes`, by default all but the last. Their
    shape is that of the other axes."""
    axes = list(range(x.shape.rank - 1)) if axes is None else axes
    mean, variance = tf.nn.moments(x, axes)
    # A channel without variance (a black margin, say) keeps a finite scale.
    return -mean, -tf.math.log(tf.sqrt(variance) + 1e-6) / LOG_SCALE_FACTOR
