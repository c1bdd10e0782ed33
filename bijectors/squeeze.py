"""Squeeze: space to channels (Dinh et al. 2017, "Real NVP", section 3.6)."""

from __future__ import annotations

import tensorflow as tf

from bijectors.bijector import Bijector
from bijectors.fast_forms import sizes


class Squeeze(Bijector):
    """Turns every 2x2 block of pixels into one pixel with four times the channels.

        forward   y[..., i, j, 4c + 2dy + dx] = x[..., 2i + dy, 2j + dx, c]
        inverse   the same read backwards
        log|det| = 0 in both directions        [...]

    The channel order (c, dy, dx) is Glow's; `tf.nn.space_to_depth` orders (dy, dx, c).
    Shapes: x [..., H, W, C] with even H and W (a ValueError otherwise), y [..., H/2, W/2, 4C].
    """

    def __init__(self, num_channels: int, dtype: tf.DType = tf.float32, name: str = "squeeze") -> None:
        super().__init__(num_channels=num_channels, out_channels=4 * num_channels, dtype=dtype, name=name)

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if any(size is not None and size % 2 for size in x.shape[1:3]):
            raise ValueError(f"{self.name}: expected even H and W, got {x.shape[1:3]}")
        batch, height, width = sizes(x, 3)
        blocks = tf.reshape(x, [batch, height // 2, 2, width // 2, 2, self.num_channels])
        blocks = tf.transpose(blocks, [0, 1, 3, 5, 2, 4])  # [N, H/2, W/2, C, dy, dx]
        y = tf.reshape(blocks, [batch, height // 2, width // 2, 4 * self.num_channels])
        return y, tf.zeros([batch], x.dtype)

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        batch, height, width = sizes(y, 3)
        blocks = tf.reshape(y, [batch, height, width, self.num_channels, 2, 2])
        blocks = tf.transpose(blocks, [0, 1, 4, 2, 5, 3])  # [N, H/2, dy, W/2, dx, C]
        x = tf.reshape(blocks, [batch, 2 * height, 2 * width, self.num_channels])
        return x, tf.zeros([batch], y.dtype)

    def _forward_event_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        *leading, height, width, channels = tf.TensorShape(input_shape)
        halved = [None if size is None else size // 2 for size in (height, width)]
        return tf.TensorShape([*leading, *halved, None if channels is None else 4 * channels])

    def _inverse_event_shape(self, output_shape: tf.TensorShape) -> tf.TensorShape:
        *leading, height, width, channels = tf.TensorShape(output_shape)
        doubled = [None if size is None else 2 * size for size in (height, width)]
        return tf.TensorShape([*leading, *doubled, None if channels is None else channels // 4])

    def _forward_event_shape_tensor(self, input_shape: tf.Tensor) -> tf.Tensor:
        return tf.concat([input_shape[:-3], input_shape[-3:-1] // 2, 4 * input_shape[-1:]], axis=0)

    def _inverse_event_shape_tensor(self, output_shape: tf.Tensor) -> tf.Tensor:
        return tf.concat([output_shape[:-3], 2 * output_shape[-3:-1], output_shape[-1:] // 4], axis=0)
