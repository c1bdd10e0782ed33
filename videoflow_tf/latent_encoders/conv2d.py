"""2-D convolutional latent encoders (Kumar et al. 2020, section 4.1's ablations)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.latent_encoders.base import DiagonalGaussian, WindowEncoder, WindowGaussian, add_noise
from videoflow_tf.networks.conv2d import ConvBlock, ConvStack, EdgeConv2D
from videoflow_tf.seeds import split_seed


class Conv2DEncoder(WindowEncoder):
    """[level mean, past latents oldest first] on the channels, then one of three networks, then a 3x3 convolution.

    `single_conv`: nothing in between; `residual`: residual `ConvStack`s; `conv_blocks`: `ConvBlock`s whose width
    doubles up to `latent_pre_output_channels`.
    """

    def __init__(
        self, config: VideoFlowConfig, level: int, rng: np.random.Generator, dtype: tf.DType, name: str = "conv2d"
    ) -> None:
        super().__init__(config.num_past_latents, config.condition_on_first_frame, skip=config.latent_skip, name=name)
        height, width, channels = config.latent_shape(level)
        self.size = height, width
        self.noise, self.architecture = config.latent_noise, config.latent_architecture
        inner = channels * (self.window + (level < config.levels - 1))
        self.blocks: list[ConvStack] | list[ConvBlock] = []
        depth = config.latent_encoder_depth
        if self.architecture == "residual":
            width, rate = config.latent_encoder_width, config.coupling_dropout
            compute_dtype = tf.bfloat16 if config.bfloat16_networks else None
            self.blocks = [
                ConvStack(inner, width, inner, "relu", rng, rate, dtype=dtype, compute_dtype=compute_dtype)
                for _ in range(depth)
            ]
        elif self.architecture == "conv_blocks":
            for layer in range(1, depth + 1):
                width = max(1, config.latent_pre_output_channels // 2 ** (depth - layer))
                self.blocks.append(ConvBlock(inner, width, "relu", rng, dtype=dtype))
                inner = width
        self.last = EdgeConv2D(inner, 2 * channels, None, dtype=dtype, name="last")

    def _stack(self, past: Sequence[tf.Tensor], level: DiagonalGaussian | None) -> tf.Tensor:
        return tf.concat(past if level is None else [level.mean, *past], axis=-1)

    def fold(self) -> WindowGaussian:
        blocks = [block.fold(self.size) for block in self.blocks]
        last = self.last.fold(self.size)

        def gaussian(
            past: Sequence[tf.Tensor], level: DiagonalGaussian | None, seed: tf.Tensor | None
        ) -> DiagonalGaussian:
            noise_seed, *seeds = split_seed(seed, 1 + len(blocks))
            h = add_noise(self._stack(past, level), self.noise, noise_seed)
            for block in blocks:
                out = block(h, seeds.pop())
                h = h + out if self.architecture == "residual" else out
            return DiagonalGaussian(*tf.split(last(h), 2, axis=-1))

        return gaussian

    def initialize_windows(self, past: Sequence[tf.Tensor], level: DiagonalGaussian | None) -> None:
        h = self._stack(past, level)
        for block in self.blocks:
            out = block.initialize(h)
            h = h + out if self.architecture == "residual" else out
