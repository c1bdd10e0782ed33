"""Checkpoints of a run: saving, restoring, and the trained model of a workdir."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from videoflow_tf.arguments import LATEST
from videoflow_tf.commands import here
from videoflow_tf.config import ARCHITECTURE_FIELDS, VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.files import reason_of
from videoflow_tf.model.video_flow import VideoFlow
from videoflow_tf.training.optimizer import Adam, make_optimizer
from videoflow_tf.training.strategies import use_tensor_float_32
from videoflow_tf.weights import read_weights, weights_dtype
from videoflow_tf.workdir import WEIGHTS_FILE, find_run, run_config, saved_checkpoints

# What TensorFlow raises for files that are missing, cut short or changed, or of another model.
_READ_ERRORS = (tf.errors.OpError, AssertionError, IndexError, RuntimeError, ValueError)


class Checkpoints:
    """Saves and restores the model, its step and the optimizer of a run."""

    def __init__(self, model: VideoFlow, optimizer: Adam, workdir: str | Path) -> None:
        """The newest `keep_checkpoints` of the model's configuration are kept, besides the best."""
        self._step, self._saved_step = model.step, None
        self._checkpoint = tf.train.Checkpoint(**_state(model), optimizer=optimizer)
        folder = Path(workdir) / "checkpoints"
        self._latest, self._best = (
            self._manager(folder, model.config.keep_checkpoints),
            self._manager(folder / "best", 1),
        )

    def save(self) -> None:
        """Writes a checkpoint named by the step, if it is not saved; of those that this run wrote the oldest goes.

        Raises:
          UserError: it cannot be written; those before it remain.
        """
        step = int(self._step.numpy())
        if step != self._saved_step:
            self._save(self._latest)
            self._saved_step = step

    def save_best(self) -> None:
        """As `save`, in place of the best checkpoint so far."""
        self._save(self._best)

    def restore(self, path: str) -> None:
        """Restores the checkpoint at the prefix `path`.

        Raises:
          UserError: it is damaged or not of this model.
        """
        _restore(self._checkpoint, path)
        self._saved_step = int(self._step.numpy())

    def _manager(self, folder: Path, keep: int) -> tf.train.CheckpointManager:
        try:
            return tf.train.CheckpointManager(self._checkpoint, str(folder), max_to_keep=keep)
        except ValueError:  # TensorFlow's list of what it wrote is damaged: of what is there, nothing is its own.
            (folder / "checkpoint").unlink()
            return tf.train.CheckpointManager(self._checkpoint, str(folder), max_to_keep=keep)

    def _save(self, manager: tf.train.CheckpointManager) -> None:
        path = Path(manager.directory, f"ckpt-{int(self._step.numpy())}")
        try:
            with writing(f"the checkpoint {path}"):
                manager.save(checkpoint_number=int(self._step.numpy()))
        finally:  # What is not whole would fill the disk: of this one, or of another at which a process was killed.
            for unfinished in path.parent.glob("ckpt-*_temp"):
                shutil.rmtree(unfinished, ignore_errors=True)


