"""Measures a predictor, or samples that are drawn already, each finished video kept on disk."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from videoflow_tf import data
from videoflow_tf.arguments import takes
from videoflow_tf.errors import UserError
from videoflow_tf.media.progress import on_own_line, progress_bar
from videoflow_tf.metrics import results
from videoflow_tf.metrics.arguments import EvaluateArguments
from videoflow_tf.metrics.fvd import FVD
from videoflow_tf.metrics.measurements import Measurements, load, save
from videoflow_tf.metrics.metric import Clips, Metric, MetricOptions, SampleMetric, VideoMetric, check_finite
from videoflow_tf.metrics.papers import PAPERS
from videoflow_tf.predictors.by_name import open_predictor
from videoflow_tf.predictors.future_sampler import FutureSampler
from videoflow_tf.predictors.predictions import Predictions
from videoflow_tf.predictors.predictor import Predictor
from videoflow_tf.protocol import Protocol, videos_digest
from videoflow_tf.registry import METRICS
from videoflow_tf.units import counted
from videoflow_tf.workdir import run_config

_DEFAULT_VIDEOS, _DEFAULT_SAMPLES = 256, 100


class MeasuredClip(NamedTuple):
    """A video to measure samples of."""

    index: int
    context: np.ndarray  # uint8 [K, H, W, C]
    real: np.ndarray  # uint8 [N, H, W, C]
    # The first so many samples that are finite, their numbers and uint8 [n, N, H, W, C].
    draw: Callable[[int], tuple[Sequence[int], np.ndarray]]


@takes(EvaluateArguments)
def evaluate(arguments: EvaluateArguments) -> results.Results:
    """Measures the trained model of a run, another predictor or drawn samples; writes numbers and curves to eval/.

    Shows progress bars. Stopped and started again it goes on where it was.

    Args: the fields of `EvaluateArguments`.

    Raises:
      UserError: a metric does not exist or cannot be computed, `workdir` has no trained model, the dataset is missing
        or has too few videos or frames: all before anything is measured. A measurement is not finite.
    """
    names = arguments.metrics
    on_samples = [name for name in names if issubclass(METRICS[name], SampleMetric)]
    if arguments.temperatures and on_samples != names:
        other = next(name for name in names if name not in on_samples)
        wanted = ",".join(on_samples) or "psnr"
        raise UserError(f"--temperatures is about samples, {other} is not: give for example --metrics={wanted}")
    if arguments.predictions is not None:
        return measure_predictions(Predictions(arguments.predictions), arguments)
    return measure_predictor(open_predictor(arguments), arguments)


def measure_predictor(
    predictor: Predictor, arguments: EvaluateArguments, scored_frames: int | None = None
) -> results.Results:
    """As `evaluate`, of a predictor.

    `scored_frames`: length of the clips, context included, whose bits are measured; default `config.num_eval_frames`.
    """
    arguments.check_follows(predictor.config.num_context, predictor.config.frame_shape)
    config, data_dir, split, num_videos = predictor.config, arguments.data_dir, arguments.split, arguments.num_videos
    if num_videos is None:
        num_videos = min(_DEFAULT_VIDEOS, data.num_eval_videos(config, data_dir, split))
    what = {"data_dir": data_dir, "split": split, "videos": num_videos, "predictor": arguments.predictor}
    scored_frames = scored_frames or config.num_eval_frames
    how = {"frames": scored_frames, "scored": predictor.num_scored(scored_frames), "seed": arguments.seed}
    protocol = Protocol.of(predictor, **what, **how, name=arguments.protocol)
    drawn_at = arguments.temperatures or [arguments.temperature]
    frames = config.num_eval_frames if arguments.num_frames is None else config.num_context + arguments.num_frames
    sampled = [dataclasses.replace(protocol, frames=frames, scored=None, temperature=t) for t in drawn_at]
    clips = Clips.of(config, sampled[0].num_predicted, num_videos)
    options = MetricOptions(clips, arguments, arguments.num_samples or _DEFAULT_SAMPLES, predictor)
    made = make_metrics(options)
    on_samples = [metric for metric in made if isinstance(metric, SampleMetric)]
    measurements = Measurements(arguments.measurements_dir, predictor.identity)
    sampler = FutureSampler(predictor, arguments.batch_size)

    if on_samples:
        check_videos(predictor, sampled[0])
    debiased = [metric for metric in on_samples if isinstance(metric, FVD) and arguments.fvd_clips > 1]
    on_clips = [dataclasses.replace(at, clips=arguments.fvd_clips) for at in sampled]
    if debiased:
        check_videos(predictor, on_clips[0])
    measured: list[dict[str, Any]] = [{} for _ in sampled]
    for metric in made:
        if isinstance(metric, VideoMetric):
            measured[0] |= measure_videos(metric, predictor, protocol, measurements, arguments.batch_size)
    for i, at in enumerate(sampled if on_samples else []):
        print(f"Samples at temperature {at.temperature:g}")
        measured[i] |= measure_samples(on_samples, drawn_clips(predictor, at, sampler), at, measurements)
        if debiased:
            print(f"{counted(arguments.fvd_clips, 'clip')} of each video")
            drawn = drawn_clips(predictor, on_clips[i], sampler)
            measured[i]["fvd"]["debiased"] = measure_samples(debiased, drawn, on_clips[i], measurements)["fvd"]
    return results.write(arguments.at_step(predictor.step), measured)


def measure_predictions(predictions: Predictions, arguments: EvaluateArguments) -> results.Results:
    """As `evaluate`, of samples that are drawn already."""
    arguments.check_follows(predictions.context_shape[0], predictions.context_shape[1:])
    if arguments.protocol is not None:
        followed = PAPERS[arguments.protocol].arguments["temperature"]
        predictions.check_temperature(followed, f"leave --protocol={arguments.protocol} out")
    context, num_videos = predictions.context_shape[0], arguments.num_videos or predictions.num_videos
    num_frames = arguments.num_frames or predictions.num_frames
    num_samples = arguments.num_samples or predictions.num_samples
    asked = (
        ("video", "", num_videos, predictions.num_videos, "num_videos"),
        ("frame", " after the context", num_frames, predictions.num_frames, "num_frames"),
        ("sample", " of each video", num_samples, predictions.num_samples, "num_samples"),
    )
    for noun, of, wanted, there, flag in asked:
        if wanted > there:
            what = counted(there, noun) + of
            raise UserError(f"{arguments.predictions} has {what}, {wanted} were asked for by --{flag}")
    config = None if arguments.workdir is None else run_config(arguments.workdir)
    clips = Clips(predictions.context_shape[1:], context, num_frames, num_videos, config)
    metrics = make_metrics(MetricOptions(clips, arguments, num_samples))
    for metric in metrics:
        predictions.check_samples(metric.num_samples, metric.name)
    protocol = Protocol(
        videos=num_videos,
        context=context,
        frames=context + num_frames,
        **predictions.drawn_with,
        predictor=predictions.label,
        name=arguments.protocol,
    )

    def recorded() -> Iterator[MeasuredClip]:
        for index, clip in enumerate(itertools.islice(predictions, num_videos)):
            draw = lambda count, samples=clip.samples: (range(count), samples[:count, :num_frames])  # noqa: E731
            yield MeasuredClip(index, clip.context, clip.real[:num_frames], draw)

    measurements = Measurements(arguments.measurements_dir, predictions.identity)
    measured = measure_samples(metrics, recorded(), protocol, measurements)
    return results.write(arguments, [measured], predictions=predictions.label)


def make_metrics(options: MetricOptions) -> list[Metric]:
    """The metrics that are asked for; raises `UserError` if one cannot be computed on such clips."""
    made = [METRICS[name].from_options(options) for name in options.arguments.metrics]
    for metric in made:
        metric.check(options.clips)
    return made


def check_videos(predictor: Predictor, protocol: Protocol) -> None:
    """Raises `UserError` if there are not so many videos with so many frames, in words of what they are for."""
    try:
        _videos(predictor, protocol)
    except UserError as error:
        given = f"{counted(protocol.context, 'frame')} given, {protocol.num_predicted} predicted"
        given += f", {counted(protocol.clips, 'clip')} of each video" if protocol.clips else ""
        raise UserError(f"{given}: {error}") from None


def drawn_clips(predictor: Predictor, protocol: Protocol, sampler: FutureSampler) -> Iterator[MeasuredClip]:
    """The first videos of a split; samples are functions of the seed, the clip's index and their own number."""
    for index, video in _videos(predictor, protocol):
        context, real = video[: protocol.context], video[protocol.context :]
        how = len(real), protocol.temperature, protocol.seed, index

        def draw(count: int, context: np.ndarray = context, how: tuple = how) -> tuple[Sequence[int], np.ndarray]:
            numbers, samples = zip(*sampler.batches(context, *how, count), strict=True)
            return np.concatenate(numbers), np.concatenate(samples)

        yield MeasuredClip(index, context, real, draw)


