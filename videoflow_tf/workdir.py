"""A workdir: the folder of one training run.

    W/config.json       the configuration
    W/history.json      every start: when, from which step, by which command, what was changed in the configuration
    W/checkpoints/      ckpt-<step>: the model, its step and the optimizer; the newest
    W/checkpoints/best/ the one with the fewest bits per pixel on the validation split
    W/validation.json   bits per pixel on the validation split by the step
    W/tensorboard/      curves and pictures: train, validation
    W/samples/          pictures
    W/eval/             metrics.json and other results, what differs from the defaults in their names
    W/export/           the SavedModel

A trained model to pass on is a workdir, too: config.json, the weights alone in model.safetensors, README.md.

Every file appears complete or not at all, so that a run can be killed at any moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from videoflow_tf.config import ARCHITECTURE_FIELDS, RESUMABLE_FIELDS, VideoFlowConfig, check_names
from videoflow_tf.errors import UserError
from videoflow_tf.files import LOCK, local_path, now, read_json, shipped, write_json, write_text
from videoflow_tf.hub import transfer
from videoflow_tf.weights import read_step

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
_HISTORY_FILE = "history.json"
# Trained models that come with the package, a workdir each.
PRETRAINED = shipped("pretrained")


def read_config(workdir: str | Path) -> VideoFlowConfig | None:
    """The configuration of the run in `workdir`; None if there is no run yet.

    Raises:
      UserError: `workdir` is a file, a folder with other things in it, or its configuration cannot be read.
    """
    workdir = local_path(workdir)
    if workdir.exists() and not workdir.is_dir():
        raise UserError(f"workdir {workdir} is a file; name a folder")
    path = workdir / CONFIG_FILE
    if path.is_file():
        try:
            return VideoFlowConfig.from_json(path.read_text())
        except (UserError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: {error}") from None
    if workdir.is_dir() and any(not entry.name.startswith((".tmp-", LOCK)) for entry in workdir.iterdir()):
        raise UserError(
            f"workdir {workdir} has files in it but no {CONFIG_FILE}: not a run of this program; name another"
        )
    return None


def find_run(name_or_path: str | Path) -> Path:
    """The folder of a run, or, where there is none, of the trained model in `PRETRAINED` of that name.

    What is made of the latter goes to a folder of its name in the working directory, which is no run by that.
    """
    path, named = local_path(name_or_path), PRETRAINED / name_or_path
    if (path / CONFIG_FILE).exists() or (path / "checkpoints").exists() or not (named / CONFIG_FILE).is_file():
        return path
    return named


def run_config(workdir: str | Path) -> VideoFlowConfig:
    """As `read_config`, of a folder that must be a run; `UserError` if it is none."""
    workdir = find_run(workdir)
    config = read_config(workdir) if workdir.is_dir() else None
    if config is None:
        trained = ", ".join(sorted(path.parent.name for path in PRETRAINED.glob(f"*/{CONFIG_FILE}")))
        remedy = f"name the folder of a run, or a trained model: {trained}"
        raise UserError(f"{workdir} is not a workdir: it has no {CONFIG_FILE}; {remedy}")
    return config


def check_same_run(
    saved: VideoFlowConfig, config: VideoFlowConfig, workdir: str | Path, allow_changes: Sequence[str] = ()
) -> None:
    """Raises `UserError` unless `config` may take up the run that was started with `saved`.

    Args:
      allow_changes: fields that may differ, besides those that say how long a run lasts, how often it reports or how it
        fits into memory.
    """
    for name in allow_changes:
        check_names([name])
        if name in ARCHITECTURE_FIELDS:
            raise UserError(f"--allow_changes={name} cannot be: the weights of the run in {workdir} would not fit")
    fields = [
        f"{name} ({before} there, {now} now)"
        for name, (before, now) in saved.differences(config).items()
        if name not in {*RESUMABLE_FIELDS, *allow_changes}
    ]
    if fields:
        raise UserError(
            f"the run in {workdir} has another configuration: {', '.join(fields)}; "
            "give the values it has, another --workdir, or name in --allow_changes what may change from here on"
        )
    if (saved.ema_decay > 0) != (config.ema_decay > 0):
        raise UserError(f"the run in {workdir} keeps a moving average or none from its start: ema_decay stays as it is")


def write_config(workdir: str | Path, config: VideoFlowConfig) -> None:
    """Writes `config` as the configuration of the run in `workdir`, made if missing."""
    write_text(Path(workdir) / CONFIG_FILE, config.to_json())


def read_history(workdir: str | Path) -> list[dict[str, Any]]:
    """What `write_start` noted of every start of a run; empty of a run from before there were such notes.

    Raises:
      UserError: the file is damaged.
    """
    path = Path(workdir) / _HISTORY_FILE
    starts = read_json(path) if path.is_file() else []
    if not (isinstance(starts, list) and all(isinstance(s, dict) and type(s.get("step")) is int for s in starts)):
        raise UserError(f"{path} is no history of a run; bring it back, or remove it")
    return starts


def began_with(workdir: str | Path) -> str | None:
    """What `--init_from` named, whose weights a run began with; None if its own."""
    starts = read_history(workdir)
    return starts[0].get("init_from") if starts else None


def write_start(
    workdir: str | Path, saved: VideoFlowConfig | None, config: VideoFlowConfig, step: int, **notes: Any
) -> None:
    """Writes `config` in place of `saved`, and to `workdir`/history.json that the run starts, or goes on from `step`.

    `notes`: JSON values to stand there beside the step, the time and the changes in the configuration, if not None.
    """
    changes = {} if saved is None else saved.differences(config)
    if saved is None:  # First: a folder without it is no workdir.
        write_config(workdir, config)
    known = {name: value for name, value in {**notes, "changes": changes or None}.items() if value is not None}
    entry = {"step": step, "time": now(), **known}
    write_json(Path(workdir) / _HISTORY_FILE, [*read_history(workdir), entry])
    if changes:
        write_config(workdir, config)


def saved_checkpoints(workdir: str | Path) -> list[tuple[str, int]]:
    """Path (a prefix, as TensorFlow has it) and step of every checkpoint, the newest first; damaged ones among them.

    Where there are weights alone, that of their file; `UserError` if it is damaged.
    """
    weights = Path(workdir) / WEIGHTS_FILE
    if weights.is_file():
        return [(str(weights), read_step(weights))]
    folder = Path(workdir) / "checkpoints"
    indices = [*folder.glob("ckpt-*.index"), *(folder / "best").glob("ckpt-*.index")]
    steps = [(str(index.with_suffix("")), index.stem.removeprefix("ckpt-")) for index in indices]
    found = [(path, int(step)) for path, step in steps if step.isdigit()]
    return sorted(found, key=lambda checkpoint: checkpoint[1], reverse=True)


def latest_checkpoint(workdir: str | Path) -> tuple[str, int] | None:
    """Path and step of the newest checkpoint, or None; whether it is whole, only reading it can tell."""
    return next(iter(saved_checkpoints(workdir)), None)


def goes_on_from(workdir: str | Path) -> str:
    """In words, where training goes on from when it is started again."""
    saved = latest_checkpoint(workdir)
    return "the beginning" if saved is None else f"step {saved[1]}, which is saved"


def find_trained(name_or_path: str | Path, **options: Any) -> Path:
    """The workdir of a trained model: a folder, one of those in `PRETRAINED` by name, or "user/model" on the hub.

    `options`: of the hub alone, see `hub.transfer.download`.

    Raises:
      UserError: there is none of these, or there are options for one that is here.
    """
    folder = find_run(name_or_path)
    if (folder / CONFIG_FILE).is_file():
        if options:
            raise UserError(f"{', '.join(options)}: for a model on the Hugging Face hub, and {folder} is a folder here")
        return folder
    names = sorted(path.parent.name for path in PRETRAINED.glob(f"*/{CONFIG_FILE}"))
    none_here = f"no trained model {str(name_or_path)!r}: name a workdir"
    none_here += f", or one of {', '.join(names)}" if names else ""
    if folder.exists() or not transfer.is_repository(str(name_or_path)):
        raise UserError(none_here)
    try:
        return transfer.download(str(name_or_path), **options)
    except UserError as error:
        raise UserError(f"{none_here}; {error}") from error
