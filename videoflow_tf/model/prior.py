"""The prior over the latents of one level in time (Kumar et al. 2020, section 4.2), as networks.

`future.py` makes the conditional distributions of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from bijectors.fast_forms import sizes, slice_axis
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.latent_encoders import DiagonalGaussian
from videoflow_tf.latent_encoders.base import WindowEncoder
from videoflow_tf.model.mixture import Mixture
from videoflow_tf.networks.conv2d import EdgeConv2D
from videoflow_tf.registry import LATENT_ENCODERS


class LevelLatents(NamedTuple):
    """What one level of the flow gives for a clip: its latents z and what it passes up, h (None at the top level).

    Shapes: [B, T, h, w, c] each.
    """

    latents: tf.Tensor
    hidden: tf.Tensor | None

    def followed_by(self, later: LevelLatents) -> LevelLatents:
        """The clip that goes on with `later`, [B, T + T', h, w, c]."""
        return LevelLatents(
            *(None if a is None else tf.concat([a, b], axis=1) for a, b in zip(self, later, strict=True))
        )

    def repeated(self, copies: int | tf.Tensor) -> LevelLatents:
        """The batch repeated as a whole, [B] -> [copies * B]."""
        if tf.get_static_value(copies) == 1:
            return self
        multiples = tf.concat([[copies], tf.ones(4, tf.int32)], axis=0)
        return LevelLatents(*(None if t is None else tf.tile(t, multiples) for t in self))


# Of a `LatentPrior` that draws frame after frame: a nest of tensors, and (state, hidden, noise) -> (state, latents).
State = Any
Draw = Callable[[State, tf.Tensor | None, tf.Tensor], tuple[State, tf.Tensor]]


class LatentPrior(tf.Module):
    """Networks of p(z_t | h_t, z_<t) at one level.

    The level's own Gaussian N(z_t; NN(h_t)), without a past, is a 3x3 convolution of h_t (at the top level, which has
    no h, of zeros); frames with enough past use the latent encoder instead, which is given the own Gaussian's mean.
    At the top level it may be a `Mixture` of Gaussians, all by the same encoder.
    """

    def __init__(
        self, config: VideoFlowConfig, level: int, rng: np.random.Generator, dtype: tf.DType, name: str = "prior"
    ) -> None:
        super().__init__(name=name)
        self.latent_shape = config.latent_shape(level)
        self.is_top = level == config.levels - 1
        self.dtype = dtype
        channels = self.latent_shape[-1]
        self.own = None
        if not self.is_top or config.top_prior == "learned":
            self.own = EdgeConv2D(channels, 2 * channels, None, dtype=dtype, name="own")
        self.encoder = None
        if config.conditional:
            self.encoder = LATENT_ENCODERS[config.latent_encoder](config, level, rng, dtype)
        self.mixture = None
        if self.is_top and config.prior_components > 1:
            if not isinstance(self.encoder, WindowEncoder):
                raise UserError(f"prior_components needs a WindowEncoder, which {config.latent_encoder} is not")
            window, width = self.encoder.window, config.latent_encoder_width
            self.mixture = Mixture(config.prior_components, window, self.latent_shape, width, dtype, rng)

    @property
    def noise_shape(self) -> tuple[int, int, int]:
        """Of what a frame is drawn from: the latent's, with one channel more where its first value chooses the
        component of a mixture."""
        height, width, channels = self.latent_shape
        return height, width, channels + (self.mixture is not None)

    def own_gaussian(self, hidden: tf.Tensor | None, batch: tf.Tensor, frames: tf.Tensor) -> DiagonalGaussian:
        """The Gaussian of every frame without its past, [B, T, h, w, c]."""
        shape = tf.stack([batch, frames, *self.latent_shape])
        if not self.is_top:
            own = self.own(tf.reshape(hidden, [-1, *self.latent_shape]))
            return DiagonalGaussian(*(tf.reshape(t, shape) for t in tf.split(own, 2, axis=-1)))
        zeros = tf.zeros([1, *self.latent_shape], self.dtype)
        own = self.own(zeros) if self.own is not None else tf.concat([zeros, zeros], axis=-1)
        return DiagonalGaussian(*(tf.broadcast_to(t, shape) for t in tf.split(own, 2, axis=-1)))

    def _own_since(self, clip: LevelLatents, start: int) -> DiagonalGaussian:
        """`own_gaussian` of frames start.. of a known clip."""
        hidden = None if self.is_top else slice_axis(clip.hidden, start, axis=1)
        shape = tf.shape(clip.latents)
        return self.own_gaussian(hidden, shape[0], shape[1] - start)

    def _seen(self, clip: LevelLatents) -> tf.Tensor:
        """What the encoder sees of frames: z, or [z, h]."""
        return tf.concat(clip, axis=-1) if self.encoder.sees_hidden else clip.latents

    def _level_input(self, own: DiagonalGaussian) -> DiagonalGaussian | None:
        return None if self.is_top else own

    def sequence(
        self,
        clip: LevelLatents,
        start: int,
        condition: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
        marks: tf.Tensor | None = None,
    ) -> DiagonalGaussian:
        """The Gaussians of frames start.. of a known clip, [B, T - start, h, w, c], all frames at once.

        | index | first of the frames | is |
        |---|---|---|
        | start | whose Gaussians are asked for | the argument |
        | encoded | that have enough past for the encoder | start, but at least its window |
        | seen | whose h the encoder looks at | `encoded`; 0 for a recurrent one |
        | own | whose own Gaussian is computed | start or `seen`, whichever is less |

        Args:
          clip: latents from the first frame of the video on, and what they are conditioned on.
          start: number of the first frame to give, from 0.
          condition: bool [], false to use no frame's past; None is true.
          seed: int32 [2] in training, for noise and dropout.
          marks: [B, 1, h, w, c], which component of a mixture is meant.
        """
        frames = clip.latents.shape[1]
        if self.encoder is None or (frames is not None and frames <= self.encoder.window):
            return self._own_since(clip, start)
        encoded = max(start, self.encoder.window)
        seen = self.encoder.level_start(encoded)
        own = min(start, seen)
        own_gaussians = self._own_since(clip, own)
        alone = own_gaussians.frames(start - own)
        level = self._level_input(own_gaussians.frames(seen - own))
        past = self._seen(clip) if marks is None else clip.latents + marks
        gaussians = self.encoder.sequence(past, level, encoded, seed)
        if encoded > start:
            early = alone.frames(0, encoded - start)
            gaussians = DiagonalGaussian(*(tf.concat(pair, axis=1) for pair in zip(early, gaussians, strict=True)))
        return gaussians if condition is None else _choose(condition, gaussians, alone)

    def frame_log_probs(
        self,
        clip: LevelLatents,
        start: int,
        temperature: tf.Tensor | None = None,
        condition: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
        sharpness: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """log p(z_t | h_t, z_<t) of frames start.. of a known clip, in nats, [B, T - start].

        `temperature`: [], factor of every sigma; None is 1. `sharpness`: as for `Mixture.log_prob`. The others as for
        `sequence`.
        """
        copies, marks = clip, None
        if self.mixture is not None:  # One copy for every component.
            copies = clip.repeated(self.mixture.components)
            marks = tf.repeat(self.mixture.embeddings, tf.shape(clip.latents)[0], axis=0)[:, None]
        gaussian = self.sequence(copies, start, condition, seed, marks)
        if temperature is not None:
            gaussian = gaussian._replace(log_std=gaussian.log_std + tf.math.log(temperature))
        log_probs = tf.reduce_sum(gaussian.log_prob(slice_axis(copies.latents, start, axis=1)), axis=[2, 3, 4])
        if self.mixture is None:
            return log_probs
        past = self.encoder.windows(clip.latents, max(start, self.encoder.window))
        return self.mixture.log_prob(tf.stack(tf.split(log_probs, self.mixture.components)), past, sharpness)

    def sampler(
        self, context: LevelLatents, temperature: tf.Tensor | float, condition: tf.Tensor | None = None
    ) -> tuple[State, Draw]:
        """The state after a context, and what draws the frames from there on, some at a time.

        draw(state, hidden, noise) draws frame by frame, z_t = mean_t + temperature * sigma_t * noise_t, and returns the
        state after these frames and their latents. What depends on the weights alone is computed here, once. Of a
        mixture a component is drawn first, by its weight, whatever the temperature.

        Args:
          context: latents [B, C, h, w, c] of the frames given.
          temperature: factor of every sigma.
          condition: bool [], false to use no frame's past; None is true.

        Shapes of draw: the latents [B, T, h, w, c] for any T, hidden the same or None at the top level, noise (standard
        Gaussian) [B, T, *noise_shape].
        """
        if self.encoder is None:

            def draw_alone(state: State, hidden: tf.Tensor | None, noise: tf.Tensor) -> tuple[State, tf.Tensor]:
                return state, _draw(self.own_gaussian(hidden, *sizes(noise, 2)), temperature, noise)

            return (), draw_alone
        given = context.latents.shape[1]
        own_context = self.own_gaussian(context.hidden, tf.shape(context.latents)[0], given)
        encoder_state = self.encoder.initial_state(self._seen(context), self._level_input(own_context))
        weights = self.encoder.fold()
        mixture_weights = None if self.mixture is None else self.mixture.fold()
        channels = self.latent_shape[-1]

        def draw(state: State, hidden: tf.Tensor | None, noise: tf.Tensor) -> tuple[State, tf.Tensor]:
            seen, encoder_state = state
            batch, frames = sizes(noise, 2)
            own = self.own_gaussian(hidden, batch, frames)
            latent_shape = [noise.shape[0], *self.latent_shape]

            def draw_frame(t: tf.Tensor, encoder_state: State, drawn: tf.TensorArray):
                alone = own.frame(t)
                if self.mixture is None:
                    gaussian, encoder_state = self.encoder.step(weights, encoder_state, self._level_input(alone))
                else:
                    component = self.mixture.choose(mixture_weights, encoder_state, noise[:, t, 0, 0, -1])
                    marks = self.mixture.marks(mixture_weights, component)
                    gaussian, _ = self.encoder.step(weights, tuple(z + marks for z in encoder_state), None)
                if given < self.encoder.window:
                    gaussian = _choose(seen + t >= self.encoder.window, gaussian, alone)
                if condition is not None:
                    gaussian = _choose(condition, gaussian, alone)
                z = tf.ensure_shape(_draw(gaussian, temperature, noise[:, t, ..., :channels]), latent_shape)
                seen_now = self._seen(LevelLatents(z, None if hidden is None else hidden[:, t]))
                return t + 1, self.encoder.push(encoder_state, seen_now), drawn.write(t, z)

            array = tf.TensorArray(self.dtype, size=frames, element_shape=latent_shape)
            _, encoder_state, drawn = tf.while_loop(
                lambda t, *_: t < frames,
                draw_frame,
                (0, encoder_state, array),
                maximum_iterations=frames,
                parallel_iterations=1,
            )
            return (seen + frames, encoder_state), tf.transpose(drawn.stack(), [1, 0, 2, 3, 4])

        return (tf.constant(given), encoder_state), draw

    def initialize(self, clip: LevelLatents) -> None:
        """Data-dependent initialisation of the latent encoder on a known clip."""
        if self.encoder is not None and clip.latents.shape[1] > self.encoder.window:
            own = self._own_since(clip, self.encoder.level_start(self.encoder.window))
            self.encoder.initialize(self._seen(clip), self._level_input(own))
            if self.mixture is not None:
                self.mixture.initialize(self.encoder.windows(clip.latents, self.encoder.window))


def _choose(condition: tf.Tensor, a: DiagonalGaussian, b: DiagonalGaussian) -> DiagonalGaussian:
    return DiagonalGaussian(tf.where(condition, a.mean, b.mean), tf.where(condition, a.log_std, b.log_std))


def _draw(gaussian: DiagonalGaussian, temperature: tf.Tensor | float, noise: tf.Tensor) -> tf.Tensor:
    return gaussian.mean + temperature * tf.exp(gaussian.log_std) * noise
