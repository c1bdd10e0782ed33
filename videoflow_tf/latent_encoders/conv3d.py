"""The paper's latent encoder: a gated, dilated 3-D residual network (Kumar et al. 2020, appendix B)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.latent_encoders.base import DiagonalGaussian, WindowEncoder, WindowGaussian, add_noise
from videoflow_tf.networks.causal_conv3d import CausalConvStack, last_of
from videoflow_tf.networks.conv2d import EdgeConv2D
from videoflow_tf.seeds import split_seed


class Conv3DEncoder(WindowEncoder):
    """Residual blocks over the window of past latents; the last time step gives the Gaussian.

    The level's mean, repeated over time, is concatenated to the past on the channels. A block is a sum of
    `CausalConvStack`s, one for each spatial dilation whose kernel fits in the latent.
    """

    def __init__(
        self, config: VideoFlowConfig, level: int, rng: np.random.Generator, dtype: tf.DType, name: str = "conv3d"
    ) -> None:
        super().__init__(config.num_past_latents, skip=config.latent_skip, name=name)
        height, width, channels = config.latent_shape(level)
        self.size = height, width
        self.noise = config.latent_noise
        inner = channels if level == config.levels - 1 else 2 * channels
        self.dilated = config.latent_dilations != (1,)
        self.dilations = tuple(d for d in config.latent_dilations if d == 1 or 1 + 2 * d <= width)
        self.blocks = [
            [
                CausalConvStack(
                    self.window,
                    inner,
                    config.latent_encoder_width,
                    config.latent_activation,
                    rng,
                    dilation,
                    config.latent_dropout,
                    dtype,
                    tf.bfloat16 if config.bfloat16_networks else None,
                )
                for dilation in self.dilations
            ]
            for _ in range(config.latent_encoder_depth)
        ]
        self.last = EdgeConv2D(inner, 2 * channels, None, kernel_size=1, dtype=dtype, name="last")

    def _stack(self, past: Sequence[tf.Tensor], level: DiagonalGaussian | None) -> tf.Tensor:
        """[window, N, h, w, c or 2c]."""
        return tf.stack(past if level is None else [tf.concat([z, level.mean], axis=-1) for z in past])

    def fold(self) -> WindowGaussian:
        # Only the last time step is used in the end, and a block looks two steps back.
        depth = len(self.blocks)
        steps = [min(self.window, 1 + 2 * (depth - 1 - index)) for index in range(depth)]
        blocks = [
            [branch.fold(self.size, kept) for branch in block] for block, kept in zip(self.blocks, steps, strict=True)
        ]
        last = self.last.fold(self.size)

        def gaussian(
            past: Sequence[tf.Tensor], level: DiagonalGaussian | None, seed: tf.Tensor | None
        ) -> DiagonalGaussian:
            noise_seed, *seeds = split_seed(seed, 1 + depth * len(self.dilations))
            h = add_noise(self._stack(past, level), self.noise, noise_seed)
            for block, kept in zip(blocks, steps, strict=True):
                change = tf.add_n([branch(h, seeds.pop()) for branch in block])
                h = last_of(h, kept) + change
            return DiagonalGaussian(*tf.split(last(tf.squeeze(last_of(h, 1), axis=0)), 2, axis=-1))

        return gaussian

    def initialize_windows(self, past: Sequence[tf.Tensor], level: DiagonalGaussian | None) -> None:
        h = self._stack(past, level)
        for block in self.blocks:
            h += tf.add_n([branch.initialize(h) for branch in block])
