"""What is here for a CPU with two cores: forms of plain operations that give the same numbers in less time.

Each fast form stands beside its plain form, `plain_...`, which is what one would write without a clock and what the
tests compare it with; nothing else uses the plain ones. An accelerator gets the same fast forms, where nothing else is
said: they are no more arithmetic there. Figures are from benchmarks/README.md: seconds of a training step of the sizes
S and M, on two cores.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable

import tensorflow as tf

# --- Slices ---


def slice_axis(x: tf.Tensor, start: int, stop: int | None = None, axis: int = 0) -> tf.Tensor:
    """x[start:stop] along `axis` of x of any shape; negative numbers count from the end, as always.

    The gradient of an ordinary slice takes four to seven times as long on the CPU as this one's, a padding. Where the
    length of x is not known when tracing it is an ordinary slice.
    """
    if x.shape[axis] is None:
        return plain_slice_axis(x, start, stop, axis)
    start, stop, _ = slice(start, stop).indices(x.shape[axis])
    if stop - start == x.shape[axis]:
        return x
    begin, size = [0] * x.shape.rank, [-1] * x.shape.rank
    begin[axis], size[axis] = start, max(0, stop - start)
    return tf.slice(x, begin, size)


def plain_slice_axis(x: tf.Tensor, start: int, stop: int | None = None, axis: int = 0) -> tf.Tensor:
    """`slice_axis` in one line: x of any shape."""
    return x[(slice(None),) * axis + (slice(start, stop),)]


def last_of(x: tf.Tensor, count: int) -> tf.Tensor:
    """The last `count` of x [n, ...] along the first axis, or all if there are no more."""
    return slice_axis(x, max(0, x.shape[0] - count))


def sizes(x: tf.Tensor, stop: int, start: int = 0) -> list[int | tf.Tensor]:
    """The dimensions start .. stop - 1 of x's shape: numbers where they are known when tracing, tensors elsewhere."""
    return [tf.shape(x)[i] if x.shape[i] is None else x.shape[i] for i in range(start, stop)]


# --- Matrix products ---


def mix_channels(x: tf.Tensor, matrix: tf.Tensor, offset: tf.Tensor | None = None) -> tf.Tensor:
    """x [N, H, W, C] times matrix [C, D], plus offset [D], at every pixel -> [N, H, W, D].

    One matrix product over all pixels, with a fused addition whose gradient is a matrix product as well. With three
    other changes, S from 0.113 to 0.098 .. 0.101 s.
    """
    y = tf.matmul(tf.reshape(x, [-1, matrix.shape[0]]), matrix)
    if offset is not None:
        y = _add_offset(y, offset)
    return tf.reshape(y, [-1, *sizes(x, 3, start=1), matrix.shape[-1]])


def plain_mix_channels(x: tf.Tensor, matrix: tf.Tensor, offset: tf.Tensor | None = None) -> tf.Tensor:
    """`mix_channels` in one product: the same shapes."""
    y = tf.tensordot(x, matrix, axes=1)
    return y if offset is None else y + offset


