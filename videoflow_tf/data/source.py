"""The interface of a source of videos. To add one, write a class as below and name it in `registry.DATASETS`."""

from __future__ import annotations

import abc
from typing import ClassVar

import tensorflow as tf

from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.registry import DATASETS


class Source(abc.ABC):
    """Videos in the splits named in `config.SPLITS`; opened on a configuration and a data folder.

    Every method (and the constructor) raises `UserError` when asked for what the source does not have.

    Attributes:
      needs_data_dir: whether it reads files from a folder, `--data_dir`, rather than making its videos up.
      options: the fields of the configuration that are about this source alone.
      frame_size: that of its frames, as `VideoFlowConfig` has it; None: any that the configuration asks for.
    """

    needs_data_dir: ClassVar[bool] = False
    options: ClassVar[tuple[str, ...]] = ()
    frame_size: ClassVar[int | str | None] = None

    @abc.abstractmethod
    def __init__(self, config: VideoFlowConfig, data_dir: str | None) -> None:
        """Opens the source; `data_dir` may be None where `needs_data_dir` is false."""

    @abc.abstractmethod
    def train_batches(self, batch_size: int, start_step: int) -> tf.data.Dataset:
        """Endless; uint8 [batch_size, num_train_frames, H, W, C], the i-th for step `start_step + i`.

        A batch is a function of the configuration, the batch size and its step, not of `start_step`, of batches drawn
        before or of TensorFlow's global seed.
        """

    @abc.abstractmethod
    def num_videos(self, split: str, wanted: int | None) -> int:
        """How many videos to evaluate: `wanted` if there are so many; all, or a good number, when it is None."""

    @abc.abstractmethod
    def videos(self, split: str, num_frames: int) -> tf.data.Dataset:
        """uint8 [num_frames, H, W, C]: the first frames of every video, in fixed order."""


def open_source(config: VideoFlowConfig, data_dir: str | None) -> Source:
    """The source that `config.dataset` names."""
    return DATASETS[config.dataset](config, data_dir)


def fitting_dataset(frame_size: int | str) -> str:
    """The name of the first dataset whose frames all have that size, or else of the first that has frames of any."""
    sizes = {name: DATASETS[name].frame_size for name in DATASETS}
    return next(name for wanted in (frame_size, None) for name, size in sizes.items() if size == wanted)
