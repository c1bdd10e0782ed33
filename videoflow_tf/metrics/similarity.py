"""Similarity of sampled and real frames: PSNR and SSIM, of the best, mean and worst sample."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from videoflow_tf.errors import UserError
from videoflow_tf.metrics.metric import Clips, SampleMetric, curve_statistics

_SSIM_WINDOW = 11  # Pixels: tf.image.ssim's Gaussian window.


class Similarity(SampleMetric):
    """A value per sample and frame, the higher the more alike unless told: a measurement is float32 [S, N].

    Which sample of a video is the best and which the worst is decided by its mean over the frames, for each metric by
    itself, as in the evaluation of the official code; `mean` is that over all samples.
    """

    higher_is_better = True

    @classmethod
    def text(cls, value: float) -> str:
        """A value as it stands above a picture."""
        return f"{cls.label} {value:.3f}"

    def summarize(self, measurements: np.ndarray) -> dict[str, Any]:
        """`best`, `mean` and `worst`, each as `curve_statistics` has it; measurements: [V, S, N]."""
        means = measurements.mean(axis=2, dtype=np.float64)  # [V, S]
        videos, highest, lowest = np.arange(len(measurements)), means.argmax(axis=1), means.argmin(axis=1)
        best, worst = (highest, lowest) if self.higher_is_better else (lowest, highest)
        return {
            "best": curve_statistics(measurements[videos, best]),
            "mean": curve_statistics(measurements.mean(axis=1, dtype=np.float64)),
            "worst": curve_statistics(measurements[videos, worst]),
        }


class PSNR(Similarity):
    """Peak signal-to-noise ratio in decibels, 8-bit peak.

    That of two equal frames is infinite and would swallow every mean: it is counted as the greatest finite value, that
    of frames which differ by 1 in a single component.
    """

    name = "psnr"
    label = "PSNR"
    unit = "dB"

    @classmethod
    def text(cls, value: float) -> str:
        return f"{value:.1f} dB"

    def measure(self, context: np.ndarray, real: np.ndarray, samples: np.ndarray) -> np.ndarray:
        greatest = np.float32(10 * math.log10(255**2 * math.prod(real.shape[1:])))
        return np.minimum([tf.image.psnr(real, sample, max_val=255) for sample in samples], greatest)


class SSIM(Similarity):
    """Structural similarity (Wang et al. 2004) with the constants of the paper, 1 for equal frames."""

    name = "ssim"
    label = "SSIM"
    unit = "1: equal"

    def check(self, clips: Clips) -> None:
        height, width, _ = clips.frame_shape
        if min(height, width) < _SSIM_WINDOW:
            raise UserError(f"ssim needs frames of at least {_SSIM_WINDOW} pixels, got {height}x{width}; leave it out")

    def measure(self, context: np.ndarray, real: np.ndarray, samples: np.ndarray) -> np.ndarray:
        return np.array([tf.image.ssim(real, sample, max_val=255, filter_size=_SSIM_WINDOW) for sample in samples])
