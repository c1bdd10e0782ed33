"""Stateless seeds, and every random draw of the package that is made in TensorFlow.

A seed is an int32 [2] tensor; equal seeds give equal numbers, whatever was drawn before. It may also be int32 [N, 2],
one for each of N samples: none of them then depends on which others are drawn with it.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp

# Named in every draw (stateless dropout, too), because the default one differs between devices. XLA still draws other
# numbers from the same seed.
ALGORITHM = "philox"


def as_seed(seed: int | Sequence[int] | tf.Tensor | None) -> tf.Tensor:
    """A stateless seed from what a caller may give: a whole number, two, or a tensor [2] or [N, 2]; None draws a fresh
    one.

    TFP itself takes a lone number as the seed of a stateful generator, which gives other numbers at every call.
    """
    if isinstance(seed, numbers.Integral):
        seed = (0, seed)
    return tfp.random.sanitize_seed(seed)


def split_seed(seed: tf.Tensor | None, count: int) -> list[tf.Tensor | None]:
    """`count` independent seeds from one; no seed gives no seeds."""
    if seed is None:
        return [None] * count
    if seed.shape.rank == 2:
        return tf.unstack(tf.map_fn(lambda one: tf.random.split(one, count, alg=ALGORITHM), seed), axis=1)
    return tf.unstack(tf.random.split(seed, count, alg=ALGORITHM))


def fold_in(seed: tf.Tensor, number: int | tf.Tensor) -> tf.Tensor:
    """A seed of its own for every number."""
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
