"""Results on disk, and the lines that sum them up.

In the workdir W:

    W/eval/metrics[_FLAG-VALUE...].json    every metric by its name, measured alike: what differs from the defaults of
                                           evaluate.py is in the file's name, the training step where the result of
                                           another one has the name, and a number where that of another model, or of
                                           other videos, has it; `protocol` is that of bits_per_pixel, the others have
                                           theirs beside their numbers, and each has its `argv`
    W/eval/metrics[...].png                the metrics frame by frame
    W/eval/temperature_sweep[...].json     `results`, a list of {temperature, the metrics by name}
    W/eval/temperature_sweep[...].png
    W/eval/measurements/                   single videos
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from videoflow_tf.files import own_stem, read_json, write_json
from videoflow_tf.metrics import figures
from videoflow_tf.metrics.arguments import EvaluateArguments
from videoflow_tf.metrics.metric import Metric
from videoflow_tf.protocol import Protocol
from videoflow_tf.registry import METRICS
from videoflow_tf.units import BITS_UNIT, counted

_AT_THE_TOP = "bits_per_pixel"  # The metric whose protocol stands at the top level.


class Results(NamedTuple):
    """What was measured, and where it is."""

    measured: list[dict[str, Any]]  # The metrics by name, as in the files: at each temperature of a sweep, else once.
    paths: list[Path]  # The files written.
    lines: list[str]  # The means, to be read.

    @property
    def metrics(self) -> dict[str, Any]:
        """The metrics by name; of a sweep those at the lowest temperature."""
        return self.measured[0]


def named(metric: Metric, numbers: dict[str, Any], protocol: Protocol) -> dict[str, Any]:
    """A metric's summary as it stands in the file: name -> its numbers, their `unit` and `protocol`."""
    numbers = {**numbers, "unit": metric.unit} if metric.unit else numbers
    if metric.name == _AT_THE_TOP:
        return {metric.name: numbers, "protocol": protocol.to_json()}
    return {metric.name: {**numbers, "protocol": protocol.to_json()}}


def write(arguments: EvaluateArguments, measured: list[dict[str, Any]], **values: str) -> Results:
    """Writes the metrics that were asked for, beside those that were measured alike before, and their figure.

    Args:
      arguments: what was asked for.
      measured: the metrics by name, see `named`: at each temperature of a sweep, else once.
      values: as of `Arguments.result_name`.
    """
    names, temperatures = arguments.metrics, arguments.temperatures
    for metrics in measured:
        for name in names:
            metrics[name]["argv"] = arguments.argv()
    kind = "temperature_sweep" if temperatures else "metrics"
    stem = arguments.results_dir / "eval" / arguments.result_name(kind, **values)
    stem = own_stem(
        stem, functools.partial(_is_alike, measured, names[0]), Protocol.of_metric(measured[0], names[0]).step_mark
    )
    target, picture = Path(f"{stem}.json"), Path(f"{stem}.png")
    earlier = _at_each(read_json(target)) if target.exists() else [{}] * len(measured)
    merged = [old | new for old, new in zip(earlier, measured, strict=True)]
    if temperatures:
        results = [{"temperature": t} | metrics for t, metrics in zip(temperatures, merged, strict=True)]
        write_json(target, {"results": results})
        figures.save_sweep(picture, results)
    else:
        write_json(target, merged[0])
        figures.save_curves(picture, merged[0])
    paths = [path for path in (target, picture) if path.exists()]
    return Results(measured, paths, list(summary(names, measured)))


def summary(names: Sequence[str], measured: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Lines for the terminal: every metric, at each temperature of a sweep."""
    for name in names:
        for result in measured:
            values, where = in_words(result, name)
            unit = f" {BITS_UNIT}" if name == _AT_THE_TOP else ""
            yield f"{name}: {values}{unit} ({where})"


def in_words(metrics: dict[str, Any], name: str) -> tuple[str, str]:
    """The means of a metric with their errors, and what they were measured on.

    Raises:
      KeyError, TypeError or the like: there is no such metric, or it was not written by this program.
    """
    lost = metrics[name].get("not_finite", 0)
    left_out = f"; {counted(lost, 'sample')} left out as not finite" if lost else ""
    return _values(metrics[name]), f"{Protocol.of_metric(metrics, name).videos_text}{left_out}"


def _values(result: dict[str, Any]) -> str:
    if "best" in result:
        return ", ".join(f"{kind} {_with_error(result[kind])}" for kind in ("best", "mean", "worst"))
    if "importance_weighted" in result:
        return f"{_with_error(result)}, importance-weighted {_with_error(result['importance_weighted'])}"
    if "debiased" in result:
        return f"{_with_error(result)}, debiased {_with_error(result['debiased'])}"
    return _with_error(result)


def _with_error(result: dict[str, Any]) -> str:
    spread = figures.spread(result)
    return f"{result['mean']:.4f}" + ("" if spread is None else f" +- {spread:.4f}")


def _at_each(result: dict[str, Any]) -> list[dict[str, Any]]:
    """The metrics in a file by name, at each temperature of a sweep."""
    return result.get("results", [result])


def _is_alike(measured: list[dict[str, Any]], name: str, result: dict[str, Any]) -> bool:
    """Whether the metrics in a file may stand beside those just measured, of which `name` is one.

    Those that were measured again, with all the same settings; the others, on the same videos and model as `name`.
    """
    for old, new in zip(_at_each(result), measured, strict=True):
        names = [n for n in METRICS if n in old]
        for n in names:
            before, now = Protocol.of_metric(old, n), Protocol.of_metric(new, n if n in new else name)
            alike = before.is_like(now) if n in new else all(getattr(before, f) == getattr(now, f) for f in _SHARED)
            if not alike or "argv" not in old[n]:
                return False
        if not names:
            return False
    return True


# What metrics in one file share and its name does not say.
_SHARED = ("dataset", "split", "videos", "videos_digest", "context", "seed", "step", "identity")
