"""The interface of a predictor: what evaluation, sampling, the studies and the comparison need of a model.

To have a model of your own measured, write a subclass of `Predictor`, and a function that makes it from the
configuration of a run (what its data are like) and the folder of its data: `--predictor=package.module:function`.
Or name it in `videoflow_tf.registry.PREDICTORS`.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

import numpy as np

from videoflow_tf.config import VideoFlowConfig


class NotFiniteError(Exception):
    """A sample has pixels that are no numbers."""


class Predictor(abc.ABC):
    """A model of the frames that come after given ones.

    Attributes:
      config: what videos are like: of a configuration the dataset, the shape of frames and how many are given count.
      likelihood: what `frame_bits_per_pixel` gives: the "exact" bits, an upper "bound", or None if there are none.
      step: training steps; None of one that is not trained in steps.
      num_parameters: those that are trained.
      num_replicas: devices that share a batch, which is so many times as large.
    """

    likelihood: str | None = None
    step: int | None = None
    num_parameters: int = 0
    num_replicas: int = 1

    def __init__(self, config: VideoFlowConfig, data_dir: str | None = None) -> None:
        """`config`: what the data are like; `data_dir`: the data folder, for a predictor that is fitted to them."""
        self.config, self.data_dir = config, data_dir

    @property
    @abc.abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """JSON values that differ where the predictions do: what was measured with others is not taken for its own."""

    @abc.abstractmethod
    def predict_frames(self, context: np.ndarray, num_frames: int, temperature: float, seeds: np.ndarray) -> np.ndarray:
        """Samples the frames after given ones.

        Args:
          context: uint8 [K, H, W, C], the frames given.
          num_frames: N, frames to predict; any number.
          temperature: how much of the model's randomness to use, 0: none, 1: all; of no effect where there is none.
          seeds: int32 [n, 2], one for each sample, which is a function of its own alone.

        Returns:
          uint8 [n, N, H, W, C].

        Raises:
          NotFiniteError: one of them is not finite.
        """

    def frame_bits_per_pixel(self, videos: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """-log2 of the probability of every frame after the context, given those before it, per colour component.

        Args:
          videos: uint8 [B, T, H, W, C], T > K.
          seeds: int32 [B, 2], of what a bound draws for each video.

        Returns:
          float [B, T - K].
        """
        raise NotImplementedError(f"{type(self).__name__} has no likelihood")

    def num_scored(self, num_frames: int) -> int:
        """Of so many frames of a video those that `frame_bits_per_pixel` is about: all after the context."""
        return num_frames - self.config.num_context
