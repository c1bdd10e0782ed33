"""Bits per pixel, with its standard error and the importance-weighted bound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.metrics.metric import MetricOptions, VideoMetric, curve_statistics, mean_statistics
from videoflow_tf.predictors.predictor import Predictor
from videoflow_tf.seeds import as_seed, fold_in
from videoflow_tf.units import BITS_UNIT


class BitsPerPixel(VideoMetric):
    """-log2 of the probability of the frames after the context, per pixel and colour: per component, as in the paper.

    What a bound draws for a video, such as VideoFlow's dequantisation noise, is a function of the seed and its index.
    """

    name = "bits_per_pixel"
    label = "Bits per pixel"
    unit = BITS_UNIT

    def __init__(self, config: VideoFlowConfig, likelihood: str = "bound", draws: int = 1) -> None:
        """Makes the metric.

        Args:
          config: of the data, and of the scale of its pixels.
          likelihood: the "exact" one or a "bound".
          draws: of a bound's noise for each video; several give the importance-weighted bound.
        """
        self._config, self._likelihood, self._draws = config, likelihood, draws

    @classmethod
    def from_options(cls, options: MetricOptions) -> BitsPerPixel:
        predictor = options.predictor
        if predictor is None or predictor.likelihood is None:
            what = "samples alone have" if predictor is None else f"{type(predictor).__name__} has"
            raise UserError(f"{what} no likelihood; leave {cls.name} out of the metrics")
        return cls(predictor.config, predictor.likelihood, options.arguments.dequantization_samples)

    def settings(self) -> dict[str, Any]:
        what = {"likelihood": self._likelihood, "n_bits": self._config.n_bits}
        if self._likelihood == "exact":
            return what
        return {**what, "dequantization_samples": self._draws, "pixel_scaling": self._config.pixel_scaling}

    def measure(self, predictor: Predictor, videos: np.ndarray, indices: Sequence[int], seed: int) -> np.ndarray:
        """float [B, draws, frames scored]; raises `UserError` if they are not finite, or of another shape."""
        seeds = [as_seed((seed, int(i))) for i in indices]
        of_draws = [seeds, *([fold_in(s, draw) for s in seeds] for draw in range(1, self._draws))]
        return np.stack([self._checked(predictor, videos, np.stack(s), indices) for s in of_draws], axis=1)

    def _checked(
        self, predictor: Predictor, videos: np.ndarray, seeds: np.ndarray, indices: Sequence[int]
    ) -> np.ndarray:
        bits = np.asarray(predictor.frame_bits_per_pixel(videos, seeds))
        method = f"{type(predictor).__name__}.frame_bits_per_pixel"
        shape = len(videos), predictor.num_scored(videos.shape[1])
        if bits.dtype.kind != "f" or bits.shape != shape:
            raise UserError(
                f"{method} gives {bits.dtype} {list(bits.shape)}; it must be float {list(shape)}: videos, scored frames"
            )
        finite = np.isfinite(bits).all(axis=1)
        if not finite.all():
            raise UserError(
                f"{method} gives bits per pixel of video {indices[np.argmin(finite)]} that are not finite: evaluate "
                "another run if the training has diverged, else correct the method"
            )
        return bits

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
