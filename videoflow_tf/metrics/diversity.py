"""Diversity: how far apart the sampled futures of the same context are."""

from __future__ import annotations

from typing import Any

import numpy as np

from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.metrics.metric import Metric, curve_statistics
from videoflow_tf.metrics.vgg import VGGFeatures


class Diversity(Metric):
    """Mean over pairs of samples of the root-mean-square difference of their pixels, 8-bit levels, per frame."""

    name = "diversity"

    def __init__(self, num_samples: int) -> None:
        self.num_samples = num_samples

    def check(self, config: VideoFlowConfig, num_frames: int, num_videos: int) -> None:
        if self.num_samples < 2:
            raise UserError(f"{self.name} compares samples with each other: give --num_samples of 2 or more")

    def measure(self, context: np.ndarray, real: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """float64 [N]"""
        return np.array([self.mean_pairwise_distance(samples[:, t]) for t in range(samples.shape[1])])

    def mean_pairwise_distance(self, frames: np.ndarray) -> float:
        """Of uint8 [S, H, W, 3]; exactly 0 if all are equal."""
        flat = frames.reshape(len(frames), -1).astype(np.float64)
        # |a - b|^2 = |a|^2 + |b|^2 - 2ab is exact here: whole numbers far below 2^53.
        products = flat @ flat.T
        norms = np.diagonal(products)
        first, second = np.triu_indices(len(frames), k=1)
        squares = norms[first] + norms[second] - 2 * products[first, second]
        return float(np.sqrt(squares / flat.shape[1]).mean())

    def summarize(self, measurements: np.ndarray) -> dict[str, Any]:
        return curve_statistics(measurements)


class VGGDiversity(Diversity):
    """Mean pairwise cosine distance of VGG16 features (Lee et al. 2018), 0 if all samples are equal."""

    name = "vgg_diversity"

    def __init__(self, num_samples: int, vgg: VGGFeatures) -> None:
        super().__init__(num_samples)
        self._vgg = vgg

    def settings(self) -> dict[str, Any]:
        return {"vgg_weights": self._vgg.digest}

    def mean_pairwise_distance(self, frames: np.ndarray) -> float:
        return self._vgg.mean_pairwise_distance(frames)
