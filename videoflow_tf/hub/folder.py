"""A trained model as a folder: config.json, model.safetensors and the model card README.md."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoflow_tf.arguments import LATEST, LICENCE
from videoflow_tf.errors import UserError
from videoflow_tf.files import atomic_path, check_writable, local_path
from videoflow_tf.hub.card import model_card
from videoflow_tf.hub.transfer import push
from videoflow_tf.training.checkpoints import load_workdir
from videoflow_tf.weights import write_weights
from videoflow_tf.workdir import CONFIG_FILE, WEIGHTS_FILE

if TYPE_CHECKING:
    from videoflow_tf.model.video_flow import VideoFlow


def save_pretrained(
    model: VideoFlow, folder: str | Path, workdir: str | Path | None = None, licence: str = LICENCE
) -> None:
    """Writes `model` to a new folder, a workdir without an optimizer: every command and `from_pretrained` take it.

    The files appear when all are written, the configuration last: interrupted, or where the disk is full, it can be
    done again.

    Args:
      folder: must be empty, or not be there.
      workdir: of the model's run, whose results stand in the card.
      licence: of the weights, an SPDX identifier, which the card names.

    Raises:
      UserError: there is something in `folder` already, or it cannot be written; the licence is no such identifier.
    """
    folder = local_path(folder)
    check_writable(folder)
    if folder.exists() and any(not entry.name.startswith(".tmp-") for entry in folder.iterdir()):
        raise UserError(f"{folder} has files in it; name a new folder")
    card = model_card(model.config, int(model.step.numpy()), model.num_parameters, workdir, licence)
    with contextlib.ExitStack() as stack:  # Renames the last first: without its configuration a folder is no workdir.
        names = (CONFIG_FILE, "README.md", WEIGHTS_FILE)
        configuration, readme, weights = (stack.enter_context(atomic_path(folder / name)) for name in names)
        write_weights(model, weights)
        readme.write_text(card, encoding="utf-8")
        configuration.write_text(model.config.to_json(), encoding="utf-8")


def push_to_hub(
    model: VideoFlow, repository: str, workdir: str | Path | None = None, licence: str = LICENCE, **options: Any
) -> str:
    """Uploads what `save_pretrained` writes to the Hugging Face hub as `repository`, "user/model"; gives its address.

    `options`: private, token, branch, create_pr, commit_message, as of `huggingface_hub.ModelHubMixin.push_to_hub`.

    Raises:
      UserError: as of `transfer.push`, or the licence is no SPDX identifier.
    """
    with tempfile.TemporaryDirectory() as folder:
        save_pretrained(model, folder, workdir, licence)
        return push(folder, repository, **options)


def export_hub(
    workdir: str | Path,
    output_dir: str | Path | None = None,
    checkpoint: str | int = LATEST,
    licence: str = LICENCE,
) -> Path:
    """Writes a checkpoint of a run, see `load_workdir`, to `workdir`/hub, or to `output_dir`/hub.

    Raises:
      UserError: `workdir` is no run or has no such checkpoint; or as `save_pretrained`.
    """
    folder = local_path(output_dir or workdir) / "hub"
    save_pretrained(load_workdir(workdir, checkpoint)[1], folder, workdir, licence)
    return folder
