"""Fréchet video distance (Unterthiner et al. 2018): the distance of two sets of videos in the space of I3D logits.

That of few clips is too large, even where both sets are real. Two ways out, both of MAGVIT (Yu et al. 2023): all draws
together (`pooled`) against the real clips, and not the first clip of each video alone but as many as it has, one frame
apart, in both sets (`debiased`, see `evaluate`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from videoflow_tf.errors import UserError
from videoflow_tf.metrics.i3d import I3D, LEAST_FRAMES
from videoflow_tf.metrics.metric import Clips, MetricOptions, SampleMetric

SELF_CHECK_VALUE, SELF_CHECK_ERROR = 133.9, 0.5


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Squared Fréchet distance of the Gaussians fitted to two sets of vectors (Dowson and Landau 1982).

    |m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2)), S the unbiased covariances. With S = A^T A, A being the centred
    vectors / sqrt(n - 1), the last trace is the sum of the singular values of A1 A2^T. That takes no root of a matrix
    and no inverse: the singular covariances of fewer vectors than dimensions are no special case. Of many vectors the
    triangular factor R of A = QR stands for A, as S is R^T R, too.

    Args:
      first: [n, d], n >= 2.
      second: [m, d], m >= 2.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    centred = [(x - x.mean(axis=0)) / np.sqrt(len(x) - 1) for x in (first, second)]
    centred = [np.linalg.qr(a, mode="r") if len(a) > a.shape[1] else a for a in centred]
    traces = sum(float((a**2).sum()) for a in centred)
    trace_of_root = float(np.linalg.svd(centred[0] @ centred[1].T, compute_uv=False).sum())
    means = float(((first.mean(axis=0) - second.mean(axis=0)) ** 2).sum())
    return max(0.0, means + traces - 2 * trace_of_root)


class FVD(SampleMetric):
    """The distance between the real clips and one sample of each; mean and spread over several such draws."""

    name = "fvd"
    label = "FVD"
    unit = "squared distance of I3D logits"

    def __init__(self, draws: int, i3d: I3D, include_context: bool) -> None:
        """`include_context`: whether the given frames are part of both sets of clips."""
        super().__init__(draws)
        self._i3d = i3d
        self._include_context = include_context

    @classmethod
    def from_options(cls, options: MetricOptions) -> FVD:
        return cls(options.arguments.fvd_draws, I3D(options.arguments.i3d_path), options.arguments.fvd_context)

    def settings(self) -> dict[str, Any]:
        return {"i3d": self._i3d.digest, "draws": self.num_samples, "context_included": self._include_context}

    def check(self, clips: Clips) -> None:
        length = clips.predicted + (clips.context if self._include_context else 0)
        if length < LEAST_FRAMES:
            raise UserError(
                f"fvd needs clips of at least {LEAST_FRAMES} frames, these have {length}; give a larger --num_frames"
            )
        if clips.videos < 2:
            raise UserError("fvd compares distributions: give --num_videos of 2 or more (256 for figures to publish)")

    def measure(self, context: np.ndarray, real: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """Logits float32 [1 + draws, classes], those of the real video first."""
        clips = np.concatenate([real[None], samples])
        if self._include_context:
            clips = np.concatenate([np.broadcast_to(context, [len(clips), *context.shape]), clips], axis=1)
        return self._i3d.logits(clips)

    def summarize(self, measurements: np.ndarray) -> dict[str, Any]:
        """`mean`, `standard_deviation` (None for one draw) and `per_draw` [draws]; `pooled` of all draws together.

        measurements: [V, 1 + draws, c].
        """
        real, samples = measurements[:, 0], measurements[:, 1:]
        draws = [frechet_distance(real, samples[:, i]) for i in range(self.num_samples)]
        return {
            "mean": float(np.mean(draws)),
            "standard_deviation": float(np.std(draws, ddof=1)) if len(draws) > 1 else None,
            "per_draw": draws,
            "pooled": frechet_distance(real, samples.reshape(-1, samples.shape[-1])),
        }


def self_check(i3d: I3D) -> float:
    """FVD of all-black and all-white clips: `SELF_CHECK_VALUE` on the weights of I3D, where its authors name 131."""
    black = np.zeros([2, 15, 64, 64, 3], np.uint8)
    return frechet_distance(i3d.logits(black), i3d.logits(np.full_like(black, 255)))
