"""Stochastic Movement: a shape leaves the centre of the picture in a direction of its own, at constant speed.

The dataset of Babaeizadeh et al. 2018 (arXiv 1710.11252, section 3) as Kumar et al. 2020 use it: the first frame tells
shape, size and colour, and nothing of the direction, so that a model that predicts one future must blur it.

The canvas is 10 x 10 units, y pointing up, whatever the frame size; in a frame that is no square its shorter side is
10 units, and pixels stay square. A grey frame shows the luma of the colours.

- circle of radius s; square of half side s; equilateral triangle of side 2s, its base s below the centre
- s ~ U(0.5, 1.5), one of six colours (matplotlib's b, g, r, c, m, y), black or grey background
- in the middle of the canvas in frame 0, moving by one of (+-1, +-1), (+-1, 0), (0, +-1) units per frame

Videos are computed, not stored. Those of a split are a function of an index and a seed: `config.seed` for train; a
constant for validation and test, which therefore are the same for everyone. The size is uniform on a grid of 256
values, of which every eighth is kept for test and another for validation alone: in colour, at 32 pixels and more, no
video of one split occurs in another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from videoflow_tf.colour import with_channels
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.data.source import Source
from videoflow_tf.errors import UserError
from videoflow_tf.seeds import fold_in, split_seed, uniform_int

SHAPES = ("circle", "square", "triangle")
COLOURS = np.array([(0, 0, 255), (0, 128, 0), (255, 0, 0), (0, 191, 191), (191, 0, 191), (191, 191, 0)], np.uint8)
DIRECTIONS = np.array([(1, 1), (1, 0), (1, -1), (0, 1), (0, -1), (-1, 1), (-1, 0), (-1, -1)], np.float32)
BACKGROUNDS = {"black": 0, "grey": 128}
CANVAS = 10.0  # Its shorter side, in units.

_GRID = np.arange(256)
_ALL_SIZES = (0.5 + (_GRID + 0.5) / len(_GRID)).astype(np.float32)
SIZES = {
    "train": _ALL_SIZES[(_GRID % 8 != 3) & (_GRID % 8 != 7)],
    "validation": _ALL_SIZES[_GRID % 8 == 3],
    "test": _ALL_SIZES[_GRID % 8 == 7],
}

_HELD_OUT_SEED = 1903_01434
_ROUNDING = 1  # Levels by which the same video may differ between machines.


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

    def num_videos(self, split: str, num_frames: int) -> None:
        """Any number."""

    def videos(self, split: str, num_frames: int) -> tf.data.Dataset:
        """Without end; video i is a function of i and the split (for train: and of the seed)."""

        def video(index: tf.Tensor) -> tf.Tensor:
            seed = fold_in(self._seed(split), index)
            return self._draw(seed, split, tf.zeros([1], tf.int32), num_frames)[0]

        return tf.data.Dataset.counter().map(video, num_parallel_calls=tf.data.AUTOTUNE)

    def _seed(self, split: str) -> tf.Tensor:
        return tf.constant([self._config.seed if split == "train" else _HELD_OUT_SEED, list(SIZES).index(split)])

    def _draw(self, seed: tf.Tensor, split: str, starts: tf.Tensor, num_frames: int) -> tf.Tensor:
        """Random videos, each from its own first frame on: starts int32 [B] -> uint8 [B, num_frames, H, W, C]."""
        shape_seed, size_seed, colour_seed, direction_seed = split_seed(seed, 4)
        *frame_size, channels = self._config.frame_shape

        def one_of(values: np.ndarray, seed: tf.Tensor) -> tf.Tensor:
            return tf.gather(values, uniform_int(starts.shape, seed, len(values)))

        return render(
            shape=uniform_int(starts.shape, shape_seed, len(SHAPES)),
            size=one_of(SIZES[split], size_seed),
            colour=one_of(with_channels(COLOURS, channels), colour_seed),
            direction=one_of(DIRECTIONS, direction_seed),
            times=tf.cast(starts[:, None] + tf.range(num_frames), tf.float32),
            frame_size=frame_size,
            background=BACKGROUNDS[self._config.shapes_background],
        )


def render(
    shape: tf.Tensor,
    size: tf.Tensor,
    colour: tf.Tensor,
    direction: tf.Tensor,
    times: tf.Tensor,
    *,
    frame_size: Sequence[int],
    background: int,
) -> tf.Tensor:
    """Draws moving shapes, anti-aliased.

    Args:
      shape: int32 [B], index into `SHAPES`.
      size: float32 [B], s in units of the canvas.
      colour: uint8 [B, C], RGB or grey.
      direction: float32 [B, 2], units per frame to the right and upwards.
      times: float32 [B, T], frames since the shape stood in the middle.
      frame_size: H, W, in pixels.
      background: grey value in 0 .. 255.

    Returns:
      uint8 [B, T, H, W, C].
    """
    pixel = CANVAS / min(frame_size)
    rows, columns = ((tf.range(side, dtype=tf.float32) + 0.5) * pixel for side in frame_size)
    centre = _middle(frame_size) + times[:, :, None] * direction[:, None, :]  # [B, T, 2]
    x = columns[None, None, None, :] - centre[:, :, None, None, 0]  # [B, T, 1, W]
    y = rows[::-1][None, None, :, None] - centre[:, :, None, None, 1]  # [B, T, H, 1]: row 0 is the highest y.
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


def _middle(frame_size: Sequence[int]) -> np.ndarray:
    """Of the canvas of frames H, W: x and y in units, float32 [2]."""
    height, width = frame_size
    return np.array([width, height], np.float32) * np.float32(CANVAS / 2 / min(frame_size))


class Futures(NamedTuple):
    """The P ways in which a video can go on."""

    frames: np.ndarray  # uint8 [P, N, H, W, C].
    colours: np.ndarray  # uint8 [P, C].
    directions: np.ndarray  # int [P], indices into `DIRECTIONS`.
    whole: np.ndarray  # bool [P, N]: the shape is in the picture as a whole.


def possible_futures(context: np.ndarray, num_frames: int, background: int) -> Futures:
    """All ways in which a video can go on, found by rendering the candidates.

    The first frame tells shape, size and colour and leaves all directions open; the second tells the direction. Sizes,
    and colours that are grey, that cannot be told apart are all possible, so that a direction may occur several times.

    Args:
      context: uint8 [K, H, W, C], the frames of a video from its beginning on.
      num_frames: N, how many to render after them.
      background: grey value in 0 .. 255.

    Raises:
      UserError: no video begins like this.
    """
    frame_size = context.shape[1:3]
    colours = with_channels(COLOURS, context.shape[-1])
    contrasts = colours - np.float64(background)
    contrast = (context[0] - np.float64(background)).sum(axis=(0, 1))  # [C], a multiple of one of them.
    likeness = contrasts @ contrast / np.linalg.norm(contrasts, axis=1)
    colours = colours[np.isclose(likeness, likeness.max())]  # In RGB a single one.

    def videos(shapes: Sequence[np.ndarray], colour: np.ndarray, direction: np.ndarray, count: int) -> np.ndarray:
        times = np.tile(np.arange(count, dtype=np.float32), [len(direction), 1])
        colour = np.broadcast_to(colour, [len(direction), colour.shape[-1]])
        look = {"frame_size": frame_size, "background": background}
        return render(*shapes, colour, direction, times, **look).numpy()

    def begins_with(videos: np.ndarray, frames: np.ndarray) -> np.ndarray:
        return (np.abs(videos - frames.astype(np.int16)) <= _ROUNDING).all(axis=(1, 2, 3, 4))

    shapes = [part.ravel() for part in np.meshgrid(np.arange(len(SHAPES)), _ALL_SIZES, indexing="ij")]
    still = np.zeros([len(shapes[0]), 2], np.float32)
    found = [begins_with(videos(shapes, colour, still, 1), context[:1]) for colour in colours]
    which, at = (np.repeat(index, len(DIRECTIONS)) for index in np.nonzero(found))
    shapes, colours = [part[at] for part in shapes], colours[which]
    directions = np.tile(np.arange(len(DIRECTIONS)), len(at) // len(DIRECTIONS))
    frames = videos(shapes, colours, DIRECTIONS[directions], len(context) + num_frames)
    possible = begins_with(frames[:, : len(context)], context)
    if not possible.any():
        raise UserError(
            f"no video of the dataset shapes on a background of {background} begins with the frames given; "
            "give frames of such a video from its first on"
        )
    directions, size = directions[possible], shapes[1][possible]
    times = np.arange(len(context), len(context) + num_frames)
    reach = times[:, None] * np.abs(DIRECTIONS[directions])[:, None] + size[:, None, None]  # [P, N, 2]
    whole = (reach <= _middle(frame_size)).all(axis=-1)
    return Futures(frames[possible, len(context) :], colours[possible], directions, whole)
