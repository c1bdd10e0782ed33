"""Cosine similarity in the feature space of VGG16, from a local weight file."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tf_keras

from videoflow_tf.colour import with_channels
from videoflow_tf.errors import UserError
from videoflow_tf.files import file_digest
from videoflow_tf.metrics.network_files import VGG_FILE, VGG_SOURCE, find_vgg

_RESIZED, _CROPPED = 256, 224  # Pixels.
_FRAMES_AT_A_TIME = 8  # The features of one frame are 60 MB.


class VGGFeatures:
    """Features of all convolution and pooling layers of VGG16 (Simonyan and Zisserman 2015), trained on ImageNet.

    Two frames are compared as in the official code: the cosine between the channels at each position, averaged over
    positions, then over layers; frames are resized to 256 pixels and the central 224 are used. The cosine of u and v is
    taken as 1 - |u/|u| - v/|v||^2 / 2, which also holds for a feature that is zero in both.
    """

    def __init__(self, path: str | None) -> None:
        """Reads the weights.

        Raises:
          UserError: there is no such file, or it is another.
        """
        path = find_vgg(path)
        network = tf_keras.applications.VGG16(weights=None, include_top=False, input_shape=(_CROPPED, _CROPPED, 3))
        try:
            network.load_weights(str(path))
        except (ValueError, OSError, KeyError) as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"--vgg_weights={path} is not {VGG_FILE} (from {VGG_SOURCE}): {reason}") from None
        self.digest = file_digest(path)
        self._network = tf_keras.Model(network.input, [layer.output for layer in network.layers[1:]])

    def similarity(self, frame: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Of uint8 [H, W, C] with each of uint8 [S, H, W, C]: float32 [S], at most 1."""
        frame, others = with_channels(frame, 3), with_channels(others, 3)
        step = _FRAMES_AT_A_TIME - 1
        batches = [np.concatenate([frame[None], others[i : i + step]]) for i in range(0, len(others), step)]
        return np.concatenate([self._similarity_to_first(batch).numpy() for batch in batches])

    def mean_pairwise_distance(self, frames: np.ndarray) -> float:
        """Mean of 1 - similarity over all pairs of uint8 [S, H, W, C], S >= 2."""
        # The mean over pairs of |u_i - u_j|^2 / 2 is (S sum |u_i|^2 - |sum u_i|^2) / (S (S - 1)): sums will do.
        frames, sums, squares = with_channels(frames, 3), None, None
        for i in range(0, len(frames), _FRAMES_AT_A_TIME):
            batch_sums, batch_squares = self._sums(frames[i : i + _FRAMES_AT_A_TIME])
            sums = batch_sums if sums is None else [a + b for a, b in zip(sums, batch_sums, strict=True)]
            squares = batch_squares if squares is None else squares + batch_squares
        count = len(frames)
        of_sums = np.array([tf.reduce_mean(tf.reduce_sum(s**2, axis=-1)) for s in sums], np.float64)
        distances = (count * squares.numpy().astype(np.float64) - of_sums) / (count * (count - 1))
        return max(0.0, float(distances.mean()))

    @tf.function(autograph=False, reduce_retracing=True)
    def _similarity_to_first(self, frames: tf.Tensor) -> tf.Tensor:
        distances = [
            tf.reduce_mean(tf.reduce_sum((u[1:] - u[:1]) ** 2, axis=-1), axis=[1, 2]) / 2
            for u in self._features(frames)
        ]
        return 1 - tf.reduce_mean(tf.stack(distances), axis=0)

    @tf.function(autograph=False, reduce_retracing=True)
    def _sums(self, frames: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Per layer the sum of the frames' features [h, w, c], and that of their squared norms, averaged: [layers]."""
        features = self._features(frames)
        squares = [tf.reduce_sum(tf.reduce_mean(tf.reduce_sum(u**2, axis=-1), axis=[1, 2])) for u in features]
        return [tf.reduce_sum(u, axis=0) for u in features], tf.stack(squares)

    def _features(self, frames: tf.Tensor) -> list[tf.Tensor]:
        """Of every layer [B, h, w, c], of unit norm along c or zero."""
        # The first resize of TensorFlow, without half-pixel centres, is the one that the metric was made with.
        frames = tf.raw_ops.ResizeBilinear(images=tf.cast(frames, tf.float32), size=[_RESIZED, _RESIZED])
        frames = tf.image.resize_with_crop_or_pad(frames, _CROPPED, _CROPPED)
        features = self._network(tf_keras.applications.vgg16.preprocess_input(frames), training=False)
        return [tf.math.l2_normalize(f, axis=-1) for f in features]
