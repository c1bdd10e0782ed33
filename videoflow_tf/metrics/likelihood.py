"""Bits per pixel of a split, with its standard error."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from videoflow_tf import data
from videoflow_tf.errors import UserError
from videoflow_tf.media.progress import progress_bar
from videoflow_tf.metrics.measurements import Measurements, load, save
from videoflow_tf.metrics.metric import curve_statistics
from videoflow_tf.model import pixels
from videoflow_tf.model.video_flow import VideoFlow


def evaluate_likelihood(
    model: VideoFlow,
    data_dir: str | None,
    split: str = "test",
    *,
    num_videos: int | None = None,
    batch_size: int = 16,
    seed: int = 0,
    dequantization_samples: int = 1,
    measurements: Measurements | None = None,
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
      dequantization_samples: draws of that noise for each video; with more than one also the importance-weighted bound.
      measurements: where those of finished videos are kept; None: nowhere.

    Returns:
      `bits_per_pixel`: `mean` and `standard_error` (None for a single video) over videos, `per_frame` [frames scored],
      `per_frame_standard_error` and `per_video` [videos], all averaged over the draws; with several draws also
      `importance_weighted`: `mean`, `standard_error` and `per_video` of that bound. `protocol`: what was computed.

    Raises:
      UserError: the dataset is missing, or has too few videos or frames; or the likelihood of a video is not finite.
    """
    if dequantization_samples < 1:
        raise UserError(f"dequantization_samples={dequantization_samples} must be at least 1")
    config = model.config
    count = data.num_eval_videos(config, data_dir, split, num_videos)
    videos = data.eval_videos(config, data_dir, split, num_videos=num_videos)

    @tf.function(reduce_retracing=True)
    def frame_bits(video: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        shape = list(video.shape[1:])
        shape[0] += config.condition_on_first_frame  # That frame is encoded twice.
        noise = tf.map_fn(lambda s: pixels.dequantization_noise(shape, s), seeds, fn_output_signature=tf.float32)
        return model.frame_bits_per_pixel(video, dequantization_noise=noise)

    def measure(video: tf.Tensor, index: tf.Tensor) -> np.ndarray:  # [B, draws, frames scored]
        seeds = [[tf.stack([tf.constant(seed, tf.int64), i]) for i in index]]
        seeds += [[tf.random.fold_in(s, draw) for s in seeds[0]] for draw in range(1, dequantization_samples)]
        return np.stack([frame_bits(video, tf.stack(s)).numpy() for s in seeds], axis=1)

    bar = progress_bar(count)
    bits = []  # Of each batch.
    for batch in videos.batch(batch_size).prefetch(1):
        paths, known = [], [None]
        if measurements is not None:
            # A batch is taken from the files whole or not at all: the last digits depend on which videos are in it.
            protocol = {"seed": seed, "dequantization_samples": dequantization_samples}
            indexed = zip(batch["index"].numpy(), batch["video"].numpy(), strict=True)
            paths = [measurements.path("bits_per_pixel", protocol, int(i), video) for i, video in indexed]
            known = [load(path) for path in paths]
        if any(measurement is None for measurement in known):
            known = measure(batch["video"], batch["index"])
            for path, measurement in zip(paths, known, strict=bool(paths)):
                save(path, measurement)
        bits.append(np.stack(known))
        bar.add(len(bits[-1]), [("bits_per_pixel", bits[-1].mean())])
    bits = np.concatenate(bits).astype(np.float64)  # [videos, draws, frames scored]
    if not np.isfinite(bits).all():
        index = int(np.argmin(np.isfinite(bits).all(axis=(1, 2))))
        raise UserError(
            f"the likelihood of video {index} of split {split} is not finite: the training has probably diverged; "
            "evaluate another run"
        )
    result = curve_statistics(bits.mean(axis=1))
    if dequantization_samples > 1:
        bound = importance_weighted_bits(bits, config.frame_size**2 * 3)
        names = ("mean", "standard_error", "per_video")
        result["importance_weighted"] = {name: curve_statistics(bound[:, None])[name] for name in names}
    return {
        "bits_per_pixel": result,
        "protocol": {
            "dataset": config.dataset,
            "split": split,
            "videos": count,
            "context": config.num_context,
            "frames": config.num_eval_frames,
            "seed": seed,
            "dequantization_samples": dequantization_samples,
            "pixel_scaling": config.pixel_scaling,
            "step": int(model.step.numpy()),
        },
    }


def importance_weighted_bits(bits: np.ndarray, components: int) -> np.ndarray:
    """The importance-weighted bound (Burda et al. 2016) on -log2 of the probability of 8-bit videos.

    -log2 of the mean over draws of p: never more than the mean over draws of -log2 p, and less by a few bits per video,
    not per pixel.

    Args:
      bits: float64 [V, draws, N], bits per pixel of every scored frame for independent draws of the noise.
      components: of a frame, H x W x 3.

    Returns:
      float64 [V], bits per pixel.
    """
    total = bits.shape[2] * components
    nats = -math.log(2.0) * total * bits.mean(axis=2)  # log p of each draw, [V, draws]
    greatest = nats.max(axis=1, keepdims=True)
    log_mean = greatest[:, 0] + np.log(np.exp(nats - greatest).mean(axis=1))
    return -log_mean / (math.log(2.0) * total)
