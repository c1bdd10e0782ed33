"""What is compared: models that predict, and samples that are drawn already."""

from __future__ import annotations

import abc
import dataclasses
import functools
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from videoflow_tf import data
from videoflow_tf.arguments import name_text
from videoflow_tf.comparison.arguments import CompareArguments
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.files import local_path
from videoflow_tf.metrics.arguments import EvaluateArguments, MeasureArguments
from videoflow_tf.metrics.evaluate import measure_predictions, measure_predictor
from videoflow_tf.metrics.metric import SampleMetric
from videoflow_tf.metrics.results import Results
from videoflow_tf.predictors.by_name import make_predictor
from videoflow_tf.predictors.future_sampler import FutureSampler
from videoflow_tf.predictors.predictions import Predictions
from videoflow_tf.predictors.predictor import Predictor
from videoflow_tf.predictors.video_flow import VideoFlowPredictor
from videoflow_tf.registry import METRICS
from videoflow_tf.workdir import run_config


class Contender(abc.ABC):
    """One row of the table.

    Attributes:
      name: of the row; all are different.
      config: what its videos are like; None if only the frames are known.
      bits: what its bits per pixel depend on besides the videos, as JSON values; empty if it has none.
    """

    config: VideoFlowConfig | None = None
    bits: Mapping[str, Any] = {}

    def __init__(self, name: str, folder: str, source: Mapping[str, Any]) -> None:
        """`folder`: the name of that of its results; `source`: the arguments of `evaluate` that name it."""
        self.name, self._folder, self._source = name, folder, source

    @abc.abstractmethod
    def clips(self, arguments: CompareArguments, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Of the first videos the context, uint8 [K, H, W, C], and what really came, uint8 [N, H, W, C]."""

    @abc.abstractmethod
    def samples(self, arguments: CompareArguments, videos: int, count: int) -> Iterator[np.ndarray]:
        """Of the first videos the first samples, uint8 [count, N, H, W, C], of those that are measured."""

    @abc.abstractmethod
    def row(self, arguments: CompareArguments, scored_frames: int) -> dict[str, Any]:
        """What `evaluate` finds, and what the model is: JSON values.

        `scored_frames`: length of the clips whose bits are measured, context included.
        """

    def _measured(
        self,
        measure: Callable[[EvaluateArguments], Results],
        arguments: CompareArguments,
        metrics: list[str],
        *without: str,
    ) -> dict[str, Any]:
        """The metrics by name, by one of the functions of `evaluate`; `without`: arguments that it does not take."""
        if not metrics:
            return {}
        names = {field.name for field in dataclasses.fields(MeasureArguments)} - {*without}
        shared = {name: getattr(arguments, name) for name in names} | {"metrics": metrics}
        folder = arguments.results_dir / self._folder
        return measure(EvaluateArguments(**shared, output_dir=folder, **self._source)).metrics


class PredictorContender(Contender):
    """A trained model of a run, or another predictor."""

    def __init__(self, name: str, folder: str, source: Mapping[str, Any], predictor: Predictor) -> None:
        super().__init__(name, folder, source)
        self._predictor, self.config = predictor, predictor.config
        if predictor.likelihood is not None:
            scored = predictor.num_scored(self.config.num_context)
            of_pixels = {"n_bits": self.config.n_bits, "pixel_scaling": self.config.pixel_scaling}
            self.bits = {**of_pixels, "context frames scored": scored}

    def clips(self, arguments: CompareArguments, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        context = self.config.num_context
        how = {"num_videos": count, "num_frames": context + arguments.num_frames}
        videos = data.eval_videos(self.config, arguments.data_dir, arguments.split, **how)
        for element in videos.as_numpy_iterator():
            yield element["video"][:context], element["video"][context:]

    def samples(self, arguments: CompareArguments, videos: int, count: int) -> Iterator[np.ndarray]:
        sampler = FutureSampler(self._predictor, arguments.batch_size)
        for index, (context, _) in enumerate(self.clips(arguments, videos)):
            yield sampler(context, arguments.num_frames, arguments.temperature, arguments.seed, index, count)

    def row(self, arguments: CompareArguments, scored_frames: int) -> dict[str, Any]:
        scores = self._predictor.likelihood is not None
        metrics = [name for name in arguments.metrics if scores or issubclass(METRICS[name], SampleMetric)]
        measure = functools.partial(measure_predictor, self._predictor, scored_frames=scored_frames)
        return {
            "model": self.name,
            "parameters": self._predictor.num_parameters,
            "steps": self._predictor.step,
            "seconds_per_frame": self._seconds_per_frame(arguments),
            "metrics": self._measured(measure, arguments, metrics),
        }

    def _seconds_per_frame(self, arguments: CompareArguments) -> float:
        """To sample one future, by itself; the second time, when everything is compiled."""
        ((context, _),) = self.clips(arguments, 1)
        sampler = FutureSampler(self._predictor)
        how = arguments.num_frames, arguments.temperature, arguments.seed, 0, 1
        sampler(context, *how)
        start = time.perf_counter()
        sampler(context, *how)
        return (time.perf_counter() - start) / arguments.num_frames


class PredictionsContender(Contender):
    """Samples that are drawn already."""

    def __init__(self, name: str, folder: str, source: Mapping[str, Any], predictions: Predictions) -> None:
        super().__init__(name, folder, source)
        self.predictions = predictions

    def clips(self, arguments: CompareArguments, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for clip in itertools.islice(self.predictions, count):
            yield clip.context, clip.real[: arguments.num_frames]

    def samples(self, arguments: CompareArguments, videos: int, count: int) -> Iterator[np.ndarray]:
        for clip in itertools.islice(self.predictions, videos):
            yield clip.samples[:count, : arguments.num_frames]

    def row(self, arguments: CompareArguments, scored_frames: int) -> dict[str, Any]:
        metrics = [name for name in arguments.metrics if issubclass(METRICS[name], SampleMetric)]
        of_models = ("split", "temperature", "seed", "batch_size", "dequantization_samples")
        measure = functools.partial(measure_predictions, self.predictions)
        return {"model": self.name, "metrics": self._measured(measure, arguments, metrics, *of_models)}


def contenders(arguments: CompareArguments) -> Iterator[Contender]:
    """In the order of the table: predictors, runs, predictions."""
    first, names, folders = arguments.workdirs[0], set(), set()

    def named(name: str) -> tuple[str, str]:
        return _unique(name, "{} ({})", names), _unique(name_text(name), "{}-{}", folders)

    shared = {"workdir": first, "data_dir": arguments.data_dir}
    for name in arguments.predictors:
        predictor = make_predictor(name, run_config(first), arguments.data_dir)
        yield PredictorContender(*named(name), {**shared, "predictor": name}, predictor)
    for workdir in arguments.workdirs:
        predictor = VideoFlowPredictor.of_run(workdir, arguments.checkpoint)
        source = {**shared, "workdir": workdir, "checkpoint": arguments.checkpoint}
        yield PredictorContender(*named(local_path(workdir).resolve().name), source, predictor)
    for path in arguments.predictions:
        source = {"workdir": first, "predictions": path}
        yield PredictionsContender(*named(local_path(path).stem), source, Predictions(path))


def _unique(text: str, numbered: str, taken: set[str]) -> str:
    """`text`, with a number if it is taken, whatever its capitals: some file systems do not tell them apart."""
    tried = itertools.chain([text], (numbered.format(text, n) for n in itertools.count(2)))
    found = next(name for name in tried if name.lower() not in taken)
    taken.add(found.lower())
    return found
