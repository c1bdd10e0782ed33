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

    def __init__(self, model: VideoFlow, num_frames: int, temperature: float, batch_size: int) -> None:
        """`batch_size`: samples at a time."""
        self._model = model
        self._num_frames = num_frames
        self._temperature = tf.constant(temperature, model.float_dtype)
        self._batch_size = batch_size
        self._draw = tf.function(self._draw, autograph=False, reduce_retracing=True)

    def __call__(self, context: np.ndarray, seed: int, video: int, count: int) -> np.ndarray:
        """Samples number 0 to `count` - 1 of a video.

        Args:
          context: uint8 [K, H, W, 3].
          seed: of all samples.
          video: index of the video.

        Returns:
          uint8 [count, num_frames, H, W, 3]

        Raises:
          UserError: the model's frames are not finite.
        """
        video_seed = tf.constant([seed, video], tf.int32)
        try:
            batches = [
                self._draw(context[None], video_seed, tf.range(first, min(first + self._batch_size, count))).numpy()
                for first in range(0, count, self._batch_size)
            ]
        except tf.errors.InvalidArgumentError as error:
            if "not finite" not in str(error):
                raise
            raise UserError(
                f"the frames generated for video {video} are not finite: the training has probably diverged; "
                "evaluate another run or an earlier checkpoint"
            ) from None
        return np.concatenate(batches)

    def _draw(self, context: tf.Tensor, video_seed: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        """As `VideoFlow.future(...).sample()`: level by level from the top, each flow inverted for all frames at once.

        context: uint8 [1, K, H, W, 3]; numbers: int32 [B], of the samples. Returns uint8 [B, N, H, W, 3].
        """
        model, copies = self._model, tf.shape(numbers)[0]

        def noise(level: int, shape: tuple[int, ...]) -> tf.Tensor:  # [B, N, h, w, c]
            def of_sample(number: tf.Tensor) -> tf.Tensor:
                seed = tf.random.fold_in(tf.random.fold_in(video_seed, number), level)
                return tf.random.stateless_normal([self._num_frames, *shape], seed, dtype=model.float_dtype)

            return tf.map_fn(of_sample, numbers, fn_output_signature=model.float_dtype)

        levels, _ = model._encode(model._dequantize(context, None, None, same_for_all=True))
        x = None  # What the level above gives: [B, N, h, w, c].
        for level in reversed(range(len(levels))):
            prior = model.priors[level]
            given = LevelLatents(*(None if t is None else tf.repeat(t, copies, axis=0) for t in levels[level]))
            z = prior.sample(given, x, noise(level, prior.latent_shape), self._temperature, model._condition())
            x = model.flow[level].inverse(z if x is None else tf.concat([x, z], axis=-1))
        return pixels.to_uint8(x)
