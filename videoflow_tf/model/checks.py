"""What a caller may give the model: one set of checks for eager calls, traced functions and exported models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from bijectors.fast_forms import sizes
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.units import counted

_CONVERT = "convert uint8 frames by the model's `dequantize`"


def require(value: tf.Tensor, holds: bool | tf.Tensor, expected: str, got: Any, remedy: str = "") -> tf.Tensor:
    """`value`, of which `holds` is true.

    What is known when a function is traced, as all is in an eager call, is a `UserError` at once. The rest is an
    assertion in the graph, `tf.errors.InvalidArgumentError` with the same words, on which the value that is returned
    depends: nothing is computed with another one. XLA drops assertions.

    Args:
      value: a tensor.
      holds: bool [].
      expected: what is said, up to "got".
      got: what does not do.
      remedy: what is said after it.
    """
    known = tf.get_static_value(holds)
    if known is None:
        words = [f"{expected}, got", got] + ([remedy] if remedy else [])
        with tf.control_dependencies([tf.debugging.Assert(holds, words, summarize=8)]):
            return tf.identity(value)
    if not known:
        static = tf.get_static_value(got)
        raise UserError(f"{expected}, got {got if static is None else static}" + (f"; {remedy}" if remedy else ""))
    return value


def checked_dtype(dtype: tf.DType | str) -> tf.DType:
    """float32 or float64; a `UserError` else."""
    for known in (tf.float32, tf.float64):
        if dtype in (known, known.name, known.as_numpy_dtype):
            return known
    raise UserError(
        f"the dtype of a VideoFlow must be float32, float64 or, for faster networks, mixed_bfloat16, got {dtype}"
    )


def check_of_keras_2(expected: str, *parts: Any) -> None:
    """Raises `UserError` for an optimizer or a callback that, or whose base class, is not of tf_keras."""
    for part in parts:
        if any(kind.__module__.split(".")[0] == "keras" for kind in type(part).__mro__):
            raise UserError(
                f"expected {expected} of tf_keras, got {type(part).__name__} of Keras 3: `import tf_keras`, Keras 2, "
                "which TensorFlow Probability works with"
            )


def checked_count(number: int | tf.Tensor, name: str) -> int | tf.Tensor:
    """A whole number from 1 on: an int where it is known, an int32 tensor [] elsewhere. Errors as of `require`."""
    known = tf.get_static_value(number)
    if known is not None or number is None:
        number = known.item() if isinstance(known, np.ndarray | np.generic) and np.ndim(known) == 0 else known
        if not isinstance(number, int) or isinstance(number, bool):
            raise UserError(f"{name} must be a whole number, got {number!r}")
        return require(number, number >= 1, f"{name} must be at least 1", number)
    if not (number.dtype.is_integer and number.shape.is_compatible_with([])):
        raise UserError(
            f"{name} must be a whole number, got a tensor of dtype {number.dtype.name} and shape {number.shape}"
        )
    number = tf.ensure_shape(tf.cast(number, tf.int32), [])
    return require(number, number >= 1, f"{name} must be at least 1", number)


def checked_temperature(temperature: float | tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """A finite number from 0 on, as a tensor []. Errors as of `require`."""
    expected = "temperature must be a finite number from 0 on"
    known = tf.get_static_value(temperature)
    if known is not None or temperature is None:
        try:
            known = float(known)
        except (TypeError, ValueError):
            raise UserError(f"{expected}, got {known!r}") from None
        return tf.constant(require(known, 0 <= known < math.inf, expected, known), dtype)
    if not (temperature.dtype.is_floating and temperature.shape.is_compatible_with([])):
        raise UserError(f"{expected}, got a tensor of dtype {temperature.dtype.name} and shape {temperature.shape}")
    temperature = tf.ensure_shape(tf.cast(temperature, dtype), [])
    holds = tf.math.is_finite(temperature) & (temperature >= 0)
    return require(temperature, holds, expected, temperature)


def checked_video(
    video: tf.Tensor,
    frame_shape: tuple[int, int, int],
    least_frames: int,
    continuous_dtype: tf.DType | None = None,
) -> tf.Tensor:
    """The video as a tensor [B, T, H, W, C]. Errors as of `require`.

    Args:
      video: uint8 [B, T, H, W, C], B > 0.
      frame_shape: [H, W, C].
      least_frames: the smallest T that will do.
      continuous_dtype: another dtype that will do.
    """
    video = tf.convert_to_tensor(video)
    height, width, channels = frame_shape
    if video.dtype != tf.uint8 and video.dtype != continuous_dtype:
        raise UserError(f"expected a video of dtype uint8, got {video.dtype.name}; convert it to values 0..255")
    holds = tf.equal(tf.rank(video), 5) if video.shape.rank is None else video.shape.rank == 5
    got = tf.shape(video) if video.shape.rank is None else f"shape {video.shape}"
    video = require(video, holds, f"expected a video [batch, frames, {height}, {width}, {channels}]", got)
    video.set_shape([None] * 5)

    got, holds = video.shape[2:], video.shape[2:].is_compatible_with(frame_shape)
    if holds and not got.is_fully_defined():
        got = tf.shape(video)[2:]
        holds = tf.reduce_all(tf.equal(got, frame_shape))
    expected = f"expected frames of {height}x{width} with {counted(channels, 'channel')}"
    height_and_width, colours = video.shape[2:4].as_list(), video.shape[4]
    remedies = {  # Where the form is known at run time alone, both.
        "resize the video or choose another frame_size": height_and_width != [height, width],
        "convert its colours or choose other channels": colours != channels,
    }
    remedy = "; ".join(text for text, needed in remedies.items() if needed)
    video = require(video, holds, expected, got, remedy)
    got = sizes(video, 1)[0]
    video = require(video, got >= 1, "expected at least 1 video", got, "the batch is empty")
    if least_frames > 0:
        got = sizes(video, 2)[1]
        expected = f"expected at least {counted(least_frames, 'frame')}"
        video = require(video, got >= least_frames, expected, got, "give a longer video")
    video.set_shape([None, None, *frame_shape])
    return video


def checked_latents(
    latents: Sequence[tf.Tensor], shapes: Sequence[tuple[int, int, int]], dtype: tf.DType
) -> list[tf.Tensor]:
    """Latents of every level as tensors [B, T, h, w, c]; `shapes`: [h, w, c] of each. A `UserError` else.

    Where a traced function does not know the shape, an InvalidArgumentError at run time.
    """
    if len(latents) != len(shapes):
        raise UserError(f"expected latents of {counted(len(shapes), 'level')}, as of `encode`, got {len(latents)}")
    checked, clip = [], tf.TensorShape([None, None])
    for i, shape in enumerate(shapes):
        z, expected = tf.convert_to_tensor(latents[i], dtype_hint=dtype), clip.concatenate(shape)
        if z.dtype != dtype or not z.shape.is_compatible_with(expected):
            got = f"{z.dtype.name} {z.shape}"
            raise UserError(f"latents[{i}] must be {dtype.name} {expected}, as of `encode`, got {got}")
        checked.append(tf.ensure_shape(z, expected))
        clip = checked[i].shape[:2]
    return checked


def checked_noise(noise: tf.Tensor, video: tf.Tensor) -> tf.Tensor:
    """Dequantisation noise of the shape of a video, or one for all videos of its batch. Errors as of `require`."""
    noise = tf.convert_to_tensor(noise)
    expected, shapes = f"dequantization_noise must be of shape {video.shape}", (video.shape, [1, *video.shape[1:]])
    noise = require(noise, any(map(noise.shape.is_compatible_with, shapes)), expected, noise.shape)
    if noise.shape.rank is None:
        noise = require(noise, tf.equal(tf.rank(noise), 5), expected, tf.shape(noise))
        noise.set_shape([None] * 5)
    if not (noise.shape.is_fully_defined() and video.shape.is_fully_defined()):
        got, wanted = tf.shape(noise), tf.shape(video)
        same = tf.equal(got, wanted) | (tf.equal(got, 1) & [True, False, False, False, False])
        noise = require(noise, tf.reduce_all(same), expected, got)
        noise.set_shape([None, *video.shape[1:]])
    return noise


def checked_seeds(seed: tf.Tensor, samples: int | tf.Tensor) -> tf.Tensor:
    """A seed [2], or one for each of so many samples, [samples, 2]. Errors as of `require`."""
    if seed.shape.rank != 2:
        return seed
    got = sizes(seed, 1)[0]
    return require(seed, tf.equal(got, samples), "expected one seed [2], or one for each sample", got)


def checked_context(frames: tf.Tensor, config: VideoFlowConfig) -> tf.Tensor:
    """Continuous frames that may be given as a context: around [-0.5, 0.5) as the model's pixels. Errors as of
    `require`."""
    limit = 0.5 + (2.0**-config.n_bits if config.pixel_scaling == "official" else 0.0)
    holds = tf.reduce_all(tf.abs(frames) <= limit)
    expected = "expected frames of dtype uint8, or continuous ones in [-0.5, 0.5)"
    return require(frames, holds, expected, tf.reduce_max(tf.abs(frames)), _CONVERT)


def checked_floats(frames: tf.Tensor | np.ndarray) -> tf.Tensor | np.ndarray:
    """Frames [..., H, W, C] that are no whole numbers, as uint8 pixels are; a `UserError` else."""
    dtype = getattr(frames, "dtype", tf.float32)
    if not tf.as_dtype(dtype).is_floating:
        raise UserError(f"expected continuous frames around [-0.5, 0.5), got dtype {dtype}; {_CONVERT}")
    return frames


def checked_density_input(frames: tf.Tensor) -> tf.Tensor:
    """Frames [..., T, H, W, C] whose density is asked for: any real numbers have one, but not what is on another scale.

    A video in 0..1 or 0..255 has no value below 0, and some far above 0.5; what a model draws is not so. Errors as of
    `require`.
    """
    least, most = tf.reduce_min(frames, [-4, -3, -2, -1]), tf.reduce_max(frames, [-4, -3, -2, -1])
    holds = tf.reduce_all((least < 0) | (most < 0.75))
    return require(frames, holds, "expected continuous frames around [-0.5, 0.5)", tf.reduce_max(most), _CONVERT)
