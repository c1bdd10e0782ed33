"""Sampling long videos in bounded memory: the flow inverted for a few frames at a time.

The latents of a video are no larger than its pixels; it is the activations of the flow's networks, hundreds of
channels a frame, that fill the memory. A flow treats every frame by itself, so taking them in turn changes nothing.
"""

from __future__ import annotations

import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from videoflow_tf.prior import HierarchicalPrior


def in_time_chunks(distribution: tfd.TransformedDistribution, frames: int) -> tfd.TransformedDistribution:
    """The same distribution over the same frames, sampled with every flow inverted for `frames` at a time.

    Args:
      distribution: what `VideoFlow.future` gives.
      frames: of each video of the batch that go through a flow together, at least 1.
    """
    base = distribution.distribution
    if isinstance(base, HierarchicalPrior):
        base = base.copy(above=in_time_chunks(base.parameters["above"], frames))
    return distribution.copy(
        distribution=base, bijector=TimeChunks(distribution.bijector, base.event_shape[-3:], frames)
    )


class TimeChunks(tfb.Bijector):
    """A bijector that treats each frame of [..., T, H, W, C] by itself, applied to a few frames after the other.

    Forward alone, as sampling needs it.
    """

    def __init__(
        self, bijector: tfb.Bijector, image_shape: tf.TensorShape, frames: int, name: str = "time_chunks"
    ) -> None:
        """image_shape: (H, W, C) of the input; frames: how many to take together."""
        parameters = dict(locals())
        self._bijector, self._image_shape, self._frames = bijector, image_shape, frames
        super().__init__(forward_min_event_ndims=3, parameters=parameters, name=name)

    def _forward(self, x: tf.Tensor) -> tf.Tensor:
        leading, length = tf.shape(x)[:-4], tf.shape(x)[-4]
        chunks = -(-length // self._frames)
        given, made = list(self._image_shape), list(self._bijector.forward_event_shape(self._image_shape))
        x = tf.reshape(x, [-1, length, *given])  # [N, T, h, w, c]
        x = tf.pad(x, [[0, 0], [0, chunks * self._frames - length], [0, 0], [0, 0], [0, 0]])
        x = tf.transpose(tf.reshape(x, [-1, chunks, self._frames, *given]), [1, 0, 2, 3, 4, 5])
        signature = tf.TensorSpec([None, self._frames, *made], x.dtype)
        y = tf.map_fn(self._bijector.forward, x, parallel_iterations=1, fn_output_signature=signature)
        y = tf.reshape(tf.transpose(y, [1, 0, 2, 3, 4, 5]), [-1, chunks * self._frames, *made])[:, :length]
        return tf.reshape(y, tf.concat([leading, [length], made], axis=0))

    def _forward_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        return self._bijector.forward_event_shape(shape)

    def _forward_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        return self._bijector.forward_event_shape_tensor(shape)
