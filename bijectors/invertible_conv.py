"""Invertible 1x1 convolution in PLU form (Kingma and Dhariwal 2018, "Glow", section 3.2)."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from bijectors.bijector import Bijector, per_image
from bijectors.fast_forms import mix_channels


class InvertibleConv1x1(Bijector):
    """Mixes the channels of every pixel by one matrix W = P L (U + diag(sign_s exp(log_s))).

        forward   y = x W         inverse   x = y W^-1
        log|det dy/dx| =  H W sum(log_s)        [...]
        log|det dx/dy| = -H W sum(log_s)        [...]

    P (a permutation) and sign_s are fixed; L (unit lower triangular), U (strictly upper) and log_s are learned. W
    starts as a random rotation. The inverse is two triangular solves. Shapes: x and y [..., H, W, C].
    """

    def __init__(
        self,
        num_channels: int,
        seed: int | np.random.Generator = 0,
        dtype: tf.DType = tf.float32,
        name: str = "invertible_conv",
    ) -> None:
        """`seed`: of the rotation, or a generator to draw it from."""
        super().__init__(num_channels=num_channels, dtype=dtype, name=name)
        gaussian = np.random.default_rng(seed).standard_normal((num_channels, num_channels))
        rotation, _ = np.linalg.qr(gaussian)
        packed, order = (t.numpy() for t in tf.linalg.lu(rotation))  # rotation[order] = L U
        diagonal = np.diag(packed)
        self.permutation = tf.Variable(np.eye(num_channels)[:, order], trainable=False, dtype=dtype, name="permutation")
        self.lower = tf.Variable(np.tril(packed, -1), dtype=dtype, name="lower")
        self.upper = tf.Variable(np.triu(packed, 1), dtype=dtype, name="upper")
        self.sign_s = tf.Variable(np.sign(diagonal), trainable=False, dtype=dtype, name="sign_s")
        self.log_s = tf.Variable(np.log(np.abs(diagonal)), dtype=dtype, name="log_s")

    def _triangles(self) -> tuple[tf.Tensor, tf.Tensor]:
        """L with its unit diagonal and U with its signed one, [C, C] each."""
        below = np.tril(np.ones((self.num_channels, self.num_channels)), -1)
        lower = self.lower * below + np.eye(self.num_channels)
        upper = self.upper * below.T + tf.linalg.diag(self.sign_s * tf.exp(self.log_s))
        return lower, upper

    def matrix(self) -> tf.Tensor:
        """W, [C, C]."""
        lower, upper = self._triangles()
        return tf.matmul(self.permutation, tf.matmul(lower, upper))

    def inverse_matrix(self) -> tf.Tensor:
        """W^-1 = U^-1 L^-1 P^T, [C, C]."""
        lower, upper = self._triangles()
        halfway = tf.linalg.triangular_solve(lower, tf.transpose(self.permutation), lower=True)
        return tf.linalg.triangular_solve(upper, halfway, lower=False)

    def log_det_per_pixel(self) -> tf.Tensor:
        """log|det W|, []."""
        return tf.reduce_sum(self.log_s)

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return mix_channels(x, self.matrix()), per_image(self.log_det_per_pixel(), x)

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return mix_channels(y, self.inverse_matrix()), -per_image(self.log_det_per_pixel(), y)
