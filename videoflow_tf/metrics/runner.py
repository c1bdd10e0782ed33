"""Metrics on sampled futures of the videos of a split, each finished video kept on disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from videoflow_tf import data
from videoflow_tf.errors import UserError
from videoflow_tf.media.progress import progress_bar
from videoflow_tf.metrics import SAMPLE_METRICS
from videoflow_tf.metrics.diversity import Diversity, VGGDiversity
from videoflow_tf.metrics.fvd import FVD, I3D
from videoflow_tf.metrics.measurements import Measurements, load, save
from videoflow_tf.metrics.metric import Metric
from videoflow_tf.metrics.similarity import PSNR, SSIM, VGGCosine
from videoflow_tf.metrics.vgg import VGGFeatures
from videoflow_tf.model.future_sampler import FutureSampler
from videoflow_tf.model.video_flow import VideoFlow


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How futures are drawn, whatever is measured on them."""

    split: str
    num_videos: int
    num_frames: int
    temperature: float
    seed: int


def make_metrics(
    names: Sequence[str],
    *,
    num_samples: int,
    vgg_weights: str | None = None,
    i3d_path: str | None = None,
    fvd_draws: int = 5,
    fvd_context: bool = True,
) -> list[Metric]:
    """The metrics of `SAMPLE_METRICS` with these names, the networks that they need read from disk.

    Raises:
      UserError: an unknown name, or the weights of a network are not there.
    """
    unknown = [name for name in names if name not in SAMPLE_METRICS]
    if unknown:
        raise UserError(f"there is no metric {unknown[0]!r} on samples; choose from {', '.join(SAMPLE_METRICS)}")
    vgg = VGGFeatures(vgg_weights) if {"vgg_cosine", "vgg_diversity"} & set(names) else None
    makers = {
        "psnr": lambda: PSNR(num_samples),
        "ssim": lambda: SSIM(num_samples),
        "vgg_cosine": lambda: VGGCosine(num_samples, vgg),
        "fvd": lambda: FVD(fvd_draws, I3D(i3d_path), fvd_context),
        "diversity": lambda: Diversity(num_samples),
        "vgg_diversity": lambda: VGGDiversity(num_samples, vgg),
    }
    return [makers[name]() for name in names]


def check_samples(model: VideoFlow, data_dir: str | None, metrics: Sequence[Metric], sampling: Sampling) -> None:
    """Raises `UserError` if `evaluate_samples` would, before anything is sampled."""
    for metric in metrics:
        metric.check(model.config, sampling.num_frames, sampling.num_videos)
    _videos(model, data_dir, sampling)


def evaluate_samples(
    model: VideoFlow,
    data_dir: str | None,
    metrics: Sequence[Metric],
    sampling: Sampling,
    measurements: Measurements,
    sampler: FutureSampler,
) -> dict[str, Any]:
    """Measures sampled futures of the first videos of a split. Shows a progress bar.

    Samples are functions of the seed, the video's index and their own number. Videos that are in `measurements` are not
    sampled again: stopped at any moment and started again, the result is the same.

    Args:
      model: a trained model.
      data_dir: folder of the prepared dataset; None for one that is generated.
      metrics: see `make_metrics`.
      sampling: which videos, and how futures of them are drawn.
      measurements: where those of finished videos are kept.
      sampler: of the same model; one can serve many calls.

    Returns:
      The name of each metric -> its summary (see its class) and `protocol`, what was computed.

    Raises:
      UserError: a metric cannot be computed, the dataset is missing, or has too few videos or frames.
    """
    check_samples(model, data_dir, metrics, sampling)
    num_context = model.config.num_context
    shared = {"split": sampling.split, "temperature": sampling.temperature, "seed": sampling.seed}
    found: dict[str, list[np.ndarray]] = {metric.name: [] for metric in metrics}
    bar = progress_bar(sampling.num_videos)
    for element in _videos(model, data_dir, sampling).as_numpy_iterator():
        index, video = int(element["index"]), element["video"]
        context, real = video[:num_context], video[num_context:]
        paths = {}
        for metric in metrics:
            protocol = {**shared, "num_samples": metric.num_samples, **metric.settings()}
            paths[metric.name] = measurements.path(metric.name, protocol, index, video)
        missing = [metric for metric in metrics if not paths[metric.name].is_file()]
        if missing:
            count = max(metric.num_samples for metric in missing)
            try:
                samples = sampler(context, sampling.num_frames, sampling.temperature, sampling.seed, index, count)
            except UserError:
                print()  # The message stands on a line of its own, not behind the progress bar.
                raise
            for metric in missing:
                save(paths[metric.name], metric.measure(context, real, samples[: metric.num_samples]))
        for metric in metrics:
            found[metric.name].append(load(paths[metric.name]))
        bar.add(1)
    return {
        metric.name: {**metric.summarize(np.stack(found[metric.name])), "protocol": _protocol(model, metric, sampling)}
        for metric in metrics
    }


def _protocol(model: VideoFlow, metric: Metric, sampling: Sampling) -> dict[str, Any]:
    config = model.config
    return {
        "dataset": config.dataset,
        "split": sampling.split,
        "videos": sampling.num_videos,
        "samples": metric.num_samples,
        "context": config.num_context,
        "frames": config.num_context + sampling.num_frames,
        "temperature": sampling.temperature,
        "seed": sampling.seed,
        "step": int(model.step.numpy()),
        **metric.settings(),
    }


def _videos(model: VideoFlow, data_dir: str | None, sampling: Sampling) -> tf.data.Dataset:
    length = model.config.num_context + sampling.num_frames
    return data.eval_videos(model.config, data_dir, sampling.split, num_videos=sampling.num_videos, num_frames=length)
