"""Video and image files that a study is given."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from videoflow_tf.arguments import file_label
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import one_line
from videoflow_tf.files import file_digest
from videoflow_tf.media.video_files import read_video

_MOST_FRAMES = 1000


def read_frames(file: str | Path, config: VideoFlowConfig, max_frames: int | None) -> tuple[np.ndarray, dict[str, Any]]:
    """The first frames of a file as the model takes them, and what a protocol says of the file.

    What is wrong with a damaged file is said on stderr and stands in the protocol.

    Returns:
      uint8 [T, H, W, C], T from 1 to `max_frames`, 1000 where that is None; JSON values.

    Raises:
      UserError: as `read_video`.
    """
    frames, problems, *_ = read_video(file, config.frame_shape, max_frames or _MOST_FRAMES)
    if problems:
        print(one_line(f"warning: {file} is damaged: {'; '.join(problems)}"), file=sys.stderr)
    of_file = {"video_file": str(file), "video_digest": file_digest(file)}
    return frames, of_file | ({"problems": problems} if problems else {})


def label_of(of_file: Mapping[str, Any]) -> str:
    """What a file is called in the names of results, given what a protocol says of it."""
    return file_label(of_file["video_file"], of_file["video_digest"])
