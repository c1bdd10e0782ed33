"""The conditional autoregressive prior over the latents of a video (Kumar et al. 2020, section 4.2).

`LatentPrior` holds the networks of one level; `AutoregressivePrior` and `HierarchicalPrior` are the distributions
built from them: the bases of the multi-scale flow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from bijectors.fast_forms import sizes, slice_axis
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.latent_encoders import LATENT_ENCODERS, DiagonalGaussian
from videoflow_tf.networks.conv2d import EdgeConv2D
from videoflow_tf.seeds import as_seed, split_seed, standard_normal


class LevelLatents(NamedTuple):
    """What one level of the flow gives for a clip: its latents z and what it passes up, h (None at the top level).

    Shapes: [B, T, h, w, c] each.
    """

    latents: tf.Tensor
    hidden: tf.Tensor | None


# Of a `LatentPrior` that draws frame after frame: a nest of tensors, and (state, hidden, noise) -> (state, latents).
State = Any
Draw = Callable[[State, tf.Tensor | None, tf.Tensor], tuple[State, tf.Tensor]]


class LatentPrior(tf.Module):
    """Networks of p(z_t | h_t, z_<t) at one level.

    The level's own Gaussian N(z_t; NN(h_t)), without a past, is a 3x3 convolution of h_t (at the top level, which has
    no h, of zeros); frames with enough past use the latent encoder instead, which is given the own Gaussian's mean.
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

    def _level_input(self, own: DiagonalGaussian) -> DiagonalGaussian | None:
        return None if self.is_top else own

    def sequence(
        self, clip: LevelLatents, start: int, condition: tf.Tensor | None = None, seed: tf.Tensor | None = None
    ) -> DiagonalGaussian:
        """Gaussians of frames start.. of a known clip, [B, T - start, h, w, c].

        Args:
          clip: latents from the first frame of the video on, and what they are conditioned on.
          condition: bool [], false to use no frame's past; None is true.
          seed: int32 [2] in training, for noise and dropout.
        """
        frames = clip.latents.shape[1]
        if self.encoder is None or (frames is not None and frames <= self.encoder.window):
            return self._own_since(clip, start)
        first = max(start, self.encoder.window)
        level_start = self.encoder.level_start(first)
        since = min(start, level_start)
        own = self._own_since(clip, since)
        alone = own.frames(start - since)
        level = self._level_input(own.frames(level_start - since))
        encoded = self.encoder.sequence(clip.latents, level, first, seed)
        if first > start:
            early = alone.frames(0, first - start)
            encoded = DiagonalGaussian(*(tf.concat(pair, axis=1) for pair in zip(early, encoded, strict=True)))
        return encoded if condition is None else _choose(condition, encoded, alone)

    def sampler(
        self, context: LevelLatents, temperature: tf.Tensor | float, condition: tf.Tensor | None = None
    ) -> tuple[State, Draw]:
        """The state after a context, and what draws the frames from there on, some at a time.

        draw(state, hidden, noise) draws frame by frame, z_t = mean_t + temperature * sigma_t * noise_t, and returns the
        state after these frames and their latents. What depends on the weights alone is computed here, once.

        Args:
          context: latents [B, C, h, w, c] of the frames given.
          temperature: factor of every sigma.
          condition: bool [], false to use no frame's past; None is true.

        Shapes of draw: noise (standard Gaussian) and the latents [B, T, h, w, c] for any T, hidden the same or None at
        the top level.
        """
        if self.encoder is None:
            return (), lambda state, hidden, noise: (state, self._draw_alone(hidden, noise, temperature))
        given = context.latents.shape[1]
        own_context = self.own_gaussian(context.hidden, tf.shape(context.latents)[0], given)
        encoder_state = self.encoder.initial_state(context.latents, self._level_input(own_context))
        step = self.encoder.make_step()

        def draw(state: State, hidden: tf.Tensor | None, noise: tf.Tensor) -> tuple[State, tf.Tensor]:
            seen, encoder_state = state
            batch, frames = sizes(noise, 2)
            own = self.own_gaussian(hidden, batch, frames)
            latent_shape = [noise.shape[0], *self.latent_shape]

            def draw_frame(t: tf.Tensor, encoder_state: State, drawn: tf.TensorArray):
                alone = own.frame(t)
                gaussian, encoder_state = step(encoder_state, self._level_input(alone))
                if given < self.encoder.window:
                    gaussian = _choose(seen + t >= self.encoder.window, gaussian, alone)
                if condition is not None:
                    gaussian = _choose(condition, gaussian, alone)
                z = gaussian.mean + temperature * tf.exp(gaussian.log_scale) * noise[:, t]
                z = tf.ensure_shape(z, latent_shape)
                return t + 1, self.encoder.push(encoder_state, z), drawn.write(t, z)

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

    def _draw_alone(self, hidden: tf.Tensor | None, noise: tf.Tensor, temperature: tf.Tensor | float) -> tf.Tensor:
        own = self.own_gaussian(hidden, tf.shape(noise)[0], tf.shape(noise)[1])
        return own.mean + temperature * tf.exp(own.log_scale) * noise

    def initialize(self, clip: LevelLatents) -> None:
        """Data-dependent initialisation of the latent encoder on a known clip."""
        if self.encoder is not None and clip.latents.shape[1] > self.encoder.window:
            own = self._own_since(clip, self.encoder.level_start(self.encoder.window))
            self.encoder.initialize(clip.latents, self._level_input(own))


