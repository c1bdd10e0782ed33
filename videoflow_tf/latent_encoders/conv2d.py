"""2-D convolutional latent encoders (Kumar et al. 2020, section 4.1's ablations)."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.latent_encoders.base import WindowEncoder, add_noise
from videoflow_tf.latent_encoders.gaussian import DiagonalGaussian
from videoflow_tf.networks.conv2d import ConvBlock, ConvStack, EdgeConv2D
from videoflow_tf.networks.network import Layer, Weights
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

    def fold(self) -> Weights:
        return tuple(block.fold(self.size) for block in self.blocks), self.last.fold(self.size)

    def apply(
        self,
        weights: Weights,
        past: Sequence[tf.Tensor],
        level: DiagonalGaussian | None,
        seed: tf.Tensor | None = None,
    ) -> DiagonalGaussian:
        blocks, last = weights
        noise_seed, *seeds = split_seed(seed, 1 + len(blocks))
        layers = [
            functools.partial(block.apply, folded, seed=seeds.pop())
            for block, folded in zip(self.blocks, blocks, strict=True)
        ]
        h = add_noise(_stack(past, level), self.noise, noise_seed)
        return self._connect(h, layers, functools.partial(self.last.apply, last))

    def initialize_windows(self, past: Sequence[tf.Tensor], level: DiagonalGaussian | None) -> None:
        self._connect(_stack(past, level), [block.initialize for block in self.blocks], self.last.initialize)

    def _connect(self, h: tf.Tensor, blocks: Sequence[Layer], last: Layer) -> DiagonalGaussian:
        for block in blocks:
            h = h + block(h) if self.architecture == "residual" else block(h)
        return DiagonalGaussian.from_channels(last(h))


def _stack(past: Sequence[tf.Tensor], level: DiagonalGaussian | None) -> tf.Tensor:
    return tf.concat(past if level is None else [level.mean, *past], axis=-1)
