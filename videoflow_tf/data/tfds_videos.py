"""The source "tfds:NAME[:FEATURE]": any dataset prepared by TensorFlow Datasets that has videos in it.

FEATURE is a `Video` or a `Sequence` of `Image`s; where there is only one, it need not be named. What TFDS has no split
for is held out from the end of its train split (or of the largest one, without a train split): up to 256 videos each.

Clips are read one by one from wherever they lie in the files, and only the frames that are wanted are decompressed.
"""

from __future__ import annotations

import contextlib
import functools
import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging
from tensorflow.python.lib.io import tf_record

from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.data.source import parallel_map
from videoflow_tf.data.stored import StoredVideos
from videoflow_tf.errors import UserError
from videoflow_tf.extras import require
from videoflow_tf.files import local_path, reason_of
from videoflow_tf.media.fitting import fit_frames

HELD_OUT = 256  # Videos at most; and half of what there is.

_HEADER, _FOOTER = 12, 4  # Bytes around a TFRecord: its length and the checksum of that; the checksum of the record.


class TfdsVideos(StoredVideos):
    """See above."""

    def __init__(self, config: VideoFlowConfig, data_dir: str | Path) -> None:
        _, _, of_kind = config.dataset.partition(":")
        name, _, feature = of_kind.partition(":")
        if not name:
            raise UserError("dataset=tfds needs a name: tfds:NAME, or tfds:NAME:FEATURE")
        folder = find_dataset(data_dir, name)
        fault = find_fault(folder)
        if fault:
            raise UserError(f"{fault}; prepare {name} again")
        self._open(config, builder_from(folder), name, feature or None)

    def _open(self, config: VideoFlowConfig, builder: Any, name: str, feature: str | None) -> None:
        """Opens the complete dataset of a `tfds.core.DatasetBuilder`."""
        super().__init__(config)
        self._builder, folder = builder, Path(builder.data_dir)
        self._feature = _find_feature(self._builder.info.features, feature, name)
        self.place = f"{name}, {self._feature}, in {folder}"
        shape = self._builder.info.features.get_tensor_info()[self._feature].shape
        self._channels, self._fits = shape[-1], shape[1:] == config.frame_shape
        splits = self._builder.info.splits
        records = {split: _records(tuple(map(str, splits[split].filepaths))) for split in splits}
        lengths = {split: _lengths(folder, self._feature, split) for split in splits}
        self._records, self.lengths = {}, {}
        for split, (of, part) in _parts({split: len(found) for split, found in records.items()}).items():
            self._records[split], self.lengths[split] = records[of][part], lengths[of][part]

    def clip(self, split: str, video: tf.Tensor, frames: tf.Tensor) -> tf.Tensor:
        """See `StoredVideos`: uint8 [T, H, W, C]."""
        record = tf.numpy_function(self._records[split].read, [video], tf.string)
        encoded = tf.gather(parse(self._builder.info.features, self._feature, tf.ensure_shape(record, [])), frames)
        images = tf.stack(
            [tf.io.decode_image(image, self._channels, expand_animations=False) for image in tf.unstack(encoded)]
        )
        if self._fits:
            return images
        fit = functools.partial(fit_frames, frame_shape=self._config.frame_shape, fit=self._config.fit)
        return tf.numpy_function(fit, [images], tf.uint8)


def find_dataset(data_dir: str | Path, name: str) -> Path:
    """The folder of the newest version of a prepared dataset, NAME or NAME/CONFIG.

    Raises:
      UserError: there is none, or it has several configurations; TFDS is not installed.
    """
    require("tensorflow_datasets")
    import tensorflow_datasets as tfds

    root = local_path(data_dir)
    found = sorted(path.parent for path in (root / name).glob("**/dataset_info.json"))
    kinds = {path.parent for path in found}
    if len(kinds) > 1:
        names = ", ".join(sorted(kind.relative_to(root).as_posix() for kind in kinds))
        raise UserError(f"{name} in {root} is several datasets; name one of {names}")
    if found:
        return max(found, key=lambda path: tfds.core.Version(path.name))
    if (root / name).is_dir() and any((root / name).glob("**/incomplete.*")):
        raise UserError(f"{name} is only half prepared in {root}; prepare it again")
    there = sorted({path.relative_to(root).parts[0] for path in root.glob("*/**/dataset_info.json")})
    raise UserError(
        f"there is no prepared dataset {name} in {root}, "
        + (f"only {', '.join(there)}" if there else "nor any other")
        + "; give the --data_dir that TFDS prepared it in"
    )


def builder_from(folder: Path) -> Any:
    """The `tfds.core.DatasetBuilder` of what is prepared in a folder."""
    import tensorflow_datasets as tfds

    with without_warnings():
        return tfds.builder_from_directory(folder)


def find_fault(folder: Path) -> str | None:
    """Why what TFDS prepared in a folder cannot be read, or None if it is complete."""
    require("tensorflow_datasets")
    try:
        splits = builder_from(folder).info.splits
    except Exception as error:  # Any damage to the two JSON files; TFDS names no type for it.
        return f"the description of the dataset in {folder} cannot be read ({type(error).__name__})"
    for split in splits:
        shards = [Path(path) for path in splits[split].filepaths]
        missing = [shard for shard in shards if not shard.is_file()]
        if missing:
            return f"the dataset is only half prepared: {missing[0]} is missing"
        if sum(shard.stat().st_size for shard in shards) < splits[split].num_bytes:
            return f"the files of split {split} in {folder} are shorter than they should be"
    return None


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """Silences TFDS where it warns about its own use of deprecated names, which no user can mend."""
    loggers = (logging.get_absl_logger(), tf.get_logger())
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel("ERROR")
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def without_bars() -> Iterator[None]:
    """Inside, TFDS shows no progress bars, which name its temporary files."""
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    try:
        yield
    finally:
        tfds.enable_progress_bar()


