"""A mixture over whole frames: several futures that are each sharp, where one Gaussian would blur them.

    p(z_t | z_<t) = sum_k w_k(z_<t) prod_l N(z_t^l; mu_k, sigma_k)          l: the levels

There is one latent encoder a level for all components: it is told which one is meant by n more channels of what it
sees, 1 in channel k and 0 elsewhere. So a sample costs no more than with one Gaussian, and a likelihood runs the
encoders n times, in one batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from bijectors.fast_forms import slice_axis
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.networks.conv2d import ConvStack
from videoflow_tf.networks.network import Weights

# No component is given up: at a weight of 0 it would never be trained again.
_LEAST_WEIGHT = 1e-4
# The weights learn more slowly than the components: these begin alike, and the first to be a little better would take
# all.
_LOGIT_SCALE = 0.1


class MixtureWeights(tf.Module):
    """w_k, the weights of a frame's n components given the last `window` latents of the top level.

    The logits are the mean over all places of a `ConvStack` of these; equal weights at the start.
    """

    def __init__(self, config: VideoFlowConfig, window: int, rng: np.random.Generator, dtype: tf.DType) -> None:
        super().__init__(name="mixture_weights")
        *size, channels = config.latent_shape(config.levels - 1)
        self.components, self.window, self.size, self.dtype = config.prior_components, window, tuple(size), dtype
        width = config.latent_encoder_width
        self.network = ConvStack(window * channels, width, self.components, "relu", rng, dtype=dtype)

    def fold(self) -> Weights:
        """All that depends on the variables alone."""
        return self.network.fold(self.size)

    def log_weights(self, weights: Weights, past: Sequence[tf.Tensor]) -> tf.Tensor:
        """log w_k, [N, n]; `weights`: of `fold`; `past`: `window` latents [N, h, w, c], oldest first."""
        logits = tf.reduce_mean(self.network.apply(weights, tf.concat(past, axis=-1)), axis=[1, 2])
        shares = tf.nn.softmax(_LOGIT_SCALE * logits)
        return tf.math.log(_LEAST_WEIGHT + (1 - self.components * _LEAST_WEIGHT) * shares)

    def sequence(self, latents: tf.Tensor, start: int) -> tf.Tensor:
        """log w_k of frames start.. of a known clip [B, T, h, w, c], [n, B, T - start]; equal without enough past."""
        batch, frames = tf.unstack(tf.shape(latents)[:2])
        first = max(start, self.window)
        known = tf.zeros([batch, 0, self.components], self.dtype)
        if latents.shape[1] is None or latents.shape[1] > first:
            known = self.log_weights(self.fold(), self._past_of(latents, first))
            known = tf.reshape(known, [batch, frames - first, self.components])
        early = tf.minimum(first, frames) - start
        equal = tf.fill([batch, early, self.components], -tf.math.log(tf.cast(self.components, self.dtype)))
        return tf.transpose(tf.concat([equal, known], axis=1), [2, 0, 1])

    def choose(self, weights: Weights, past: Sequence[tf.Tensor], noise: tf.Tensor) -> tf.Tensor:
        """A component for each of N samples, int32 [N], by noise [N] of a standard Gaussian."""
        below = tf.cumsum(tf.exp(self.log_weights(weights, past)), axis=-1)
        uniform = 0.5 * tf.math.erfc(-noise / np.sqrt(2.0))
        passed = tf.reduce_sum(tf.cast(below <= uniform[:, None], tf.int32), axis=-1)
        return tf.minimum(passed, self.components - 1)  # The sum of all weights may be rounded to less than 1.

    def initialize(self, latents: tf.Tensor) -> None:
        """Data-dependent initialisation on a known clip."""
        self.network.initialize(tf.concat(self._past_of(latents, self.window), axis=-1))

    def _past_of(self, latents: tf.Tensor, first: int) -> list[tf.Tensor]:
        """The last `window` latents of frames first.. of a clip, time flattened into the batch."""
        count = self.window
        past = (slice_axis(latents, first - count + i, i - count, axis=1) for i in range(count))
        return [tf.reshape(z, [-1, *z.shape[2:]]) for z in past]


def mark(x: tf.Tensor, component: tf.Tensor, components: int) -> tf.Tensor:
    """x [N, ..., c] with the channels that tell of a component, int32 [N]: [N, ..., c + n]."""
    code = tf.one_hot(component, components, dtype=x.dtype)
    code = tf.reshape(code, [-1, *[1] * (x.shape.rank - 2), components])
    return tf.concat([x, tf.broadcast_to(code, [*tf.unstack(tf.shape(x)[:-1]), components])], axis=-1)
