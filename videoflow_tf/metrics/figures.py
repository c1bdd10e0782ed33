"""Figures of metrics: curves over frames, and over temperatures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoflow_tf.media.charts import Curve, finish, plot_curve, save_chart
from videoflow_tf.protocol import Protocol
from videoflow_tf.registry import METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_KINDS = {"best": "tab:green", "mean": "tab:blue", "worst": "tab:red"}
_PANEL = (5.0, 4.0)  # Inches.
_MOST_COLUMNS = 3


def save_curves(path: Path, metrics: dict[str, Any]) -> bool:
    """Draws each metric's mean over videos frame by frame, with its standard error. Frames are counted from 1.

    Args:
      metrics: as in metrics.json.

    Returns:
      False if there is nothing to draw, as FVD has no value per frame.
    """
    names = [name for name, result in metrics.items() if name != "protocol" and {"best", "per_frame"} & result.keys()]
    if not names:
        return False
    for axis, name in _panels(names):
        result, protocol = metrics[name], Protocol.of_metric(metrics, name)
        for kind, colour in _kinds(result):
            curve = result[kind] if kind else result
            # Scored frames are the last ones: all after the context, unless the context is scored as well.
            frames = range(protocol.frames - len(curve["per_frame"]) + 1, protocol.frames + 1)
            plot_curve(axis, Curve(frames, curve["per_frame"], curve["per_frame_standard_error"]), kind, colour)
        context = protocol.context
        _title(axis, protocol, "standard error" if protocol.videos > 1 else None)
        finish(axis, f"Frame (1 to {context} given)" if context > 1 else "Frame (the first given)", _label(name))
        _legend(axis, result)
    save_chart(path, axis.figure)
    return True


def save_sweep(path: Path, results: list[dict[str, Any]]) -> None:
    """Draws each metric over the temperature: mean over videos and its standard error; for FVD over draws, with spread.

    Args:
      results: of each temperature: `temperature`, and metrics by name.
    """
    temperatures = [result["temperature"] for result in results]
    for axis, name in _panels(name for name in results[0] if name != "temperature"):
        for kind, colour in _kinds(results[0][name]):
            points = [result[name][kind] if kind else result[name] for result in results]
            errors = [spread(point) for point in points]
            drawn = None not in errors
            curve = Curve(temperatures, [point["mean"] for point in points], errors if drawn else None)
            plot_curve(axis, curve, kind, colour)
        of_what = "standard deviation over draws" if "standard_deviation" in points[0] else "standard error"
        _title(axis, Protocol.of_metric(results[0], name), of_what if drawn else None)
        finish(axis, "Temperature (factor of sigma)", _label(name), whole_numbers=False)
        _legend(axis, results[0][name])
    save_chart(path, axis.figure)


def spread(result: dict[str, Any]) -> float | None:
    """The standard error of a mean over videos, or the standard deviation of one over draws; None of a single one."""
    return result.get("standard_error", result.get("standard_deviation"))


def _label(name: str) -> str:
    """That of the metric; its name, if it was measured with a metric that is not registered here and now."""
    return METRICS[name].axis_label() if name in METRICS else name


def _kinds(result: dict[str, Any]) -> list[tuple[str | None, str]]:
    """The curves of a result and their colours; one without a name where it has no best and worst."""
    return list(_KINDS.items()) if "best" in result else [(None, _KINDS["mean"])]


def _title(axis: Axes, protocol: Protocol, spreads: str | None) -> None:
    samples = f", {protocol.samples} samples each" if protocol.samples else ""
    axis.set_title(protocol.videos_text + samples + (f"\nwith {spreads}" if spreads else ""), fontsize="medium")


def _legend(axis: Axes, result: dict[str, Any]) -> None:
    if "best" in result:
        axis.legend()


def _panels(names: Iterable[str]) -> list[tuple[Axes, str]]:
    """Axes in one figure for the metrics of these names, in the order of the registry."""
    from matplotlib.figure import Figure

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
