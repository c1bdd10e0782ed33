"""The future of a video as TFP distributions: a multi-scale `TransformedDistribution`, nested level by level.

At every level the base is the conditional autoregressive prior over y = [h, z] (at the top level y = z), h from the
distribution of the level above; the level's flow turns y into frames. What they compute is written once, for all ways
to it, in `likelihood.py` and `sampler.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from bijectors.fast_forms import sizes
from videoflow_tf.model import checks
from videoflow_tf.model.level import Level
from videoflow_tf.model.likelihood import encode_frames, frame_log_probs, latent_log_probs
from videoflow_tf.model.prior import LevelLatents
from videoflow_tf.model.sampler import sample_frames
from videoflow_tf.seeds import as_seed

_EVENT_RANK = 4  # [T, H, W, C]


class _Sliced:
    """Slices of the batch of the distributions here, as of all of TFP's."""

    def __getitem__(self, slices: Any) -> tfd.Distribution:
        given = self.parameters
        videos = tf.range(sizes(given["context"][0].latents, 1)[0])[slices]
        flat = tf.reshape(videos, [-1])
        context = [
            LevelLatents(*(None if t is None else tf.gather(t, flat) for t in clip)) for clip in given["context"]
        ]
        part = type(self)(**given | {"context": context})
        return part if videos.shape.rank == 1 else tfd.BatchReshape(part, tf.shape(videos))