def measure_videos(
    metric: VideoMetric, predictor: Predictor, protocol: Protocol, measurements: Measurements, batch_size: int = 16
) -> dict[str, Any]:
    """Measures the first videos of a split. Shows a progress bar.

    Args:
      metric: what to measure.
      predictor: what is measured.
      protocol: names the split, the number of videos and their length, and the seed.
      measurements: those of the predictor; what is there is not measured again.
      batch_size: videos at a time, on each of the predictor's replicas.

    Returns:
      As `results.named`.

    Raises:
      UserError: the dataset is missing, or has too few videos or frames; or a measurement is not finite.
    """
    key = {"seed": protocol.seed, **metric.settings()}
    bar = progress_bar(protocol.videos)
    found, seen = [], ""  # Of each batch.
    videos = iter(_videos(predictor, protocol))
    while batch := list(itertools.islice(videos, batch_size * predictor.num_replicas)):
        # A batch is taken from the files whole or not at all: the last digits depend on which videos are in it.
        paths = [measurements.path(metric.name, key, index, video) for index, video in batch]
        known = [load(path) for path in paths]
        if any(measurement is None for measurement in known):
            indices, frames = zip(*batch, strict=True)
            known = metric.measure(predictor, np.stack(frames), indices, protocol.seed)
            for path, measurement in zip(paths, known, strict=True):
                save(path, measurement)
        found.append(np.stack(known))
        for _, video in batch:
            seen = videos_digest([_given(protocol, video)], seen)
        bar.add(len(batch), [(metric.name, found[-1].mean())])
    return _result(metric, np.concatenate(found), dataclasses.replace(protocol, videos_digest=seen))


