"""Between 8-bit pixels and the flow's continuous ones (uniform dequantisation: Theis et al. 2016, section 3.1)."""

from __future__ import annotations

import tensorflow as tf

from videoflow_tf.config import VideoFlowConfig
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


def to_uint8(x: tf.Tensor, config: VideoFlowConfig) -> tf.Tensor:
    """Continuous pixels to 8-bit ones, of any shape.

    With n bits kept, a pixel is one of 2^n levels, floor((x + 0.5) * 2^n), and these are spread over 0 to 255: what x
    has below a level is the noise of the dequantisation, no part of a picture. `from_uint8` of the result is of the
    same level. The official code (`pixel_scaling="official"`) shows that noise, too: floor((x + 0.5) * 256).

    Raises:
      tf.errors.InvalidArgumentError: if x has a NaN or an infinity.
    """
    x = tf.debugging.check_numerics(x, "the model's frames are not finite; its weights have probably diverged")
    bins = 256 if config.pixel_scaling == "official" else 2**config.n_bits
    level = tf.clip_by_value(tf.floor((x + 0.5) * bins), 0.0, bins - 1.0)
    return tf.cast(tf.round(level * (255 / (bins - 1))), tf.uint8)
