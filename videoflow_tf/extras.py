"""Packages that a part needs and a model does not: they come with an extra, `pip install 'videoflow-tf[video]'`."""

from __future__ import annotations

import importlib.util

from videoflow_tf.errors import UserError

_EXTRAS = {"av": "video", "gradio": "explore", "huggingface_hub": "hub", "tensorflow_datasets": "datasets"}


def is_installed(package: str) -> bool:
    """Whether it can be imported; it is not, here."""
    return importlib.util.find_spec(package) is not None


def require(package: str) -> None:
    """Raises `UserError` unless a package of an extra is installed."""
    if not is_installed(package):
        raise UserError(f"the package {package} is not installed: pip install 'videoflow-tf[{_EXTRAS[package]}]'")
