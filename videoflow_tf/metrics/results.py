"""Results on disk, and the lines that sum them up.

In the workdir W:

    W/eval/metrics[_FLAG-VALUE...].json    every metric by its name, measured alike: what differs from the defaults of
                                           evaluate.py is in the file's name; `protocol` is that of bits_per_pixel,
                                           the others have theirs beside their numbers, and each has its `argv`
    W/eval/metrics[...].png                the metrics frame by frame
    W/eval/temperature_sweep[...].json     `results`, a list of {temperature, the metrics by name}
    W/eval/temperature_sweep[...].png
    W/eval/measurements/                   single videos
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from videoflow_tf.files import read_json, write_json
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
    """A metric's summary as it stands in metrics.json: name -> its numbers, their `unit` and `protocol`."""
    numbers = {**numbers, "unit": metric.unit} if metric.unit else numbers
    if metric.name == _AT_THE_TOP:
        return {metric.name: numbers, "protocol": protocol.to_json()}
    return {metric.name: {**numbers, "protocol": protocol.to_json()}}


def write(arguments: EvaluateArguments, measured: list[dict[str, Any]], **values: str) -> Results:
    """Writes the metrics that were asked for, beside those that were measured alike before, and their figure.

    Args:
      arguments: what was asked for.
      measured: the metrics by name, see `named`: at each temperature of a sweep, else once.
      values: as of `RunArguments.result_name`.
    """
    names, temperatures = arguments.metrics, arguments.temperatures
    for metrics in measured:
        for name in names:
            metrics[name]["argv"] = arguments.argv()
    kind = "temperature_sweep" if temperatures else "metrics"
    target = arguments.results_dir / "eval" / f"{arguments.result_name(kind, **values)}.json"
    picture = target.with_suffix(".png")
    earlier = _read(target, len(measured))
    merged = [_measured_alike(old, new, names[0]) | new for old, new in zip(earlier, measured, strict=True)]
    if temperatures:
        results = [{"temperature": t} | metrics for t, metrics in zip(temperatures, merged, strict=True)]
        write_json(target, {"results": results})
        figures.save_sweep(picture, results)
    else:
        write_json(target, merged[0])
        if not figures.save_curves(picture, merged[0]):
            picture.unlink(missing_ok=True)  # Of metrics that are no longer in the file.
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


def _read(path: Path, count: int) -> list[dict[str, Any]]:
    """The metrics in an earlier file, of each temperature; none where it is no file of this program."""
    try:
        old = read_json(path)
        results = old.get("results", [old])
        return results if len(results) == count and all(isinstance(at, dict) for at in results) else [{}] * count
    except (OSError, ValueError, AttributeError, TypeError):
        return [{}] * count


def _measured_alike(old: dict[str, Any], new: dict[str, Any], name: str) -> dict[str, Any]:
    """The metrics of an earlier file that were measured on the same videos, by the same model and step, as `name`
    now."""
    wanted = Protocol.of_metric(new, name)
    ours = [n for n in METRICS if isinstance(old.get(n), dict) and "argv" in old[n]]
    kept = [n for n in ours if _alike(Protocol.of_metric(old, n), wanted)]
    return {n: old[n] for n in old if n in kept or (n == "protocol" and _AT_THE_TOP in kept)}


def _alike(a: Protocol, b: Protocol) -> bool:
    """Whether two metrics agree in what those of a file share and its name does not say."""
    shared = ("dataset", "data_dir", "split", "videos", "context", "seed", "step")
    if None not in (a.identity, b.identity):  # Files from before it was noted have none.
        shared += ("identity",)
    return all(getattr(a, name) == getattr(b, name) for name in shared)
