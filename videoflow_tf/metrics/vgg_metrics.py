"""Similarity and diversity in the feature space of VGG16; see `vgg.VGGFeatures`."""

from __future__ import annotations

from typing import Any

import numpy as np

from videoflow_tf.metrics.diversity import Diversity
from videoflow_tf.metrics.metric import MetricOptions, SampleMetric
from videoflow_tf.metrics.similarity import Similarity
from videoflow_tf.metrics.vgg import VGGFeatures


class VGGMetric(SampleMetric):
    """What the metrics on VGG16's features share."""

    def __init__(self, num_samples: int, vgg: VGGFeatures) -> None:
        super().__init__(num_samples)
        self._vgg = vgg

    @classmethod
    def from_options(cls, options: MetricOptions) -> VGGMetric:
        return cls(options.num_samples, options.vgg)

    def settings(self) -> dict[str, Any]:
        return {"vgg_weights": self._vgg.digest}


class VGGCosine(VGGMetric, Similarity):
    """Cosine similarity of VGG16 features, 1 for equal frames."""

    name = "vgg_cosine"
    label = "VGG cosine similarity"
    unit = "1: equal"

    def measure(self, context: np.ndarray, real: np.ndarray, samples: np.ndarray) -> np.ndarray:
        frames = [self._vgg.similarity(real[t], samples[:, t]) for t in range(len(real))]  # N of [S]
        return np.stack(frames, axis=1)


class VGGDiversity(VGGMetric, Diversity):
    """Mean pairwise cosine distance of VGG16 features (Lee et al. 2018), 0 if all samples are equal."""

    name = "vgg_diversity"
    label = "Pairwise VGG cosine distance"
    unit = ""

    def mean_pairwise_distance(self, frames: np.ndarray) -> float:
        return self._vgg.mean_pairwise_distance(frames)
