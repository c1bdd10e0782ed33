"""The clip that the page is about: one of a split, or files that somebody uploads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from videoflow_tf import data
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.data.source import dataset_class
from videoflow_tf.errors import UserError
from videoflow_tf.studies.files import read_frames
from videoflow_tf.units import counted


class Clip(NamedTuple):
    """Frames given, and what really came after them."""

    context: np.ndarray  # uint8 [K, H, W, C]
    future: np.ndarray | None  # uint8 [N, H, W, C]; None if the video is shorter.
    index: int = 0  # In its split.
    notes: tuple[str, ...] = ()  # What is to be known of it.


def has_videos(config: VideoFlowConfig, data_dir: str | None) -> bool:
    """Whether there is a dataset: one that is generated, or in the folder that it needs."""
    return data_dir is not None or not dataset_class(config).needs_data_dir


def clip_of_split(config: VideoFlowConfig, data_dir: str | None, split: str, index: int, num_frames: int) -> Clip:
    """A video of a split by its index among those of `num_eval_frames`; its context alone where they are shorter.

    Raises:
      UserError: the dataset is missing or damaged, or there is no such video.
    """
    there = data.num_eval_videos(config, data_dir, split)
    if not 0 <= index < there:
        raise UserError(f"there is no video {index}: split {split} has those from 0 to {there - 1}")
    whole = config.num_context + num_frames
    length = max(whole, config.num_eval_frames)
    if _num_videos(config, data_dir, split, length) != there:  # Some are shorter, so the longer ones count otherwise.
        length = config.num_eval_frames
    video = data.load_video(config, data_dir, split, index, length)[:whole]
    missing = f"the real continuation is not shown: its {whole} frames are more than all videos of split {split} have"
    return _clip(video, config, num_frames, index, (missing,) if len(video) < whole else ())


def _num_videos(config: VideoFlowConfig, data_dir: str | None, split: str, length: int) -> int:
    """How many there are of so many frames."""
    try:
        return data.num_eval_videos(config.replace(num_eval_frames=length), data_dir, split)
    except UserError:  # None.
        return 0


def clip_of_files(config: VideoFlowConfig, files: Sequence[str], num_frames: int) -> Clip:
    """The first frames of a video file, or those of several files, such as pictures, one after another.

    Raises:
      UserError: one cannot be read, or there are too few frames.
    """
    whole = config.num_context + num_frames
    frames, notes = np.zeros([0, *config.frame_shape], np.uint8), []
    for name, path in ((Path(path).name, path) for path in files):
        if len(frames) == whole:
            break
        try:
            read, of_file = read_frames(path, config, whole - len(frames))
        except UserError as error:
            raise UserError(str(error).replace(str(path), name)) from None
        frames = np.concatenate([frames, read])
        notes += [f"{name} is damaged: {problem}" for problem in of_file.get("problems", [])]
    there = f"{', '.join(Path(path).name for path in files)}: {counted(len(frames), 'frame')}"
    if len(frames) < config.num_context:
        raise UserError(f"{there}, of which {config.num_context} are needed; upload a longer video")
    if len(frames) < whole:
        notes.append(f"the real continuation is not shown: {there}, of which {whole} are needed for it")
    return _clip(frames, config, num_frames, notes=tuple(notes))


def _clip(
    video: np.ndarray, config: VideoFlowConfig, num_frames: int, index: int = 0, notes: tuple[str, ...] = ()
) -> Clip:
    """Without its future if that is shorter than `num_frames`."""
    context, future = video[: config.num_context], video[config.num_context :]
    return Clip(context, future if len(future) == num_frames else None, index, notes)
