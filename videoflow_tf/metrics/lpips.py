"""LPIPS: how differently two frames look, learned from the judgement of people."""

from __future__ import annotations

from typing import Any

import numpy as np

from videoflow_tf.errors import UserError
from videoflow_tf.metrics.lpips_networks import LPIPSNetwork
from videoflow_tf.metrics.metric import Clips, MetricOptions
from videoflow_tf.metrics.similarity import Similarity


class LPIPS(Similarity):
    """Learned perceptual image patch similarity (Zhang et al. 2018): a distance, 0 for equal frames."""

    name = "lpips"
    label = "LPIPS"
    unit = "0: equal"
    higher_is_better = False

    def __init__(self, num_samples: int, network: LPIPSNetwork) -> None:
        super().__init__(num_samples)
        self._network = network

    @classmethod
    def from_options(cls, options: MetricOptions) -> LPIPS:
        return cls(options.num_samples, LPIPSNetwork(options.arguments.lpips_network))

    def settings(self) -> dict[str, Any]:
        return {"lpips_network": self._network.name, "lpips_weights": self._network.digest}

    def check(self, clips: Clips) -> None:
        least, (height, width, _) = self._network.least_size, clips.frame_shape
        if min(height, width) < least:
            raise UserError(
                f"lpips with --lpips_network={self._network.name} needs frames of at least {least} pixels, "
                f"got {height}x{width}; leave it out"
            )

    def measure(self, context: np.ndarray, real: np.ndarray, samples: np.ndarray) -> np.ndarray:
        frames = [self._network.distances(real[t], samples[:, t]) for t in range(len(real))]  # N of [S]
        return np.stack(frames, axis=1)
