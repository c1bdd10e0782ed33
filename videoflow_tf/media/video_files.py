"""Video files of any kind, read with PyAV."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from videoflow_tf.errors import UserError


def read_video(path: str | Path, frame_size: int, max_frames: int) -> np.ndarray:
    """The first frames of a video file, upright, cut to the middle square and scaled.

    Args:
      path: any file that FFmpeg reads, animated GIFs too; of several video streams the largest is taken.
      frame_size: height and width to scale to, in pixels.
      max_frames: read no more.

    Returns:
      uint8 [T, frame_size, frame_size, 3], T <= max_frames.

    Raises:
      UserError: there is no such file, it is no video, or it is damaged within the frames asked for.
    """
    import av

    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    frames = []
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            if not container.streams.video:
                raise UserError(f"{path} has no video stream")
            stream = max(container.streams.video, key=lambda stream: stream.width * stream.height)
            for frame in container.decode(stream):
                frames.append(_square(frame, frame_size))
                if len(frames) == max_frames:
                    break
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        if not frames:
            raise UserError(f"{path} is not a video that can be read: {reason}") from error
        raise UserError(
            f"{path} is damaged after frame {len(frames)} ({reason}); repair it or give --max_frames={len(frames)}"
        ) from error
    if not frames:
        raise UserError(f"{path} has no frames")
    return np.stack(frames)


def _square(frame, size: int) -> np.ndarray:
    image = frame.to_image().rotate(frame.rotation, expand=True)  # Both count counter-clockwise.
    return np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.BOX))