@contextlib.contextmanager
def writing(what: str | Path) -> Iterator[None]:
    """Makes a `UserError` of what TensorFlow raises where a file cannot be written."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise UserError(
            f"cannot write {what}: {reason_of(error)}; what was written before is whole: make room and go on from there"
        ) from error


def find_fault(path: str) -> str | None:
    """What is wrong with the files of the checkpoint at the prefix `path`, None if they are whole.

    Reads everything; TensorFlow compares the checksums of all that it reads.
    """
    if Path(path).name == WEIGHTS_FILE:
        return None  # It has no checksums; loading it compares all else.
    try:
        reader = tf.train.load_checkpoint(path)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except _READ_ERRORS as error:
        return str(error).strip().splitlines()[0]
    return None


def find_checkpoint(workdir: str | Path, which: str | int = LATEST) -> tuple[str, int] | None:
    """Path and step of a checkpoint that is whole.

    Args:
      workdir: folder of a run.
      which: a step, "best" by bits per pixel on the validation split, or "latest"; instead of a newest one that is
        damaged the one before, which is said.

    Returns:
      None if there is no checkpoint at all.

    Raises:
      UserError: no checkpoint is whole, or there is none such.
    """
    saved = saved_checkpoints(workdir)
    if which == LATEST:
        candidates = saved
    else:
        steps = [step for path, step in saved if Path(path).parent.name == which]
        candidates = [(path, step) for path, step in saved if str(step) == str(which) or step in steps[:1]]
        if not candidates:
            there = ", ".join(map(str, sorted({step for _, step in saved}))) or "none"
            raise UserError(
                f"{workdir} has no checkpoint {which!r}; give latest, best where there was a validation, or a step of: "
                f"{there}"
            )
    for path, step in candidates:
        fault = find_fault(path)
        if fault is None:
            return path, step
        print(f"{path} is damaged and not used: {fault}", file=sys.stderr, flush=True)
    folder = Path(workdir) / "checkpoints"
    # A run that is killed while it writes its first leaves data of step 0 without an index.
    if candidates or any(folder.glob("ckpt-[1-9]*")):
        raise UserError(
            f"no checkpoint in {folder} can be used; bring a whole one back from a copy (ckpt-STEP.index and all "
            "ckpt-STEP.data-*), or start anew in another --workdir"
        )
    return None


def set_aside_newer(workdir: str | Path, step: int) -> None:
    """Moves checkpoints from after `step`, whether whole or damaged, to a folder of their own in `workdir`/checkpoints.

    A run that goes on from `step` would otherwise, stopped again, go on from them. The export is moved with them.
    """
    newer = [path for path, at in saved_checkpoints(workdir) if at > step]
    if not newer:
        return
    files = [file for path in newer for file in sorted(Path(path).parent.glob(f"{Path(path).name}.*"), reverse=True)]
    folder = Path(tempfile.mkdtemp(prefix="set-aside-", dir=Path(workdir) / "checkpoints"))
    for file in files:  # An index before its data: alone, these are not taken for a checkpoint.
        target = folder / file.relative_to(Path(workdir) / "checkpoints")
        target.parent.mkdir(exist_ok=True)
        os.rename(file, target)
    if (Path(workdir) / "export").exists():
        os.rename(Path(workdir) / "export", folder / "export")
    print(f"Checkpoints from after step {step} are set aside in {folder}", flush=True)


def load_workdir(workdir: str | Path, checkpoint: str | int = LATEST) -> tuple[VideoFlowConfig, VideoFlow]:
    """The configuration and the trained model of a run, for evaluation, sampling and export.

    The weights are those of a checkpoint, see `find_checkpoint`, or their moving average if the run keeps one. From
    here on the process computes float32 as such on every device, see `use_tensor_float_32`.

    Raises:
      UserError: `workdir` is no run, or has no such checkpoint, or none that is whole.
    """
    use_tensor_float_32(False)
    config, path = _find_run(workdir, checkpoint)
    if Path(path).name == WEIGHTS_FILE:
        model = VideoFlow(config, weights_dtype(path))
        read_weights(model, path)
        return config, model
    model = VideoFlow(config)
    if config.ema_decay > 0 and has_optimizer(path):
        optimizer = make_optimizer(config)
        optimizer.build(model.trainable_variables)
        _restore(tf.train.Checkpoint(**_state(model), optimizer=optimizer), path)
        optimizer.load_averages(model.trainable_variables)
    else:
        _restore(tf.train.Checkpoint(**_state(model)), path)
    return config, model


def _find_run(workdir: str | Path, checkpoint: str | int) -> tuple[VideoFlowConfig, str]:
    """The configuration of a run and the path of a checkpoint; `UserError` if there is none."""
    workdir = find_run(workdir)
    config = run_config(workdir)
    found = find_checkpoint(workdir, checkpoint)
    if found is None:
        raise UserError(f"{workdir} has no checkpoint yet; let {here('launch/train.py')} go on first")
    return config, found[0]


def check_architecture(config: VideoFlowConfig, workdir: str | Path, checkpoint: str | int = LATEST) -> None:
    """Raises `UserError` with what differs, unless the trained model in `workdir` has the architecture of `config`.

    A model with one Gaussian may become a mixture, whose components begin nearly alike.
    """
    trained, _ = _find_run(workdir, checkpoint)
    if trained.prior_components == 1:
        trained = trained.replace(prior_components=config.prior_components)
    differences = [
        f"{name} ({theirs} there, {mine} here)"
        for name, (mine, theirs) in config.differences(trained).items()
        if name in ARCHITECTURE_FIELDS
    ]
    if differences:
        raise UserError(f"{workdir} is a model of another architecture: {', '.join(differences)}")


def load_weights(model: VideoFlow, workdir: str | Path, checkpoint: str | int = LATEST) -> None:
    """Gives `model` the weights of a trained model of the same architecture; `UserError` as of `check_architecture`."""
    check_architecture(model.config, workdir, checkpoint)
    _, trained = load_workdir(workdir, checkpoint)
    becomes_mixture = trained.config.prior_components == 1 < model.config.prior_components
    new = model.levels[-1].prior.mixture.variables if becomes_mixture else ()
    kept = {id(variable) for variable in (model.step, *new)}
    theirs = trained.own_variables
    # Also what is not trained, such as a permutation: another seed draws another one.
    for name, mine in model.own_variables.items():
        if id(mine) not in kept:
            mine.assign(theirs[name])


def _state(model: VideoFlow) -> dict[str, Any]:
    """What a checkpoint keeps of a model. Its metrics are left out: they belong to one call of `fit`."""
    state = {
        "step": model.step,
        "levels": [level.flow for level in model.levels],
        "priors": [level.prior for level in model.levels],
    }
    if model.dequantizer.noise_flow is not None:
        state["noise_flow"] = model.dequantizer.noise_flow
    return state


def has_optimizer(path: str) -> bool:
    """Whether a checkpoint is of a run, with its optimizer, and not of weights alone."""
    return Path(path).name != WEIGHTS_FILE and any(
        name.startswith("optimizer/") for name, _ in tf.train.list_variables(path)
    )


def _restore(checkpoint: tf.train.Checkpoint, path: str) -> None:
    try:
        status = checkpoint.restore(path)
        status.assert_existing_objects_matched()
        status.expect_partial()  # Evaluation leaves the optimizer's variables where they are.
    except _READ_ERRORS as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"cannot read the checkpoint {path}: {reason}") from error
