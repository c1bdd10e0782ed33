"""Measurements of single videos on disk, so that a long evaluation that was stopped goes on where it was.

A measurement is found again by everything that it depends on (the protocol, the weights, the pixels of the video): one
made under other conditions has another name and is never taken for it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from videoflow_tf.config import RESUMABLE_FIELDS
from videoflow_tf.files import atomic_path
from videoflow_tf.model.video_flow import VideoFlow


class Measurements:
    """Arrays in a folder, one file per metric and video."""

    def __init__(self, folder: str | Path, model: VideoFlow) -> None:
        self._folder = Path(folder)
        self._model = model_identity(model)

    def path(self, metric: str, protocol: dict[str, Any], index: int, video: np.ndarray) -> Path:
        """The file of a measurement.

        Args:
          metric: its name.
          protocol: JSON values that the measurement depends on, besides the model, the video and its index.
          index: of the video.
          video: uint8 [T, H, W, C].
        """
        text = json.dumps([metric, protocol, self._model, index, video.shape], sort_keys=True)
        key = hashlib.sha256(text.encode() + np.ascontiguousarray(video).tobytes()).hexdigest()[:16]
        return self._folder / f"{metric}-{index:06d}-{key}.npy"


def save(path: Path, measurement: np.ndarray) -> None:
    """Writes a measurement, whole or not at all."""
    with atomic_path(path) as temporary:
        np.save(temporary, measurement)


def load(path: Path) -> np.ndarray | None:
    """A measurement; None if there is none, or none that can be read."""
    try:
        return np.load(path)
    except (OSError, ValueError, EOFError):
        return None


def model_identity(model: VideoFlow) -> dict[str, Any]:
    """Configuration, training step and a digest of the weights, as JSON values."""
    digest = hashlib.sha256()
    for variable in model.trainable_variables:
        digest.update(variable.numpy().tobytes())
    config = {k: v for k, v in dataclasses.asdict(model.config).items() if k not in RESUMABLE_FIELDS}
    return {"config": config, "step": int(model.step.numpy()), "weights": digest.hexdigest()}


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file, or of the files in a folder and below and their names; its first 16 hexadecimal digits."""
    path = Path(path)
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(str(file.relative_to(path)).encode())
        with open(file, "rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]
