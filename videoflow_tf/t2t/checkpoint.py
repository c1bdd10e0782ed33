"""Reading official checkpoints. Every variable of the checkpoint finds its place, and every variable of the model is
set, or the error says what is left over.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from videoflow_tf import workdir as workdir_lib
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.data.source import fitting_dataset
from videoflow_tf.errors import UserError
from videoflow_tf.files import atomic_path, check_writable, local_path
from videoflow_tf.model.video_flow import VideoFlow
from videoflow_tf.t2t.hparams import config_from_hparams, read_hparams, split_record
from videoflow_tf.t2t.variables import Slot, official_slots
from videoflow_tf.training import checkpoints
from videoflow_tf.training.optimizer import make_optimizer

# The official trainer keeps its optimizer and counters in scopes of their own; a bare TensorFlow optimizer names its
# slots after their variables.
_TRAINER = re.compile(r"(training|losses_avg|train_stats)/.+|beta[12]_power(_\d+)?")
_FILE_ENDING = re.compile(r"\.(index|meta|data-\d+-of-\d+)$")
_SLOT = re.compile(r"(?P<variable>.+)/(Adam|AdamW|Adafactor|Momentum|RMSProp|Adagrad|Adadelta)(_\d+)?")


def load_model(
    checkpoint_prefix: str | Path, hparams: Mapping[str, Any], frame_size: int | str | None = None
) -> VideoFlow:
    """A model with the weights of an official checkpoint.

    Args:
      checkpoint_prefix: path of a TensorFlow 1 checkpoint, such as `.../model.ckpt-1000`, or of one of its files.
      hparams: official hyperparameters by name; see `config_from_hparams`.
      frame_size: height and width of a frame, one number. Default: as in `config_from_hparams`; before its 64, the
        `frame_size` in a file config.json beside the checkpoint.

    Raises:
      UserError: for hyperparameters as in `config_from_hparams`; if the checkpoint cannot be read; if variables of the
        checkpoint or the model are left over or differ in shape; if it is that of a pointwise prior whose parameters
        differ across the batch.
    """
    beside = Path(checkpoint_prefix).parent / "config.json"
    if frame_size is None and split_record(hparams)[1] is None and beside.is_file():
        frame_size = read_hparams(beside).get("frame_size")
    return build_model(config_from_hparams(hparams, frame_size), read_checkpoint(checkpoint_prefix))


def build_model(config: VideoFlowConfig, arrays: Mapping[str, np.ndarray]) -> VideoFlow:
    """A model with the weights in `arrays`, by their official names; errors as of `load_model`."""
    arrays = dict(arrays)
    step = arrays.pop("global_step", np.int64(0))
    if step.ndim or step.dtype.kind not in "iu":
        raise UserError(f"global_step: expected one whole number, the checkpoint has {step.dtype} {step.shape}")
    model = VideoFlow(config)
    slots = list(official_slots(model))
    _check_complete(slots, arrays)
    _assign(slots, arrays)
    model.step.assign(int(step))
    return model


def import_checkpoint(
    checkpoint_prefix: str | Path,
    hparams: Mapping[str, Any],
    workdir: str | Path,
    frame_size: int | str | None = None,
    dataset: str | None = None,
) -> tuple[VideoFlowConfig, int]:
    """Makes a workdir of an official checkpoint: the run as if trained here to the checkpoint's step, with a fresh
    optimizer.

    Args:
      checkpoint_prefix: as for `load_model`.
      hparams: as for `load_model`.
      frame_size: as for `load_model`.
      workdir: folder to make; it must not exist, or be empty.
      dataset: what to evaluate and go on training on. Default: bair, as the official code, where its frames fit (64),
        else shapes, which has frames of every size.

    Returns:
      The run's configuration and its step.

    Raises:
      UserError: as `load_model`, or `workdir` is in use or cannot be made; nothing is written then.
    """
    check_new(workdir)
    model = load_model(checkpoint_prefix, hparams, frame_size)
    return write_run(model, workdir, dataset), int(model.step.numpy())


def check_new(workdir: str | Path) -> None:
    """Raises `UserError` if there is something in `workdir`, or it cannot be made."""
    check_writable(local_path(workdir).absolute().parent)  # Where it is written, and then given its name.
    if workdir_lib.read_config(workdir) is not None:
        raise UserError(f"workdir {workdir} is in use by another run; name another")


def write_run(model: VideoFlow, workdir: str | Path, dataset: str | None) -> VideoFlowConfig:
    """Writes an imported model as a run, all of it or nothing; gives the run's configuration."""
    workdir = local_path(workdir).absolute()
    config = model.config.replace(dataset=dataset or fitting_dataset(model.config.frame_size))
    optimizer = make_optimizer(config)
    optimizer.build(model.trainable_variables)
    with atomic_path(workdir) as temporary:
        shutil.rmtree(temporary, ignore_errors=True)
        workdir_lib.write_config(temporary, config)
        checkpoints.Checkpoints(model, optimizer, temporary).save()
    return config


