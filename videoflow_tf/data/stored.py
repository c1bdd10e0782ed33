"""Videos that are stored: how a step finds its clips in them, the same for files in a folder and for TFDS."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.data.source import Source, numbers_from, parallel_map
from videoflow_tf.errors import UserError
from videoflow_tf.units import counted

_ORDER, _PATCH = range(2)  # What a seed is for.


class StoredVideos(Source):
    """Videos of known lengths that can be read in any order.

    Training takes each video once an epoch, in an order of its own every epoch, and a random patch of it each time;
    batches run on across epochs.

    Attributes:
      lengths: int [N] by split, the frames of each video.
      place: where the videos come from, in words.
    """

    needs_data_dir = True
    options = ("fit", "frame_stride")
    lengths: Mapping[str, np.ndarray]
    place: str

    def __init__(self, config: VideoFlowConfig) -> None:
        self._config = config

    @abstractmethod
    def clip(self, split: str, video: tf.Tensor, frames: tf.Tensor) -> tf.Tensor:
        """Some frames (int64 [T], ascending) of a video (int64 []) of a split: uint8 [T, H, W, C]; in a graph."""

    def train_batches(self, batch_size: int, start_step: int) -> tf.data.Dataset:
        """See `Source`."""
        num_frames, seed = self._config.num_train_frames, self._config.seed
        self._check(["train"], num_frames)
        long_enough = self._long_enough("train", num_frames)
        starts = self.lengths["train"][long_enough] - self._span(num_frames) + 1  # How many there are to choose from.

        def patch(number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            epoch, place = divmod(int(number), len(long_enough))
            video = _order(seed, epoch, len(long_enough))[place]
            start = np.random.default_rng([seed, _PATCH, int(number)]).integers(starts[video])
            return long_enough[video], start

        def clip(number: tf.Tensor) -> tf.Tensor:
            video, start = tf.numpy_function(patch, [number], (tf.int64, tf.int64))
            return self._clip("train", tf.ensure_shape(video, []), tf.ensure_shape(start, []), num_frames)

        numbers = numbers_from(start_step * batch_size)
        return parallel_map(numbers, clip).batch(batch_size, drop_remainder=True)

    def num_videos(self, split: str, num_frames: int) -> int:
        """See `Source`."""
        self._check([split], num_frames)
        return len(self._long_enough(split, num_frames))

    def videos(self, split: str, num_frames: int) -> tf.data.Dataset:
        """See `Source`."""
        self._check([split], num_frames)
        numbers = tf.data.Dataset.from_tensor_slices(self._long_enough(split, num_frames))
        first = tf.constant(0, tf.int64)
        return parallel_map(numbers, lambda video: self._clip(split, video, first, num_frames))

    def has_clips(self, split: str, num_frames: int) -> bool:
        """Whether any video of a split has a clip of that length."""
        return len(self._long_enough(split, num_frames)) > 0

    def contents(self) -> str:
        """See `Source`."""
        counts = [
            f"{split} {counted(len(lengths), 'video')} ({counted(int(lengths.sum()), 'frame')})"
            for split, lengths in self.lengths.items()
        ]
        return f"{', '.join(counts)}; {self.place}"

    def _clip(self, split: str, video: tf.Tensor, start: tf.Tensor, num_frames: int) -> tf.Tensor:
        frames = start + self._config.frame_stride * tf.range(num_frames, dtype=tf.int64)
        return tf.ensure_shape(self.clip(split, video, frames), [num_frames, *self._config.frame_shape])

    def _span(self, num_frames: int) -> int:
        """Frames of a video that a clip reaches over."""
        return (num_frames - 1) * self._config.frame_stride + 1

    def _long_enough(self, split: str, num_frames: int) -> np.ndarray:
        """int64 [N]: the videos with clips of that length."""
        return np.flatnonzero(self.lengths[split] >= self._span(num_frames))

    def _check(self, splits: list[str], num_frames: int) -> None:
        for split in splits:
            lengths, span = self.lengths[split], self._span(num_frames)
            if not len(lengths):
                raise UserError(f"split {split} is empty: {self.contents()}; {self.cure_of_empty_split}")
            if lengths.max() < span:
                reach = f" that {num_frames} reach over at frame_stride={self._config.frame_stride}"
                raise UserError(
                    f"no video of split {split} has the {span} frames{reach if span > num_frames else ''}: "
                    f"the longest has {lengths.max()}; ask for fewer, the frames given count too ({self.place})"
                )

    cure_of_empty_split = "add videos"


@functools.lru_cache(maxsize=4)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The order of the videos in an epoch: int64 [count]."""
    return np.random.default_rng([seed, _ORDER, epoch]).permutation(count)
