"""VideoFlow: exact-likelihood video prediction with a conditional normalizing flow."""

import importlib
from typing import TYPE_CHECKING, Any

from videoflow_tf.config import PRESETS, VideoFlowConfig
from videoflow_tf.errors import UserError

if TYPE_CHECKING:
    from videoflow_tf.hub.folder import push_to_hub, save_pretrained
    from videoflow_tf.metrics.evaluate import evaluate
    from videoflow_tf.model.video_flow import VideoFlow
    from videoflow_tf.studies.samples import sample
    from videoflow_tf.training.checkpoints import load_workdir
    from videoflow_tf.training.train import train

__version__ = "0.1.0"

__all__ = [
    "PRESETS",
    "UserError",
    "VideoFlow",
    "VideoFlowConfig",
    "evaluate",
    "load_workdir",
    "push_to_hub",
    "sample",
    "save_pretrained",
    "train",
]

# TensorFlow takes seconds to import: `--help` and configuration errors should not wait for it.
_MODULES = {
    "VideoFlow": "model.video_flow",
    "evaluate": "metrics.evaluate",
    "load_workdir": "training.checkpoints",
    "push_to_hub": "hub.folder",
    "sample": "studies.samples",
    "save_pretrained": "hub.folder",
    "train": "training.train",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
