"""Between grey frames and frames in colour."""

from __future__ import annotations

import numpy as np

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as in JPEG.


def with_channels(frames: np.ndarray, channels: int) -> np.ndarray:
    """uint8 [..., 1] (grey) or [..., 3] (RGB) -> [..., channels]: grey is repeated, of a colour the luma is taken."""
    if frames.shape[-1] == channels:
        return frames
    if channels == 3:
        return np.repeat(frames, 3, axis=-1)
    return np.rint(frames @ _LUMA)[..., None].astype(np.uint8)
