"""BAIR robot pushing (Ebert et al. 2017, arXiv 1710.05268), read from its form in TensorFlow Datasets.

`bair_robot_pushing_small` has 43,264 training and 256 test videos of 30 frames, 64 x 64, from two cameras. VideoFlow
and the papers it compares with use the camera `image_aux1`; `image_main` is the other. TFDS has no validation split:
the last 256 videos of its train split are held out as one (at most half of it, when it is a small sample). TFDS has
shuffled the videos while preparing them, so these are a random choice, and the same for everyone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from videoflow_tf.commands import here
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.data import tfds_videos
from videoflow_tf.data.stored import StoredVideos
from videoflow_tf.errors import UserError
from videoflow_tf.extras import require
from videoflow_tf.files import local_path

NAME = "bair_robot_pushing_small"
VERSION = "2.0.0"


def version_dir(data_dir: str | Path) -> Path:
    """Where TFDS keeps the prepared dataset."""
    return local_path(data_dir) / NAME / VERSION


def find_fault(data_dir: str | Path) -> str | None:
    """Why the dataset in `data_dir` cannot be read, or None if it is complete."""
    require("tensorflow_datasets")
    folder = version_dir(data_dir)
    if not (folder / "dataset_info.json").is_file():
        unfinished = folder.is_dir() or any(folder.parent.glob("incomplete.*"))
        if unfinished:
            return f"BAIR is only half prepared in {folder.parent}"
        return f"there is no prepared BAIR dataset in {data_dir}"
    fault = tfds_videos.find_fault(folder)
    if fault is None:
        splits = tfds_videos.builder_from(folder).info.splits
        missing = [split for split in ("train", "test") if split not in splits]
        fault = f"the BAIR dataset in {folder} has no split {missing[0]}" if missing else None
    return fault


def open_dataset(data_dir: str | Path) -> Any:
    """The `tfds.core.DatasetBuilder` of the dataset prepared in `data_dir`; `UserError` if it is not, or not wholly."""
    fault = find_fault(data_dir)
    if fault and version_dir(data_dir).parent.is_dir():
        raise UserError(f"{fault}; run: {here('python launch/prepare_bair.py')} --data_dir={data_dir}")
    if fault:
        raise UserError(
            f"{fault}; name the folder that {here('launch/prepare_bair.py')} prepared it in, or train on something "
            "else: --dataset=videos takes the video files in a folder, --dataset=tfds:NAME another dataset of TFDS"
        )
    return tfds_videos.builder_from(version_dir(data_dir))


class Bair(tfds_videos.TfdsVideos):
    """The source "bair"; videos of 30 frames."""

    options = (*StoredVideos.options, "camera")
    frame_size = 64

    def __init__(self, config: VideoFlowConfig, data_dir: str | Path) -> None:
        self._open(config, open_dataset(data_dir), NAME, config.camera)
