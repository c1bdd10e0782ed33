"""The figure of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from videoflow_tf.comparison.table import Row, columns, describe
from videoflow_tf.media.charts import Curve, finish, literal, plot_curve, save_chart
from videoflow_tf.protocol import Protocol
from videoflow_tf.registry import METRICS

_PANEL = (6.0, 4.0)  # Inches.
_COLUMNS = 2


def save_figure(path: Path, rows: Sequence[Row], protocol: Protocol) -> Path:
    """A diagram for each metric: frame by frame where it has such numbers, of samples the best of each video.

    Bars and error bars are standard errors; FVD's, of the draws.
    """
    metrics = [column for column in columns(rows) if column.name in METRICS]
    lines = -(-len(metrics) // _COLUMNS)
    size = min(len(metrics), _COLUMNS) * _PANEL[0], lines * _PANEL[1]
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(literal(describe(protocol)), fontsize="medium")
    panels = figure.subplots(lines, min(len(metrics), _COLUMNS), squeeze=False).ravel()
    for axes, column in zip(panels, metrics, strict=False):
        curves = {row["model"]: _curve(row, column.name) for row in rows}
        if all(curve is None for curve in curves.values()):
            _bars(axes, [row["model"] for row in rows], column.values, column.errors)
            axes.set_xlabel(literal(column.title))
            continue
        for model, curve in curves.items():
            if curve is not None:
                plot_curve(axes, curve, model)
        finish(axes, f"Frame (1 to {protocol.context} given)", column.title)
        axes.legend(fontsize="small")
    for unused in panels[len(metrics) :]:
        unused.remove()
    return save_chart(path, figure)


def _curve(row: Row, name: str) -> Curve | None:
    """None of a metric that the model lacks, or that has no number per frame."""
    result = row["metrics"].get(name, {})
    part = result.get("best", result)
    if "per_frame" not in part:
        return None
    last = Protocol.of_metric(row["metrics"], name).frames
    frames = range(last - len(part["per_frame"]) + 1, last + 1)
    return Curve(frames, part["per_frame"], part["per_frame_standard_error"])


def _bars(axes: Axes, models: Sequence[str], values: Sequence[float | None], errors: Sequence[float | None]) -> None:
    shown = [(m, v, e or 0.0) for m, v, e in zip(models, values, errors, strict=True) if v is not None]
    names, lengths, spreads = zip(*shown, strict=True)
    axes.barh(range(len(names)), lengths, xerr=spreads, capsize=4, height=0.6)
    axes.set_yticks(range(len(names)), map(literal, names))
    axes.invert_yaxis()
    axes.grid(alpha=0.3, axis="x")
    axes.spines[["top", "right"]].set_visible(False)
