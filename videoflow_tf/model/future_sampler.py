"""Sampled futures of which every one is a function of its seed, its video and its number alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from videoflow_tf.errors import UserError
from videoflow_tf.model import pixels
from videoflow_tf.model.video_flow import VideoFlow
from videoflow_tf.seeds import as_seed, fold_in


class FutureSampler:
    """Draws any number of futures of a video, of any length, in bounded memory.

    How samples are divided into batches and frames into chunks is a matter of memory and speed, and changes no sample.
    """

    def __init__(self, model: VideoFlow, batch_size: int = 16, frames_at_once: int | None = None) -> None:
        """`batch_size`: samples at a time; `frames_at_once`: as for `VideoFlow.sample_frames`."""
        self._model, self._batch_size, self._frames_at_once = model, batch_size, frames_at_once
        # Traced once for each size of a batch.
        self._compiled = tf.function(self._draw, autograph=False)

    def __call__(
        self, context: np.ndarray, num_frames: int, temperature: float, seed: int, video: int, count: int
    ) -> np.ndarray:
        """Samples number 0 to `count` - 1 of a video: uint8 [count, N, H, W, C]. See `batches`."""
        return np.concatenate(list(self.batches(context, num_frames, temperature, seed, video, count)))

    def batches(
        self, context: np.ndarray, num_frames: int, temperature: float, seed: int, video: int, count: int
    ) -> Iterator[np.ndarray]:
        """Samples number 0 to `count` - 1 of a video, as many at a time as are drawn together.

        Args:
          context: uint8 [K, H, W, C].
          num_frames: N, frames to draw after the context.
          temperature: factor of every sigma in the prior.
          seed: of all samples.
          video: index of the video.

        Returns:
          uint8 [n, N, H, W, C] at a time, n at most the batch size.

        Raises:
          UserError: the model's frames are not finite.
        """
        video_seed = as_seed((seed, video))
        scale = tf.constant(temperature, self._model.float_dtype)
        for first in range(0, count, self._batch_size):
            numbers = range(first, min(first + self._batch_size, count))
            seeds = tf.stack([fold_in(video_seed, number) for number in numbers])
            try:
                yield self._compiled(tf.constant(context[None]), tf.constant(num_frames), scale, seeds).numpy()
            except tf.errors.InvalidArgumentError as error:
                if "not finite" not in str(error):
                    raise
                raise UserError(
                    f"a sample of video {video} at temperature {temperature:g} is not finite; "
                    "train the model longer, or give a lower --temperature or fewer --num_frames"
                ) from None

    def _draw(self, context: tf.Tensor, num_frames: tf.Tensor, temperature: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        """context uint8 [1, K, H, W, C], seeds int32 [n, 2] -> uint8 [n, N, H, W, C]."""
        frames = self._model.sample_frames(
            context, num_frames, temperature, seeds, copies=seeds.shape[0], frames_at_once=self._frames_at_once
        )
        return pixels.to_uint8(frames[:, 0])
