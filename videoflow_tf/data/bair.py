"""BAIR robot pushing (Ebert et al. 2017, arXiv 1710.05268), read from its form in TensorFlow Datasets.

`bair_robot_pushing_small` has 43,264 training and 256 test videos of 30 frames, 64 x 64, from two cameras. VideoFlow
and the papers it compares with use the camera `image_aux1`, read here alone. TFDS has no validation split: the last 256
videos of its train split are held out as one (at most half of it, when it is a small sample). TFDS has shuffled the
videos while preparing them, so these are a random choice, and the same for everyone.

The training videos come in a new order every epoch: a function of seed and epoch, made of a shuffle of the shards
and a shuffle buffer. Videos stay as compressed as they are on disk until it is known which frames are wanted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import logging

from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.data.source import Source
from videoflow_tf.errors import UserError
from videoflow_tf.seeds import fold_in, split_seed, uniform_int

NAME = "bair_robot_pushing_small"
VERSION = "2.0.0"
CAMERA = "image_aux1"
FRAME_SIZE = 64
FRAMES_PER_VIDEO = 30
HELD_OUT = 256

_SHUFFLE_BUFFER = 512  # Videos; about 100 MB, compressed.
_ORDER, _PATCH = range(2)  # What a seed is for.


def version_dir(data_dir: str | Path) -> Path:
    """Where TFDS keeps the prepared dataset."""
    return Path(data_dir).expanduser() / NAME / VERSION


def find_fault(data_dir: str | Path) -> str | None:
    """Why the dataset in `data_dir` cannot be read, or None if it is complete."""
    import tensorflow_datasets as tfds

    folder = version_dir(data_dir)
    if not (folder / "dataset_info.json").is_file():
        unfinished = folder.is_dir() or any(folder.parent.glob("incomplete.*"))
        if unfinished:
            return f"BAIR is only half prepared in {folder.parent}"
        return f"there is no prepared BAIR dataset in {data_dir}"
    try:
        with without_warnings():
            splits = tfds.builder_from_directory(folder).info.splits
    except Exception as error:  # Any damage to the two JSON files; TFDS names no type for it.
        return f"the description of the BAIR dataset in {folder} cannot be read ({type(error).__name__})"
    for split in ("train", "test"):
        if split not in splits:
            return f"the BAIR dataset in {folder} has no split {split}"
        shards = [Path(path) for path in splits[split].filepaths]
        missing = [shard for shard in shards if not shard.is_file()]
        if missing:
            return f"BAIR is only half prepared: {missing[0]} is missing"
        if sum(shard.stat().st_size for shard in shards) < splits[split].num_bytes:
            return f"the files of split {split} in {folder} are shorter than they should be"
    return None


def open_dataset(data_dir: str | Path) -> Any:
    """The `tfds.core.DatasetBuilder` of the dataset prepared in `data_dir`; `UserError` if it is not, or not wholly."""
    import tensorflow_datasets as tfds

    fault = find_fault(data_dir)
    if fault:
        raise UserError(f"{fault}; run: python launch/prepare_bair.py --data_dir={data_dir}")
    with without_warnings():
        return tfds.builder_from_directory(version_dir(data_dir))


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


class Bair(Source):
    """The source "bair"; frames of 64 x 64, up to 30 a video."""

    needs_data_dir = True
    frame_size = FRAME_SIZE

    def __init__(self, config: VideoFlowConfig, data_dir: str | None) -> None:
        if config.frame_size != FRAME_SIZE:
            raise UserError(f"BAIR has frames of {FRAME_SIZE}x{FRAME_SIZE}, not frame_size={config.frame_size}")
        if config.channels != 3:
            raise UserError(f"BAIR has frames in colour, not channels={config.channels}")
        if not data_dir:
            raise UserError("dataset=bair needs --data_dir, the folder that launch/prepare_bair.py prepared it in")
        self._config = config
        self._dataset = open_dataset(data_dir)
        train, test = (self._dataset.info.splits[split].num_examples for split in ("train", "test"))
        held_out = min(HELD_OUT, train // 2)
        # Each split as TFDS writes it, and its number of videos.
        self._splits = {
            "train": (f"train[:{train - held_out}]", train - held_out),
            "validation": (f"train[{train - held_out}:]", held_out),
            "test": ("test", test),
        }

    def train_batches(self, batch_size: int, start_step: int) -> tf.data.Dataset:
        """Each video once an epoch, a random patch of it each time; batches run on across epochs."""
        num_frames = self._config.num_train_frames
        _check_num_frames("num_train_frames", num_frames)
        first = start_step * batch_size
        first_epoch, done = divmod(first, self._splits["train"][1])

        @tf.autograph.experimental.do_not_convert
        def epoch(number: tf.Tensor) -> tf.data.Dataset:
            return self._shuffled_epoch(number).skip(tf.where(number == first_epoch, tf.constant(done, tf.int64), 0))

        def patch(index: tf.Tensor, frames: tf.Tensor) -> tf.Tensor:
            seed = fold_in(self._seed(_PATCH, index // batch_size), index % batch_size)
            start = uniform_int([], seed, FRAMES_PER_VIDEO - num_frames + 1)
            return _decode(tf.ensure_shape(frames[start : start + num_frames], [num_frames]))

        videos = tf.data.Dataset.counter(first_epoch).flat_map(epoch).enumerate(first)
        return videos.map(patch, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size, drop_remainder=True)

    def num_videos(self, split: str, wanted: int | None) -> int:
        """Up to the videos of the split; all of them by default."""
        there = self._splits[split][1]
        if there == 0:
            raise UserError(f"split {split} of this BAIR dataset is empty: train is too small to hold any out")
        if wanted is not None and wanted > there:
            raise UserError(f"split {split} of this BAIR dataset has {there} videos, {wanted} were asked for")
        return there if wanted is None else wanted

    def videos(self, split: str, num_frames: int) -> tf.data.Dataset:
        """In the order of the files."""
        _check_num_frames("num_frames", num_frames)
        videos = self._read(split, shuffle_files=False, interleave_cycle_length=1)
        return videos.map(lambda frames: _decode(frames[:num_frames]), num_parallel_calls=tf.data.AUTOTUNE)

    def _shuffled_epoch(self, number: tf.Tensor) -> tf.data.Dataset:
        """The training videos in the order of an epoch (int64 []): string [30], a compressed frame each."""
        # tf.data mixes every seed with the graph's global one. This runs in the graph of a function of its own, where
        # the line below fixes it, whatever the program has set outside.
        tf.random.set_seed(1)
        shards_seed, videos_seed = (tf.cast(seed[0], tf.int64) for seed in split_seed(self._seed(_ORDER, number), 2))
        videos = self._read("train", shuffle_files=True, shuffle_seed=shards_seed)
        return videos.shuffle(_SHUFFLE_BUFFER, seed=videos_seed)

    def _read(self, split: str, *, shuffle_files: bool, **how: Any) -> tf.data.Dataset:
        """string [30]: the compressed frames of every video of a split."""
        import tensorflow_datasets as tfds

        decoders = tfds.decode.PartialDecoding({CAMERA: True}, decoders={CAMERA: tfds.decode.SkipDecoding()})
        config = tfds.ReadConfig(try_autocache=False, skip_prefetch=True, **how)
        with without_warnings():
            videos = self._dataset.as_dataset(
                split=self._splits[split][0], shuffle_files=shuffle_files, decoders=decoders, read_config=config
            )
        return videos.map(lambda video: video[CAMERA])

    def _seed(self, purpose: int, number: tf.Tensor) -> tf.Tensor:
        return fold_in(tf.constant([self._config.seed, purpose]), number)


def _decode(frames: tf.Tensor) -> tf.Tensor:
    """string [T] (T static) -> uint8 [T, 64, 64, 3]."""
    images = tf.stack([tf.io.decode_png(frame, channels=3) for frame in tf.unstack(frames)])
    return tf.ensure_shape(images, [frames.shape[0], FRAME_SIZE, FRAME_SIZE, 3])


def _check_num_frames(name: str, num_frames: int) -> None:
    if num_frames > FRAMES_PER_VIDEO:
        raise UserError(f"{name}={num_frames} is more than the {FRAMES_PER_VIDEO} frames of a BAIR video")