@contextlib.contextmanager
def preparing(name: str, data_dir: Path) -> Iterator[None]:
    """Inside, a file that cannot be written is a `UserError`: TFDS puts errors of other kinds around that."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        causes: list[BaseException] = [error]
        while causes[-1].__cause__ is not None:
            causes.append(causes[-1].__cause__)
        of_files = [cause for cause in causes if isinstance(cause, (OSError, tf.errors.OpError))]
        if not of_files:
            raise
        raise UserError(
            f"cannot prepare {name} in {data_dir}: {reason_of(of_files[-1])}; make room there, or name another "
            "--data_dir, and start again"
        ) from error


def parse(features: Any, feature: str, record: tf.Tensor) -> tf.Tensor:
    """The compressed frames in a record: string [T]."""
    import tensorflow_datasets as tfds

    decoders = tfds.decode.PartialDecoding({feature: True}, decoders={feature: tfds.decode.SkipDecoding()})
    with without_warnings():
        return decoders.extract_features(features).deserialize_example(record, decoders=decoders.decoders)[feature]


class Records:
    """Where the records of TFRecord files lie, to be read in any order."""

    def __init__(self, paths: tuple[str, ...], files: np.ndarray, offsets: np.ndarray) -> None:
        """`files`: int [N], which of the paths; `offsets`: int64 [N], in bytes."""
        self._paths, self._files, self._offsets = paths, files, offsets

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, part: slice) -> Records:
        return Records(self._paths, self._files[part], self._offsets[part])

    def read(self, index: int) -> bytes:
        """The record of that number; `UserError` if it is no longer where it was, or not as its checksum says."""
        path = self._paths[self._files[index]]
        try:
            return tf_record.tf_record_random_reader(path).read(int(self._offsets[index]))[0]
        except (tf.errors.DataLossError, IndexError):
            raise _damaged(path) from None
        except tf.errors.OpError as error:
            raise UserError(
                f"{path} cannot be read any more: {error.message.split('; ')[-1]}; bring it back, or prepare the "
                "dataset again"
            ) from None


def _damaged(path: str) -> UserError:
    return UserError(
        f"{path} is damaged: bring back a whole copy of it, or remove {Path(path).parent} and prepare the dataset again"
    )


@functools.lru_cache(maxsize=16)
def _records(paths: tuple[str, ...]) -> Records:
    """All records of some files, one after the other."""
    files, offsets = [], []
    for number, path in enumerate(paths):
        if not os.path.getsize(path):
            continue
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            offset = 0
            while offset + _HEADER <= len(content):
                files.append(number)
                offsets.append(offset)
                (length,) = struct.unpack_from("<Q", content, offset)
                offset += _HEADER + length + _FOOTER
            if offset != len(content):
                raise _damaged(path)
    return Records(paths, np.array(files, np.int64), np.array(offsets, np.int64))


@functools.lru_cache(maxsize=16)
def _lengths(folder: Path, feature: str, split: str) -> np.ndarray:
    """int64 [N]: the frames of every video; where they differ, all are looked at, once."""
    builder = builder_from(folder)
    info = builder.info.splits[split]
    num_frames = builder.info.features.get_tensor_info()[feature].shape[0]
    if num_frames is not None:
        return np.full(info.num_examples, num_frames, np.int64)
    counts = []
    for path in map(str, info.filepaths):
        records = tf.data.TFRecordDataset(path)
        of_file = parallel_map(records, lambda r: tf.size(parse(builder.info.features, feature, r), tf.int64))
        try:
            counts += of_file.as_numpy_iterator()
        except tf.errors.OpError as error:
            raise _damaged(path) from error
    return np.array(counts, np.int64)


def _find_feature(features: Any, wanted: str | None, name: str) -> str:
    """The feature `wanted`, or the only one that is a video."""
    decoded, stored = features.get_tensor_info(), features.get_serialized_info()
    videos = [
        feature
        for feature, info in sorted(decoded.items())  # TFDS has them in another order in every process.
        if getattr(info, "shape", None) is not None
        and len(info.shape) == 4
        and (info.tf_dtype, stored[feature].tf_dtype) == (tf.uint8, tf.string)
    ]
    if wanted is None and len(videos) == 1:
        return videos[0]
    there = ", ".join(videos)
    if wanted is None and videos:
        raise UserError(f"{name} has several videos, {there}; name one: --dataset=tfds:{name}:{videos[0]}")
    if wanted not in videos:
        what = f"no video {wanted!r}" if wanted else "no video"
        raise UserError(
            f"{name} has {what} (uint8 [T, H, W, C]), " + (f"only {there}" if videos else "only other things")
        )
    return wanted


def _parts(counts: dict[str, int]) -> dict[str, tuple[str, slice]]:
    """Of which split of TFDS, and which part of it, each of ours is."""
    pool = "train" if "train" in counts else max(counts, key=counts.get)
    own = {split: split for split in ("validation", "test") if split in counts and split != pool}
    missing = [split for split in ("test", "validation") if split not in own]
    end, held_out = counts[pool], {}
    share = min(HELD_OUT, counts[pool] // (1 + len(missing)))
    for split in missing:
        held_out[split] = (pool, slice(end - share, end))
        end -= share
    parts = {"train": (pool, slice(0, end))} | held_out | {split: (of, slice(None)) for split, of in own.items()}
    return {split: parts[split] for split in ("train", "validation", "test")}
