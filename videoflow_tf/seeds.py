"""Stateless seeds, and every random draw of the package that is made in TensorFlow.

A seed is an int32 [2] tensor; equal seeds give equal numbers, whatever was drawn before. It may also be int32 [N, 2],
one for each of N samples: none of them then depends on which others are drawn with it.
"""

from __future__ import annotations

import hashlib
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from videoflow_tf.errors import UserError

# Named in every draw (stateless dropout, too), because the default one differs between devices. XLA still draws other
# numbers from the same seed.
ALGORITHM = "philox"


def as_seed(seed: int | Sequence[int] | np.ndarray | tf.Tensor | None) -> tf.Tensor:
    """A stateless seed, int32 [2] or [N, 2], from what a caller may give; None draws a fresh one.

    Every whole number, of any size, has a stream of its own, and so has every pair: those of 32 bits are taken as they
    are (a lone number n as the pair 0, n), greater ones are mixed into 32 bits. TFP itself takes a lone number as the
    seed of a stateful generator, which gives other numbers at every call.

    Args:
      seed: a whole number (TFP hands those of 512 bits to the parts of a JointDistribution), two, or N times two; or a
        tensor [2] or [N, 2] of them.

    Raises:
      UserError: it is something else.
    """
    if seed is None:
        return tfp.random.sanitize_seed(None)
    if isinstance(seed, list | tuple) and any(map(tf.is_tensor, tf.nest.flatten(seed))):
        seed = tf.convert_to_tensor(seed)
    known = tf.get_static_value(seed)
    if known is None:  # A tensor in a graph.
        _check(seed.dtype.is_integer and seed.dtype != tf.uint64 and seed.shape.rank is not None, seed.shape, seed)
        return _mixed(tf.cast(seed, tf.int64)) if seed.dtype in (tf.int64, tf.uint32) else tf.cast(seed, tf.int32)
    found = np.array(known, dtype=object)
    _check(all(isinstance(n, numbers.Integral) for n in found.flat), found.shape or (2,), seed)
    if found.ndim == 0:
        high, low = divmod(_in_64_bits(int(known)) + 2**31, 2**32)
        found = np.array([high, low - 2**31], dtype=object)
    found = np.array([_in_64_bits(int(n)) for n in found.flat], np.int64).reshape(found.shape)
    narrow = found.astype(np.int32)
    return tf.constant(narrow) if np.array_equal(narrow, found) else _mixed(tf.constant(found))


def _check(holds: bool, shape: Sequence[int | None], seed: Any) -> None:
    if not holds or len(shape) not in (1, 2) or shape[-1] != 2:
        got = " ".join(repr(seed).split())
        raise UserError(f"a seed is a whole number, two of them, or a tensor of them [2] or [N, 2]; got {got}")


def _in_64_bits(number: int) -> int:
    """The number itself if it is one of 64 bits, else a digest of it."""
    if -(2**63) <= number < 2**63:
        return number
    digest = hashlib.sha256(number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True)).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _mixed(seed: tf.Tensor) -> tf.Tensor:
    """int64 [2] or [N, 2] to int32: what does not fit is drawn from a stream of that seed."""
    narrow = tf.cast(seed, tf.int32)
    fits = tf.reduce_all(tf.equal(tf.cast(narrow, tf.int64), seed), axis=-1, keepdims=True)
    draw = lambda shape, one: tf.random.stateless_uniform(shape, one, None, None, tf.int32, alg=ALGORITHM)  # noqa: E731
    return tf.where(fits, narrow, _each(draw, seed.shape, seed, tf.int32))


def split_seed(seed: tf.Tensor | None, count: int) -> list[tf.Tensor | None]:
    """`count` independent seeds from one, int32 [2] or [N, 2] each; no seed gives no seeds."""
    if seed is None:
        return [None] * count
    if seed.shape.rank == 2:
        return tf.unstack(tf.map_fn(lambda one: tf.random.split(one, count, alg=ALGORITHM), seed), axis=1)
    return tf.unstack(tf.random.split(seed, count, alg=ALGORITHM))


def fold_in(seed: tf.Tensor, number: int | tf.Tensor) -> tf.Tensor:
    """A seed, int32 [2], of its own for every number."""
    return tf.random.fold_in(seed, number, alg=ALGORITHM)


def standard_normal(shape: tf.Tensor, seed: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Gaussian noise; with seeds [N, 2] each of the N = shape[0] parts is drawn from its own."""
    return _each(lambda *args: tf.random.stateless_normal(*args, dtype=dtype, alg=ALGORITHM), shape, seed, dtype)


def uniform(shape: Sequence[int] | tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Numbers in [0, 1): float32 of that shape; with seeds [N, 2] as `standard_normal`."""
    return _each(lambda *args: tf.random.stateless_uniform(*args, alg=ALGORITHM), shape, seed, tf.float32)


def _each(
    draw: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    shape: Sequence[int] | tf.Tensor,
    seed: tf.Tensor,
    dtype: tf.DType,
) -> tf.Tensor:
    """draw(shape, seed); of seeds [N, 2] one draw of shape[1:] for each."""
    if tf.convert_to_tensor(seed).shape.rank != 2:
        return draw(shape, seed)
    return tf.map_fn(lambda one: draw(shape[1:], one), seed, fn_output_signature=dtype)


def uniform_int(shape: Sequence[int] | tf.Tensor, seed: tf.Tensor, below: int) -> tf.Tensor:
    """Whole numbers 0 .. below - 1: int32 of that shape; `seed` is int32 [2]."""
    return tf.random.stateless_uniform(shape, seed, 0, below, tf.int32, alg=ALGORITHM)
