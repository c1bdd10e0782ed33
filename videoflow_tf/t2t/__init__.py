"""Models trained with the official code: tensor2tensor's `next_frame_glow` (TensorFlow 1), read as `VideoFlow`s."""

from videoflow_tf.t2t.checkpoint import import_checkpoint, load_model
from videoflow_tf.t2t.hparams import OFFICIAL_DEFAULTS, config_from_hparams, ignored_names, read_hparams
from videoflow_tf.t2t.hub_module import import_module, infer_hparams, load_module
from videoflow_tf.t2t.variables import to_official

__all__ = [
    "OFFICIAL_DEFAULTS",
    "config_from_hparams",
    "ignored_names",
    "import_checkpoint",
    "import_module",
    "infer_hparams",
    "load_model",
    "load_module",
    "read_hparams",
    "to_official",
]
