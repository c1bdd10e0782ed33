"""Sampling the future some frames at a time, in bounded memory and on all cores.

`future.sample` draws a level for all frames before it goes on to the level below. Here all levels of some frames are
drawn before those of the next ones. What is drawn is the same: a level's prior needs no more of the future than the
latents before, and a flow treats every frame by itself. But it is faster where operations run beside each other: while
a level's prior goes through its frames one after the other, which leaves all cores but one idle, the flows and the
priors below are at work on the frames before those. And memory is bounded: the latents of a video are no larger than
its pixels, it is the activations of the flow's networks, hundreds of channels a frame, that fill it.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from bijectors import fold_level_inverse
from bijectors.fast_forms import sizes
from videoflow_tf.latent_encoders.base import as_images
from videoflow_tf.model.prior import AutoregressivePrior, Drawing, HierarchicalPrior, State
from videoflow_tf.seeds import as_seed

# Frames of all samples together that pass a flow at a time, where nobody says how many.
_FRAMES_AT_ONCE = 64
# On a CPU at least so many chunks, of which some are under way at a time: measured best on two cores.
_CHUNKS, _UNDER_WAY = 10, 4


def sample_in_chunks(
    future: tfd.TransformedDistribution,
    count: int | tf.Tensor = 1,
    seed: tf.Tensor | None = None,
    frames_at_once: int | None = None,
) -> tf.Tensor:
    """The samples that `future.sample(count, seed)` gives.

    Args:
      future: what `VideoFlow.future` gives, with batch shape [B] and event shape [T, H, W, 3].
      seed: int32 [2], or [count * B, 2], one for each sample.
      frames_at_once: that pass a flow together at most, whichever the sample, but at least one of every sample. By
        default 64 on an accelerator; on a CPU fewer, so that levels run beside each other.

    Returns:
      [count, B, T, H, W, 3]
    """
    levels = _begin(future, count, as_seed(seed))
    noises = [drawing.noise for _, drawing in levels]
    samples, length = sizes(noises[0], 2)
    chunks, frames = _divide(length, samples, frames_at_once)
    noises = [_in_chunks(noise, chunks, frames) for noise in noises]

    def draw_chunk(i: tf.Tensor, states: list[State], video: tf.TensorArray):
        x, states_after = None, []
        for (decode, drawing), state, noise in zip(levels, states, noises, strict=True):
            state, z = drawing.draw(state, x, noise[i])
            x = decode(z if x is None else tf.concat([x, z], axis=-1))
            states_after.append(state)
        return i + 1, states_after, video.write(i, x)

    chunk_shape = [noises[0].shape[1], noises[0].shape[2], *future.event_shape[1:]]
    _, _, video = tf.while_loop(
        lambda i, *_: i < chunks,
        draw_chunk,
        (0, [drawing.state for _, drawing in levels], tf.TensorArray(future.dtype, chunks, element_shape=chunk_shape)),
        maximum_iterations=chunks,
        # A chunk may begin before the one before it is done: as soon as the level's prior is through with that.
        parallel_iterations=_UNDER_WAY,
    )
    video = tf.transpose(video.stack(), [1, 0, 2, 3, 4, 5])
    video = tf.reshape(video, [samples, chunks * frames, *future.event_shape[1:]])[:, :length]
    return tf.reshape(video, [count, samples // count, length, *future.event_shape[1:]])


def _divide(
    length: int | tf.Tensor, samples: int | tf.Tensor, frames_at_once: int | None
) -> tuple[int | tf.Tensor, int | tf.Tensor]:
    """Number of chunks, and frames in each: as even as may be, so that few are missing in the last one."""
    static = isinstance(length, int) and isinstance(samples, int)
    least, greatest = (min, max) if static else (tf.minimum, tf.maximum)
    most = length
    if frames_at_once is None:
        frames_at_once = _FRAMES_AT_ONCE
        if all(device.device_type == "CPU" for device in tf.config.list_logical_devices()):
            most = -(-length // _CHUNKS)
    frames = least(most, greatest(frames_at_once // samples, 1))
    chunks = -(-length // frames)
    return chunks, -(-length // chunks)


def _in_chunks(noise: tf.Tensor, chunks: int | tf.Tensor, frames: int | tf.Tensor) -> tf.Tensor:
    """[N, T, h, w, c] -> [chunks, N, frames, h, w, c], filled up with zeros."""
    samples, length = sizes(noise, 2)
    padded = tf.pad(noise, [[0, 0], [0, chunks * frames - length], [0, 0], [0, 0], [0, 0]])
    return tf.transpose(tf.reshape(padded, [samples, chunks, frames, *noise.shape[2:]]), [1, 0, 2, 3, 4, 5])


def _begin(
    distribution: tfd.TransformedDistribution, count: int | tf.Tensor, seed: tf.Tensor
) -> list[tuple[Callable[[tf.Tensor], tf.Tensor], Drawing]]:
    """Of every level, the top one first: the flow from latents to frames, and what draws its latents."""
    prior, flow = distribution.distribution, distribution.bijector.bijector
    if not isinstance(prior, HierarchicalPrior):
        return [(_decoder(flow, prior), prior.repeated(count).begin(seed))]
    above_seed, seed = prior.split_seed(seed)
    here = _decoder(flow, prior.latent_prior), prior.latent_prior.repeated(count).begin(seed)
    return [*_begin(prior.above, count, above_seed), here]


def _decoder(flow: tfb.Chain, prior: AutoregressivePrior) -> Callable[[tf.Tensor], tf.Tensor]:
    """The inverse of a level's flow on clips [N, T, h, w, c], its weights folded before the loop."""
    inverse = fold_level_inverse(flow, tuple(prior.event_shape[1:3]))

    def decode(y: tf.Tensor) -> tf.Tensor:
        x = inverse(as_images(y))
        return tf.reshape(x, [*sizes(y, 2), *x.shape[1:]])

    return decode
