"""From 8-bit pixels v to the flow's continuous ones x, by noise u ~ q(u | v) within a pixel's bin.

Any q gives a bound on the probability of the pixels (Theis et al. 2016, section 3.1; Ho et al. 2019, section 3.1):

    log2 P(v) >= E_q [log2 p(x(v, u)) - log2 q(u | v)] - n D        n bits a component, D components
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from bijectors import ActNorm, AffineCoupling, FlowStep, InvertibleConv1x1, Squeeze
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.model import pixels
from videoflow_tf.networks.conv2d import ConvBlock, ConvStack
from videoflow_tf.networks.network import Network, Weights

# Uniform noise is a multiple of 2^-23 from 0 on; its quantile of the standard Gaussian must be finite.
_HALF_STEP = 2.0**-24


class NoiseFlow(tf.Module):
    """q(u | v), a flow from Gaussian noise to u in (0, 1), conditioned on the pixels (Ho et al. 2019, "Flow++").

        u = sigmoid(squeeze^-1(steps(squeeze(e), features(v)))),  e ~ N(0, 1)

    Every frame by itself. The flow steps are Glow's, whose coupling networks see the features of v besides.
    """

    def __init__(
        self,
        num_channels: int,
        depth: int,
        width: int,
        rng: np.random.Generator,
        dtype: tf.DType,
        name: str = "noise_flow",
    ) -> None:
        """`num_channels`: of a frame; `depth`: flow steps; `width`: hidden channels."""
        super().__init__(name=name)
        self.squeeze = Squeeze(num_channels, dtype)
        channels = 4 * num_channels
        self.features = ConvBlock(channels, width, "gated", rng, dtype=dtype, name="features")
        self.steps = [
            FlowStep(
                ActNorm(channels, dtype),
                InvertibleConv1x1(channels, rng, dtype),
                AffineCoupling(channels, ConditionedStack(channels // 2, width, channels, rng, dtype), dtype),
                name=f"step_{number}",
            )
            for number in range(depth)
        ]

    def __call__(self, images: tf.Tensor, noise: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Noise within the bins, and its log density.

        Args:
          images: v around [-0.5, 0.5), [N, H, W, C].
          noise: [N, H, W, C], uniform in [0, 1); its Gaussian quantiles are e.

        Returns:
          u [N, H, W, C] in (0, 1), log q(u | v) [N] in nats.
        """
        gaussian = self._gaussian(noise, images.dtype)
        features = self.features(self.squeeze.forward(images))
        log_q = -0.5 * tf.reduce_sum(tf.square(gaussian) + math.log(2 * math.pi), axis=[1, 2, 3])
        y = gaussian
        for step in self.steps:
            y, log_det = step.forward_and_log_det(y, condition=features)
            log_q -= log_det
        y = self.squeeze.inverse(y)
        # log of the sigmoid's derivative: log sigmoid(y) + log sigmoid(-y).
        log_q += tf.reduce_sum(tf.nn.softplus(y) + tf.nn.softplus(-y), axis=[1, 2, 3])
        return tf.sigmoid(y), log_q

    def initialize(self, images: tf.Tensor, noise: tf.Tensor) -> None:
        """Data-dependent initialisation; arguments of the shapes of a call."""
        y = self._gaussian(noise, images.dtype)
        features = self.features.initialize(self.squeeze.forward(images))
        for step in self.steps:
            y = step.initialize(y, condition=features)

    def _gaussian(self, noise: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        """squeeze(e) [N, H/2, W/2, 4C] from uniform noise [N, H, W, C]."""
        return self.squeeze.forward(tf.math.ndtri(tf.cast(noise, dtype) * (1 - 2 * _HALF_STEP) + _HALF_STEP))


class ConditionedStack(Network):
    """A `ConvStack` on its input and features beside it; [N, H, W, C], condition [N, H, W, width] -> [N, H, W, D]."""

    def __init__(self, in_channels: int, width: int, out_channels: int, rng: np.random.Generator, dtype: tf.DType):
        super().__init__(name="stack")
        self.stack = ConvStack(in_channels + width, width, out_channels, "gated", rng, dtype=dtype)

    def fold(self, size: tuple[int, int]) -> Weights:
        return self.stack.fold(size)

    def apply(self, weights: Weights, x: tf.Tensor, condition: tf.Tensor) -> tf.Tensor:
        return self.stack.apply(weights, tf.concat([x, condition], axis=-1))

    def initialize(self, x: tf.Tensor, condition: tf.Tensor) -> tf.Tensor:
        return self.stack.initialize(tf.concat([x, condition], axis=-1))


class Dequantizer(tf.Module):
    """x = scaled(v + u): u is the noise given, or with `dequantization=variational` what the noise flow makes of it."""

    def __init__(
        self, config: VideoFlowConfig, rng: np.random.Generator, dtype: tf.DType, name: str = "dequantizer"
    ) -> None:
        super().__init__(name=name)
        self._config, self._dtype = config, dtype
        self.noise_flow = None
        if config.dequantization == "variational":
            depth, width = config.dequantization_depth, config.dequantization_width
            self.noise_flow = NoiseFlow(config.channels, depth, width, rng, dtype)

    def __call__(self, video: tf.Tensor, noise: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Continuous frames, and the log density of the noise in them.

        Args:
          video: uint8 [B, T, H, W, C].
          noise: uniform in [0, 1), of the video's shape or with 1 for B.

        Returns:
          x around [-0.5, 0.5) [B, T, H, W, C], log q(u | v) [B, T] in nats.
        """
        if self.noise_flow is None:
            frames = pixels.from_uint8(video, noise, self._config, self._dtype)
            return frames, tf.zeros(tf.shape(frames)[:2], self._dtype)
        u, log_q = self.noise_flow(*self._as_images(video, noise))
        shape = tf.shape(video)
        return pixels.from_uint8(video, tf.reshape(u, shape), self._config, self._dtype), tf.reshape(log_q, shape[:2])

    def initialize(self, video: tf.Tensor, noise: tf.Tensor) -> None:
        """Data-dependent initialisation; arguments of the shapes of a call."""
        if self.noise_flow is not None:
            self.noise_flow.initialize(*self._as_images(video, noise))

    def _as_images(self, video: tf.Tensor, noise: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Both with time folded into the batch, [B*T, H, W, C]; a pixel's value is the middle of its bin."""
        noise = tf.broadcast_to(noise, tf.shape(video))
        middles = pixels.from_uint8(video, tf.constant(0.5), self._config, self._dtype)
        return tuple(tf.reshape(t, [-1, *video.shape[2:]]) for t in (middles, noise))
