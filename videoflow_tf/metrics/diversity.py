"""Diversity: how far apart the sampled futures of the same context are."""

from __future__ import annotations

from typing import Any

import numpy as np

from videoflow_tf.errors import UserError
from videoflow_tf.metrics.metric import Clips, SampleMetric, curve_statistics


class Diversity(SampleMetric):
    """Mean over pairs of samples of the root-mean-square difference of their pixels, 8-bit levels, per frame."""

    name = "diversity"
    label = "Pairwise RMS pixel difference"
    unit = "of 255"

    def check(self, clips: Clips) -> None:
        if self.num_samples < 2:
            raise UserError(f"{self.name} compares samples with each other: give --num_samples of 2 or more")

    def measure(self, context: np.ndarray, real: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """float64 [N]"""
        return np.array([self.mean_pairwise_distance(samples[:, t]) for t in range(samples.shape[1])])

    def mean_pairwise_distance(self, frames: np.ndarray) -> float:
        """Of uint8 [S, H, W, C]; exactly 0 if all are equal."""
        flat = frames.reshape(len(frames), -1).astype(np.float64)
        # |a - b|^2 = |a|^2 + |b|^2 - 2ab is exact here: whole numbers far below 2^53.
        products = flat @ flat.T
        norms = np.diagonal(products)
        first, second = np.triu_indices(len(frames), k=1)
        squares = norms[first] + norms[second] - 2 * products[first, second]
        return float(np.sqrt(squares / flat.shape[1]).mean())

    def summarize(self, measurements: np.ndarray) -> dict[str, Any]:
        return curve_statistics(measurements)
