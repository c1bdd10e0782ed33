"""Results on disk, and the lines that sum them up.

W/eval/metrics.json              every metric by its name; `protocol` is that of bits_per_pixel, the others have
                                 theirs beside their numbers
W/eval/curves.png                the metrics frame by frame
W/eval/temperature_sweep.json    `results`, a list of {temperature, the metrics by name}
W/eval/temperature_sweep.png
W/eval/measurements/             single videos
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from videoflow_tf.files import read_json, write_json
from videoflow_tf.metrics import figures
from videoflow_tf.protocol import Protocol

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


def named(name: str, numbers: dict[str, Any], protocol: Protocol) -> dict[str, Any]:
    """A metric's summary as it stands in metrics.json: name -> its numbers and `protocol`."""
    if name == _AT_THE_TOP:
        return {name: numbers, "protocol": protocol.to_json()}
    return {name: {**numbers, "protocol": protocol.to_json()}}


def write(
    folder: Path, names: Sequence[str], measured: list[dict[str, Any]], temperatures: Sequence[float] | None, step: int
) -> Results:
    """Writes metrics that were measured at this training step; with temperatures, as a sweep over them."""
    if temperatures:
        paths = write_sweep(folder, [{"temperature": t, **m} for t, m in zip(temperatures, measured, strict=True)])
    else:
        paths = write_metrics(folder, measured[0], step)
    return Results(measured, paths, list(summary(names, temperatures, measured)))


def write_metrics(folder: Path, metrics: dict[str, Any], step: int) -> list[Path]:
    """Writes `metrics` to metrics.json, beside the other metrics there of the same training step, and their curves.

    Returns:
      The files written.
    """
    target = folder / "metrics.json"
    merged = {**_of_step(target, step), **metrics}
    write_json(target, merged)
    curves = figures.save_curves(folder / "curves.png", merged)
    return [target, *([folder / "curves.png"] if curves else [])]


def write_sweep(folder: Path, results: list[dict[str, Any]]) -> list[Path]:
    """Writes temperature_sweep.json and its figure; results: of each temperature, `temperature` and metrics by name."""
    paths = [folder / "temperature_sweep.json", folder / "temperature_sweep.png"]
    write_json(paths[0], {"results": results})
    figures.save_sweep(paths[1], results)
    return paths


def summary(names: Sequence[str], temperatures: Sequence[float], measured: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Lines for the terminal: every metric, at each temperature of a sweep."""
    for name in names:
        for i, result in enumerate(measured):
            label = f"{name} at temperature {temperatures[i]:g}" if temperatures else name
            yield f"{label}: {_values(result[name])} ({Protocol.of_metric(result, name).videos_text})"


def _values(result: dict[str, Any]) -> str:
    if "best" in result:
        return ", ".join(f"{kind} {_with_error(result[kind])}" for kind in ("best", "mean", "worst"))
    if "importance_weighted" in result:
        return f"{_with_error(result)}, importance-weighted {_with_error(result['importance_weighted'])}"
    return _with_error(result)


def _with_error(result: dict[str, Any]) -> str:
    spread = figures.spread(result)
    return f"{result['mean']:.4f}" + ("" if spread is None else f" +- {spread:.4f}")


def _of_step(path: Path, step: int) -> dict[str, Any]:
    """The metrics in an earlier file that were measured at this training step."""
    try:
        old = read_json(path)
        names = [name for name in old if name != "protocol"]
        kept = [name for name in names if Protocol.of_metric(old, name).step == step]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # None yet, or no file of this program: it is written anew.
    return {name: old[name] for name in old if name in kept or (name == "protocol" and _AT_THE_TOP in kept)}
