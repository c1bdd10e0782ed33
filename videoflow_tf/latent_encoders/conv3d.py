"""The paper's latent encoder: a gated, dilated 3-D residual network (Kumar et al. 2020, appendix B)."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from bijectors.fast_forms import last_of
from bijectors.stateless import shared_method, shared_trace
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.latent_encoders.base import WindowEncoder, add_noise
from videoflow_tf.latent_encoders.gaussian import DiagonalGaussian
from videoflow_tf.networks.causal_conv3d import CausalConvStack
from videoflow_tf.networks.conv2d import EdgeConv2D
from videoflow_tf.networks.network import Layer, Weights
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
        is_top = level == config.levels - 1
        self.sees_hidden = config.latent_encoder_input == "level" and not is_top
        inner = channels * (1 + self.sees_hidden + (not is_top))  # z, h, and the level's mean.
        self.dilated = config.latent_dilations != (1,)
        self.dilations = tuple(d for d in config.latent_dilations if d == 1 or 1 + 2 * d <= min(self.size))
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
        # One trace for all branches of the same dilation.
        branches, calls = (self.blocks or [[]])[0], len(self.blocks) * len(self.dilations)
        fold_branch = lambda branch, steps: branch.fold(self.size, steps)  # noqa: E731
        self._fold_branch = [shared_method(branch, fold_branch, calls) for branch in branches]
        self._apply_branch = [shared_trace(branch.apply, calls) for branch in branches]

    def fold(self) -> Weights:
        blocks = zip(self.blocks, self._steps(), strict=True)
        folded = tuple(
            tuple(fold(branch, steps) for fold, branch in zip(self._fold_branch, block, strict=True))
            for block, steps in blocks
        )
        return folded, self.last.fold(self.size)

    def apply(
        self,
        weights: Weights,
        past: Sequence[tf.Tensor],
        level: DiagonalGaussian | None,
        seed: tf.Tensor | None = None,
    ) -> DiagonalGaussian:
        blocks, last = weights
        noise_seed, *seeds = split_seed(seed, 1 + len(blocks) * len(self.dilations))
        layers = [
            [
                functools.partial(apply, folded, steps=steps, seed=seeds.pop())
                for apply, folded in zip(self._apply_branch, block, strict=True)
            ]
            for block, steps in zip(blocks, self._steps(), strict=True)
        ]
        h = add_noise(_stack(past, level), self.noise, noise_seed)
        return self._connect(h, layers, functools.partial(self.last.apply, last))

    def initialize_windows(self, past: Sequence[tf.Tensor], level: DiagonalGaussian | None) -> None:
        layers = [[branch.initialize for branch in block] for block in self.blocks]
        self._connect(_stack(past, level), layers, self.last.initialize)

    def _steps(self) -> list[int]:
        """How many time steps every block must give: the last one is used in the end, and a block looks two back."""
        depth = len(self.blocks)
        return [min(self.window, 1 + 2 * (depth - 1 - index)) for index in range(depth)]

    def _connect(self, h: tf.Tensor, blocks: Sequence[Sequence[Layer]], last: Layer) -> DiagonalGaussian:
        for block in blocks:
            change = tf.add_n([branch(h) for branch in block])
            h = last_of(h, change.shape[0]) + change
        return DiagonalGaussian.from_channels(last(tf.squeeze(last_of(h, 1), axis=0)))


def _stack(past: Sequence[tf.Tensor], level: DiagonalGaussian | None) -> tf.Tensor:
    """[window, N, h, w, c or 2c]."""
    return tf.stack(past if level is None else [tf.concat([z, level.mean], axis=-1) for z in past])
