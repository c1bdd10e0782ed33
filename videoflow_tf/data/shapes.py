"""Stochastic Movement: a shape leaves the centre of the picture in a direction of its own, at constant speed.

The dataset of Babaeizadeh et al. 2018 (arXiv 1710.11252, section 3) as Kumar et al. 2020 use it: the first frame tells
shape, size and colour, and nothing of the direction, so that a model that predicts one future must blur it.

The canvas is 10 x 10 units, y pointing up, whatever the frame size; in a frame that is no square its shorter side is
10 units, and pixels stay square. A grey frame shows the luma of the colours.

- circle of radius s; square of half side s; equilateral triangle of side 2s, its base s below the centre
- s ~ U(0.5, 1.5), one of six colours (matplotlib's b, g, r, c, m, y), black or grey background
- in the middle of the canvas in frame 0, moving by one of (+-1, +-1), (+-1, 0), (0, +-1) units per frame

Beyond the paper: several shapes, side by side at the start, the later ones before the earlier; an occluder, a white
band from 2 to 4 units around the middle that all shapes pass behind; shapes that turn at the edges.

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
from videoflow_tf.data.source import Source, numbers_from, parallel_map
from videoflow_tf.errors import UserError
from videoflow_tf.seeds import fold_in, split_seed, uniform_int

SHAPES = ("circle", "square", "triangle")
COLOURS = np.array([(0, 0, 255), (0, 128, 0), (255, 0, 0), (0, 191, 191), (191, 0, 191), (191, 191, 0)], np.uint8)
DIRECTIONS = np.array([(1, 1), (1, 0), (1, -1), (0, 1), (0, -1), (-1, 1), (-1, 0), (-1, -1)], np.float32)
BACKGROUNDS = {"black": 0, "grey": 128}
CANVAS = 10.0  # Its shorter side, in units.
BAND = 2.0, 4.0  # Where the occluder begins and ends: distance from the middle along x or y, whichever is greater.
_WHITE = 255
_TOUCH = 1e-4  # Units; what turns at an edge touches it, but for the last digits.

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

    options = ("shapes_background", "shapes_count", "shapes_occluder", "shapes_bounce")

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

        return parallel_map(numbers_from(start_step), batch)

    def num_videos(self, split: str, num_frames: int) -> None:
        """Any number."""

    def videos(self, split: str, num_frames: int) -> tf.data.Dataset:
        """Without end; video i is a function of i and the split (for train: and of the seed)."""

        def video(index: tf.Tensor) -> tf.Tensor:
            seed = fold_in(self._seed(split), index)
            return self._draw(seed, split, tf.zeros([1], tf.int32), num_frames)[0]

        return parallel_map(numbers_from(0), video)

    def _seed(self, split: str) -> tf.Tensor:
        return tf.constant([self._config.seed if split == "train" else _HELD_OUT_SEED, list(SIZES).index(split)])

    def _draw(self, seed: tf.Tensor, split: str, starts: tf.Tensor, num_frames: int) -> tf.Tensor:
        """Random videos, each from its own first frame on: starts int32 [B] -> uint8 [B, num_frames, H, W, C]."""
        count, (*frame_size, channels) = self._config.shapes_count, self._config.frame_shape

        def one_of(values: np.ndarray, seed: tf.Tensor) -> tf.Tensor:
            return tf.gather(values, uniform_int(starts.shape, seed, len(values)))

        drawn = []
        for shape_seed in [seed, *(fold_in(seed, number) for number in range(1, count))]:
            shape_seed, size_seed, colour_seed, direction_seed = split_seed(shape_seed, 4)
            shape = uniform_int(starts.shape, shape_seed, len(SHAPES))
            size, colour = one_of(SIZES[split], size_seed), one_of(with_channels(COLOURS, channels), colour_seed)
            drawn.append((shape, size, colour, one_of(DIRECTIONS, direction_seed)))
        times = tf.cast(starts[:, None] + tf.range(num_frames), tf.float32)
        shapes = (tf.stack(parts, axis=1) for parts in zip(*drawn, strict=True))
        return render(*shapes, times, frame_size=frame_size, scene=Scene.of(self._config))


class Scene(NamedTuple):
    """What there is besides the shapes, and what their way is like."""

    background: int = 0  # Grey value in 0 .. 255.
    occluder: bool = False
    bounce: bool = False

    @classmethod
    def of(cls, config: VideoFlowConfig) -> Scene:
        """That of a configuration."""
        return cls(BACKGROUNDS[config.shapes_background], config.shapes_occluder, config.shapes_bounce)


def render(
    shape: tf.Tensor,
    size: tf.Tensor,
    colour: tf.Tensor,
    direction: tf.Tensor,
    times: tf.Tensor,
    *,
    frame_size: Sequence[int],
    scene: Scene,
) -> tf.Tensor:
    """Draws n moving shapes in each video, anti-aliased, later ones before earlier ones.

    Args:
      shape: int32 [B, n], index into `SHAPES`.
      size: float32 [B, n], s in units of the canvas.
      colour: uint8 [B, n, C], RGB or grey.
      direction: float32 [B, n, 2], units per frame to the right and upwards.
      times: float32 [B, T], frames since the beginning.
      frame_size: H, W, in pixels.
      scene: what else there is.

    Returns:
      uint8 [B, T, H, W, C].
    """
    pixel = CANVAS / min(frame_size)
    image = scene.background
    for i in range(shape.shape[1]):
        centre = _centres(size, direction, times, frame_size, scene, i)
        distance = _distances(shape[:, i], size[:, i], centre, frame_size)
        # The part of a pixel that an edge at this distance from its middle covers.
        coverage = tf.clip_by_value(0.5 - distance / pixel, 0.0, 1.0)[..., None]
        image += coverage * (tf.cast(colour[:, i], tf.float32)[:, None, None, None, :] - image)
    if scene.occluder:
        image += _band(frame_size) * (_WHITE - image)
    return tf.cast(tf.round(image), tf.uint8)


def _axes(frame_size: Sequence[int]) -> tuple[tf.Tensor, tf.Tensor]:
    """The middles of the pixels in units: y of the rows, the highest first, and x of the columns."""
    rows, columns = ((tf.range(side, dtype=tf.float32) + 0.5) * (CANVAS / min(frame_size)) for side in frame_size)
    return rows[::-1], columns


def _canvas(frame_size: Sequence[int]) -> np.ndarray:
    """Width and height of the canvas in units, float32 [2]."""
    height, width = frame_size
    return np.array([width, height], np.float32) * np.float32(CANVAS / min(frame_size))


def _centres(
    size: tf.Tensor, direction: tf.Tensor, times: tf.Tensor, frame_size: Sequence[int], scene: Scene, i: int
) -> tf.Tensor:
    """Where shape i is at every time, x and y in units, float32 [B, T, 2]; the others as for `render`."""
    canvas = _canvas(frame_size)
    start = canvas * np.array([(i + 1) / (size.shape[1] + 1), 0.5], np.float32)
    # In two steps each: of a stack that is indexed and given an axis at once, TensorFlow's optimiser loses the axis.
    direction, size = direction[:, i], size[:, i]
    centre = start + times[:, :, None] * direction[:, None, :]
    if not scene.bounce:
        return centre
    margin = size[:, None, None]
    room = canvas - 2 * margin
    return margin + room - tf.abs(tf.math.floormod(centre - margin, 2 * room) - room)


def _distances(shape: tf.Tensor, size: tf.Tensor, centre: tf.Tensor, frame_size: Sequence[int]) -> tf.Tensor:
    """Of pixels from the edge of shapes [B] at centre [B, T, 2]: units, negative inside, [B, T, H, W]."""
    rows, columns = _axes(frame_size)
    x = columns[None, None, None, :] - centre[:, :, None, None, 0]  # [B, T, 1, W]
    y = rows[None, None, :, None] - centre[:, :, None, None, 1]  # [B, T, H, 1]
    s = size[:, None, None, None]
    circle = tf.sqrt(x**2 + y**2) - s
    square = tf.maximum(tf.abs(x), tf.abs(y)) - s
    triangle = tf.maximum(-(y + s), (math.sqrt(3.0) * (tf.abs(x) - s) + y + s) / 2)
    chosen = shape[:, None, None, None]
    return tf.where(chosen == 0, circle, tf.where(chosen == 1, square, triangle))


def _band(frame_size: Sequence[int]) -> tf.Tensor:
    """The part of every pixel that the occluder covers, [H, W, 1]."""
    middle, (rows, columns) = _canvas(frame_size) / 2, _axes(frame_size)
    away = tf.maximum(tf.abs(rows - middle[1])[:, None], tf.abs(columns - middle[0])[None, :])
    distance = tf.maximum(BAND[0] - away, away - BAND[1])
    return tf.clip_by_value(0.5 - distance / (CANVAS / min(frame_size)), 0.0, 1.0)[..., None]


def backdrop(frame_size: Sequence[int], scene: Scene) -> np.ndarray:
    """A frame without shapes, grey: uint8 [H, W, 1]."""
    image = np.full([*frame_size, 1], scene.background, np.float32)
    if scene.occluder:
        image += _band(frame_size).numpy() * (_WHITE - image)
    return np.rint(image).astype(np.uint8)


class PossibleFutures(NamedTuple):
    """The P ways in which a video can go on."""

    frames: np.ndarray  # uint8 [P, N, H, W, C].
    colours: np.ndarray  # uint8 [P, C].
    directions: np.ndarray  # int [P], indices into `DIRECTIONS`.
    whole: np.ndarray  # bool [P, N]: the shape is to be seen as a whole.
    hidden: np.ndarray  # bool [P, N]: all of the shape is behind the occluder.


def possible_futures(context: np.ndarray, num_frames: int, scene: Scene) -> PossibleFutures:
    """All ways in which a video of one shape can go on, found by rendering the candidates.

    The first frame tells shape, size and colour and leaves all directions open; the second tells the direction. Sizes,
    and colours that are grey, that cannot be told apart are all possible, so that a direction may occur several times.

    Args:
      context: uint8 [K, H, W, C], the frames of a video from its beginning on.
      num_frames: N, how many to render after them.
      scene: that of the video.

    Raises:
      UserError: no video begins like this.
    """
    frame_size = context.shape[1:3]
    colours = with_channels(COLOURS, context.shape[-1])
    contrasts = colours - np.float64(scene.background)
    contrast = (context[0] - np.float64(backdrop(frame_size, scene))).sum(
        axis=(0, 1)
    )  # [C], a multiple of one of them.
    likeness = contrasts @ contrast / np.linalg.norm(contrasts, axis=1)
    colours = colours[np.isclose(likeness, likeness.max())]  # In RGB a single one.

    def videos(shapes: Sequence[np.ndarray], colour: np.ndarray, direction: np.ndarray, count: int) -> np.ndarray:
        times = np.tile(np.arange(count, dtype=np.float32), [len(direction), 1])
        colour = np.broadcast_to(colour, [len(direction), colour.shape[-1]])
        one = (part[:, None] for part in (*shapes, colour, direction))
        return render(*one, times, frame_size=frame_size, scene=scene).numpy()

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
            f"no video of the dataset shapes on a background of {scene.background} begins with the frames given; "
            "give frames of such a video from its first on"
        )
    directions, size = directions[possible], shapes[1][possible]
    times = np.tile(np.arange(len(context), len(context) + num_frames, dtype=np.float32), [len(size), 1])
    seen = _in_sight(size, DIRECTIONS[directions], times, frame_size, scene)
    return PossibleFutures(frames[possible, len(context) :], colours[possible], directions, *seen)


def _in_sight(
    size: np.ndarray, direction: np.ndarray, times: np.ndarray, frame_size: Sequence[int], scene: Scene
) -> tuple[np.ndarray, np.ndarray]:
    """Of shapes [P] at times [P, N]: whether each is to be seen as a whole, and whether it is hidden as a whole."""
    middle = _canvas(frame_size) / 2
    centre = _centres(size[:, None], direction[:, None], times, frame_size, scene, 0)
    away, size = np.abs(centre - middle), size[:, None, None]  # [P, N, 2], [P, 1, 1]
    whole = (away + size <= middle + _TOUCH).all(axis=-1)
    if not scene.occluder:
        return whole, np.zeros_like(whole)
    nearest, furthest = (away - size).max(axis=-1), (away + size).max(axis=-1)
    clear = (furthest <= BAND[0]) | (nearest >= BAND[1])
    return whole & clear, (nearest >= BAND[0]) & (furthest <= BAND[1])