def read_checkpoint(prefix: str | Path) -> dict[str, np.ndarray]:
    """All arrays of a checkpoint by name, without optimizer slots and counters. `prefix` may be one of its files."""
    try:
        reader = tf.train.load_checkpoint(_FILE_ENDING.sub("", str(prefix)))
        names = reader.get_variable_to_shape_map()
        return {name: np.asarray(reader.get_tensor(name)) for name in names if not _is_bookkeeping(name, names)}
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"cannot read the checkpoint {prefix}: {reason}; give the path of a whole one") from None


def _is_bookkeeping(name: str, names: Collection[str]) -> bool:
    slot = _SLOT.fullmatch(name)
    return _TRAINER.fullmatch(name) is not None or (slot is not None and slot["variable"] in names)


def _check_complete(slots: Sequence[Slot], arrays: Mapping[str, np.ndarray]) -> None:
    names = {slot.name for slot in slots}
    left_over = {
        "variables of the checkpoint that the model lacks": sorted(set(arrays) - names),
        "variables of the model that the checkpoint lacks": sorted(names - set(arrays)),
    }
    parts = [f"{what}: {_some(which)}" for what, which in left_over.items() if which]
    if parts:
        raise UserError(f"checkpoint and hyperparameters do not fit; {'; '.join(parts)}")


def _some(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _assign(slots: Sequence[Slot], arrays: Mapping[str, np.ndarray]) -> None:
    """Checks all arrays, then sets all variables."""
    values = [_fitted(slot, arrays[slot.name]) for slot in slots]
    steps: dict[Any, tuple[tf.Variable, list[np.ndarray]]] = {}
    for slot, value in zip(slots, values, strict=True):
        if slot.time_step is None:
            slot.variable.assign(value)
        else:
            steps.setdefault(slot.variable.ref(), (slot.variable, []))[1].append(value)
    for variable, rows in steps.values():  # Slots come in the order of their time steps.
        variable.assign(np.stack(rows))


def _fitted(slot: Slot, array: np.ndarray) -> np.ndarray:
    """The official array in our variable's shape."""
    shape = slot.shape()
    expected = (1,) * slot.extra_dims + shape
    if slot.per_video and array.ndim > 0:
        expected = (array.shape[0], *shape)
    if array.shape != expected or array.size == 0:
        raise UserError(f"{slot.name}: expected shape {expected}, the checkpoint has {array.shape}")
    if array.dtype.kind != "f":
        raise UserError(f"{slot.name}: expected floating-point values, the checkpoint has {array.dtype}")
    if slot.per_video:
        if not np.all(array == array[:1]):
            raise UserError(
                f"{slot.name}: the official pointwise prior has parameters of its own for every one of the "
                f"{array.shape[0]} places in the batch, and here they differ; such a model exists for that batch alone "
                "and cannot be loaded"
            )
        array = array[0]
    return slot.from_official(array)
