"""Checkpoints of a run: saving, restoring, and the trained model of a workdir."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

from videoflow_tf.config import ARCHITECTURE_FIELDS, VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.model.video_flow import VideoFlow
from videoflow_tf.training.optimizer import Adam, make_optimizer
from videoflow_tf.workdir import latest_checkpoint, run_config, write_config

_KEPT_CHECKPOINTS = 3


class Checkpoints:
    """Saves and restores the model, its step and the optimizer of a run."""

    def __init__(self, model: VideoFlow, optimizer: Adam, workdir: str | Path) -> None:
        self._step = model.step
        self._checkpoint = tf.train.Checkpoint(**_state(model), optimizer=optimizer)
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, str(Path(workdir) / "checkpoints"), max_to_keep=_KEPT_CHECKPOINTS
        )

    def save(self) -> None:
        """Writes a checkpoint named by the step, and removes the oldest of more than three."""
        self._manager.save(checkpoint_number=int(self._step.numpy()))

    def restore(self, path: str) -> None:
        """Restores the checkpoint at the prefix `path`.

        Raises:
          UserError: it is damaged or not of this model.
        """
        _restore(self._checkpoint, path)


def load_workdir(workdir: str | Path) -> tuple[VideoFlowConfig, VideoFlow]:
    """The configuration and the trained model of a run, for evaluation, sampling and export.

    The weights are those of the newest checkpoint, or their moving average if the run keeps one.

    Raises:
      UserError: `workdir` is no run, or has no checkpoint yet.
    """
    config, path = _find_checkpoint(workdir)
    model = VideoFlow(config)
    if config.ema_decay > 0 and _has_optimizer(path):
        optimizer = make_optimizer(config)
        optimizer.build(model.trainable_variables)
        _restore(tf.train.Checkpoint(**_state(model), optimizer=optimizer), path)
        optimizer.load_averages(model.trainable_variables)
    else:
        _restore(tf.train.Checkpoint(**_state(model)), path)
    return config, model


def _find_checkpoint(workdir: str | Path) -> tuple[VideoFlowConfig, str]:
    """The configuration of a run and its newest checkpoint; `UserError` if there is none."""
    config = run_config(workdir)
    latest = latest_checkpoint(workdir)
    if latest is None:
        raise UserError(f"{workdir} has no checkpoint yet; let launch/train.py go on first")
    return config, latest[0]


def save_trained(model: VideoFlow, folder: str | Path) -> None:
    """Writes a workdir with the weights of `model` alone, without an optimizer.

    `load_workdir` takes it as it takes a run's; training goes on from it as `init_from`.

    Raises:
      UserError: there is something in `folder` already.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} has files in it; name a new folder")
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(**_state(model)), str(folder / "checkpoints"), 1)
    manager.save(checkpoint_number=int(model.step.numpy()))
    write_config(folder, model.config)


def check_architecture(config: VideoFlowConfig, workdir: str | Path) -> None:
    """Raises `UserError` with what differs, unless the trained model in `workdir` has the architecture of `config`."""
    trained, _ = _find_checkpoint(workdir)
    differences = [
        f"{name} ({theirs} there, {mine} here)"
        for name, (mine, theirs) in config.differences(trained).items()
        if name in ARCHITECTURE_FIELDS
    ]
    if differences:
        raise UserError(f"{workdir} is a model of another architecture: {', '.join(differences)}")


def load_weights(model: VideoFlow, workdir: str | Path) -> None:
    """Gives `model` the weights of a trained model of the same architecture; `UserError` as of `check_architecture`."""
    check_architecture(model.config, workdir)
    _, trained = load_workdir(workdir)
    for mine, theirs in zip(model.trainable_variables, trained.trainable_variables, strict=True):
        mine.assign(theirs)


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


def _has_optimizer(path: str) -> bool:
    """Whether a checkpoint is of a run, with its optimizer, and not of weights alone."""
    return any(name.startswith("optimizer/") for name, _ in tf.train.list_variables(path))


def _restore(checkpoint: tf.train.Checkpoint, path: str) -> None:
    try:
        status = checkpoint.restore(path)
        status.assert_existing_objects_matched()
        status.expect_partial()  # Evaluation leaves the optimizer's variables where they are.
    except (tf.errors.OpError, AssertionError, IndexError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"cannot read the checkpoint {path}: {reason}") from error
