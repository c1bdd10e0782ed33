"""The commands that repeat a run and its results."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from videoflow_tf.config import PRESETS, VideoFlowConfig
from videoflow_tf.registry import DATASETS


def train_command(config: VideoFlowConfig, workdir: str) -> str:
    """From the nearest preset, with a flag for every field that differs.

    A run does not say where its data is: the folder's name is a placeholder in capitals.
    """
    preset = min(PRESETS, key=lambda name: len(PRESETS[name].differences(config)))
    changes = {name: value for name, (_, value) in PRESETS[preset].differences(config).items()}
    flags = {"workdir": workdir, "preset": preset} | changes
    if DATASETS[config.dataset].needs_data_dir:
        flags["data_dir"] = "DATA_DIR"
    return shlex.join(["python", "launch/train.py", *(f"--{flag}={_text(value)}" for flag, value in flags.items())])


def result_commands(result: Any) -> Iterator[str]:
    """The commands that gave a JSON file of results, as they stand in it; none of what is no file of this package."""
    if isinstance(result, list):
        result = dict(enumerate(result))
    if isinstance(result, dict):
        if isinstance(result.get("command"), str):
            yield result["command"]
        for part in result.values():
            yield from result_commands(part)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
