"""VideoFlow: exact-likelihood video prediction with a conditional normalizing flow."""

from videoflow_tf.config import PRESETS, VideoFlowConfig
from videoflow_tf.errors import UserError

__all__ = ["PRESETS", "UserError", "VideoFlow", "VideoFlowConfig"]


def __getattr__(name: str):
    # TensorFlow takes seconds to import: `--help` and configuration errors should not wait for it.
    if name == "VideoFlow":
        from videoflow_tf.model.video_flow import VideoFlow

        return VideoFlow
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
