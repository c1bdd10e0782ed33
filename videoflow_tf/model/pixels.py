"""Between 8-bit pixels and the flow's continuous ones (uniform dequantisation: Theis et al. 2016, section 3.1)."""

from __future__ import annotations

import tensorflow as tf

from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.seeds import uniform

# Of noise for which no seed is given: any fixed one, so that a call repeated gives the same numbers.
DEFAULT_SEED = (0, 0)


def dequantization_noise(shape: tf.Tensor | tuple[int, ...], seed: tf.Tensor) -> tf.Tensor:
    """Uniform noise in [0, 1), float32 of `shape`, a function of `seed` (int32 [2])."""
    return uniform(shape, seed)


def from_uint8(video: tf.Tensor, noise: tf.Tensor, config: VideoFlowConfig, dtype: tf.DType) -> tf.Tensor:
    """8-bit pixels v to continuous ones around [-0.5, 0.5); noise u in [0, 1) broadcasts to the video's shape.

    With n bits kept: (v + u) / 2^n - 0.5, whose density times 2^-n per component is a bound on the probability of v.
    The official code's v / (2^n - 1) - 0.5 + u / 2^n (`pixel_scaling="official"`) spreads the bins over more than the
    noise covers, so it is no bound: it is off by log2(2^n / (2^n - 1)), 0.0056 bits at 8 bits.
    """
    bins = 2**config.n_bits
    v = tf.cast(tf.bitwise.right_shift(video, tf.constant(8 - config.n_bits, tf.uint8)), dtype)
    u = tf.cast(noise, dtype)
    if config.pixel_scaling == "official":
        return v / (bins - 1) - 0.5 + u / bins
    return (v + u) / bins - 0.5


def to_uint8(x: tf.Tensor) -> tf.Tensor:
    """Continuous pixels to 8-bit ones: floor((x + 0.5) * 256), clipped to [0, 255].

    Raises:
      tf.errors.InvalidArgumentError: if x has a NaN or an infinity.
    """
    x = tf.debugging.check_numerics(x, "the model's frames are not finite; its weights have probably diverged")
    return tf.cast(tf.clip_by_value(tf.floor((x + 0.5) * 256.0), 0.0, 255.0), tf.uint8)


def checked_video(
    video: tf.Tensor, frame_shape: tuple[int, int, int], least_frames: int, continuous_dtype: tf.DType | None = None
) -> tf.Tensor:
    """The video as a tensor [B, T, H, W, C].

    Args:
      video: uint8 [B, T, H, W, C].
      frame_shape: [H, W, C].
      least_frames: the smallest T that will do.
      continuous_dtype: another dtype that will do.

    Raises:
      UserError: the video is of another form; says what is wrong with it.
    """
    video = tf.convert_to_tensor(video)
    height, width, channels = frame_shape
    if video.dtype != tf.uint8 and video.dtype != continuous_dtype:
        raise UserError(f"expected a video of dtype uint8, got {video.dtype.name}; convert it to values 0..255")
    if video.shape.rank != 5:
        raise UserError(f"expected a video [batch, frames, {height}, {width}, {channels}], got shape {video.shape}")
    if not video.shape[2:].is_compatible_with(frame_shape):
        raise UserError(
            f"expected frames of {height}x{width} with {channels} channel{'s' * (channels > 1)}, got "
            f"{video.shape[2:]}; resize the video or choose another frame_size and channels"
        )
    if video.shape[1] is not None and video.shape[1] < least_frames:
        frames = "1 frame" if least_frames == 1 else f"{least_frames} frames"
        raise UserError(f"expected at least {frames}, got {video.shape[1]}; give a longer video")
    return tf.ensure_shape(video, [None, None, *frame_shape])
