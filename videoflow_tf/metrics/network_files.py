"""Where the networks with published weights lie that metrics need, looked for without TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from videoflow_tf.commands import here
from videoflow_tf.errors import UserError

if TYPE_CHECKING:
    from videoflow_tf.metrics.arguments import MeasureArguments

I3D, LPIPS = "i3d_kinetics_400", "lpips"  # Names of what is prepared.
VGG_FILE = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
VGG_SOURCE = f"https://storage.googleapis.com/tensorflow/keras-applications/vgg16/{VGG_FILE}"
_SAVED_MODEL = "saved_model.pb"


def prepared_folder(name: str) -> Path:
    """Where the network of that name is, or is to be, in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "videoflow_tf" / name


def is_prepared(folder: Path) -> bool:
    """Whether a SavedModel is there."""
    return (folder / _SAVED_MODEL).is_file()


def find_i3d(path: str | None = None) -> Path:
    """The folder of I3D: `path`, or what prepare_i3d.py wrote; raises `UserError` if there is no SavedModel in it."""
    folder = prepared_folder(I3D) if path is None else Path(path)
    if not is_prepared(folder):
        given = "needs the network I3D" if path is None else f"finds no SavedModel in --i3d_path={path}"
        raise UserError(here(f"FVD {given}: run launch/prepare_i3d.py once") + (" and leave it out" if path else ""))
    return folder


def find_lpips() -> Path:
    """The folder of the networks of LPIPS that prepare_lpips.py wrote; raises `UserError` if there is none."""
    folder = prepared_folder(LPIPS)
    if not is_prepared(folder):
        raise UserError(here("LPIPS needs its networks: run launch/prepare_lpips.py once"))
    return folder


def find_vgg(path: str | None) -> Path:
    """The file of VGG16's weights; raises `UserError` if there is none."""
    if path is None or not Path(path).is_file():
        given = "needs --vgg_weights" if path is None else f"finds no file --vgg_weights={path}"
        raise UserError(f"VGG16 {given}: download {VGG_SOURCE} and give its path")
    return Path(path)


_NEEDED: dict[str, Callable[[MeasureArguments], Path]] = {
    "fvd": lambda arguments: find_i3d(arguments.i3d_path),
    "lpips": lambda arguments: find_lpips(),
    "vgg_cosine": lambda arguments: find_vgg(arguments.vgg_weights),
    "vgg_diversity": lambda arguments: find_vgg(arguments.vgg_weights),
}


def check_networks(arguments: MeasureArguments) -> None:
    """Raises `UserError` if a metric that is asked for needs a network that is not there."""
    for name in arguments.metrics or ():
        if name in _NEEDED:
            _NEEDED[name](arguments)