def _choose(condition: tf.Tensor, a: DiagonalGaussian, b: DiagonalGaussian) -> DiagonalGaussian:
    return DiagonalGaussian(tf.where(condition, a.mean, b.mean), tf.where(condition, a.log_scale, b.log_scale))


class Drawing(NamedTuple):
    """Samples of one level about to be drawn: `LatentPrior.sampler` and the noise of all frames, [N, T, h, w, c]."""

    noise: tf.Tensor
    state: State
    draw: Draw


class AutoregressivePrior(tfd.Distribution):
    """p(z_{C+1..C+T} | z_{1..C}, h) of one level, a distribution over [T, h, w, c].

    Batch shape [B], that of the context. Every sigma is multiplied by `temperature`; at temperature 0 a sample is the
    conditional means, and `log_prob` is not finite.
    """

    def __init__(
        self,
        prior: LatentPrior,
        context: LevelLatents,
        num_frames: int | tf.Tensor,
        hidden: tf.Tensor | None = None,
        temperature: float | tf.Tensor = 1.0,
        condition: tf.Tensor | None = None,
        name: str = "AutoregressivePrior",
    ) -> None:
        """context [B, C, h, w, c]; hidden [B, T, h, w, c] at the levels below the top."""
        parameters = dict(locals())
        self.context = context
        self._prior, self._hidden = prior, hidden
        self._num_frames = num_frames
        self._temperature = tf.convert_to_tensor(temperature, prior.dtype)
        self._condition = condition
        super().__init__(
            dtype=prior.dtype,
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    def _batch_shape(self) -> tf.TensorShape:
        return self.context.latents.shape[:1]

    def _batch_shape_tensor(self) -> tf.Tensor:
        return tf.shape(self.context.latents)[:1]

    def _event_shape(self) -> tf.TensorShape:
        frames = None if tf.is_tensor(self._num_frames) else self._num_frames
        return tf.TensorShape([frames, *self._prior.latent_shape])

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.stack([self._num_frames, *self._prior.latent_shape])

    def _log_prob(self, z: tf.Tensor) -> tf.Tensor:
        folded, copies, leading = fold_samples(z, self.context.latents)
        gaussian = self.repeated(copies).known(folded)
        gaussian = gaussian._replace(log_scale=gaussian.log_scale + tf.math.log(self._temperature))
        return tf.reshape(tf.reduce_sum(gaussian.log_prob(folded), axis=[1, 2, 3, 4]), leading)

    def known(self, z: tf.Tensor) -> DiagonalGaussian:
        """Gaussians at temperature 1 of frames z [B, T, h, w, c], each given those before it."""
        joined = LevelLatents(tf.concat([self.context.latents, z], axis=1), None)
        if self._hidden is not None:
            joined = joined._replace(hidden=tf.concat([self.context.hidden, self._hidden], axis=1))
        return self._prior.sequence(joined, start=self.context.latents.shape[1], condition=self._condition)

    def _sample_n(self, n: int | tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        repeated = self.repeated(n)
        drawing = repeated.begin(as_seed(seed))
        _, z = drawing.draw(drawing.state, repeated._hidden, drawing.noise)
        return tf.reshape(z, tf.concat([[n, tf.shape(self.context.latents)[0]], tf.shape(z)[1:]], axis=0))

    def begin(self, seed: tf.Tensor) -> Drawing:
        """What it takes to draw one sample for every context, before a frame of it is drawn; seed int32 [2] or [B, 2].

        `hidden` is not used: `Drawing.draw` is given it.
        """
        shape = tf.concat([self.batch_shape_tensor(), self.event_shape_tensor()], axis=0)
        noise = tf.ensure_shape(standard_normal(shape, seed, self.dtype), [*self.batch_shape, *self.event_shape])
        return Drawing(noise, *self._prior.sampler(self.context, self._temperature, self._condition))

    def repeated(self, copies: int | tf.Tensor) -> AutoregressivePrior:
        """The same prior with its batch repeated, [B] -> [copies * B]."""
        hidden = None if self._hidden is None else _tile_batch(self._hidden, copies)
        return self.copy(context=_tile_context(self.context, copies), hidden=hidden)


class HierarchicalPrior(tfd.Distribution):
    """p(h, z) of one level: h from the flow above, z given h from the level's `AutoregressivePrior`.

    The event is [h, z] on the channels, [T, h, w, 2c]; batch shape [B].
    """

    def __init__(
        self,
        above: tfd.Distribution,
        prior: LatentPrior,
        context: LevelLatents,
        num_frames: int | tf.Tensor,
        temperature: float | tf.Tensor = 1.0,
        condition: tf.Tensor | None = None,
        name: str = "HierarchicalPrior",
    ) -> None:
        """above: distribution over h, [T, h, w, c]; the others as for `AutoregressivePrior`."""
        parameters = dict(locals())
        self.above = above
        # Without an h yet: enough to begin to sample.
        self.latent_prior = AutoregressivePrior(prior, context, num_frames, None, temperature, condition)
        super().__init__(
            dtype=prior.dtype,
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    def _batch_shape(self) -> tf.TensorShape:
        return self.latent_prior.batch_shape

    def _batch_shape_tensor(self) -> tf.Tensor:
        return self.latent_prior.batch_shape_tensor()

    def _event_shape(self) -> tf.TensorShape:
        *video, channels = self.latent_prior.event_shape
        return tf.TensorShape([*video, 2 * channels])

    def _event_shape_tensor(self) -> tf.Tensor:
        return self.latent_prior.event_shape_tensor() * [1, 1, 1, 2]

    def _given(self, hidden: tf.Tensor, copies: int | tf.Tensor) -> AutoregressivePrior:
        """p(z | h) for hidden [copies * B, T, h, w, c]."""
        return self.latent_prior.repeated(copies).copy(hidden=hidden)

    def _log_prob(self, value: tf.Tensor) -> tf.Tensor:
        folded, copies, leading = fold_samples(value, self.latent_prior.context.latents)
        hidden, z = tf.split(folded, 2, axis=-1)
        log_prob_z = self._given(hidden, copies).log_prob(z)
        return self.above.log_prob(tf.split(value, 2, axis=-1)[0]) + tf.reshape(log_prob_z, leading)

    def _sample_n(self, n: int | tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        above_seed, seed = self.split_seed(as_seed(seed))
        hidden = self.above.sample(n, seed=above_seed)  # [n, B, T, h, w, c]
        shape = tf.shape(hidden)
        folded = tf.reshape(hidden, tf.concat([[shape[0] * shape[1]], shape[2:]], axis=0))
        z = self._given(folded, n).sample(seed=seed)
        return tf.concat([hidden, tf.reshape(z, shape)], axis=-1)

    @staticmethod
    def split_seed(seed: tf.Tensor) -> list[tf.Tensor]:
        """The seeds of `above` and of this level's latents."""
        return split_seed(seed, 2)


def fold_samples(value: tf.Tensor, context: tf.Tensor) -> tuple[tf.Tensor, int | tf.Tensor, tf.Tensor]:
    """[S..., B, T, h, w, c] -> [S*B, T, h, w, c], the number S of copies of the batch, and the shape [S..., B].

    A value without a batch, or with a batch of one, is that of every element of the context's batch; a context with
    a batch of one is that of every value.
    """
    event_rank = 4
    shape = tf.shape(value)
    leading = tf.broadcast_dynamic_shape(shape[:-event_rank], tf.shape(context)[:1])
    if value.shape.rank == 1 + event_rank and value.shape[0] is not None and value.shape[0] == context.shape[0]:
        return value, 1, leading
    value = tf.broadcast_to(value, tf.concat([leading, shape[-event_rank:]], axis=0))
    folded = tf.reshape(value, tf.concat([[-1], shape[-event_rank:]], axis=0))
    return folded, tf.reduce_prod(leading) // tf.shape(context)[0], leading


def _tile_context(context: LevelLatents, copies: int | tf.Tensor) -> LevelLatents:
    return LevelLatents(*(None if t is None else _tile_batch(t, copies) for t in context))


def _tile_batch(t: tf.Tensor, copies: int | tf.Tensor) -> tf.Tensor:
    """[B, ...] -> [copies * B, ...], the batch repeated as a whole."""
    if tf.get_static_value(copies) == 1:
        return t
    return tf.tile(t, tf.concat([[copies], tf.ones(t.shape.rank - 1, tf.int32)], axis=0))
