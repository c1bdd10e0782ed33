"""Measurements of single videos on disk, so that a long evaluation that was stopped goes on where it was.

A measurement is found again by everything that it depends on (the protocol, the weights, the pixels of the video): one
made under other conditions has another name and is never taken for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from videoflow_tf.files import ARRAY_ERRORS, atomic_path
from videoflow_tf.media.array_files import read_arrays

_NAME = "measurement"  # In the file.


class Measurements:
    """Arrays in a folder, one file per metric and video."""

    def __init__(self, folder: str | Path, identity: Mapping[str, Any]) -> None:
        """`identity`: JSON values that tell what is measured from everything else."""
        self._folder = Path(folder)
        self._identity = dict(identity)

    def path(self, metric: str, protocol: dict[str, Any], index: int, video: np.ndarray) -> Path:
        """The file of a measurement.

        Args:
          metric: its name.
          protocol: JSON values that the measurement depends on, besides what is measured, the video and its index.
          index: of the video.
          video: uint8 [T, H, W, C].
        """
        text = json.dumps([metric, protocol, self._identity, index, video.shape], sort_keys=True)
        key = hashlib.sha256(text.encode() + np.ascontiguousarray(video).tobytes()).hexdigest()[:16]
        return self._folder / f"{metric}-{index:06d}-{key}.npz"


def save(path: Path, measurement: np.ndarray) -> None:
    """Writes a measurement of any shape, whole or not at all."""
    with atomic_path(path) as temporary:
        np.savez(temporary, **{_NAME: measurement})  # Unlike .npy, with a checksum.


def load(path: Path) -> np.ndarray | None:
    """A measurement, in the shape that was saved; None if there is none, or none that can be read."""
    try:
        return read_arrays(path, [_NAME])[_NAME]
    except ARRAY_ERRORS:
        return None
