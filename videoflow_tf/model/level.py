"""One level of the multi-scale flow: squeeze, flow steps, split, and the prior of what is split off."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from bijectors import ActNorm, FlowStep, InvertibleConv1x1, Squeeze
from bijectors.bijector import flatten_leading
from bijectors.stateless import shared_method, shared_trace
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.model.prior import LatentPrior, LevelLatents
from videoflow_tf.networks.conv2d import ConvStack
from videoflow_tf.registry import COUPLINGS
from videoflow_tf.seeds import split_seed


class EncodedImages(NamedTuple):
    """What a level makes of images: its latents z [N, h, w, c], h [N, h, w, c] that goes on up (None at the top level),
    and the log-det [N]."""

    latents: tf.Tensor
    hidden: tf.Tensor | None
    log_det: tf.Tensor


class Level(tf.Module):
    """A level of the flow, and the prior of its latents in time.

        encode   y = steps(squeeze(x)),  [h, z] = y        at the top level z = y
        decode   x = squeeze^-1(steps^-1([h, z]))

    x [N, H, W, C] is the frames at the lowest level, elsewhere the h of the level below; y [N, H/2, W/2, 4C]. The first
    half of its channels, h, goes on up; the second, z, is the level's latent (Dinh et al. 2017, section 3.6).
    """

    def __init__(self, flow: tfb.Chain, prior: LatentPrior, dropout: bool = False) -> None:
        """`dropout`: whether the flow steps take a seed, for the dropout in their coupling networks."""
        super().__init__(name=flow.name)
        self.flow, self.prior = flow, prior
        self._dropout = dropout
        # One trace for all steps.
        size, step, depth = prior.latent_shape[:2], self.steps[0], len(self.steps)
        self._encode_step = shared_method(step, _encode_step, depth)
        self._fold_step = shared_method(step, lambda step: step.fold_inverse(size), depth)
        self._decode_step = shared_trace(step.apply_inverse, depth)

    @property
    def squeeze(self) -> Squeeze:
        """What is done before the flow steps: [H, W, C] -> [H/2, W/2, 4C]."""
        return self.flow.bijectors[-1]

    @property
    def steps(self) -> list[FlowStep]:
        """The flow steps, the first after the squeeze first."""
        return list(self.flow.bijectors[-2::-1])

    @property
    def is_top(self) -> bool:
        """Whether all of y is latent."""
        return self.prior.is_top

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """[H, W, C] of x."""
        height, width, _ = self.prior.latent_shape
        return 2 * height, 2 * width, self.squeeze.num_channels

    @property
    def encoded_shape(self) -> tuple[int, int, int]:
        """[H/2, W/2, 4C] of y."""
        height, width, _ = self.prior.latent_shape
        return height, width, 4 * self.squeeze.num_channels

    def encode(self, x: tf.Tensor, seed: tf.Tensor | None = None) -> EncodedImages:
        """From images [N, H, W, C] to latents; `seed`: int32 [2], in training, of the dropout."""
        y, log_det = self.squeeze.forward_and_log_det(x)
        seeds = split_seed(seed if self._dropout else None, len(self.steps))
        for step, step_seed in zip(self.steps, seeds, strict=True):
            y, step_log_det = self._encode_step(step, y, step_seed)
            log_det += step_log_det
        hidden, latents = self.split(y)
        return EncodedImages(latents, hidden, log_det)

    def decode(self, latents: tf.Tensor, hidden: tf.Tensor | None) -> tf.Tensor:
        """The inverse of `encode`; [..., h, w, c] each -> [..., H, W, C]."""
        return self.apply_decode(self.fold_decode(), self.join(hidden, latents))

    def fold_decode(self) -> list[Any]:
        """The weights of `decode` with all that depends on them alone computed: for loops, in which TensorFlow would
        do it every time."""
        return [self._fold_step(step) for step in self.steps]

    def apply_decode(self, weights: list[Any], y: tf.Tensor) -> tf.Tensor:
        """y [..., H/2, W/2, 4C] -> x [..., H, W, C], by the weights of `fold_decode`."""
        images, unflatten = flatten_leading(y, y.shape[-1], self.name)
        for step_weights in reversed(weights):
            images = self._decode_step(step_weights, images)
        return unflatten(self.squeeze.apply_inverse((), images))

    def split(self, y: tf.Tensor) -> tuple[tf.Tensor | None, tf.Tensor]:
        """y [..., 4C] -> h, z; h is None at the top level."""
        return (None, y) if self.is_top else tuple(tf.split(y, 2, axis=-1))

    @staticmethod
    def join(hidden: tf.Tensor | None, latents: tf.Tensor) -> tf.Tensor:
        """The inverse of `split`: h, z -> y [..., 4C]."""
        return latents if hidden is None else tf.concat([hidden, latents], axis=-1)

    def initialize(self, x: tf.Tensor, num_frames: int) -> tf.Tensor | None:
        """Data-dependent initialisation of all layers in order.

        Args:
          x: [N * num_frames, H, W, C], whole clips.

        Returns:
          h, for the level above; None at the top level.
        """
        y = self.squeeze.forward_and_log_det(x)[0]
        for step in self.steps:
            y = step.initialize(y)
        hidden, latents = self.split(y)
        clip = (None if t is None else tf.reshape(t, [-1, num_frames, *t.shape[1:]]) for t in (latents, hidden))
        self.prior.initialize(LevelLatents(*clip))
        return hidden


def _encode_step(step: FlowStep, x: tf.Tensor, seed: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
    return step.forward_and_log_det(x, **({} if seed is None else {"seed": seed}))


def build_flow(config: VideoFlowConfig, index: int, rng: np.random.Generator, dtype: tf.DType) -> tfb.Chain:
    """The flow of a level as a Chain of bijectors: squeeze, then `config.depth` steps.

    `index`: of the level, 0 is nearest the pixels; `rng`: source of the initial weights.
    """
    in_channels = config.channels * 2**index
    channels = 4 * in_channels
    coupling = COUPLINGS[config.coupling]
    steps = []
    for number in range(config.depth):
        network = ConvStack(
            channels // 2,
            config.coupling_width,
            coupling.parameters_per_channel * channels // 2,
            config.coupling_activation,
            rng,
            config.coupling_dropout,
            dtype=dtype,
            compute_dtype=tf.bfloat16 if config.bfloat16_networks else None,
        )
        parts = (
            ActNorm(channels, dtype),
            InvertibleConv1x1(channels, rng, dtype),
            coupling(channels, network, dtype, recompute=config.recompute == "coupling"),
        )
        steps.append(FlowStep(*parts, name=f"step_{number}", recompute=config.recompute == "step"))
    return tfb.Chain([*reversed(steps), Squeeze(in_channels, dtype)], name=f"level_{index}")