# A function of its own, traced once for a dtype: TensorFlow keeps every graph for ever in which a custom gradient was
# traced, and here that is this small one instead of its caller's.
@functools.partial(tf.function, autograph=False, reduce_retracing=True)
@tf.custom_gradient
def _add_offset(
    y: tf.Tensor, offset: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
    """y [N, D] + offset [D]. The offset's gradient is a sum, here as a matrix product: XLA for the CPU would run a sum,
    and all that it can fuse into it, on one core. S with XLA from 0.131 to 0.101 s."""

    def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        ones = tf.ones([1, tf.shape(dy)[0]], dy.dtype)
        return dy, tf.matmul(ones, dy)[0]

    return tf.nn.bias_add(y, offset), gradient


# --- Convolutions ---


def conv2d(x: tf.Tensor, kernel: tf.Tensor, dilation: int = 1) -> tf.Tensor:
    """Convolution with zero padding that keeps the size: [N, H, W, C], [k, k, C, D] -> [N, H, W, D].

    A dilated one is an ordinary one on interleaved sub-images: TensorFlow has no gradient of dilated convolutions on
    the CPU, but under XLA, where it takes as long as this form without XLA.
    """
    if dilation == 1:
        return plain_conv2d(x, kernel)
    height, width = x.shape[1:3]
    pad = dilation * (kernel.shape[0] // 2)
    # The padded size must divide by the dilation; what is added for that is cropped again.
    extra_h, extra_w = -(height + 2 * pad) % dilation, -(width + 2 * pad) % dilation
    block = [dilation, dilation]
    images = tf.space_to_batch(x, block, [[pad, pad + extra_h], [pad, pad + extra_w]])
    images = tf.nn.conv2d(images, kernel, strides=1, padding="VALID")
    return tf.batch_to_space(images, block, [[0, extra_h], [0, extra_w]])


def plain_conv2d(x: tf.Tensor, kernel: tf.Tensor, dilation: int = 1) -> tf.Tensor:
    """`conv2d` in one operation: the same shapes."""
    return tf.nn.conv2d(x, kernel, strides=1, padding="SAME", dilations=dilation)


def causal_conv(x: tf.Tensor, kernel: tf.Tensor, taps: int, steps: int, dilation: int = 1) -> tf.Tensor:
    """Convolution of the present time step and, with two taps, the one before it; zeros come before the first step.

    One 2-D convolution of all steps, time first so that slices of time are one piece of memory. The two steps meet on
    the side that has fewer channels: side by side on the way in, or summed on the way out. M from 0.57 to 0.51 s.

    Args:
      x: [m, N, H, W, C], the last m time steps; all there are if m is not greater than `steps`.
      kernel: of `join_taps`.
      taps: 1 or 2.
      steps: how many of the last outputs are wanted, at most m.
      dilation: of the pixels, not of time.

    Returns:
      [steps, N, H, W, D]
    """
    x = last_of(x, steps + taps - 1)
    meet_before = kernel.shape[2] == taps * x.shape[-1]
    if taps == 2 and meet_before:
        x = tf.concat([_one_step_back(x, steps), last_of(x, steps)], axis=-1)
    y = conv2d(tf.reshape(x, [-1, *x.shape[2:]]), kernel, dilation)
    y = tf.reshape(y, [x.shape[0], -1, *y.shape[1:]])
    if not meet_before:
        from_before, from_present = tf.split(y, 2, axis=-1)
        y = _one_step_back(from_before, steps) + last_of(from_present, steps)
    return y


def join_taps(kernel: tf.Tensor, from_the_first: bool) -> tf.Tensor:
    """The kernel of `causal_conv`: [taps, k, k, C, D] -> [k, k, taps C, D] or [k, k, C, taps D].

    `from_the_first`: whether it is used on all steps. Where it is not, the steps always meet on the way in: to
    convolve a step for the one after it alone would be half in vain.
    """
    meet_before = kernel.shape[-2] <= kernel.shape[-1] or not from_the_first
    return tf.concat(tf.unstack(kernel), axis=2 if meet_before else 3)


def plain_causal_conv(x: tf.Tensor, kernel: tf.Tensor, steps: int, dilation: int = 1) -> tf.Tensor:
    """The same of x [m, N, H, W, C] and kernel [taps, k, k, C, D]: one convolution in space and time."""
    pad = dilation * (kernel.shape[1] // 2)
    x = tf.pad(x, [[kernel.shape[0] - 1, 0], [0, 0], [pad, pad], [pad, pad], [0, 0]])
    dilations = [1, 1, dilation, dilation, 1]
    y = tf.nn.conv3d(tf.transpose(x, [1, 0, 2, 3, 4]), kernel, [1] * 5, "VALID", dilations=dilations)
    return tf.transpose(y, [1, 0, 2, 3, 4])[-steps:]


def _one_step_back(x: tf.Tensor, steps: int) -> tf.Tensor:
    """The step before each of the last `steps` ones, zeros before the first; x [steps or steps + 1, N, H, W, C]."""
    before = slice_axis(x, 0, -1)
    return before if x.shape[0] > steps else tf.pad(before, [[1, 0], [0, 0], [0, 0], [0, 0], [0, 0]])


# --- Settings of TensorFlow ---


def set_up_cpu(depth: int, width: int, jit_compile: bool | None = None) -> None:
    """Both settings below, for training or sampling with a model: to call before TensorFlow first computes.

    Args:
      depth: flow steps a level.
      width: channels of their networks.
      jit_compile: whether XLA compiles the model.
    """
    one_core_an_operation(jit_compile)
    skip_graph_optimizer(depth, width, jit_compile)


# Set by whoever wants to decide for themselves.
_CHOSEN = "TF_NUM_INTRAOP_THREADS"


def one_core_an_operation(jit_compile: bool | None = None) -> None:
    """On a CPU of two cores, lets an operation run on one of them: to call before TensorFlow first computes.

    Training and sampling have two operations to run most of the time (the gradients of a convolution's input and
    kernel; parts of a model that do not wait for each other). To divide each over both cores costs more in waking
    threads than it gains: S from 0.095 to 0.073 s, M from 0.528 to 0.494 s. A chain of large operations, such as a
    likelihood alone, is better off without.

    The plain form is TensorFlow's own setting, and it stays: for XLA, to which all is one operation; on another number
    of cores; where there is a GPU; and where the environment variable TF_NUM_INTRAOP_THREADS is set.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if cores == 2 and not jit_compile and _CHOSEN not in os.environ and not tf.config.list_physical_devices("GPU"):
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(2)


# Measured between: M, 256 wide and 6 steps deep, has a training step 4 % slower without the optimiser.
_LEAST_DEPTH, _LEAST_WIDTH = 9, 256


def skip_graph_optimizer(depth: int, width: int, jit_compile: bool | None = None) -> None:
    """On a CPU, lets a model of many wide steps begin without TensorFlow's optimiser of graphs (Grappler).

    It goes through tens of thousands of operations before the first of them runs, and gains nothing where most are
    long: L has its first training step 7 s sooner without, its first sample 4 s, and then steps of 2.74 s, not 2.83; an
    evaluation of two videos takes 40 s, not 46. Narrow or shallow models are better off with it: without, steps of S at
    depth 24 take 5 to 10 % longer, of M 4 %.

    The plain form is TensorFlow's own setting, and it stays: for those, for XLA, and where there is a GPU, whose
    convolutions it lays out.
    """
    large = depth >= _LEAST_DEPTH and width >= _LEAST_WIDTH
    if large and not jit_compile and not tf.config.list_physical_devices("GPU"):
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


# --- Pipelines ---

# A pipeline is a loop over chunks of a sequence whose body has several stages: a chunk may begin as soon as the first
# stage is through with the one before. So many are under way at a time (`parallel_iterations` of a loop).
PIPELINE_DEPTH = 4


def pipeline_chunks() -> int:
    """Into how many chunks to divide a sequence, so that the stages of a pipeline run beside each other.

    On a CPU ten, measured best on two cores: a stage that goes step by step leaves one core idle, unless another works
    on the chunk before. 20 frames of one clip at S took 0.186 s in one piece, 0.116 to 0.123 s in four chunks, 0.115 s
    in ten with the weights folded before the loop. On an accelerator one, which is the plain form.
    """
    return 10 if all(device.device_type == "CPU" for device in tf.config.list_logical_devices()) else 1