def measure_samples(
    metrics: Sequence[SampleMetric], clips: Iterable[MeasuredClip], protocol: Protocol, measurements: Measurements
) -> dict[str, Any]:
    """Measures sampled futures. Shows a progress bar.

    Args:
      metrics: what to measure.
      clips: what to measure it on; samples are drawn where a measurement is missing alone.
      protocol: how many videos and clips of each there are, and how their samples are drawn.
      measurements: those of what draws them; what is there is not measured again.

    Returns:
      As `results.named`, of all metrics; with `not_finite`, the number of samples in whose place others were drawn,
      if there were any.

    Raises:
      UserError: as the reading of the clips; a measurement is not finite.
    """
    drawn = {"split": protocol.split, "temperature": protocol.temperature, "seed": protocol.seed}
    keys = [{**drawn, "num_samples": metric.num_samples, **metric.settings()} for metric in metrics]
    found: dict[str, list[np.ndarray]] = {metric.name: [] for metric in metrics}
    lost, seen = dict.fromkeys(found, 0), ""
    bar = progress_bar(protocol.videos * (protocol.clips or 1))
    for clip in clips:
        video = np.concatenate([clip.context, clip.real])
        seen = videos_digest([_given(protocol, video)], seen)
        keyed = zip(metrics, keys, strict=True)
        paths = [measurements.path(metric.name, key, clip.index, video) for metric, key in keyed]
        known = {path: load(path) for path in paths}
        missing = {path: metric for path, metric in zip(paths, metrics, strict=True) if known[path] is None}
        if missing:
            with on_own_line():
                numbers, samples = clip.draw(max(metric.num_samples for metric in missing.values()))
            for path, metric in missing.items():
                last = metric.num_samples - 1
                if numbers[last] > last:
                    save(_lost(path), numbers[last] - last)
                known[path] = metric.measure(clip.context, clip.real, samples[: last + 1])
                save(path, known[path])
        for path, metric in zip(paths, metrics, strict=True):
            found[metric.name].append(known[path])
            lost[metric.name] += int(load(_lost(path)) or 0)
        bar.add(1)
    merged: dict[str, Any] = {}
    for metric in metrics:
        own = dataclasses.replace(protocol, samples=metric.num_samples, videos_digest=seen)
        result = _result(metric, np.stack(found[metric.name]), own)
        if lost[metric.name]:
            result[metric.name]["not_finite"] = lost[metric.name]
        merged |= result
    return merged


def _videos(predictor: Predictor, protocol: Protocol) -> Iterator[tuple[int, np.ndarray]]:
    """Index and frames, uint8 [T, H, W, C], of the first videos of a split; raises `UserError` at once."""
    how = {"num_videos": protocol.videos, "num_frames": protocol.frames, "clips": protocol.clips or 1}
    videos = data.eval_videos(predictor.config, protocol.data_dir, protocol.split, **how)
    return ((int(element["index"]), element["video"]) for element in videos.as_numpy_iterator())


def _given(protocol: Protocol, video: np.ndarray) -> np.ndarray:
    """What metrics on clips of any length see of a video: the frames given, and the next."""
    return video[: protocol.context + 1]


def _lost(path: Path) -> Path:
    """Beside a measurement: how many samples were not finite, and others measured in their place."""
    return path.with_name(f"{path.stem}-not_finite.npz")


def _result(metric: Metric, measurements: np.ndarray, protocol: Protocol) -> dict[str, Any]:
    of_split = "" if protocol.split is None else f" of split {protocol.split}"
    check_finite(measurements, f"the {metric.label.lower()} of video {{}}{of_split}")
    protocol = dataclasses.replace(protocol, settings=metric.settings())
    return results.named(metric, metric.summarize(measurements), protocol)
