"""The interface of a source of videos. To add one, write a class as below and name it in `registry.DATASETS`."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

import tensorflow as tf

from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.files import local_path
from videoflow_tf.registry import DATASETS


class Source(abc.ABC):
    """Videos in the splits named in `config.SPLITS`; opened on a configuration and a data folder.

    Every method (and the constructor) raises `UserError` when asked for what the source does not have.

    Attributes:
      needs_data_dir: whether it reads files from a folder, `--data_dir`, rather than making its videos up.
      options: the fields of the configuration that are about this source, and not about every other.
      frame_size: the one height and width in which its frames are stored, in pixels; None: there is no such size.
      left_out: what of the folder is not used, or not all of it: names and reasons.
    """

    needs_data_dir: ClassVar[bool] = False
    options: ClassVar[tuple[str, ...]] = ()
    frame_size: ClassVar[int | None] = None
    left_out: tuple[tuple[str, str], ...] = ()

    @abc.abstractmethod
    def __init__(self, config: VideoFlowConfig, data_dir: Path | None) -> None:
        """Opens the source; `data_dir` may be None where `needs_data_dir` is false."""

    @abc.abstractmethod
    def train_batches(self, batch_size: int, start_step: int) -> tf.data.Dataset:
        """Endless; uint8 [batch_size, num_train_frames, H, W, C], the i-th for step `start_step + i`.

        A batch is a function of the configuration, the batch size and its step, not of `start_step`, of batches drawn
        before or of TensorFlow's global seed.
        """

    @abc.abstractmethod
    def num_videos(self, split: str, num_frames: int) -> int | None:
        """How many videos of a split have clips of so many frames; None: any number."""

    @abc.abstractmethod
    def videos(self, split: str, num_frames: int) -> tf.data.Dataset:
        """uint8 [num_frames, H, W, C]: the first frames of every video that has so many, in fixed order."""

    def contents(self) -> str:
        """What there is, in words."""
        return "generated, any number of videos"


def numbers_from(start: int) -> tf.data.Dataset:
    """`start`, `start` + 1 and so on without end: int64 [].

    As `tf.data.Dataset.counter`, which leaves a graph in the process for good each time.
    """
    numbers = tf.data.Dataset.range(start, tf.int64.max)
    return numbers.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))


def parallel_map(dataset: tf.data.Dataset, function: Callable[..., Any]) -> tf.data.Dataset:
    """`function` of every element, several at a time. It has to be plain TensorFlow: AutoGraph would take seconds to
    read all that it calls."""
    plain = tf.autograph.experimental.do_not_convert(function)
    return dataset.map(plain, num_parallel_calls=tf.data.AUTOTUNE)


def open_source(config: VideoFlowConfig, data_dir: str | Path | None) -> Source:
    """The source that `config.dataset` names.

    Raises:
      UserError: as its constructor; it needs a folder and there is none, or the other way round; an option is set that
        has no effect on it.
    """
    kind = dataset_class(config)
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    check_options(config, [name for name, value in defaults.items() if getattr(config, name) != value])
    if kind.needs_data_dir:
        if not data_dir:
            raise UserError(f"dataset={config.dataset} needs --data_dir, the folder that holds it")
        data_dir = local_path(data_dir)
    elif data_dir is not None:
        raise UserError(
            f"data_dir={data_dir} has no effect: dataset={config.dataset} is generated; leave it out, or train on the "
            "videos in a folder with --dataset=videos"
        )
    return kind(config, data_dir)


def dataset_class(config: VideoFlowConfig) -> type[Source]:
    """The class of `config.dataset`."""
    return DATASETS[config.dataset.partition(":")[0]]


def check_options(config: VideoFlowConfig, names: Iterable[str]) -> None:
    """Raises `UserError` if one of the fields `names` is about other datasets than `config.dataset` alone."""
    own = dataset_class(config).options
    for name in names:
        others = [dataset for dataset in DATASETS if name in DATASETS[dataset].options]
        if others and name not in own:
            raise UserError(
                f"{name}={getattr(config, name)} has no effect on dataset={config.dataset}, only on "
                f"{', '.join(others)}; leave it out"
            )


def fitting_dataset(frame_size: int | str) -> str:
    """The name of the first dataset whose frames all have that size, or else of the first that has frames of any."""
    sizes = {name: DATASETS[name].frame_size for name in DATASETS}
    return next(name for wanted in (frame_size, None) for name, size in sizes.items() if size == wanted)
