"""Frames of one form made into frames of another: size and colour."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

from videoflow_tf.colour import with_channels

_BOX = Image.Resampling.BOX  # The mean over the area of a pixel.


def fit_image(image: Image.Image, frame_shape: tuple[int, int, int], fit: str) -> np.ndarray:
    """A picture of any size and kind as a frame: uint8 [H, W, C].

    Args:
      image: what to scale, by the mean over the area of every new pixel.
      frame_shape: H, W and C; of C = 1 in colour the luma is taken, grey is repeated to C = 3.
      fit: "crop" cuts to the middle, "pad" adds black borders, "stretch" changes the proportions.
    """
    height, width, channels = frame_shape
    if image.mode.startswith("I"):  # 16 bits of grey.
        image = Image.fromarray((np.asarray(image) / 256).astype(np.uint8))
    image = image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")
    if fit == "crop":
        image = ImageOps.fit(image, (width, height), _BOX)
    elif fit == "pad":
        image = ImageOps.pad(image, (width, height), _BOX)
    elif fit == "stretch":
        image = image.resize((width, height), _BOX)
    else:
        raise ValueError(f"fit must be crop, pad or stretch, got {fit!r}")
    frame = np.asarray(image)
    return with_channels(frame[:, :, None] if frame.ndim == 2 else frame, channels)


def fit_frames(frames: np.ndarray, frame_shape: tuple[int, int, int], fit: str) -> np.ndarray:
    """uint8 [T, h, w, 1 or 3] -> uint8 [T, H, W, C], see `fit_image`; as they are if they fit already."""
    if frames.shape[1:] == tuple(frame_shape):
        return frames
    images = (Image.fromarray(frame[:, :, 0] if frame.shape[-1] == 1 else frame) for frame in frames)
    return np.stack([fit_image(image, frame_shape, fit) for image in images])
