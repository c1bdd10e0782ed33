"""What training and evaluation see of the data, whichever the source."""

from __future__ import annotations

import functools
import math
import re

import numpy as np
import tensorflow as tf

from videoflow_tf.commands import here
from videoflow_tf.config import SPLITS, VideoFlowConfig
from videoflow_tf.data.source import Source, open_source
from videoflow_tf.errors import UserError, memory_fault, one_line
from videoflow_tf.units import counted

_LONGEST_TABLE = 20
_DEFAULT_NUM_VIDEOS = 256  # Of a source that makes up any number.


def train_clips(
    config: VideoFlowConfig, data_dir: str | None, *, batch_size: int, start_step: int = 0
) -> tf.data.Dataset:
    """Batches of random patches of the training videos, without end.

    Args:
      config: names the source, the frame size, the number of frames and the seed.
      data_dir: folder of the prepared dataset; None for a source that needs none.
      batch_size: clips in a batch.
      start_step: step of the first batch.

    Returns:
      uint8 [batch_size, num_train_frames, H, W, C] (static shape). Element i is the batch of step
      `start_step + i` and a function of that step, the batch size and the configuration alone, so that a resumed run
      sees what an undisturbed one would.

    Raises:
      UserError: if the dataset is missing or half prepared, or has no clips of this size or length.
    """
    _check_count("batch_size", batch_size)
    if start_step < 0:
        raise UserError(f"start_step={start_step} must be 0 or more")
    return open_source(config, data_dir).train_batches(batch_size, start_step).prefetch(tf.data.AUTOTUNE)


def init_clips(config: VideoFlowConfig, data_dir: str | None, *, num_clips: int) -> np.ndarray:
    """Training clips for the data-dependent initialisation: the batch of step 0 of a batch size `num_clips`.

    Returns:
      uint8 [num_clips, num_train_frames, H, W, C].

    Raises:
      UserError: as `train_clips`.
    """
    _check_count("num_clips", num_clips)
    return next(iter(open_source(config, data_dir).train_batches(num_clips, 0))).numpy()


def eval_videos(
    config: VideoFlowConfig,
    data_dir: str | None,
    split: str,
    *,
    num_videos: int | None = None,
    num_frames: int | None = None,
    clips: int = 1,
) -> tf.data.Dataset:
    """The first frames of the videos of a split, each video once, in fixed order, not batched.

    Args:
      config: names the source and the frame size.
      data_dir: folder of the prepared dataset; None for a source that needs none.
      split: "train", "validation" or "test".
      num_videos: the first so many videos; None: all of them, or as many as a generator thinks fit (256 for shapes).
      num_frames: frames of each video; None: `config.num_eval_frames`.
      clips: how many of each video, which begin at its frames 1, 2, ...: the first of every video, the second of every
        video, and so on. All are of videos with so many frames that the last has its full length.

    Returns:
      dict(index=int64 [], video=uint8 [num_frames, H, W, C]), with known cardinality.

    Raises:
      UserError: as `train_clips`, and if there is no such split, or fewer videos or frames than asked for.
    """
    source = open_source(config, data_dir)
    num_frames = config.num_eval_frames if num_frames is None else num_frames
    _check_count("clips", clips)
    length = num_frames + clips - 1
    count = _num_eval_videos(source, split, num_videos, length)
    videos = source.videos(split, length).take(count)
    starts = [videos.map(lambda video, start=start: video[start : start + num_frames]) for start in range(clips)]
    merged = functools.reduce(tf.data.Dataset.concatenate, starts)
    # Not `enumerate`, see `source.numbers_from`.
    indexed = tf.data.Dataset.zip({"index": tf.data.Dataset.range(count * clips), "video": merged})
    indexed = indexed.apply(tf.data.experimental.assert_cardinality(count * clips))
    return indexed.prefetch(tf.data.AUTOTUNE)


def load_videos(
    config: VideoFlowConfig, data_dir: str | None, split: str, *, num_videos: int, num_frames: int | None = None
) -> np.ndarray:
    """The first videos of a split in memory: uint8 [num_videos, num_frames, H, W, C]; see `eval_videos`."""
    videos = eval_videos(config, data_dir, split, num_videos=num_videos, num_frames=num_frames)
    return np.stack([element["video"] for element in videos.as_numpy_iterator()])


