"""Anomalies: frames that the model finds improbable (Kumar et al. 2020, section 5.6, out-of-sequence detection).

The score of a frame is its bits per pixel given the frames before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from videoflow_tf import data
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.media.progress import progress_bar
from videoflow_tf.metrics.metric import check_finite
from videoflow_tf.model import pixels
from videoflow_tf.model.video_flow import VideoFlow
from videoflow_tf.predictors.video_flow import VideoFlowPredictor
from videoflow_tf.protocol import Protocol, videos_digest
from videoflow_tf.seeds import as_seed, fold_in
from videoflow_tf.units import BITS_UNIT, counted

_STEPS_AHEAD = 10
_FRAMES_AT_ONCE = 32


def out_of_sequence(
    model: VideoFlow, data_dir: str | None, split: str = "test", *, num_videos: int, seed: int = 0
) -> dict[str, Any]:
    """Bits per pixel of a frame t in the place of the one after the context, t = the true next one to 9 later.

    The dequantisation noise of a frame is a function of the seed, the video's index and the frame's number. Shows a
    progress bar.

    Returns:
      `frame`: the numbers t, from 1; `mean` and `standard_error` over videos (the latter None for a single video) and
      `per_video` [videos, frames] of their bits per pixel; `protocol`: what was computed.

    Raises:
      UserError: the dataset is missing, or has too few videos or frames; or a score is not finite.
    """
    config = model.config
    _check_conditional(config)
    context, length = config.num_context, config.num_context + _STEPS_AHEAD
    videos = data.eval_videos(config, data_dir, split, num_videos=num_videos, num_frames=length)
    # Row j: the context, then the frame j places further on than the next.
    order = np.array([[*range(context), context + j] for j in range(_STEPS_AHEAD)])
    score = _scorer(model, context)
    bar = progress_bar(num_videos)
    bits, seen = [], ""
    for index, element in enumerate(videos.as_numpy_iterator()):
        noise = _frame_noise(config, length, (seed, index))
        seen = videos_digest([element["video"]], seen)
        bits.append(score(element["video"][order], tf.gather(noise, order))[:, -1].numpy())
        bar.add(1)
    bits = np.stack(bits).astype(np.float64)
    check_finite(bits, f"the likelihood of video {{}} of split {split}")
    protocol = {"data_dir": data_dir, "split": split, "videos": num_videos, "videos_digest": seen, "seed": seed}
    error = bits.std(axis=0, ddof=1) / math.sqrt(num_videos) if num_videos > 1 else None
    return {
        "bits_per_pixel": {
            "frame": list(range(context + 1, length + 1)),
            "mean": bits.mean(axis=0).tolist(),
            "standard_error": None if error is None else error.tolist(),
            "per_video": bits.tolist(),
            "unit": BITS_UNIT,
        },
        "protocol": Protocol.of(VideoFlowPredictor(model), **protocol).to_json(),
    }


def frame_scores(model: VideoFlow, video: np.ndarray, seed: int = 0, name: str = "the video") -> np.ndarray:
    """Bits per pixel of every frame after the context, given the frames before it; shows a progress bar.

    Where the model sees only the last few frames, a long video is taken piece by piece: the memory needed does not
    grow with its length.

    Args:
      model: a trained model.
      video: uint8 [T, H, W, C].
      seed: of the dequantisation noise.
      name: what an error calls the video.

    Returns:
      float32 [T - num_context]

    Raises:
      UserError: the model does not look at the past, the video is no longer than the context, or a score is not
        finite.
    """
    config = model.config
    _check_conditional(config)
    context, length = config.num_context, len(video)
    if length <= context:
        there = counted(length, "frame")
        raise UserError(f"{name} has {there}; a score needs more than the {context} given as context")
    noise = _frame_noise(config, length, (0, seed))
    past = model.past_frames
    piece = length if past is None else max(context, past) + _FRAMES_AT_ONCE
    score = _scorer(model, context)
    bar = progress_bar(length - context)
    scores: list[np.ndarray] = []
    done = context
    while done < length:
        start = 0 if done == context else done - max(context, past)
        stop = min(length, start + piece)
        bits = score(video[None, start:stop], noise[None, start:stop])[0].numpy()
        scores.append(bits[-(stop - done) :])
        bar.add(stop - done)
        done = stop
    result = np.concatenate(scores)
    check_finite(result, "the score of frame {}", first=context + 1)
    return result


def _check_conditional(config: VideoFlowConfig) -> None:
    if not config.conditional:
        raise UserError("this model takes every frame by itself: nothing is out of sequence for it")


def _frame_noise(config: VideoFlowConfig, length: int, seed: tuple[int, int]) -> tf.Tensor:
    """[length, H, W, C], each frame's a function of the seed and its number."""
    seeds = [fold_in(as_seed(seed), t) for t in range(length)]
    return tf.stack([pixels.dequantization_noise(config.frame_shape, frame_seed) for frame_seed in seeds])


def _scorer(model: VideoFlow, num_context: int) -> Callable[[np.ndarray, tf.Tensor], tf.Tensor]:
    """Bits per pixel [B, T - num_context] of uint8 [B, T, H, W, C] with noise of that shape."""

    @tf.function(autograph=False, reduce_retracing=True)
    def frame_bits(video: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        if model.config.condition_on_first_frame:  # That frame is encoded twice.
            noise = tf.concat([noise[:, :1], noise], axis=1)
        return model.frame_bits_per_pixel(video, num_context, noise)

    return lambda video, noise: frame_bits(tf.convert_to_tensor(video), noise)
