"""The interface of a predictor: what evaluation, sampling, the studies and the comparison need of a model.

To have a model of your own measured, write a subclass of `Predictor`, and a function that makes it from the
configuration of a run (what its data are like) and the folder of its data: `--predictor=package.module:function`.
Or name it in `videoflow_tf.registry.PREDICTORS`.
"""

from __future__ import annotations

import abc
import importlib
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from videoflow_tf.arguments import PredictorArguments
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.registry import PREDICTORS
from videoflow_tf.workdir import run_config


class NotFiniteError(Exception):
    """A sample has pixels that are no numbers."""


class Predictor(abc.ABC):
    """A model of the frames that come after given ones.

    Attributes:
      config: what videos are like: of a configuration the dataset, the shape of frames and how many are given count.
      likelihood: what `frame_bits_per_pixel` gives: the "exact" bits, an upper "bound", or None if there are none.
      step: training steps; None of one that is not trained in steps.
      num_parameters: those that are trained.
    """

    likelihood: str | None = None
    step: int | None = None
    num_parameters: int = 0

    def __init__(self, config: VideoFlowConfig) -> None:
        self.config = config

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


def open_predictor(arguments: PredictorArguments) -> Predictor:
    """The trained model of a run, or the predictor that `arguments` name, for the run's data.

    Raises:
      UserError: there is no such run, checkpoint or predictor.
    """
    if arguments.predictor is None:
        from videoflow_tf.predictors.video_flow import VideoFlowPredictor

        return VideoFlowPredictor.of_run(arguments.workdir, arguments.checkpoint)
    return make_predictor(arguments.predictor, run_config(arguments.workdir), arguments.data_dir)


def make_predictor(name: str, config: VideoFlowConfig, data_dir: str | None) -> Predictor:
    """Makes the predictor of a name in the registry, or of a "package.module:function".

    Raises:
      UserError: there is no such predictor, or what the function makes is none.
    """
    predictor = (_imported(name) if ":" in name else PREDICTORS[name])(config, data_dir)
    if not isinstance(predictor, Predictor):
        raise UserError(
            f"{name} gives a {type(predictor).__name__}: it must be an object of a subclass of "
            f"{Predictor.__module__}.{Predictor.__name__}"
        )
    return predictor


def _imported(name: str) -> Callable[..., Any]:
    """The object at "package.module:name"; modules in the current folder are found, as by `python -m`."""
    module, _, attribute = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"--predictor={name}: {error}; it must be package.module:function") from None
    if not callable(found):
        raise UserError(f"--predictor={name} is not a function or class")
    return found
