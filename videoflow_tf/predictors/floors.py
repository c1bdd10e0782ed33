"""Predictors with nothing to train: what a trained model has to beat, in the first rows of every table."""

from __future__ import annotations

import abc
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from videoflow_tf import data
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.predictors.predictor import Predictor
from videoflow_tf.units import counted

_MOST_VIDEOS = 100  # Of the training split, to fit the width on.
_WIDTHS = np.geomspace(1e-3, 200, 120)  # Tried, in levels.


class Floor(Predictor):
    """A guess at the next frame from the two before it, with a Laplace error of one width, fitted on training videos.

    The guess alone is what is sampled: every sample is the same, whatever the temperature. The bits are exact, of the
    Laplace distribution rounded to the levels of a pixel and cut to their range.
    """

    likelihood = "exact"
    guess: str  # What is guessed, in words.

    def __init__(self, config: VideoFlowConfig, data_dir: str | None = None) -> None:
        """Opens the data, see `data.eval_videos`, and raises `UserError` as that does; they are read when needed."""
        super().__init__(config, data_dir)
        self._levels = 2**config.n_bits

    @property
    def identity(self) -> dict[str, Any]:
        return {"floor": type(self).__name__, "width": self.width}

    @functools.cached_property
    def width(self) -> float:
        """The width of the Laplace error, in levels, with the fewest bits on the first videos of the training split."""
        there = data.num_eval_videos(self.config, self.data_dir, "train")
        if there == 0:
            length = counted(self.config.num_eval_frames, "frame")
            raise UserError(f"the training split has no videos of {length} to fit a Laplace error on")
        count = min(_MOST_VIDEOS, there)
        videos = data.eval_videos(self.config, self.data_dir, "train", num_videos=count).as_numpy_iterator()
        pairs = sum(self._pairs(element["video"]) for element in videos)
        return float(min(_WIDTHS, key=lambda width: (pairs * laplace_bits(self._levels, width)).sum()))

    def predict_frames(self, context: np.ndarray, num_frames: int, temperature: float, seeds: np.ndarray) -> np.ndarray:
        guesses = np.stack([self.extrapolate(context, ahead) for ahead in range(1, num_frames + 1)])
        frames = np.clip(guesses, 0, 255).astype(np.uint8)
        return np.broadcast_to(frames, [len(seeds), *frames.shape])

    def frame_bits_per_pixel(self, videos: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        table = laplace_bits(self._levels, self.width)
        bits = [[table[pair].mean() for pair in self._guesses_and_truths(video)] for video in videos]
        return np.array(bits)

    @abc.abstractmethod
    def extrapolate(self, frames: np.ndarray, ahead: int) -> np.ndarray:
        """A guess at a frame.

        Args:
          frames: [T, H, W, C], all those before, T >= 1.
          ahead: how far after the last of them it is, from 1.

        Returns:
          int [H, W, C]; what is out of range is cut.
        """

    def _guesses_and_truths(self, video: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Of every frame after the context, in levels [H, W, C] each."""
        levels = video.astype(np.int64) >> (8 - self.config.n_bits)
        for t in range(max(self.config.num_context, 1), len(levels)):
            yield np.clip(self.extrapolate(levels[:t], 1), 0, self._levels - 1), levels[t]

    def _pairs(self, video: np.ndarray) -> np.ndarray:
        """How often a guess at one level is followed by another: int [levels, levels]."""
        pairs = [guess * self._levels + truth for guess, truth in self._guesses_and_truths(video)]
        return np.bincount(np.ravel(pairs), minlength=self._levels**2).reshape(self._levels, self._levels)


class CopyLast(Floor):
    """Nothing moves any more."""

    guess = "the last frame copied"

    def extrapolate(self, frames: np.ndarray, ahead: int) -> np.ndarray:
        return frames[-1].astype(np.int64)


class Linear(Floor):
    """Every component goes on as from the frame before the last to the last; stands still after a single frame."""

    guess = "the last two frames continued"

    def extrapolate(self, frames: np.ndarray, ahead: int) -> np.ndarray:
        last, before = frames[-1].astype(np.int64), frames[-2:][0].astype(np.int64)
        return last + ahead * (last - before)


def laplace_bits(levels: int, width: float) -> np.ndarray:
    """Bits of a level where another was guessed, with a Laplace error rounded to the levels and cut to their range.

    Args:
      levels: how many there are.
      width: the mean absolute error, in levels.

    Returns:
      float64 [levels, levels], by the guess and the truth.
    """
    values = np.arange(levels)
    distance = np.abs(values[None, :] - values[:, None]).astype(np.float64)
    # Beyond the near edge of a bin, less what is beyond its far edge; the first and the last bin have no far edge.
    near, far = (0.5 * np.exp(-(distance + side) / width) for side in (-0.5, 0.5))
    outermost = (values == 0) | (values == levels - 1)
    mass = near - np.where(outermost[None, :], 0.0, far)
    np.fill_diagonal(mass, 1 - np.where(outermost, 1, 2) * 0.5 * np.exp(-0.5 / width))
    return -np.log2(np.maximum(mass, np.finfo(np.float64).tiny))
