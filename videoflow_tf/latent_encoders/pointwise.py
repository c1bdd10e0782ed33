"""Pointwise latent encoder: every latent component by itself (Kumar et al. 2020, section 4.1's ablations)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from bijectors.actnorm import LOG_SCALE_FACTOR
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.latent_encoders.base import WindowEncoder
from videoflow_tf.latent_encoders.gaussian import DiagonalGaussian
from videoflow_tf.networks.network import Weights


class PointwiseEncoder(WindowEncoder):
    """mean = s * z_{t-1} with s learned per position and channel, plus the level's mean below the top level.

    sigma, below the top level: the level's ("level"), learned per position and channel ("past"), or fixed
    ("standard"); at the top level: per position and channel, learned if `learn_top_scale`.
    """

    def __init__(
        self, config: VideoFlowConfig, level: int, rng: np.random.Generator, dtype: tf.DType, name: str = "pointwise"
    ) -> None:
        super().__init__(1, skip=config.latent_skip, name=name)
        shape = config.latent_shape(level)
        top = level == config.levels - 1
        self.scale_from = "past" if top else config.pointwise_scale
        self.multiplier = tf.Variable(np.ones(shape), dtype=dtype, name="multiplier")
        self.log_scale = tf.Variable(
            np.zeros(shape),
            trainable=config.learn_top_scale if top else self.scale_from == "past",
            dtype=dtype,
            name="log_scale",
        )
        if self.scale_from == "standard":
            self.fixed_log_scale = tf.Variable(np.zeros(shape), trainable=False, dtype=dtype, name="fixed_log_scale")

    def fold(self) -> Weights:
        """s and, unless it is the level's, log sigma; both [h, w, c]."""
        multiplier = tf.convert_to_tensor(self.multiplier)
        if self.scale_from == "level":
            return (multiplier,)
        return multiplier, LOG_SCALE_FACTOR * (self.log_scale if self.scale_from == "past" else self.fixed_log_scale)

    def apply(
        self,
        weights: Weights,
        past: Sequence[tf.Tensor],
        level: DiagonalGaussian | None,
        seed: tf.Tensor | None = None,
    ) -> DiagonalGaussian:
        del seed  # Nothing here is random.
        multiplier, *own_log_std = weights
        mean = multiplier * past[-1]
        if level is not None:
            mean += level.mean
        log_std = tf.broadcast_to(own_log_std[0], tf.shape(mean)) if own_log_std else level.log_std
        return DiagonalGaussian(mean, log_std)

    def initialize_windows(self, past: Sequence[tf.Tensor], level: DiagonalGaussian | None) -> None:
        """Nothing: no layer of it has an actnorm."""
