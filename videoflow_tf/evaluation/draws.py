"""Sampled futures of which every one is a function of its seed, its video and its number alone."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from videoflow_tf import pixels
from videoflow_tf.errors import UserError
from videoflow_tf.model import VideoFlow
from videoflow_tf.prior import LevelLatents


class FutureSampler:
    """Draws futures of one video, a batch at a time.

    `VideoFlow.predict_frames` draws the noise of a batch as one tensor, so that a sample depends on its place in the
    batch. Here each sample has its own noise: how samples are divided into batches is a matter of memory and speed.
    """

    def __init__(self, model: VideoFlow, batch_size: int = 16) -> None:
        """`batch_size`: samples at a time."""
        self._model = model
        self._batch_size = batch_size
        # Traced once per number of frames.
        self._draw_batch = tf.function(self._draw, autograph=False, reduce_retracing=True)

    def __call__(
        self, context: np.ndarray, num_frames: int, temperature: float, seed: int, video: int, count: int
    ) -> np.ndarray:
        """Samples number 0 to `count` - 1 of a video.

        Args:
          context: uint8 [K, H, W, 3].
          num_frames: N, frames to draw after the context.
          temperature: factor of every sigma in the prior.
          seed: of all samples.
          video: index of the video.

        Returns:
          uint8 [count, N, H, W, 3]

        Raises:
          UserError: the model's frames are not finite.
        """
        video_seed = tf.constant([seed, video], tf.int32)
        temperature = tf.constant(temperature, self._model.float_dtype)
        numbers = [tf.range(i, min(i + self._batch_size, count)) for i in range(0, count, self._batch_size)]
        try:
            batches = [self._draw_batch(context[None], num_frames, temperature, video_seed, n).numpy() for n in numbers]
        except tf.errors.InvalidArgumentError as error:
            if "not finite" not in str(error):
                raise
            raise UserError(
                f"a sample of video {video} at temperature {float(temperature):g} is not finite; "
                "give a lower --temperature, or train the model longer"
            ) from None
        return np.concatenate(batches)

    def _draw(
        self, context: tf.Tensor, num_frames: int, temperature: tf.Tensor, video_seed: tf.Tensor, numbers: tf.Tensor
    ) -> tf.Tensor:
        """As `VideoFlow.future(...).sample()`: level by level from the top, each flow inverted for all frames at once.

        context: uint8 [1, K, H, W, 3]; numbers: int32 [B], of the samples. Returns uint8 [B, N, H, W, 3].
        """
        model, copies = self._model, tf.shape(numbers)[0]

        def noise(level: int, shape: tuple[int, ...]) -> tf.Tensor:  # [B, N, h, w, c]
            def of_sample(number: tf.Tensor) -> tf.Tensor:
                seed = tf.random.fold_in(tf.random.fold_in(video_seed, number), level)
                return tf.random.stateless_normal([num_frames, *shape], seed, dtype=model.float_dtype)

            return tf.map_fn(of_sample, numbers, fn_output_signature=model.float_dtype)

        levels, _ = model._encode(model._dequantize(context, None, None, same_for_all=True))
        x = None  # What the level above gives: [B, N, h, w, c].
        for level in reversed(range(len(levels))):
            prior = model.priors[level]
            given = LevelLatents(*(None if t is None else tf.repeat(t, copies, axis=0) for t in levels[level]))
            z = prior.sample(given, x, noise(level, prior.latent_shape), temperature, model._condition())
            x = model.flow[level].inverse(z if x is None else tf.concat([x, z], axis=-1))
        return pixels.to_uint8(x)
