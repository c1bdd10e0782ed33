"""A mixture of Gaussians over a whole latent: several futures that are each sharp, where one Gaussian would blur them.

p(z_t | z_<t) = sum_k w_k(z_<t) N(z_t; mu_k, sigma_k). There is one latent encoder for all components: it is told which
one is meant by n more channels of its input, 1 in channel k and 0 elsewhere. So a sample costs no more than with one
Gaussian, and a likelihood runs the encoder n times, in one batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from bijectors.fast_forms import slice_axis
from videoflow_tf.networks.conv2d import ConvStack
from videoflow_tf.networks.network import Weights


class Mixture(tf.Module):
    """The weights of n components given the last `window` latents, and how the latent encoder is told of one.

    The logits are the sum over all places of a `ConvStack` of the past: equal weights at the start.
    """

    def __init__(
        self,
        components: int,
        window: int,
        latent_shape: tuple[int, int, int],
        width: int,
        dtype: tf.DType,
        rng: np.random.Generator,
    ) -> None:
        super().__init__(name="mixture")
        self.components, self.window, self.dtype = components, window, dtype
        self.size = latent_shape[:2]
        self.network = ConvStack(window * latent_shape[-1], width, components, "relu", rng, dtype=dtype)

    def fold(self) -> Weights:
        """All that depends on the variables alone."""
        return self.network.fold(self.size)

    def log_weights(self, weights: Weights, past: Sequence[tf.Tensor]) -> tf.Tensor:
        """log w_k, [N, n]; `weights`: of `fold`; `past`: `window` latents [N, h, w, c], oldest first."""
        votes = self.network.apply(weights, tf.concat(past, axis=-1))
        return tf.nn.log_softmax(tf.reduce_sum(votes, axis=[1, 2]))

    def log_weights_of(self, latents: tf.Tensor, start: int) -> tf.Tensor:
        """log w_k of frames start.. of a known clip [B, T, h, w, c], [n, B, T - start]; equal without enough past."""
        batch, frames = tf.unstack(tf.shape(latents)[:2])
        first = max(start, self.window)
        past = self._past_of(latents, first)
        known = tf.reshape(self.log_weights(self.fold(), past), [batch, frames - first, self.components])
        equal = tf.fill([batch, first - start, self.components], -tf.math.log(tf.cast(self.components, self.dtype)))
        return tf.transpose(tf.concat([equal, known], axis=1), [2, 0, 1])

    def choose(self, weights: Weights, past: Sequence[tf.Tensor], noise: tf.Tensor) -> tf.Tensor:
        """A component for each of N samples, int32 [N], by noise [N] of a standard Gaussian."""
        below = tf.cumsum(tf.exp(self.log_weights(weights, past)), axis=-1)
        uniform = 0.5 * tf.math.erfc(-noise / np.sqrt(2.0))
        passed = tf.reduce_sum(tf.cast(below <= uniform[:, None], tf.int32), axis=-1)
        return tf.minimum(passed, self.components - 1)  # The sum of all weights may be rounded to less than 1.

    def mark(self, x: tf.Tensor, component: tf.Tensor) -> tf.Tensor:
        """x [N, ..., c] with the n channels that tell of a component, int32 [N]: [N, ..., c + n]."""
        code = tf.one_hot(component, self.components, dtype=x.dtype)
        code = tf.reshape(code, [-1, *[1] * (x.shape.rank - 2), self.components])
        return tf.concat([x, tf.broadcast_to(code, [*tf.unstack(tf.shape(x)[:-1]), self.components])], axis=-1)

    def initialize(self, latents: tf.Tensor) -> None:
        """Data-dependent initialisation of the network of the weights on a known clip."""
        self.network.initialize(tf.concat(self._past_of(latents, self.window), axis=-1))

    def _past_of(self, latents: tf.Tensor, first: int) -> list[tf.Tensor]:
        """The last `window` latents of frames first.. of a clip, time flattened into the batch."""
        count = self.window
        past = (slice_axis(latents, first - count + i, i - count, axis=1) for i in range(count))
        return [tf.reshape(z, [-1, *z.shape[2:]]) for z in past]
