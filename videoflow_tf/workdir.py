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

from pathlib import Path

from videoflow_tf.config import RESUMABLE_FIELDS, VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.files import LOCK, local_path, write_text

CONFIG_FILE = "config.json"
# Trained models that come with the package, a workdir each.
PRETRAINED = Path(__file__).parent.parent / "pretrained"


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


def run_config(workdir: str | Path) -> VideoFlowConfig:
    """As `read_config`, of a folder that must be a run; `UserError` if it is none."""
    config = read_config(workdir) if local_path(workdir).is_dir() else None
    if config is None:
        raise UserError(f"{workdir} is not a workdir: it has no {CONFIG_FILE}; name the folder of a run")
    return config


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
    write_text(Path(workdir) / CONFIG_FILE, config.to_json())


def latest_checkpoint(workdir: str | Path) -> tuple[str, int] | None:
    """Path (a prefix, as TensorFlow has it) and step of the newest checkpoint whose files are there, or None."""
    found = []
    for index in (Path(workdir) / "checkpoints").glob("ckpt-*.index"):
        step = index.stem.removeprefix("ckpt-")
        if step.isdigit() and any(index.parent.glob(f"{index.stem}.data-*")):
            found.append((int(step), str(index.with_suffix(""))))
    return None if not found else max(found)[::-1]


def find_trained(name_or_path: str | Path) -> Path:
    """The workdir of a trained model: a folder, or one of those in `PRETRAINED` by name.

    Raises:
      UserError: there is neither.
    """
    for folder in (local_path(name_or_path), PRETRAINED / name_or_path):
        if (folder / CONFIG_FILE).is_file():
            return folder
    names = sorted(path.parent.name for path in PRETRAINED.glob(f"*/{CONFIG_FILE}"))
    raise UserError(
        f"no trained model {str(name_or_path)!r}: name a workdir" + (f", or one of {', '.join(names)}" if names else "")
    )
