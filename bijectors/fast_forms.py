"""Forms of plain operations that are faster on small CPUs."""

from __future__ import annotations

import os
from collections.abc import Callable

import tensorflow as tf


def slice_axis(x: tf.Tensor, start: int, stop: int | None = None, axis: int = 0) -> tf.Tensor:
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


def mix_channels(x: tf.Tensor, matrix: tf.Tensor, offset: tf.Tensor | None = None) -> tf.Tensor:
    """x [N, H, W, C] times matrix [C, D], plus offset [D], at every pixel -> [N, H, W, D]."""
    y = tf.matmul(tf.reshape(x, [-1, matrix.shape[0]]), matrix)
    if offset is not None:
        y = _add_offset(y, offset)
    sizes = x.shape[1:3] if x.shape[1:3].is_fully_defined() else tf.unstack(tf.shape(x)[1:3])
    return tf.reshape(y, [-1, *sizes, matrix.shape[-1]])


@tf.custom_gradient
def _add_offset(
    y: tf.Tensor, offset: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
    """y [N, D] + offset [D], with the offset's gradient summed as a matrix product: XLA for the CPU would run that
    sum, and all that it can fuse into it, on one core."""

    def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        ones = tf.ones([1, tf.shape(dy)[0]], dy.dtype)
        return dy, tf.matmul(ones, dy)[0]

    return tf.nn.bias_add(y, offset), gradient


def conv2d(x: tf.Tensor, kernel: tf.Tensor, dilation: int = 1) -> tf.Tensor:
    """Convolution with zero padding that keeps the size: [N, H, W, C], [k, k, C, D] -> [N, H, W, D].

    A dilated one is an ordinary one on interleaved sub-images: TensorFlow has no gradient of dilated convolutions on
    the CPU.
    """
    if dilation == 1:
        return tf.nn.conv2d(x, kernel, strides=1, padding="SAME")
    height, width = x.shape[1:3]
    pad = dilation * (kernel.shape[0] // 2)
    # The padded size must divide by the dilation; what is added for that is cropped again.
    extra_h, extra_w = -(height + 2 * pad) % dilation, -(width + 2 * pad) % dilation
    block = [dilation, dilation]
    images = tf.space_to_batch(x, block, [[pad, pad + extra_h], [pad, pad + extra_w]])
    images = tf.nn.conv2d(images, kernel, strides=1, padding="VALID")
    return tf.batch_to_space(images, block, [[0, extra_h], [0, extra_w]])


# Set by whoever wants to decide for themselves.
_CHOSEN = "TF_NUM_INTRAOP_THREADS"


def one_core_an_operation(jit_compile: bool | None = None) -> None:
    """On a CPU of two cores, lets an operation run on one of them: to call before TensorFlow first computes.

    Training and sampling have two operations to run most of the time (the gradients of a convolution's input and
    kernel; a level's prior and the flow below it). To divide each over both cores costs more in waking threads than it
    gains: steps and samples of small models take a quarter longer, those of large ones no less time
    (benchmarks/README.md). Likelihoods and metrics alone, a chain of large operations, are better off without. Not for
    XLA, to which all is one operation, nor where the environment variable TF_NUM_INTRAOP_THREADS is set.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if cores == 2 and not jit_compile and _CHOSEN not in os.environ and not tf.config.list_physical_devices("GPU"):
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(2)
