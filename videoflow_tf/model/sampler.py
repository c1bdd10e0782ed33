"""Sampling: the prior over time draws latents, level by level from the top, and the flow turns them into frames.

All levels of some frames are drawn before those of the next ones: a level's prior needs no more of the future than the
latents before, and a flow treats every frame by itself. So memory is bounded (the latents of a video are no larger than
its pixels; it is the activations of the flow's networks, hundreds of channels a frame, that fill it), and levels run
beside each other: while a prior goes through its frames one after the other, which leaves all cores but one idle, the
flows and the priors below are at work on the frames before those.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from bijectors.fast_forms import PIPELINE_DEPTH, pipeline_chunks, sizes
from videoflow_tf.model.checks import checked_seeds
from videoflow_tf.model.level import Level
from videoflow_tf.model.prior import LevelLatents, State
from videoflow_tf.seeds import split_seed, standard_normal

# Frames of all samples together that pass a flow at a time, where nobody says how many: a bound on memory.
_FRAMES_AT_ONCE = 64


def sample_frames(
    levels: Sequence[Level],
    context: Sequence[LevelLatents],
    num_frames: int | tf.Tensor,
    seed: tf.Tensor,
    *,
    copies: int | tf.Tensor = 1,
    temperature: float | tf.Tensor = 1.0,
    condition: tf.Tensor | None = None,
    frames_at_once: int | None = None,
    decode_first: bool = True,
) -> tf.Tensor:
    """Draws the frames after a context: the one sampler of this package.

    z_t = mean_t + temperature * sigma_t * noise_t at every level. The noise of a level is drawn for all frames before
    the first, so how frames are divided into chunks changes no sample.

    Args:
      levels: of the model, from one on up to the top.
      context: latents of every level of the frames given, [B, K, h, w, c].
      num_frames: T.
      seed: int32 [2]; or [copies * B, 2], one for each sample.
      copies: samples of every context.
      temperature: factor of every sigma in the prior.
      condition: bool [], false to use no frame's past; None is true.
      frames_at_once: that pass a flow together at most, whichever the sample, but at least one of every sample. By
        default 64; on a CPU fewer, see `pipeline_chunks`.
      decode_first: false leaves the first of the levels as [h, z], [copies, B, T, H/2, W/2, 4C].

    Returns:
      [copies, B, T, H, W, C], continuous, what the first of the levels encodes.
    """
    first = levels[0]
    samples = sizes(context[0].latents, 1)[0] * copies
    seed = checked_seeds(seed, samples)
    noises, states, draws, weights = [], [], [], []  # Of every level, the top one first.
    for level, clip, level_seed in zip(levels, context, _level_seeds(seed, len(levels)), strict=True):
        prior = level.prior
        noise = standard_normal(tf.stack([samples, num_frames, *prior.noise_shape]), level_seed, prior.dtype)
        noise = tf.ensure_shape(noise, [_static(samples), _static(num_frames), *prior.noise_shape])
        state, draw = prior.sampler(clip.repeated(copies), temperature, condition)
        noises.insert(0, noise)
        states.insert(0, state)
        draws.insert(0, draw)
        weights.insert(0, level.fold_decode() if decode_first or level is not first else None)
    samples, length = sizes(noises[0], 2)
    chunks, frames = _divide(length, samples, frames_at_once)
    noises = [_in_chunks(noise, chunks, frames) for noise in noises]

    def draw_chunk(i: tf.Tensor, states: list[State], video: tf.TensorArray):
        x, states_after = None, []
        for level, draw, folded, state, noise in zip(reversed(levels), draws, weights, states, noises, strict=True):
            state, z = draw(state, x, noise[i])
            y = level.join(x, z)
            x = y if folded is None else level.apply_decode(folded, y)
            states_after.append(state)
        return i + 1, states_after, video.write(i, x)

    image_shape = first.image_shape if decode_first else first.encoded_shape
    chunk_shape = [noises[0].shape[1], noises[0].shape[2], *image_shape]
    _, _, video = tf.while_loop(
        lambda i, *_: i < chunks,
        draw_chunk,
        (0, states, tf.TensorArray(first.prior.dtype, chunks, element_shape=chunk_shape)),
        maximum_iterations=chunks,
        # A chunk may begin before the one before it is done: as soon as the level's prior is through with that.
        parallel_iterations=PIPELINE_DEPTH,
    )
    video = tf.transpose(video.stack(), [1, 0, 2, 3, 4, 5])
    video = tf.reshape(video, [samples, chunks * frames, *image_shape])[:, :length]
    return tf.reshape(video, [copies, samples // copies, length, *image_shape])


def _level_seeds(seed: tf.Tensor, count: int) -> list[tf.Tensor]:
    """Of the latents of every level, the lowest first; each splits off its own and leaves the rest to those above."""
    seeds = []
    for _ in range(count - 1):
        seed, own = split_seed(seed, 2)
        seeds.append(own)
    return [*seeds, seed]


def _static(size: int | tf.Tensor) -> int | None:
    return size if isinstance(size, int) else tf.get_static_value(size)


def _divide(
    length: int | tf.Tensor, samples: int | tf.Tensor, frames_at_once: int | None
) -> tuple[int | tf.Tensor, int | tf.Tensor]:
    """Number of chunks, and frames in each: as even as may be, so that few are missing in the last one."""
    static = isinstance(length, int) and isinstance(samples, int)
    least, greatest = (min, max) if static else (tf.minimum, tf.maximum)
    most = length
    if frames_at_once is None:
        frames_at_once = _FRAMES_AT_ONCE
        most = -(-length // pipeline_chunks())
    frames = least(most, greatest(frames_at_once // samples, 1))
    chunks = -(-length // frames)
    return chunks, -(-length // chunks)


def _in_chunks(noise: tf.Tensor, chunks: int | tf.Tensor, frames: int | tf.Tensor) -> tf.Tensor:
    """[N, T, h, w, c] -> [chunks, N, frames, h, w, c], filled up with zeros."""
    samples, length = sizes(noise, 2)
    padded = tf.pad(noise, [[0, 0], [0, chunks * frames - length], [0, 0], [0, 0], [0, 0]])
    return tf.transpose(tf.reshape(padded, [samples, chunks, frames, *noise.shape[2:]]), [1, 0, 2, 3, 4, 5])
