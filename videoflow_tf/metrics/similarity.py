"""Similarity of sampled and real frames: PSNR, SSIM and VGG cosine similarity, of the best, mean and worst sample."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.metrics.metric import Metric, curve_statistics
from videoflow_tf.metrics.vgg import VGGFeatures

_SSIM_WINDOW = 11  # Pixels: tf.image.ssim's Gaussian window.


class Similarity(Metric):
    """A value per sample and frame, the higher the more alike: a measurement is float32 [S, N].

    Which sample of a video is the best and which the worst is decided by its mean over the frames, for each metric by
    itself, as in the evaluation of the official code; `mean` is that over all samples.
    """

    def __init__(self, num_samples: int) -> None:
        self.num_samples = num_samples

    def summarize(self, measurements: np.ndarray) -> dict[str, Any]:
        """`best`, `mean` and `worst`, each as `curve_statistics` has it; measurements: [V, S, N]."""
        means = measurements.mean(axis=2, dtype=np.float64)  # [V, S]
        videos = np.arange(len(measurements))
        return {
            "best": curve_statistics(measurements[videos, means.argmax(axis=1)]),
            "mean": curve_statistics(measurements.mean(axis=1, dtype=np.float64)),
            "worst": curve_statistics(measurements[videos, means.argmin(axis=1)]),
        }


class PSNR(Similarity):
    """Peak signal-to-noise ratio in decibels, 8-bit peak.

    That of two equal frames is infinite and would swallow every mean: it is counted as the greatest finite value, that
    of frames which differ by 1 in a single component.
    """

    name = "psnr"

    def measure(self, context: np.ndarray, real: np.ndarray, samples: np.ndarray) -> np.ndarray:
        greatest = np.float32(10 * math.log10(255**2 * math.prod(real.shape[1:])))
        return np.minimum([tf.image.psnr(real, sample, max_val=255) for sample in samples], greatest)


class SSIM(Similarity):
    """Structural similarity (Wang et al. 2004) with the constants of the paper, 1 for equal frames."""

    name = "ssim"

    def check(self, config: VideoFlowConfig, num_frames: int, num_videos: int) -> None:
        if config.frame_size < _SSIM_WINDOW:
            raise UserError(
                f"ssim needs frames of at least {_SSIM_WINDOW} pixels, got {config.frame_size}; leave it out"
            )

    def measure(self, context: np.ndarray, real: np.ndarray, samples: np.ndarray) -> np.ndarray:
        return np.array([tf.image.ssim(real, sample, max_val=255, filter_size=_SSIM_WINDOW) for sample in samples])


class VGGCosine(Similarity):
    """Cosine similarity of VGG16 features, 1 for equal frames; see `VGGFeatures`."""

    name = "vgg_cosine"

    def __init__(self, num_samples: int, vgg: VGGFeatures) -> None:
        super().__init__(num_samples)
        self._vgg = vgg

    def settings(self) -> dict[str, Any]:
        return {"vgg_weights": self._vgg.digest}

    def measure(self, context: np.ndarray, real: np.ndarray, samples: np.ndarray) -> np.ndarray:
        frames = [self._vgg.similarity(real[t], samples[:, t]) for t in range(len(real))]  # N of [S]
        return np.stack(frames, axis=1)
