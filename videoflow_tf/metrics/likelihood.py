"""Bits per pixel, with its standard error and the importance-weighted bound."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.metrics.metric import MetricOptions, VideoMetric, curve_statistics, mean_statistics
from videoflow_tf.model.video_flow import VideoFlow
from videoflow_tf.seeds import as_seed, fold_in


class BitsPerPixel(VideoMetric):
    """-log2 of the probability of the frames after the context, per pixel and colour.

    The dequantisation noise of a video is a function of the seed and the video's index.
    """

    name = "bits_per_pixel"
    label = "Likelihood"
    unit = "bits per pixel"

    def __init__(self, config: VideoFlowConfig, dequantization_samples: int = 1) -> None:
        """`dequantization_samples`: draws of that noise for each video; several give the importance-weighted bound."""
        self._config, self._draws = config, dequantization_samples

    @classmethod
    def from_options(cls, options: MetricOptions) -> BitsPerPixel:
        return cls(options.config, options.arguments.dequantization_samples)

    def settings(self) -> dict[str, Any]:
        return {"dequantization_samples": self._draws, "pixel_scaling": self._config.pixel_scaling}

    def measure_with(self, model: VideoFlow, seed: int) -> Callable[[tf.Tensor, tf.Tensor], np.ndarray]:
        """A function that gives [B, draws, frames scored]."""

        @tf.function(reduce_retracing=True)
        def frame_bits(video: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
            return model.frame_bits_per_pixel(video, seed=seeds)

        def measure(video: tf.Tensor, index: tf.Tensor) -> np.ndarray:
            seeds = [[as_seed((seed, int(i))) for i in index]]
            seeds += [[fold_in(s, draw) for s in seeds[0]] for draw in range(1, self._draws)]
            return np.stack([frame_bits(video, tf.stack(s)).numpy() for s in seeds], axis=1)

        return measure

    def summarize(self, measurements: np.ndarray) -> dict[str, Any]:
        """`curve_statistics` of the mean over the draws; with several of them also `importance_weighted`.

        Of that bound there are `mean`, `standard_error` and `per_video`; measurements: [V, draws, frames scored].
        """
        bits = measurements.astype(np.float64)
        result = curve_statistics(bits.mean(axis=1))
        if self._draws > 1:
            bound = importance_weighted_bits(bits, math.prod(self._config.frame_shape))
            result["importance_weighted"] = mean_statistics(bound)
        return result


def importance_weighted_bits(bits: np.ndarray, components: int) -> np.ndarray:
    """The importance-weighted bound (Burda et al. 2016) on -log2 of the probability of 8-bit videos.

    -log2 of the mean over draws of p: never more than the mean over draws of -log2 p, and less by a few bits per video,
    not per pixel.

    Args:
      bits: float64 [V, draws, N], bits per pixel of every scored frame for independent draws of the noise.
      components: of a frame, H x W x C.

    Returns:
      float64 [V], bits per pixel.
    """
    total = bits.shape[2] * components
    nats = -math.log(2.0) * total * bits.mean(axis=2)  # log p of each draw, [V, draws]
    greatest = nats.max(axis=1, keepdims=True)
    log_mean = greatest[:, 0] + np.log(np.exp(nats - greatest).mean(axis=1))
    return -log_mean / (math.log(2.0) * total)
