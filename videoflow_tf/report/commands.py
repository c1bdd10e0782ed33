"""The commands that repeat a run and its results, quoted for a shell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

from videoflow_tf.arguments import flag_text
from videoflow_tf.commands import here
from videoflow_tf.config import PRESETS, VideoFlowConfig
from videoflow_tf.data.source import dataset_class

_PROGRAM = re.compile(r"launch/\w+\.py")


def train_command(config: VideoFlowConfig, workdir: str, init_from: str | None = None) -> str:
    """From the nearest preset, with a flag for every field that differs; `init_from`: what the run began with.

    A run does not say where its data is: the folder's name is a placeholder in capitals.
    """
    preset = min(PRESETS, key=lambda name: len(PRESETS[name].differences(config)))
    changes = {name: value for name, (_, value) in PRESETS[preset].differences(config).items()}
    flags = {"workdir": workdir, "preset": preset} | changes
    if init_from is not None:
        flags["init_from"] = init_from
    if dataset_class(config).needs_data_dir:
        flags["data_dir"] = "DATA_DIR"
    return _quoted(["launch/train.py", *(f"--{flag}={flag_text(value)}" for flag, value in flags.items())])


def result_commands(result: Any) -> Iterator[str]:
    """The commands that gave a JSON file of results, from every `argv` in it; none of what is no file of this package.

    A file from elsewhere can name no other program.
    """
    if isinstance(result, list):
        result = dict(enumerate(result))
    if isinstance(result, dict):
        argv = result.get("argv")
        if isinstance(argv, list) and argv and all(isinstance(word, str) for word in argv):
            if _PROGRAM.fullmatch(argv[0]):
                yield _quoted(argv)
        for part in result.values():
            yield from result_commands(part)


def _quoted(argv: list[str]) -> str:
    return here(f"python {argv[0]} ") + shlex.join(argv[1:])
