"""Bits per pixel of a split, with its standard error."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from videoflow_tf import data, pixels
from videoflow_tf.callbacks import progress_bar
from videoflow_tf.model import VideoFlow


def evaluate_likelihood(
    model: VideoFlow,
    data_dir: str | None,
    split: str = "test",
    *,
    num_videos: int | None = None,
    batch_size: int = 16,
    seed: int = 0,
) -> dict[str, Any]:
    """Bits per pixel of the first `config.num_eval_frames` frames of the videos of a split.

    The dequantisation noise of a video is a function of the seed and the video's index: the result depends on
    neither the batch size nor on how many videos follow. Shows a progress bar.

    Args:
      model: a trained model.
      data_dir: folder of the prepared dataset; None for one that is generated.
      split: "train", "validation" or "test".
      num_videos: the first so many videos; None: as `data.eval_videos`.
      batch_size: videos at a time, a matter of memory and speed only.
      seed: of the dequantisation noise.

    Returns:
      `bits_per_pixel`: `mean` and `standard_error` (None for a single video) over videos, `per_frame` [frames scored]
      and `per_video` [videos]; `protocol`: what was computed.

    Raises:
      UserError: the dataset is missing, or has too few videos or frames.
    """
    config = model.hparams
    count = data.num_eval_videos(config, data_dir, split, num_videos)
    videos = data.eval_videos(config, data_dir, split, num_videos=num_videos)

    def with_noise(element: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        shape = list(element["video"].shape)
        shape[0] += config.condition_on_first_frame  # That frame is encoded twice.
        video_seed = tf.stack([tf.constant(seed, tf.int64), element["index"]])
        return element["video"], pixels.dequantization_noise(shape, video_seed)

    @tf.function(reduce_retracing=True)
    def frame_bits(video: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        return model.frame_bits_per_pixel(video, dequantization_noise=noise)

    bar = progress_bar(count)
    bits = []  # Of each batch, [B, frames scored].
    for video, noise in videos.map(with_noise).batch(batch_size).prefetch(1):
        bits.append(frame_bits(video, noise).numpy())
        bar.add(len(bits[-1]), [("bits_per_pixel", bits[-1].mean())])
    per_frame = np.concatenate(bits).astype(np.float64)
    per_video = per_frame.mean(axis=1)
    return {
        "bits_per_pixel": {
            "mean": per_video.mean(),
            "standard_error": per_video.std(ddof=1) / math.sqrt(count) if count > 1 else None,
            "per_frame": per_frame.mean(axis=0).tolist(),
            "per_video": per_video.tolist(),
        },
        "protocol": {
            "dataset": config.dataset,
            "split": split,
            "videos": count,
            "context": config.num_context,
            "frames": config.num_eval_frames,
            "seed": seed,
            "pixel_scaling": config.pixel_scaling,
            "step": int(model.step.numpy()),
        },
    }
