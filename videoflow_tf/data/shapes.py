"""Stochastic Movement: a shape leaves the centre of the picture in a direction of its own, at constant speed.

The dataset of Babaeizadeh et al. 2018 (arXiv 1710.11252, section 3) as Kumar et al. 2020 use it: the first frame tells
shape, size and colour, and nothing of the direction, so that a model that predicts one future must blur it.

The canvas is 10 x 10 units, y pointing up, whatever the frame size:

- circle of radius s; square of half side s; equilateral triangle of side 2s, its base s below the centre
- s ~ U(0.5, 1.5), one of six colours (matplotlib's b, g, r, c, m, y), black or grey background
- centre at (5, 5) in frame 0, moving by one of (+-1, +-1), (+-1, 0), (0, +-1) units per frame

Videos are computed, not stored. Those of a split are a function of an index and a seed: `config.seed` for train; a
constant for validation and test, which therefore are the same for everyone. The size is uniform on a grid of 256
values, of which every eighth is kept for test and another for validation alone: at 32 pixels and more, no video of one
split occurs in another.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.data.source import Source
from videoflow_tf.seeds import fold_in, split_seed, uniform_int

SHAPES = ("circle", "square", "triangle")
COLOURS = np.array([(0, 0, 255), (0, 128, 0), (255, 0, 0), (0, 191, 191), (191, 0, 191), (191, 191, 0)], np.uint8)
DIRECTIONS = np.array([(1, 1), (1, 0), (1, -1), (0, 1), (0, -1), (-1, 1), (-1, 0), (-1, -1)], np.float32)
BACKGROUNDS = {"black": 0, "grey": 128}
CANVAS = 10.0

_GRID = np.arange(256)
_ALL_SIZES = (0.5 + (_GRID + 0.5) / len(_GRID)).astype(np.float32)
SIZES = {
    "train": _ALL_SIZES[(_GRID % 8 != 3) & (_GRID % 8 != 7)],
    "validation": _ALL_SIZES[_GRID % 8 == 3],
    "test": _ALL_SIZES[_GRID % 8 == 7],
}

_DEFAULT_NUM_VIDEOS = 256
_HELD_OUT_SEED = 1903_01434


class Shapes(Source):
    """The source "shapes"; any frame size, any number of frames and of videos, no data folder."""

    options = ("shapes_background",)

    def __init__(self, config: VideoFlowConfig, data_dir: str | None = None) -> None:
        del data_dir
        self._config = config

    def train_batches(self, batch_size: int, start_step: int) -> tf.data.Dataset:
        """Every batch new videos; patches start anywhere in the first `num_eval_frames` frames."""
        config = self._config
        last_start = max(config.num_eval_frames - config.num_train_frames, 0)

        def batch(step: tf.Tensor) -> tf.Tensor:
            starts_seed, seed = split_seed(fold_in(self._seed("train"), step), 2)
            starts = uniform_int([batch_size], starts_seed, last_start + 1)
            return self._draw(seed, "train", starts, config.num_train_frames)

        return tf.data.Dataset.counter(start_step).map(batch, num_parallel_calls=tf.data.AUTOTUNE)

    def num_videos(self, split: str, wanted: int | None) -> int:
        """Any number."""
        del split
        return _DEFAULT_NUM_VIDEOS if wanted is None else wanted

    def videos(self, split: str, num_frames: int) -> tf.data.Dataset:
        """Without end; video i is a function of i and the split (for train: and of the seed)."""

        def video(index: tf.Tensor) -> tf.Tensor:
            seed = fold_in(self._seed(split), index)
            return self._draw(seed, split, tf.zeros([1], tf.int32), num_frames)[0]

        return tf.data.Dataset.counter().map(video, num_parallel_calls=tf.data.AUTOTUNE)

    def _seed(self, split: str) -> tf.Tensor:
        return tf.constant([self._config.seed if split == "train" else _HELD_OUT_SEED, list(SIZES).index(split)])

    def _draw(self, seed: tf.Tensor, split: str, starts: tf.Tensor, num_frames: int) -> tf.Tensor:
        """Random videos, each from its own first frame on: starts int32 [B] -> uint8 [B, num_frames, H, W, 3]."""
        shape_seed, size_seed, colour_seed, direction_seed = split_seed(seed, 4)

        def one_of(values: np.ndarray, seed: tf.Tensor) -> tf.Tensor:
            return tf.gather(values, uniform_int(starts.shape, seed, len(values)))

        return render(
            shape=uniform_int(starts.shape, shape_seed, len(SHAPES)),
            size=one_of(SIZES[split], size_seed),
            colour=one_of(COLOURS, colour_seed),
            direction=one_of(DIRECTIONS, direction_seed),
            times=tf.cast(starts[:, None] + tf.range(num_frames), tf.float32),
            frame_size=self._config.frame_size,
            background=BACKGROUNDS[self._config.shapes_background],
        )


def render(
    shape: tf.Tensor,
    size: tf.Tensor,
    colour: tf.Tensor,
    direction: tf.Tensor,
    times: tf.Tensor,
    *,
    frame_size: int,
    background: int,
) -> tf.Tensor:
    """Draws moving shapes, anti-aliased.

    Args:
      shape: int32 [B], index into `SHAPES`.
      size: float32 [B], s in units of the canvas.
      colour: uint8 [B, 3], RGB.
      direction: float32 [B, 2], units per frame to the right and upwards.
      times: float32 [B, T], frames since the shape stood in the centre.
      frame_size: H = W, in pixels.
      background: grey value in 0 .. 255.

    Returns:
      uint8 [B, T, frame_size, frame_size, 3].
    """
    pixel = CANVAS / frame_size
    middles = (tf.range(frame_size, dtype=tf.float32) + 0.5) * pixel
    centre = CANVAS / 2 + times[:, :, None] * direction[:, None, :]  # [B, T, 2]
    x = middles[None, None, None, :] - centre[:, :, None, None, 0]  # [B, T, 1, W]
    y = middles[::-1][None, None, :, None] - centre[:, :, None, None, 1]  # [B, T, H, 1]: row 0 is the highest y.
    s = size[:, None, None, None]

    # Signed distances from the edge, in units, negative inside.
    circle = tf.sqrt(x**2 + y**2) - s
    square = tf.maximum(tf.abs(x), tf.abs(y)) - s
    triangle = tf.maximum(-(y + s), (math.sqrt(3.0) * (tf.abs(x) - s) + y + s) / 2)
    chosen = shape[:, None, None, None]
    distance = tf.where(chosen == 0, circle, tf.where(chosen == 1, square, triangle))  # [B, T, H, W]

    # The part of a pixel that an edge at this distance from its middle covers.
    coverage = tf.clip_by_value(0.5 - distance / pixel, 0.0, 1.0)[..., None]
    contrast = tf.cast(colour, tf.float32)[:, None, None, None, :] - background
    return tf.cast(tf.round(background + coverage * contrast), tf.uint8)