class AutoregressivePrior(_Sliced, tfd.Distribution):
    """p(y_{K+1..K+T} | the first K frames) of a level: y = [h, z] on the channels, at the top level y = z.

    h ~ `above`, the distribution of the level above; z given h and the past z is Gaussian or a mixture, frame by frame.
    Batch shape [B], that of the context; event shape [T, h, w, 2c], at the top level [T, h, w, c]. At temperature 0 a
    sample is the conditional means, of a mixture that of the component drawn, and `log_prob` is not finite.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        context: Sequence[LevelLatents],
        num_frames: int | tf.Tensor,
        temperature: float | tf.Tensor = 1.0,
        condition: tf.Tensor | None = None,
        name: str = "AutoregressivePrior",
    ) -> None:
        """`levels`: this one and those above; `context`: their latents of the K frames given, [B, K, h, w, c]; the
        others as for `Future`."""
        parameters = dict(locals())
        self._levels, self._context = levels, context
        self._num_frames, self._condition = num_frames, condition
        dtype = levels[0].prior.dtype
        self._temperature = tf.convert_to_tensor(temperature, dtype)
        above = levels[1:], context[1:], num_frames, self._temperature, condition
        self.above = None if levels[0].is_top else Future(*above)
        super().__init__(
            dtype=dtype,
            # Which component of a mixture is drawn has no gradient.
            reparameterization_type=(
                tfd.NOT_REPARAMETERIZED if levels[-1].prior.mixture is not None else tfd.FULLY_REPARAMETERIZED
            ),
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    def _batch_shape(self) -> tf.TensorShape:
        return self._context[0].latents.shape[:1]

    def _batch_shape_tensor(self) -> tf.Tensor:
        return tf.shape(self._context[0].latents)[:1]

    def _event_shape(self) -> tf.TensorShape:
        frames = None if tf.is_tensor(self._num_frames) else self._num_frames
        return tf.TensorShape([frames, *self._levels[0].encoded_shape])

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.stack([self._num_frames, *self._levels[0].encoded_shape])

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        level, *above = self._levels

        def log_probs(y: tf.Tensor, **given) -> tf.Tensor:
            hidden, latents = level.split(y)
            clips, log_det = [LevelLatents(latents, hidden)], 0.0
            if above:
                higher, log_det = encode_frames(above, hidden)
                clips += higher
            return sum(latent_log_probs(self._levels, clips, 0, **given), start=log_det)

        return self.sum_over_frames(log_probs, y)

    def sum_over_frames(self, log_probs: Callable[..., tf.Tensor], value: tf.Tensor) -> tf.Tensor:
        """Sums what `log_probs(value [N, T, h, w, c], context=, temperature=, condition=)` gives, [N, T], over frames.

        The context is repeated for every sample: value [S..., B, T, h, w, c] -> [S..., B].
        """
        flat, copies, leading = flatten_samples(value, self._context[0].latents)
        context = [clip.repeated(copies) for clip in self._context]
        found = log_probs(flat, context=context, temperature=self._temperature, condition=self._condition)
        return tf.reshape(tf.reduce_sum(found, axis=1), leading)

    def _sample_n(self, n: int | tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        return self.draw(n, seed, decode_first=False)

    def draw(self, copies: int | tf.Tensor, seed: tf.Tensor | None, decode_first: bool) -> tf.Tensor:
        """`sample_frames` of this level and those above, [copies, B, T, ...]."""
        return sample_frames(
            self._levels,
            self._context,
            self._num_frames,
            as_seed(seed),
            copies=copies,
            temperature=self._temperature,
            condition=self._condition,
            decode_first=decode_first,
        )


class Future(_Sliced, tfd.TransformedDistribution):
    """p(x_{K+1..K+T} | x_1..x_K): `AutoregressivePrior` transformed by the inverse of the level's flow.

    x is the frames at the lowest level, elsewhere the h of the level below. Batch shape [B], event shape [T, H, W, C].
    """

    def __init__(
        self,
        levels: Sequence[Level],
        context: Sequence[LevelLatents],
        num_frames: int | tf.Tensor,
        temperature: float | tf.Tensor = 1.0,
        condition: tf.Tensor | None = None,
        name: str = "Future",
    ) -> None:
        """Makes the distribution of a level and those above it.

        Args:
          levels: this level and those above.
          context: their latents of the K frames given, [B, K, h, w, c] each.
          num_frames: T.
          temperature: factor of every sigma.
          condition: bool [], false to use no frame's past; None is true.
        """
        parameters = dict(locals())
        self._levels = levels
        prior = AutoregressivePrior(levels, context, num_frames, temperature, condition)
        super().__init__(prior, tfb.Invert(levels[0].flow), parameters=parameters, name=name)

    def _batch_shape(self) -> tf.TensorShape:
        return self.distribution.batch_shape

    def _batch_shape_tensor(self) -> tf.Tensor:
        return self.distribution.batch_shape_tensor()

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        log_probs = lambda x, **given: frame_log_probs(self._levels, x, **given)  # noqa: E731
        return self.distribution.sum_over_frames(log_probs, x)

    # Not that of `TransformedDistribution`, which draws the base for all frames before it transforms any.
    _call_sample_n = tfd.Distribution._call_sample_n

    def _sample_n(self, n: int | tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        return self.distribution.draw(n, seed, decode_first=True)


class FramesFuture(Future):
    """The `Future` of the lowest level, whose values are frames, continuous as of `VideoFlow.dequantize`.

    `log_prob` refuses what cannot be such frames: whole numbers (a `UserError`), and videos in 0..1 or 0..255 (as of
    `checks.require`).
    """

    # These two, because TFP then makes numbers of the distribution's dtype of every value.
    def _call_log_prob(self, value: tf.Tensor, name: str, **kwargs: Any) -> tf.Tensor:
        return super()._call_log_prob(checks.checked_floats(value), name, **kwargs)

    def _call_prob(self, value: tf.Tensor, name: str, **kwargs: Any) -> tf.Tensor:
        return super()._call_prob(checks.checked_floats(value), name, **kwargs)

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        return super()._log_prob(checks.checked_density_input(x))


def flatten_samples(value: tf.Tensor, context: tf.Tensor) -> tuple[tf.Tensor, int | tf.Tensor, tf.Tensor]:
    """[S..., B, T, h, w, c] -> [S*B, T, h, w, c], the number S of copies of the batch, and the shape [S..., B].

    A value without a batch, or with a batch of one, is that of every element of the context's batch; a context with
    a batch of one is that of every value.
    """
    shape = tf.shape(value)
    leading = tf.broadcast_dynamic_shape(shape[:-_EVENT_RANK], tf.shape(context)[:1])
    if value.shape.rank == 1 + _EVENT_RANK and value.shape[0] is not None and value.shape[0] == context.shape[0]:
        return value, 1, leading
    value = tf.broadcast_to(value, tf.concat([leading, shape[-_EVENT_RANK:]], axis=0))
    flat = tf.reshape(value, tf.concat([[-1], shape[-_EVENT_RANK:]], axis=0))
    return flat, tf.reduce_prod(leading) // tf.shape(context)[0], leading
