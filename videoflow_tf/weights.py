"""Weights in a safetensors file, every variable under its path in the model, such as level_0/prior/own/kernel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from videoflow_tf.errors import UserError, one_line

if TYPE_CHECKING:
    from videoflow_tf.model.video_flow import VideoFlow

_STEP = "step"  # The model's count of training steps is a variable like the others.


def write_weights(model: VideoFlow, path: Path) -> None:
    """Writes all variables of `model`, its step among them."""
    # The library's own files are for their owner alone to read.
    path.write_bytes(save({name: np.asarray(v) for name, v in model.own_variables.items()}))


def read_step(path: str | Path) -> int:
    """The training steps of the model in a file; `UserError` if it is none of `write_weights`."""
    try:
        with safe_open(path, "numpy") as file:
            return int(file.get_tensor(_STEP))
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise _unreadable(path, error) from error


def weights_dtype(path: str | Path) -> str:
    """float64 if it is that of a weight in the file, else float32."""
    with safe_open(path, "numpy") as file:
        return "float64" if any(file.get_slice(name).get_dtype() == "F64" for name in file.keys()) else "float32"


def read_weights(model: VideoFlow, path: str | Path) -> None:
    """Gives `model` the weights in a file, all of them or none.

    Raises:
      UserError: the file is damaged, or of another model.
    """
    try:
        found = load_file(path)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, error) from error
    expected = {name: (tuple(v.shape), v.dtype.as_numpy_dtype) for name, v in model.own_variables.items()}
    there = {name: (value.shape, value.dtype.type) for name, value in found.items()}
    wrong = sorted(name for name in expected.keys() | there.keys() if expected.get(name) != there.get(name))
    if wrong:
        raise UserError(
            f"{path} has the weights of another model: {len(wrong)} of its {len(found)} do not fit the configuration "
            f"beside it, {one_line(wrong[0])} first"
        )
    for name, variable in model.own_variables.items():
        variable.assign(found[name])


def _unreadable(path: str | Path, error: Exception) -> UserError:
    return UserError(
        f"cannot read the weights {path}: {one_line(str(error))}; bring the file back from where it came from"
    )