def load_video(
    config: VideoFlowConfig, data_dir: str | None, split: str, index: int, num_frames: int | None = None
) -> np.ndarray:
    """The video of a split with that index, from 0: uint8 [num_frames, H, W, C].

    Raises:
      UserError: as `eval_videos`, and if there is no such video.
    """
    num_frames = config.num_eval_frames if num_frames is None else num_frames
    source = open_source(config, data_dir)
    _num_eval_videos(source, split, None, num_frames)  # Complains of another split, or of too many frames.
    there = source.num_videos(split, num_frames)
    if not 0 <= index < (math.inf if there is None else there):
        known = "from 0 on" if there is None else f"from 0 to {there - 1} with {counted(num_frames, 'frame')}"
        raise UserError(f"there is no video {index}: split {split} has those {known}")
    return next(iter(source.videos(split, num_frames).skip(index))).numpy()


def num_eval_videos(config: VideoFlowConfig, data_dir: str | None, split: str, num_videos: int | None = None) -> int:
    """How many videos `eval_videos` gives for the same arguments; raises as it does."""
    return _num_eval_videos(open_source(config, data_dir), split, num_videos, config.num_eval_frames)


def validation_videos(config: VideoFlowConfig, data_dir: str | None, at_most: int) -> tf.data.Dataset:
    """The first `at_most` videos of the validation split, or all of fewer; as `eval_videos`."""
    count = min(at_most, num_eval_videos(config, data_dir, "validation", None))
    return eval_videos(config, data_dir, "validation", num_videos=count)


def reading_fault(error: tf.errors.OpError) -> str | None:
    """What went wrong in reading videos in the middle of the work, in one line; None of an error of another origin."""
    if "IteratorGetNext" not in error.message or memory_fault(error, "") is not None:
        return None
    # TensorFlow puts its own words around those of Python, and a traceback after them.
    if own := re.search(r"UserError: (.*)", error.message):
        return own[1]
    reason = re.search(r"(?:\{\{.*?\}\} )?(.*)\s+\[\[", error.message)
    reason = one_line(reason[1] if reason else error.message)
    return f"a video cannot be read any more, its file is damaged: {reason}; bring back a whole one"


def describe_data(config: VideoFlowConfig, data_dir: str | None) -> str:
    """What there is to train and evaluate on: the dataset, its splits, where it lies, and a line for what is left out.

    Raises:
      UserError: as `train_clips`.
    """
    source = open_source(config, data_dir)
    return f"Data: {config.dataset}: {source.contents()}" + "".join(f"\n{line}" for line in left_out(source))


def left_out(source: Source, at_most: int | None = _LONGEST_TABLE) -> list[str]:
    """The lines of a table of what a source leaves out, or does not use all of; none if there is no such thing."""
    if not source.left_out:
        return []
    width = min(max(len(name) for name, _ in source.left_out), 60)
    lines = [f"  {one_line(name):{width}}  {reason}" for name, reason in source.left_out[:at_most]]
    if len(lines) < len(source.left_out):
        lines.append(f"  and {len(source.left_out) - len(lines)} more; {here('launch/inspect_data.py')} lists all")
    return ["Left out, or not all of it used:", *lines]


def _num_eval_videos(source: Source, split: str, num_videos: int | None, num_frames: int) -> int:
    if split not in SPLITS:
        raise UserError(f"there is no split {split!r}; one of: {', '.join(SPLITS)}")
    _check_count("num_frames", num_frames)
    if num_videos is not None:
        _check_count("num_videos", num_videos)
    there = source.num_videos(split, num_frames)
    if there is None:
        return _DEFAULT_NUM_VIDEOS if num_videos is None else num_videos
    if num_videos is not None and num_videos > there:
        videos = f"{counted(there, 'video')} of {counted(num_frames, 'frame')}"
        raise UserError(f"split {split} has {videos}, {num_videos} were asked for")
    return there if num_videos is None else num_videos


def _check_count(name: str, value: int) -> None:
    if value < 1:
        raise UserError(f"{name}={value} must be at least 1")
