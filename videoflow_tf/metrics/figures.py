"""Figures of metrics: curves over frames, and over temperatures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from videoflow_tf.media.charts import Curve, finish, literal, plot_curve, save_chart
from videoflow_tf.protocol import Protocol
from videoflow_tf.registry import METRICS

_COLOURS = {"best": "tab:green", "mean": "tab:blue", "worst": "tab:red"}
_PANEL = (5.0, 4.0)  # Inches.
_MOST_COLUMNS = 3


def save_curves(path: Path, metrics: dict[str, Any]) -> None:
    """Draws each metric's mean over videos frame by frame, with its standard error. Frames are counted from 1.

    Nothing is written where there is nothing to draw, as FVD has no value per frame.

    Args:
      metrics: as in the file of metrics.
    """
    names = [name for name, result in metrics.items() if name != "protocol" and {"best", "per_frame"} & result.keys()]
    if not names:
        return
    for axes, name in _panels(names):
        protocol, curves = Protocol.of_metric(metrics, name), {}
        for kind, part in _parts(metrics[name]).items():
            # Scored frames are the last ones: all after the context, unless the context is scored as well.
            frames = range(protocol.frames - len(part["per_frame"]) + 1, protocol.frames + 1)
            curves[kind] = Curve(frames, part["per_frame"], part["per_frame_standard_error"])
        given = f"Frame (1 to {protocol.context} given)" if protocol.context > 1 else "Frame (the first given)"
        _draw(axes, name, curves, protocol, "standard error" if protocol.videos > 1 else None, given)
    save_chart(path, axes.figure)


def save_sweep(path: Path, results: list[dict[str, Any]]) -> None:
    """Draws each metric over the temperature: mean over videos and its standard error; for FVD over draws, with spread.

    Args:
      results: of each temperature: `temperature`, and metrics by name.
    """
    temperatures = [result["temperature"] for result in results]
    for axes, name in _panels(name for name in results[0] if name != "temperature"):
        curves, parts = {}, [_parts(result[name]) for result in results]
        for kind in parts[0]:
            points = [part[kind] for part in parts]
            errors = [spread(point) for point in points]
            drawn = None not in errors
            curves[kind] = Curve(temperatures, [point["mean"] for point in points], errors if drawn else None)
        of_what = "standard deviation over draws" if "standard_deviation" in points[0] else "standard error"
        protocol = dataclasses.replace(Protocol.of_metric(results[0], name), temperature=None)
        _draw(axes, name, curves, protocol, of_what if drawn else None, "Temperature (factor of sigma)", False)
    save_chart(path, axes.figure)


def spread(result: dict[str, Any]) -> float | None:
    """The standard error of a mean over videos, or the standard deviation of one over draws; None of a single one."""
    return result.get("standard_error", result.get("standard_deviation"))


def _parts(result: dict[str, Any]) -> dict[str | None, dict[str, Any]]:
    """The best, the mean and the worst of a result; itself, without a name, where it has none of them."""
    return {kind: result[kind] for kind in _COLOURS} if "best" in result else {None: result}


def _draw(
    axes: Axes,
    name: str,
    curves: dict[str | None, Curve],
    protocol: Protocol,
    spreads: str | None,
    x_label: str,
    whole_numbers: bool = True,
) -> None:
    """The diagram of a metric, labelled by its name if it was measured with one that is not registered here and now."""
    for kind, curve in curves.items():
        plot_curve(axes, curve, kind, _COLOURS[kind or "mean"])
    axes.set_title(literal(protocol.videos_text + (f"\nwith {spreads}" if spreads else "")), fontsize="medium")
    finish(axes, x_label, METRICS[name].axis_label() if name in METRICS else name, whole_numbers=whole_numbers)
    if None not in curves:
        axes.legend()


def _panels(names: Iterable[str]) -> list[tuple[Axes, str]]:
    """Axes in one figure for the metrics of these names, in the order of the registry."""
    order = [*METRICS]
    names = sorted(names, key=lambda name: order.index(name) if name in order else len(order))
    count = len(names)
    columns = 2 if count == 4 else min(count, _MOST_COLUMNS)
    rows = -(-count // columns)
    figure = Figure(figsize=(columns * _PANEL[0], rows * _PANEL[1]), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)  # Inches.
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for unused in grid[count:]:
        unused.remove()
    return list(zip(grid[:count], names, strict=True))
