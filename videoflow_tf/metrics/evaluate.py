"""Measures a trained model on the videos of a split, each finished video kept on disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from videoflow_tf import data
from videoflow_tf.errors import UserError
from videoflow_tf.media.progress import progress_bar
from videoflow_tf.metrics import results
from videoflow_tf.metrics.arguments import checked_names, checked_temperatures
from videoflow_tf.metrics.measurements import Measurements, load, save
from videoflow_tf.metrics.metric import MetricOptions, SampleMetric, VideoMetric, check_finite
from videoflow_tf.model.future_sampler import FutureSampler
from videoflow_tf.model.video_flow import VideoFlow
from videoflow_tf.protocol import Protocol
from videoflow_tf.registry import METRICS
from videoflow_tf.training.checkpoints import load_workdir

_DEFAULT_VIDEOS = 256


def evaluate(
    workdir: str | Path,
    data_dir: str | None = None,
    metrics: Sequence[str] = ("bits_per_pixel",),
    split: str = "test",
    num_videos: int | None = None,
    num_samples: int = 100,
    num_frames: int | None = None,
    temperature: float = 1.0,
    temperatures: Sequence[float | str] | None = None,
    dequantization_samples: int = 1,
    vgg_weights: str | None = None,
    i3d_path: str | None = None,
    fvd_draws: int = 5,
    fvd_context: bool = True,
    batch_size: int = 16,
    seed: int = 0,
) -> results.Results:
    """Measures the trained model of a run, and writes the numbers and their curves to `workdir`/eval.

    Shows progress bars. Stopped and started again it goes on where it was.

    Args:
      workdir: folder of the run.
      data_dir: folder of the prepared dataset; None for one that is generated.
      metrics: names in `videoflow_tf.registry.METRICS`.
      split: "train", "validation" or "test".
      num_videos: the first so many videos; None: 256, or all of fewer.
      num_samples: futures sampled of each video.
      num_frames: to predict in samples; None: `config.num_eval_frames - config.num_context`.
      temperature: factor of the prior's sigma in samples.
      temperatures: a sweep over these instead; metrics on samples alone.
      dequantization_samples: draws of the noise for bits_per_pixel; with several the importance-weighted bound too.
      vgg_weights: file of Keras' VGG16 weights without top, for the metrics vgg_*.
      i3d_path: folder of the SavedModel I3D (Kinetics-400), for fvd.
      fvd_draws: fvd is measured so many times, on one sample of each video.
      fvd_context: whether the given frames are part of the clips that fvd sees.
      batch_size: videos or samples at a time, a matter of memory and speed only.
      seed: of the samples and of the dequantisation noise.

    Raises:
      UserError: a metric does not exist or cannot be computed, `workdir` has no trained model, the dataset is missing
        or has too few videos or frames: all before anything is measured. A measurement is not finite.
    """
    names, temperatures = checked_names(metrics), checked_temperatures(temperatures)
    on_samples = [name for name in names if issubclass(METRICS[name], SampleMetric)]
    if temperatures and on_samples != names:
        other = next(name for name in names if name not in on_samples)
        wanted = ",".join(on_samples) or "psnr"
        raise UserError(f"--temperatures is about samples, {other} is not: give for example --metrics={wanted}")
    config, model = load_workdir(workdir)
    options = MetricOptions(config, num_samples, dequantization_samples, vgg_weights, i3d_path, fvd_draws, fvd_context)
    made = {name: METRICS[name].from_options(options) for name in names}
    if num_videos is None:
        num_videos = min(_DEFAULT_VIDEOS, data.num_eval_videos(config, data_dir, split))
    protocol = Protocol.of(model, split=split, videos=num_videos, frames=config.num_eval_frames, seed=seed)
    sampled_frames = config.num_eval_frames if num_frames is None else config.num_context + num_frames
    if sampled_frames <= config.num_context:
        raise UserError(f"num_frames={num_frames} must be at least 1")
    sampled = [
        dataclasses.replace(protocol, frames=sampled_frames, temperature=t) for t in temperatures or [temperature]
    ]
    sample_metrics = [made[name] for name in on_samples]
    if sample_metrics:
        check_samples(model, data_dir, sample_metrics, sampled[0])

    folder = Path(workdir) / "eval"
    measurements = Measurements(folder / "measurements", model)
    measured: list[dict[str, Any]] = [{} for _ in sampled]
    for metric in made.values():
        if isinstance(metric, VideoMetric):
            measured[0] |= evaluate_videos(model, data_dir, metric, protocol, measurements, batch_size)
    sampler = FutureSampler(model, batch_size)
    for i, at in enumerate(sampled if sample_metrics else []):
        print(f"Samples at temperature {at.temperature:g}")
        measured[i] |= evaluate_samples(model, data_dir, sample_metrics, at, measurements, sampler)
    return results.write(folder, names, measured, temperatures, protocol.step)


def check_samples(model: VideoFlow, data_dir: str | None, metrics: Sequence[SampleMetric], protocol: Protocol) -> None:
    """Raises `UserError` if `evaluate_samples` would, before anything is sampled."""
    for metric in metrics:
        metric.check(model.config, protocol.num_predicted, protocol.videos)
    _videos(model, data_dir, protocol)


def evaluate_videos(
    model: VideoFlow,
    data_dir: str | None,
    metric: VideoMetric,
    protocol: Protocol,
    measurements: Measurements | None = None,
    batch_size: int = 16,
) -> dict[str, Any]:
    """Measures the first videos of a split. Shows a progress bar.

    Args:
      model: a trained model.
      data_dir: folder of the prepared dataset; None for one that is generated.
      metric: what to measure.
      protocol: names the split, the number of videos and their length, and the seed.
      measurements: where those of finished videos are kept; None: nowhere.
      batch_size: videos at a time.

    Returns:
      As `results.named`.

    Raises:
      UserError: the dataset is missing, or has too few videos or frames; or a measurement is not finite.
    """
    measure = metric.measure_with(model, protocol.seed)
    key = {"seed": protocol.seed, **metric.settings()}
    bar = progress_bar(protocol.videos)
    found = []  # Of each batch.
    for batch in _videos(model, data_dir, protocol).batch(batch_size).prefetch(1):
        paths, known = [], [None]
        if measurements is not None:
            # A batch is taken from the files whole or not at all: the last digits depend on which videos are in it.
            indexed = zip(batch["index"].numpy(), batch["video"].numpy(), strict=True)
            paths = [measurements.path(metric.name, key, int(i), video) for i, video in indexed]
            known = [load(path) for path in paths]
        if any(measurement is None for measurement in known):
            known = measure(batch["video"], batch["index"])
            for path, measurement in zip(paths, known, strict=bool(paths)):
                save(path, measurement)
        found.append(np.stack(known))
        bar.add(len(found[-1]), [(metric.name, found[-1].mean())])
    return _result(metric, np.concatenate(found), protocol)


def evaluate_samples(
    model: VideoFlow,
    data_dir: str | None,
    metrics: Sequence[SampleMetric],
    protocol: Protocol,
    measurements: Measurements,
    sampler: FutureSampler,
) -> dict[str, Any]:
    """Measures sampled futures of the first videos of a split. Shows a progress bar.

    Samples are functions of the seed, the video's index and their own number. Videos that are in `measurements` are not
    sampled again: stopped at any moment and started again, the result is the same.

    Args:
      model: a trained model.
      data_dir: folder of the prepared dataset; None for one that is generated.
      metrics: what to measure.
      protocol: names the split, the number of videos and their length, the temperature and the seed.
      measurements: where those of finished videos are kept.
      sampler: of the same model; one can serve many calls.

    Returns:
      As `results.named`, of all metrics.

    Raises:
      UserError: a metric cannot be computed, the dataset is missing, or has too few videos or frames.
    """
    check_samples(model, data_dir, metrics, protocol)
    drawn = {"split": protocol.split, "temperature": protocol.temperature, "seed": protocol.seed}
    keys = [{**drawn, "num_samples": metric.num_samples, **metric.settings()} for metric in metrics]
    found: dict[str, list[np.ndarray]] = {metric.name: [] for metric in metrics}
    bar = progress_bar(protocol.videos)
    for element in _videos(model, data_dir, protocol).as_numpy_iterator():
        index, video = int(element["index"]), element["video"]
        context, real = video[: protocol.context], video[protocol.context :]
        paths = [measurements.path(metric.name, key, index, video) for metric, key in zip(metrics, keys, strict=True)]
        missing = {path: metric for path, metric in zip(paths, metrics, strict=True) if not path.is_file()}
        if missing:
            count = max(metric.num_samples for metric in missing.values())
            try:
                samples = sampler(context, len(real), protocol.temperature, protocol.seed, index, count)
            except UserError:
                print()  # The message stands on a line of its own, not behind the progress bar.
                raise
            for path, metric in missing.items():
                save(path, metric.measure(context, real, samples[: metric.num_samples]))
        for path, metric in zip(paths, metrics, strict=True):
            found[metric.name].append(load(path))
        bar.add(1)
    merged: dict[str, Any] = {}
    for metric in metrics:
        own = dataclasses.replace(protocol, samples=metric.num_samples)
        merged |= _result(metric, np.stack(found[metric.name]), own)
    return merged


def _result(metric: SampleMetric | VideoMetric, measurements: np.ndarray, protocol: Protocol) -> dict[str, Any]:
    check_finite(measurements, f"the {metric.label.lower()} of video {{}} of split {protocol.split}")
    protocol = dataclasses.replace(protocol, settings=metric.settings())
    return results.named(metric.name, metric.summarize(measurements), protocol)


def _videos(model: VideoFlow, data_dir: str | None, protocol: Protocol) -> tf.data.Dataset:
    return data.eval_videos(
        model.config, data_dir, protocol.split, num_videos=protocol.videos, num_frames=protocol.frames
    )
