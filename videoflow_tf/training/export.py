"""The trained model as a SavedModel that runs with TensorFlow alone."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import tensorflow as tf

from videoflow_tf.arguments import LATEST
from videoflow_tf.errors import UserError
from videoflow_tf.files import check_writable, local_path, read_json, write_json
from videoflow_tf.model.video_flow import VideoFlow
from videoflow_tf.training.checkpoints import load_workdir, writing
from videoflow_tf.workdir import latest_checkpoint

_DESCRIPTION = "description.json"


class _Exported(tf.Module):
    """The two functions and the variables that they read, and nothing of Keras or TensorFlow Probability."""

    def __init__(self, model: VideoFlow) -> None:
        super().__init__()
        config = model.config
        frame = config.frame_shape
        seed = tf.TensorSpec([2], tf.int32, name="seed")

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, config.num_context, *frame], tf.uint8, name="context"),
                tf.TensorSpec([], tf.int32, name="num_frames"),
                tf.TensorSpec([], tf.float32, name="temperature"),
                seed,
            ],
            autograph=False,
        )
        def predict(context, num_frames, temperature, seed):
            return {"frames": model.predict_frames(context, num_frames, temperature, seed)}

        @tf.function(
            input_signature=[tf.TensorSpec([None, None, *frame], tf.uint8, name="video"), seed], autograph=False
        )
        def bits_per_pixel(video, seed):
            return {"bits_per_pixel": model.bits_per_pixel(video, seed=seed)}

        self.weights = list(model.weights)
        self.predict, self.bits_per_pixel = predict, bits_per_pixel


def export_model(model: VideoFlow, folder: str | Path) -> None:
    """Writes `model` to `folder` as a SavedModel, in place of one that is there.

    Signatures, with any batch size B and lengths T, N, and K = `config.num_context`:

        predict(context uint8 [B, K, H, W, C], num_frames int32 [], temperature float32 [], seed int32 [2])
            -> {"frames": uint8 [B, N, H, W, C]}
        bits_per_pixel(video uint8 [B, T, H, W, C], seed int32 [2])
            -> {"bits_per_pixel": float32 [B]}

    The first `config.num_context` frames of `video` are given, the others scored. `description.json` in the folder
    holds the configuration and the training step.
    """
    folder = Path(folder)
    temporary, old = folder.with_name(f".tmp-{folder.name}"), folder.with_name(f".tmp-old-{folder.name}")
    # A folder cannot be replaced in one go: a kill between the two renames below leaves none.
    if old.exists() and not folder.exists():
        os.rename(old, folder)
    for leftover in (temporary, old):
        shutil.rmtree(leftover, ignore_errors=True)
    module = _Exported(model)
    signatures = {"predict": module.predict, "bits_per_pixel": module.bits_per_pixel}
    description = {"step": int(model.step.numpy()), "config": json.loads(model.config.to_json())}
    try:
        with writing(folder):
            tf.saved_model.save(module, str(temporary), signatures=signatures)
            write_json(temporary / _DESCRIPTION, description)
            if folder.exists():
                os.rename(folder, old)
            os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # Of a failure; it would keep the disk full.
    shutil.rmtree(old, ignore_errors=True)


def export_workdir(workdir: str | Path, output_dir: str | Path | None = None, checkpoint: str | int = LATEST) -> Path:
    """Exports a checkpoint of a run, see `load_workdir`, to `workdir`/export, or to `output_dir`/export.

    Raises:
      UserError: `workdir` is no run or has no such checkpoint, or the folder cannot be written.
    """
    folder = local_path(output_dir or workdir) / "export"
    check_writable(folder)
    _, model = load_workdir(workdir, checkpoint)
    export_model(model, folder)
    return folder


def is_exported(workdir: str | Path) -> bool:
    """Whether `workdir`/export is there and of the newest checkpoint; not if its description is damaged."""
    latest = latest_checkpoint(workdir)
    try:
        step = read_json(Path(workdir) / "export" / _DESCRIPTION)["step"]
    except (OSError, UserError, KeyError, TypeError):
        return False
    return latest is not None and step == latest[1]
