"""Results on disk, and the lines that sum them up.

W/eval/metrics.json              every metric by its name; `protocol` is that of bits_per_pixel, the others have
                                 theirs beside their numbers
W/eval/curves.png                the metrics frame by frame
W/eval/temperature_sweep.json    `results`, a list of {temperature, the metrics by name}
W/eval/temperature_sweep.png
W/eval/measurements/             single videos
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from videoflow_tf.files import atomic_path
from videoflow_tf.metrics import figures


def write_metrics(folder: Path, metrics: dict[str, Any], step: int) -> list[Path]:
    """Writes `metrics` to metrics.json, beside the other metrics there of the same training step, and their curves.

    Returns:
      The files written.
    """
    target = folder / "metrics.json"
    merged = {**_of_step(target, step), **metrics}
    _write_json(target, merged)
    curves = figures.save_curves(folder / "curves.png", merged)
    return [target, *([folder / "curves.png"] if curves else [])]


def write_sweep(folder: Path, results: list[dict[str, Any]]) -> list[Path]:
    """Writes temperature_sweep.json and its figure; results: of each temperature, `temperature` and metrics by name."""
    paths = [folder / "temperature_sweep.json", folder / "temperature_sweep.png"]
    _write_json(paths[0], {"results": results})
    figures.save_sweep(paths[1], results)
    return paths


def summary(names: Sequence[str], temperatures: Sequence[float], measured: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Lines for the terminal: every metric, at each temperature of a sweep."""
    for name in names:
        for i, result in enumerate(measured):
            protocol = result[name].get("protocol") or result["protocol"]
            label = f"{name} at temperature {temperatures[i]:g}" if temperatures else name
            yield f"{label}: {_values(result[name])} ({figures.count_videos(protocol)})"


def _values(result: dict[str, Any]) -> str:
    if "best" in result:
        return ", ".join(f"{kind} {_with_error(result[kind])}" for kind in ("best", "mean", "worst"))
    if "importance_weighted" in result:
        return f"{_with_error(result)}, importance-weighted {_with_error(result['importance_weighted'])}"
    return _with_error(result)


def _with_error(result: dict[str, Any]) -> str:
    spread = result.get("standard_error", result.get("standard_deviation"))
    return f"{result['mean']:.4f}" + ("" if spread is None else f" +- {spread:.4f}")


def _of_step(path: Path, step: int) -> dict[str, Any]:
    """The metrics in an earlier file that were measured at this training step."""
    try:
        old = json.loads(path.read_text())
        if "bits_per_pixel" in old and old["protocol"]["step"] != step:
            del old["bits_per_pixel"], old["protocol"]
        others = {name: old[name] for name in old if name not in ("bits_per_pixel", "protocol")}
        stale = [name for name, result in others.items() if result["protocol"]["step"] != step]
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # None yet, or no file of this program: it is written anew.
    return {name: result for name, result in old.items() if name not in stale}


def _write_json(target: Path, value: dict[str, Any]) -> None:
    with atomic_path(target) as path:
        path.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n")
