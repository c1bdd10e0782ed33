"""The likelihood of frames: the flow level by level, then the prior over latents (Kumar et al. 2020, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from bijectors.fast_forms import sizes, slice_axis
from videoflow_tf.model.level import Level
from videoflow_tf.model.prior import LevelLatents
from videoflow_tf.seeds import split_seed


class Encoding(NamedTuple):
    """What the flow makes of a clip: `LevelLatents` per level, nearest the pixels first, and the log-det [B, T]."""

    levels: list[LevelLatents]
    log_det: tf.Tensor


def encode_frames(levels: Sequence[Level], frames: tf.Tensor, seed: tf.Tensor | None = None) -> Encoding:
    """Runs the flow on all frames at once, time folded into the batch.

    Args:
      levels: of the model, from one on up to the top.
      frames: [B, T, H, W, C], what the first of the levels encodes.
      seed: int32 [2], in training, of the dropout in the couplings.
    """
    clip_shape = sizes(frames, 2)
    x = tf.reshape(frames, [-1, *frames.shape[2:]])  # [B*T, H, W, C]
    log_det = tf.zeros(tf.shape(x)[:1], frames.dtype)
    clips = []
    for level, level_seed in zip(levels, split_seed(seed, len(levels)), strict=True):
        latents, x, level_log_det = level.encode(x, level_seed)
        log_det += level_log_det
        clip = (None if t is None else tf.reshape(t, [*clip_shape, *t.shape[1:]]) for t in (latents, x))
        clips.append(LevelLatents(*clip))
    return Encoding(clips, tf.reshape(log_det, clip_shape))


def frame_log_probs(
    levels: Sequence[Level],
    frames: tf.Tensor,
    start: int = 0,
    *,
    context: Sequence[LevelLatents] | None = None,
    temperature: tf.Tensor | None = None,
    condition: tf.Tensor | None = None,
    seed: tf.Tensor | None = None,
    sharpness: tf.Tensor | None = None,
) -> tf.Tensor:
    """log p(x_t | x_<t) of frames start.. of a clip, in nats: the one likelihood of this package.

    Args:
      levels: of the model, from one on up to the top.
      frames: [B, T, H, W, C], continuous, what the first of the levels encodes.
      start: the frames before it are given, not scored.
      context: latents of every level of frames before those; None: `frames` are the video from its beginning.
      temperature: [], factor of every sigma in the prior; None is 1.
      condition: bool [], false to use no frame's past; None is true.
      seed: int32 [2], in training, of dropout and noise.
      sharpness: [], in training, of a mixture, see `Mixture.log_prob`.

    Returns:
      [B, T - start]
    """
    flow_seed, prior_seed = split_seed(seed, 2)
    clips, log_det = encode_frames(levels, frames, flow_seed)
    priors = latent_log_probs(
        levels,
        clips,
        start,
        context=context,
        temperature=temperature,
        condition=condition,
        seed=prior_seed,
        sharpness=sharpness,
    )
    return sum(priors, start=slice_axis(log_det, start, axis=1))


def latent_log_probs(
    levels: Sequence[Level],
    clips: Sequence[LevelLatents],
    start: int,
    *,
    context: Sequence[LevelLatents] | None = None,
    temperature: tf.Tensor | None = None,
    condition: tf.Tensor | None = None,
    seed: tf.Tensor | None = None,
    sharpness: tf.Tensor | None = None,
) -> list[tf.Tensor]:
    """log p(z_t | h_t, z_<t) of every level, [B, T - start] each; `clips`: of every level, the rest as above."""
    log_probs = []
    for i, (level, level_seed) in enumerate(zip(levels, split_seed(seed, len(levels)), strict=True)):
        clip, first = clips[i], start
        if context is not None:
            clip, first = context[i].followed_by(clip), start + context[i].latents.shape[1]
        log_probs.append(level.prior.frame_log_probs(clip, first, temperature, condition, level_seed, sharpness))
    return log_probs
