"""The interface of a metric, and the statistics that metrics report.

To add one, write a subclass of `SampleMetric` (or of `VideoMetric`) in a file of its own, and name it in
`videoflow_tf.registry.METRICS`: `evaluate.py` takes its name, the files, the curves and the report show it.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.metrics.arguments import MeasureArguments
from videoflow_tf.metrics.vgg import VGGFeatures
from videoflow_tf.predictors.predictor import Predictor


@dataclasses.dataclass(frozen=True)
class Clips:
    """What metrics are told of the clips that they are to compare, before they see the first."""

    frame_shape: tuple[int, int, int]  # H, W, C
    context: int  # Frames given.
    predicted: int  # Frames after them.
    videos: int
    config: VideoFlowConfig | None = None  # Of the dataset; None if it is not known where the clips are from.

    @classmethod
    def of(cls, config: VideoFlowConfig, predicted: int, videos: int) -> Clips:
        """Of videos of the dataset that `config` names."""
        return cls(config.frame_shape, config.num_context, predicted, videos, config)


@dataclasses.dataclass(frozen=True)
class MetricOptions:
    """What metrics are made from; each takes what it needs."""

    clips: Clips
    arguments: MeasureArguments
    num_samples: int  # Of each video.
    predictor: Predictor | None = None  # None where there are samples alone.

    @functools.cached_property
    def vgg(self) -> VGGFeatures:
        """VGG16, read once for all metrics that use it; raises `UserError` if its weights are not there."""
        return VGGFeatures(self.arguments.vgg_weights)


class Metric(abc.ABC):
    """A number, or several, of each video, and a summary over videos.

    A class without a name, a label or one of the abstract methods cannot be made an object of.
    """

    unit: str = ""  # On the axis of a figure, in brackets; empty if it has none.

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """That of the registry, of files and of JSON; set as a class attribute."""

    @property
    @abc.abstractmethod
    def label(self) -> str:
        """On the axis of a figure, without the unit; set as a class attribute."""

    @classmethod
    @abc.abstractmethod
    def from_options(cls, options: MetricOptions) -> Metric:
        """Makes the metric, reading the networks that it needs; raises `UserError` if they are not there."""

    @classmethod
    def axis_label(cls) -> str:
        """Label and unit."""
        return f"{cls.label} ({cls.unit})" if cls.unit else cls.label

    def settings(self) -> dict[str, Any]:
        """What the numbers depend on besides the videos and samples, as JSON values; part of the protocol."""
        return {}

    def check(self, clips: Clips) -> None:
        """Raises `UserError` if the metric cannot be computed on such clips."""
        return

    @abc.abstractmethod
    def summarize(self, measurements: np.ndarray) -> dict[str, Any]:
        """The result as JSON values, from the finite measurements of all videos [V, ...].

        `mean` and its `standard_error` are shown, and the curves of `per_frame`, if there are any: see
        `curve_statistics`. In their place there may be `best`, `mean` and `worst` of these.
        """


class SampleMetric(Metric):
    """Compares sampled futures with the real one, or with each other."""

    def __init__(self, num_samples: int) -> None:
        """`num_samples`: futures of each video that it is given."""
        self.num_samples = num_samples

    @classmethod
    def from_options(cls, options: MetricOptions) -> SampleMetric:
        return cls(options.num_samples)

    @abc.abstractmethod
    def measure(self, context: np.ndarray, real: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """What is kept of one video; the same shape for every video.

        Args:
          context: uint8 [K, H, W, C], the frames given.
          real: uint8 [N, H, W, C], what really came after them.
          samples: uint8 [num_samples, N, H, W, C].
        """


class VideoMetric(Metric):
    """What the predictor makes of the videos themselves."""

    @abc.abstractmethod
    def measure(self, predictor: Predictor, videos: np.ndarray, indices: Sequence[int], seed: int) -> np.ndarray:
        """What is kept of each video: [B, ...].

        Args:
          predictor: what to measure.
          videos: uint8 [B, T, H, W, C].
          indices: of the videos, B.
          seed: of what is drawn.
        """


def curve_statistics(curves: np.ndarray) -> dict[str, Any]:
    """Mean and standard error over videos, of whole clips and frame by frame.

    Args:
      curves: [V, N], a value per video and frame.

    Returns:
      `mean`, `standard_error`, `per_frame` [N], `per_frame_standard_error` [N], `per_video` [V]; the standard errors
      are None for a single video.
    """
    curves = curves.astype(np.float64)
    per_video = curves.mean(axis=1)
    several = len(curves) > 1
    return {
        "mean": float(per_video.mean()),
        "standard_error": float(_standard_error(per_video)) if several else None,
        "per_frame": curves.mean(axis=0).tolist(),
        "per_frame_standard_error": _standard_error(curves).tolist() if several else None,
        "per_video": per_video.tolist(),
    }


def mean_statistics(values: np.ndarray) -> dict[str, Any]:
    """`mean`, `standard_error` and `per_video` of [V], a value per video; see `curve_statistics`."""
    statistics = curve_statistics(values[:, None])
    return {name: statistics[name] for name in ("mean", "standard_error", "per_video")}


def check_finite(values: np.ndarray, what: str, first: int = 0) -> None:
    """Raises `UserError` unless all of `values` [n, ...] are finite.

    Args:
      values: numbers of n things.
      what: what they are, with `{}` in the place of the thing's number.
      first: the number of `values[0]`.
    """
    finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if not finite.all():
        name = what.format(first + np.argmin(finite))
        raise UserError(f"{name} is not finite: the training has probably diverged; evaluate another run")


def _standard_error(values: np.ndarray) -> np.ndarray:
    return values.std(axis=0, ddof=1) / math.sqrt(len(values))
