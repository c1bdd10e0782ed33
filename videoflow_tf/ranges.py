"""Sizes of a tensor, and ranges along one of its axes with a gradient that is cheap on the CPU."""

from __future__ import annotations

import tensorflow as tf


def between(x: tf.Tensor, start: int, stop: int | None = None, axis: int = 0) -> tf.Tensor:
    """x[start:stop] along `axis`; negative numbers count from the end, as always.

    The same numbers as an ordinary slice, whose gradient on the CPU takes four to seven times as long as this one's, a
    padding. Where the length of x is not known when tracing it is an ordinary slice.
    """
    index = slice(start, stop)
    if x.shape[axis] is None:
        return x[(slice(None),) * axis + (index,)]
    start, stop, _ = index.indices(x.shape[axis])
    if stop - start == x.shape[axis]:
        return x
    begin, size = [0] * x.shape.rank, [-1] * x.shape.rank
    begin[axis], size[axis] = start, max(0, stop - start)
    return tf.slice(x, begin, size)


def sizes(x: tf.Tensor, count: int) -> list[int | tf.Tensor]:
    """The first `count` dimensions of x: numbers where they are known when tracing, tensors elsewhere."""
    return [tf.shape(x)[i] if size is None else size for i, size in enumerate(x.shape[:count])]
