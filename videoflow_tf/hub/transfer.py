"""To and from the Hugging Face hub; the package huggingface_hub is needed for that alone.

Not by its `ModelHubMixin` (as of huggingface_hub 2.4): that asks for the configuration on its own first and, where
there is no network and no copy, tries again for 23 seconds with a warning each time, then drops the reason.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

from videoflow_tf import extras
from videoflow_tf.errors import UserError, one_line

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
# Those of a model, whatever else its owner keeps there.
_FILES = ["config.json", "model.safetensors", "README.md"]


def is_repository(name: str) -> bool:
    """Whether a model of the hub could have that name, as "user/model"."""
    return _REPOSITORY.fullmatch(name) is not None


def download(repository: str) -> Path:
    """The folder with a model of the hub, fetched unless it is in the hub's cache on this machine.

    Raises:
      UserError: huggingface_hub is not installed, the hub cannot be reached, or has no such model.
    """
    hub = _hub()
    try:
        return Path(hub.snapshot_download(repository, allow_patterns=_FILES))
    except Exception as error:  # Those of the hub, of its HTTP client and of the system.
        raise _failed(f"cannot fetch {repository} from the Hugging Face hub", error) from error


def push(folder: str | Path, repository: str) -> str:
    """Uploads a folder with a model to the hub, where `repository` is made if it is not there; gives its address.

    Raises:
      UserError: huggingface_hub is not installed, the hub cannot be reached, or does not let this user write there.
    """
    hub = _hub()
    try:
        api = hub.HfApi()
        address = api.create_repo(repository, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=str(folder), commit_message="VideoFlow model")
        return str(address)
    except Exception as error:
        raise _failed(f"cannot upload to {repository} on the Hugging Face hub", error) from error


def _hub() -> ModuleType:
    extras.require("huggingface_hub")
    return importlib.import_module("huggingface_hub")


def _failed(what: str, error: Exception) -> UserError:
    lines = [line for line in str(error).splitlines() if line.strip()]  # A status, what it means, then advice.
    reason = one_line(" ".join(lines[:2])) or type(error).__name__
    return UserError(f"{what}: {reason}; look at the network, the name, and who is logged in")
