"""The interface of a metric on sampled futures, and the statistics that all of them report."""

from __future__ import annotations

import abc
import math
from typing import Any

import numpy as np

from videoflow_tf.config import VideoFlowConfig


class Metric(abc.ABC):
    """A number, or several, made of the real and the sampled futures of each video; then a summary over videos."""

    name: str
    num_samples: int  # It is given so many futures of each video.

    def settings(self) -> dict[str, Any]:
        """What the numbers depend on besides the clips, as JSON values; reported as part of the protocol."""
        return {}

    def check(self, config: VideoFlowConfig, num_frames: int, num_videos: int) -> None:
        """Raises `UserError` if the metric cannot be computed on so many predicted frames and videos."""
        return

    @abc.abstractmethod
    def measure(self, context: np.ndarray, real: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """What is kept of one video; the same shape for every video.

        Args:
          context: uint8 [K, H, W, 3], the frames given.
          real: uint8 [N, H, W, 3], what really came after them.
          samples: uint8 [num_samples, N, H, W, 3].
        """

    @abc.abstractmethod
    def summarize(self, measurements: np.ndarray) -> dict[str, Any]:
        """The result as JSON values, from the measurements of all videos [V, ...]."""


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


def _standard_error(values: np.ndarray) -> np.ndarray:
    return values.std(axis=0, ddof=1) / math.sqrt(len(values))
