"""Measures a trained model on the videos of a split, each finished video kept on disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from videoflow_tf import data
from videoflow_tf.arguments import takes
from videoflow_tf.errors import UserError
from videoflow_tf.media.progress import progress_bar
from videoflow_tf.metrics import results
from videoflow_tf.metrics.arguments import EvaluateArguments
from videoflow_tf.metrics.measurements import Measurements, load, save
from videoflow_tf.metrics.metric import MetricOptions, SampleMetric, VideoMetric, check_finite
from videoflow_tf.model.future_sampler import FutureSampler
from videoflow_tf.model.video_flow import VideoFlow
from videoflow_tf.protocol import Protocol
from videoflow_tf.registry import METRICS
from videoflow_tf.training.checkpoints import load_workdir

_DEFAULT_VIDEOS = 256


@takes(EvaluateArguments)
def evaluate(arguments: EvaluateArguments) -> results.Results:
    """Measures the trained model of a run, and writes the numbers and their curves to `workdir`/eval.

    Shows progress bars. Stopped and started again it goes on where it was.

    Args: the fields of `EvaluateArguments`.

    Raises:
      UserError: a metric does not exist or cannot be computed, `workdir` has no trained model, the dataset is missing
        or has too few videos or frames: all before anything is measured. A measurement is not finite.
    """
    names, temperatures, data_dir = arguments.metrics, arguments.temperatures, arguments.data_dir
    on_samples = [name for name in names if issubclass(METRICS[name], SampleMetric)]
    if temperatures and on_samples != names:
        other = next(name for name in names if name not in on_samples)
        wanted = ",".join(on_samples) or "psnr"
        raise UserError(f"--temperatures is about samples, {other} is not: give for example --metrics={wanted}")
    config, model = load_workdir(arguments.workdir, arguments.checkpoint)
    options = MetricOptions(config, arguments)
    made = {name: METRICS[name].from_options(options) for name in names}
    split, num_videos, frames = arguments.split, arguments.num_videos, config.num_eval_frames
    if num_videos is None:
        num_videos = min(_DEFAULT_VIDEOS, data.num_eval_videos(config, data_dir, split))
    shared = {"data_dir": data_dir, "split": split, "videos": num_videos, "seed": arguments.seed}
    protocol = Protocol.of(model, **shared, frames=frames)
    if arguments.num_frames is not None:
        frames = config.num_context + arguments.num_frames
    drawn_at = temperatures or [arguments.temperature]
    sampled = [dataclasses.replace(protocol, frames=frames, temperature=t) for t in drawn_at]
    sample_metrics = [made[name] for name in on_samples]
    folder = arguments.results_dir / "eval" / "measurements"
    evaluation = Evaluation(model, data_dir, folder, arguments.batch_size)
    if sample_metrics:
        evaluation.check_samples(sample_metrics, sampled[0])

    measured: list[dict[str, Any]] = [{} for _ in sampled]
    for metric in made.values():
        if isinstance(metric, VideoMetric):
            measured[0] |= evaluation.measure_videos(metric, protocol)
    for i, at in enumerate(sampled if sample_metrics else []):
        print(f"Samples at temperature {at.temperature:g}")
        measured[i] |= evaluation.measure_samples(sample_metrics, at)
    return results.write(arguments, measured)


class Evaluation:
    """Measures a trained model on the videos of a dataset; what is found of each video is kept on disk.

    Measured videos are not measured again: stopped at any moment and started again, the result is the same.
    """

    def __init__(self, model: VideoFlow, data_dir: str | None, folder: Path, batch_size: int = 16) -> None:
        """Opens the folder of the measurements.

        Args:
          model: a trained model.
          data_dir: folder of the prepared dataset; None for one that is generated.
          folder: made when it is written to.
          batch_size: videos or samples at a time.
        """
        self._model, self._data_dir, self._batch_size = model, data_dir, batch_size
        self._measurements = Measurements(folder, model)
        self._sampler = FutureSampler(model, batch_size)

    def check_samples(self, metrics: Sequence[SampleMetric], protocol: Protocol) -> None:
        """Raises `UserError` if `measure_samples` would, before anything is sampled."""
        for metric in metrics:
            metric.check(self._model.config, protocol.num_predicted, protocol.videos)
        self._videos(protocol)

    def measure_videos(self, metric: VideoMetric, protocol: Protocol) -> dict[str, Any]:
        """Measures the first videos of a split. Shows a progress bar.

        Args:
          metric: what to measure.
          protocol: names the split, the number of videos and their length, and the seed.

        Returns:
          As `results.named`.

        Raises:
          UserError: the dataset is missing, or has too few videos or frames; or a measurement is not finite.
        """
        measure = metric.measure_with(self._model, protocol.seed)
        key = {"seed": protocol.seed, **metric.settings()}
        bar = progress_bar(protocol.videos)
        found = []  # Of each batch.
        for batch in self._videos(protocol).batch(self._batch_size).prefetch(1):
            # A batch is taken from the files whole or not at all: the last digits depend on which videos are in it.
            indexed = zip(batch["index"].numpy(), batch["video"].numpy(), strict=True)
            paths = [self._measurements.path(metric.name, key, int(i), video) for i, video in indexed]
            known = [load(path) for path in paths]
            if any(measurement is None for measurement in known):
                known = measure(batch["video"], batch["index"])
                for path, measurement in zip(paths, known, strict=True):
                    save(path, measurement)
            found.append(np.stack(known))
            bar.add(len(found[-1]), [(metric.name, found[-1].mean())])
        return _result(metric, np.concatenate(found), protocol)

    def measure_samples(self, metrics: Sequence[SampleMetric], protocol: Protocol) -> dict[str, Any]:
        """Measures sampled futures of the first videos of a split. Shows a progress bar.

        Samples are functions of the seed, the video's index and their own number.

        Args:
          metrics: what to measure.
          protocol: names the split, the number of videos and their length, the temperature and the seed.

        Returns:
          As `results.named`, of all metrics; with `not_finite`, the number of samples in whose place others were drawn,
          if there were any.

        Raises:
          UserError: a metric cannot be computed, the dataset is missing, or has too few videos or frames.
        """
        self.check_samples(metrics, protocol)
        drawn = {"split": protocol.split, "temperature": protocol.temperature, "seed": protocol.seed}
        keys = [{**drawn, "num_samples": metric.num_samples, **metric.settings()} for metric in metrics]
        found: dict[str, list[np.ndarray]] = {metric.name: [] for metric in metrics}
        lost = dict.fromkeys(found, 0)
        bar = progress_bar(protocol.videos)
        for element in self._videos(protocol).as_numpy_iterator():
            index, video = int(element["index"]), element["video"]
            context, real = video[: protocol.context], video[protocol.context :]
            keyed = zip(metrics, keys, strict=True)
            paths = [self._measurements.path(metric.name, key, index, video) for metric, key in keyed]
            known = {path: load(path) for path in paths}
            missing = {path: metric for path, metric in zip(paths, metrics, strict=True) if known[path] is None}
            if missing:
                count = max(metric.num_samples for metric in missing.values())
                try:
                    how = len(real), protocol.temperature, protocol.seed, index, count
                    numbers, samples = map(np.concatenate, zip(*self._sampler.batches(context, *how), strict=True))
                    for path, metric in missing.items():
                        last = metric.num_samples - 1
                        if numbers[last] > last:
                            save(_lost(path), numbers[last] - last)
                        known[path] = metric.measure(context, real, samples[: last + 1])
                        save(path, known[path])
                except UserError:
                    print()  # The message stands on a line of its own, not behind the progress bar.
                    raise
            for path, metric in zip(paths, metrics, strict=True):
                found[metric.name].append(known[path])
                lost[metric.name] += int(load(_lost(path)) or 0)
            bar.add(1)
        merged: dict[str, Any] = {}
        for metric in metrics:
            own = dataclasses.replace(protocol, samples=metric.num_samples)
            result = _result(metric, np.stack(found[metric.name]), own)
            if lost[metric.name]:
                result[metric.name]["not_finite"] = lost[metric.name]
            merged |= result
        return merged

    def _videos(self, protocol: Protocol) -> tf.data.Dataset:
        how = {"num_videos": protocol.videos, "num_frames": protocol.frames}
        try:
            return data.eval_videos(self._model.config, self._data_dir, protocol.split, **how)
        except UserError as error:
            given = f"{protocol.context} frames given, {protocol.num_predicted} predicted"
            raise UserError(f"{given}: {error}") from None


def _lost(path: Path) -> Path:
    """Beside a measurement: how many samples were not finite, and others measured in their place."""
    return path.with_name(f"{path.stem}-not_finite.npy")


def _result(metric: SampleMetric | VideoMetric, measurements: np.ndarray, protocol: Protocol) -> dict[str, Any]:
    check_finite(measurements, f"the {metric.label.lower()} of video {{}} of split {protocol.split}")
    protocol = dataclasses.replace(protocol, settings=metric.settings())
    return results.named(metric.name, metric.summarize(measurements), protocol)
