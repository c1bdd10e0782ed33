"""To and from the Hugging Face hub, by the mixin of its client; huggingface_hub is needed for that alone."""

from __future__ import annotations

import importlib
import re
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

from videoflow_tf import extras
from videoflow_tf.errors import UserError, one_line

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
# Those of a model, whatever else its owner keeps there.
_FILES = ["config.json", "model.safetensors", "README.md"]


def is_repository(name: str) -> bool:
    """Whether a model of the hub could have that name, as "user/model"."""
    return _REPOSITORY.fullmatch(name) is not None


def download(repository: str, **options: Any) -> Path:
    """The folder with a model of the hub, fetched unless it is in the hub's cache on this machine.

    `options`: revision, token, cache_dir, force_download, local_files_only, as of `ModelHubMixin.from_pretrained`.

    Raises:
      UserError: huggingface_hub is not installed, the hub cannot be reached, or has no such model.
    """
    hub = _hub()
    try:
        # All files in one go first: the mixin begins with the configuration and, without a network, tries again for
        # 23 seconds, with a warning each time.
        folder = hub.snapshot_download(repository, allow_patterns=_FILES, **options)
        return _model_folder(hub).from_pretrained(folder).folder
    except Exception as error:  # Those of the hub, of its HTTP client and of the system.
        raise _failed(f"cannot fetch {repository} from the Hugging Face hub", error) from error


def push(folder: str | Path, repository: str, **options: Any) -> str:
    """Uploads a folder with a model to the hub, where `repository` is made if it is not there; gives its address.

    `options`: private, token, branch, create_pr, commit_message, as of `ModelHubMixin.push_to_hub`.

    Raises:
      UserError: huggingface_hub is not installed, the hub cannot be reached, or does not let this user write there.
    """
    hub = _hub()
    try:
        options = {"commit_message": "VideoFlow model"} | options
        return str(_model_folder(hub)(folder).push_to_hub(repository, **options).repo_url)
    except Exception as error:
        raise _failed(f"cannot upload to {repository} on the Hugging Face hub", error) from error


def _model_folder(hub: ModuleType) -> type:
    """What the hub's mixin carries: a folder as `save_pretrained` writes it, with its own card."""

    class ModelFolder(hub.ModelHubMixin):
        def __init__(self, folder: str | Path) -> None:
            self.folder = Path(folder)

        def _save_pretrained(self, save_directory: Path) -> None:
            shutil.copytree(self.folder, save_directory, dirs_exist_ok=True)

        @classmethod
        def _from_pretrained(cls, *, model_id: str, **_: Any) -> ModelFolder:
            return cls(model_id)

    return ModelFolder


def _hub() -> ModuleType:
    extras.require("huggingface_hub")
    return importlib.import_module("huggingface_hub")


def _failed(what: str, error: Exception) -> UserError:
    lines = [line for line in str(error).splitlines() if line.strip()]  # A status, what it means, then advice.
    reason = one_line(" ".join(lines[:2])) or type(error).__name__
    return UserError(f"{what}: {reason}; look at the network, the name, and who is logged in")
