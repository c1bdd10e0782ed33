"""Checkpoints of a run: saving, restoring, and the trained model of a workdir."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.model.video_flow import VideoFlow
from videoflow_tf.training.optimizer import Adam, make_optimizer
from videoflow_tf.workdir import CONFIG_FILE, latest_checkpoint, read_config

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
    config = read_config(workdir) if Path(workdir).is_dir() else None
    if config is None:
        raise UserError(f"{workdir} is not a workdir: it has no {CONFIG_FILE}; train first, or check --workdir")
    latest = latest_checkpoint(workdir)
    if latest is None:
        raise UserError(f"{workdir} has no checkpoint yet; let launch/train.py go on first")
    model = VideoFlow(config)
    if config.ema_decay > 0:
        optimizer = make_optimizer(config)
        optimizer.build(model.trainable_variables)
        _restore(tf.train.Checkpoint(**_state(model), optimizer=optimizer), latest[0])
        optimizer.load_averages(model.trainable_variables)
    else:
        _restore(tf.train.Checkpoint(**_state(model)), latest[0])
    return config, model


def _state(model: VideoFlow) -> dict[str, Any]:
    """What a checkpoint keeps of a model. Its metrics are left out: they belong to one call of `fit`."""
    return {
        "step": model.step,
        "levels": [level.flow for level in model.levels],
        "priors": [level.prior for level in model.levels],
    }


def _restore(checkpoint: tf.train.Checkpoint, path: str) -> None:
    try:
        status = checkpoint.restore(path)
        status.assert_existing_objects_matched()
        status.expect_partial()  # Evaluation leaves the optimizer's variables where they are.
    except (tf.errors.OpError, AssertionError, IndexError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"cannot read the checkpoint {path}: {reason}") from error
