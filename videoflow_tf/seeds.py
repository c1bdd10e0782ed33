"""Stateless seeds: int32 [2] tensors; equal seeds give equal numbers, whatever was drawn before."""

from __future__ import annotations

import numbers
from collections.abc import Sequence

import tensorflow as tf
import tensorflow_probability as tfp

# Named, because the default one differs between devices. XLA still draws other numbers from the same seed.
ALGORITHM = "philox"


def as_seed(seed: int | Sequence[int] | tf.Tensor | None) -> tf.Tensor:
    """A stateless seed from what a caller may give: a whole number, two, or a tensor [2]; None draws a fresh one.

    TFP itself takes a lone number as the seed of a stateful generator, which gives other numbers at every call.
    """
    if isinstance(seed, numbers.Integral):
        seed = (0, seed)
    return tfp.random.sanitize_seed(seed)


def split_seed(seed: tf.Tensor | None, count: int) -> list[tf.Tensor | None]:
    """`count` independent seeds from one; no seed gives no seeds."""
    if seed is None:
        return [None] * count
    return tf.unstack(tf.random.split(seed, count, alg=ALGORITHM))


def fold_in(seed: tf.Tensor, number: int | tf.Tensor) -> tf.Tensor:
    """A seed of its own for every number."""
    return tf.random.fold_in(seed, number, alg=ALGORITHM)
