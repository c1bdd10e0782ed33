"""The interface of a source of videos, and the table of all sources.

To add one: write a class with these three methods, name it in `SOURCES`, and name it in the choices of the
configuration's field `dataset`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import tensorflow as tf

from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.data.bair import Bair
from videoflow_tf.data.shapes import Shapes

SPLITS = ("train", "validation", "test")


class Source(Protocol):
    """Videos in the three splits named in `SPLITS`; opened on a configuration and a data folder.

    Every method (and the constructor) raises `UserError` when asked for what the source does not have.
    """

    def train_batches(self, batch_size: int, start_step: int) -> tf.data.Dataset:
        """Endless; uint8 [batch_size, num_train_frames, H, W, 3], the i-th for step `start_step + i`.

        A batch is a function of the configuration, the batch size and its step, not of `start_step`, of batches drawn
        before or of TensorFlow's global seed.
        """

    def num_videos(self, split: str, wanted: int | None) -> int:
        """How many videos to evaluate: `wanted` if there are so many; all, or a good number, when it is None."""

    def videos(self, split: str, num_frames: int) -> tf.data.Dataset:
        """uint8 [num_frames, H, W, 3]: the first frames of every video, in fixed order."""


SOURCES: dict[str, Callable[[VideoFlowConfig, str | None], Source]] = {"shapes": Shapes, "bair": Bair}


def open_source(config: VideoFlowConfig, data_dir: str | None) -> Source:
    """The source that `config.dataset` names."""
    return SOURCES[config.dataset](config, data_dir)
