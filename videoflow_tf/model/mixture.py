"""A mixture of Gaussians over a whole latent: several futures that are each sharp, where one Gaussian would blur them.

p(z_t | z_<t) = sum_k w_k(z_<t) N(z_t; mu_k, sigma_k). There is one latent encoder for all components; it is told which
one is meant by what is added to its input, the component's embedding. So a sample costs no more than with one Gaussian,
and a likelihood runs the encoder n times, in one batch.

The likelihood alone hardly parts components that begin alike: one Gaussian that covers all futures is a stationary
point of it. So at the start of training the objective may be sharper, (1/s) log sum_k w_k p_k^s with s > 1, and fall to
the likelihood, s = 1, by and by: deterministic annealing (Ueda and Nakano 1998), begun below the temperature 1. At s to
infinity the best component counts alone. It is never more than log n nats a frame above the likelihood.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from videoflow_tf.networks.conv2d import ConvStack
from videoflow_tf.networks.network import Weights

_SHARPEST = 10.0


def sharpness_at(step: tf.Tensor, anneal_steps: int) -> tf.Tensor:
    """s of a training step, float32 []: 10 in the first half of the annealing, whose inverse then rises to 1 evenly."""
    rising = tf.maximum(2.0 * tf.cast(step, tf.float32) / anneal_steps - 1.0, 0.0)
    inverse = 1.0 / _SHARPEST + (1.0 - 1.0 / _SHARPEST) * rising
    return tf.where(step < anneal_steps, 1.0 / inverse, 1.0)


class Mixture(tf.Module):
    """The weights of n components given the `window` latents that the encoder sees, and how it is told of one.

    The logits are the sum over all places of a `ConvStack` of the past: equal weights at the start. The embeddings
    [n, h, w, c] are nearly the same at the start.
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
        self.components, self.dtype = components, dtype
        self.size = latent_shape[:2]
        self.network = ConvStack(window * latent_shape[-1], width, components, "relu", rng, dtype=dtype)
        self.embeddings = tf.Variable(0.01 * rng.normal(size=[components, *latent_shape]), dtype=dtype)

    def fold(self) -> Weights:
        """All that depends on the variables alone."""
        return self.network.fold(self.size), tf.convert_to_tensor(self.embeddings)

    def log_prob(
        self, component_log_probs: tf.Tensor, past: Sequence[tf.Tensor], sharpness: tf.Tensor | None = None
    ) -> tf.Tensor:
        """log sum_k w_k p_k of frames of a known clip, in nats, [B, F].

        `component_log_probs`: log p_k, [n, B, F]; `past`: `window` latents [B * P, h, w, c] of the last P frames, those
        that have enough past, oldest first. `sharpness`: [], s, in training; while it is more than 1 the weights are
        equal. None is 1.
        """
        log_weights = self._log_weights_of(past, tf.shape(component_log_probs))
        if sharpness is None:
            return tf.reduce_logsumexp(log_weights + component_log_probs, axis=0)
        sharpness = tf.cast(sharpness, self.dtype)
        log_weights = tf.where(sharpness > 1.0, tf.constant(-np.log(self.components), self.dtype), log_weights)
        return tf.reduce_logsumexp(log_weights + sharpness * component_log_probs, axis=0) / sharpness

    def choose(self, weights: Weights, past: Sequence[tf.Tensor], noise: tf.Tensor) -> tf.Tensor:
        """A component for each of N samples, int32 [N], by noise [N] of a standard Gaussian.

        `weights`: of `fold`; `past`: `window` latents [N, h, w, c], oldest first.
        """
        network, _ = weights
        below = tf.cumsum(tf.exp(self._log_weights(network, past)), axis=-1)
        uniform = 0.5 * tf.math.erfc(-noise / np.sqrt(2.0))
        passed = tf.reduce_sum(tf.cast(below <= uniform[:, None], tf.int32), axis=-1)
        return tf.minimum(passed, self.components - 1)  # The sum of all weights may be rounded to less than 1.

    def marks(self, weights: Weights, component: tf.Tensor) -> tf.Tensor:
        """What tells the encoder of components int32 [N], to be added to every past latent: [N, h, w, c]."""
        _, embeddings = weights
        return tf.gather(embeddings, component)

    def initialize(self, past: Sequence[tf.Tensor]) -> None:
        """Data-dependent initialisation of the network of the weights; `past` as of `log_prob`."""
        self.network.initialize(tf.concat(past, axis=-1))

    def _log_weights(self, network: Weights, past: Sequence[tf.Tensor]) -> tf.Tensor:
        """log w_k, [N, n]."""
        votes = self.network.apply(network, tf.concat(past, axis=-1))
        return tf.nn.log_softmax(tf.reduce_sum(votes, axis=[1, 2]))

    def _log_weights_of(self, past: Sequence[tf.Tensor], shape: tf.Tensor) -> tf.Tensor:
        """log w_k of frames of a known clip, of `shape` [n, B, F], by `past` as of `log_prob`; equal without enough."""
        batch, frames = shape[1], shape[2]
        log_weights = self._log_weights(self.network.fold(self.size), past)
        known = tf.reshape(log_weights, [batch, tf.shape(log_weights)[0] // batch, self.components])
        early = frames - tf.shape(known)[1]
        equal = tf.fill([batch, early, self.components], tf.constant(-np.log(self.components), self.dtype))
        return tf.transpose(tf.concat([equal, known], axis=1), [2, 0, 1])
