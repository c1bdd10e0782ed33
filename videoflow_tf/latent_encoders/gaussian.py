"""The Gaussians that latent encoders give."""

from __future__ import annotations

import math
from typing import NamedTuple

import tensorflow as tf

from bijectors.fast_forms import slice_axis


class DiagonalGaussian(NamedTuple):
    """A diagonal Gaussian; `mean` and `log_std`, the log of the standard deviation, have the latent's shape."""

    mean: tf.Tensor
    log_std: tf.Tensor

    @classmethod
    def from_channels(cls, x: tf.Tensor) -> DiagonalGaussian:
        """Of a network's output [..., 2c]: the means, then the logs."""
        return cls(*tf.split(x, 2, axis=-1))

    def log_prob(self, z: tf.Tensor) -> tf.Tensor:
        """Elementwise log density, of z's shape, in nats. Works on log sigma throughout: no log of an exp."""
        scaled = (z - self.mean) * tf.exp(-self.log_std)
        return -0.5 * tf.square(scaled) - self.log_std - 0.5 * math.log(2 * math.pi)

    def frames(self, start: int, stop: int | None = None) -> DiagonalGaussian:
        """The Gaussians of frames start..stop-1 of [B, T, h, w, c]."""
        return DiagonalGaussian(*(slice_axis(t, start, stop, axis=1) for t in self))

    def frame(self, t: int | tf.Tensor) -> DiagonalGaussian:
        """The Gaussian of frame t of [B, T, h, w, c]."""
        return DiagonalGaussian(self.mean[:, t], self.log_std[:, t])
