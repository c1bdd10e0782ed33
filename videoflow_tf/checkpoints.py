"""A workdir: the folder of one training run.

    W/config.json       the configuration
    W/checkpoints/      ckpt-<step>: the model, its step and the optimizer
    W/tensorboard/      curves and pictures: train, validation
    W/samples/          pictures
    W/eval/             metrics.json
    W/export/           the SavedModel

Every file appears complete or not at all, so that a run can be killed at any moment.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoflow_tf.config import RESUMABLE_FIELDS, VideoFlowConfig
from videoflow_tf.errors import UserError

if TYPE_CHECKING:
    import tensorflow as tf

    from videoflow_tf.model import VideoFlow
    from videoflow_tf.optimizer import Adam

_CONFIG = "config.json"
_KEPT_CHECKPOINTS = 3


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Gives a temporary path beside `path` to write to, and renames it to `path` if all went well.

    The temporary name ends as `path` does, so that writers that go by the suffix work; a leftover of a killed
    process is overwritten by the next.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{path.name}")
    yield temporary
    os.replace(temporary, path)


def read_config(workdir: str | Path) -> VideoFlowConfig | None:
    """The configuration of the run in `workdir`; None if there is no run yet.

    Raises:
      UserError: `workdir` is a file, a folder with other things in it, or its configuration cannot be read.
    """
    workdir = Path(workdir)
    if workdir.exists() and not workdir.is_dir():
        raise UserError(f"workdir {workdir} is a file; name a folder")
    path = workdir / _CONFIG
    if path.is_file():
        try:
            return VideoFlowConfig.from_json(path.read_text())
        except (UserError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: {error}") from None
    if workdir.is_dir() and any(not entry.name.startswith(".tmp-") for entry in workdir.iterdir()):
        raise UserError(f"workdir {workdir} has files in it but no {_CONFIG}: not a run of this program; name another")
    return None


def check_same_run(saved: VideoFlowConfig, config: VideoFlowConfig, workdir: str | Path) -> None:
    """Raises `UserError` unless `config` may take up the run that was started with `saved`."""
    differences = saved.differences(config)
    fields = [
        f"{name} ({before} there, {now} now)"
        for name, (before, now) in differences.items()
        if name not in RESUMABLE_FIELDS
    ]
    if fields:
        raise UserError(
            f"the run in {workdir} has another configuration: {', '.join(fields)}; "
            "give the values it has, or another --workdir"
        )


def write_config(workdir: str | Path, config: VideoFlowConfig) -> None:
    """Writes `config` as the configuration of the run in `workdir`, made if missing."""
    with atomic_path(Path(workdir) / _CONFIG) as path:
        path.write_text(config.to_json())


def latest_checkpoint(workdir: str | Path) -> tuple[str, int] | None:
    """Path (a prefix, as TensorFlow has it) and step of the newest checkpoint, or None."""
    import tensorflow as tf

    path = tf.train.latest_checkpoint(str(Path(workdir) / "checkpoints"))
    return None if path is None else (path, int(re.search(r"-(\d+)$", path).group(1)))


class Checkpoints:
    """Saves and restores the model, its step and the optimizer of a run."""

    def __init__(self, model: VideoFlow, optimizer: Adam, workdir: str | Path) -> None:
        import tensorflow as tf

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
        raise UserError(f"{workdir} is not a workdir: it has no {_CONFIG}; train first, or check --workdir")
    latest = latest_checkpoint(workdir)
    if latest is None:
        raise UserError(f"{workdir} has no checkpoint yet; let launch/train.py go on first")
    import tensorflow as tf

    from videoflow_tf.model import VideoFlow
    from videoflow_tf.optimizer import make_optimizer

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
    return {"step": model.step, "levels": model.flow, "priors": model.priors}


def _restore(checkpoint: tf.train.Checkpoint, path: str) -> None:
    import tensorflow as tf

    try:
        status = checkpoint.restore(path)
        status.assert_existing_objects_matched()
        status.expect_partial()  # Evaluation leaves the optimizer's variables where they are.
    except (tf.errors.OpError, AssertionError, IndexError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"cannot read the checkpoint {path}: {reason}") from error
