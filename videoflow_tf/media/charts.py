"""Charts: curves with their standard errors, and a curve under a film strip."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from videoflow_tf.colour import with_channels
from videoflow_tf.errors import one_line
from videoflow_tf.files import atomic_path
from videoflow_tf.media.strips import CONTEXT

_DOTS_PER_INCH = 120
_MOST_FRAMES = 12
# Points of a curve that are marked one by one, and that have error bars one by one.
_MOST_MARKERS, _MOST_BARS = 100, 20
_WIDTH = 10.0  # Inches.
_BORDER = 3.0  # Points.


class Curve(NamedTuple):
    """Points, and their error to both sides."""

    x: Sequence[float]
    y: Sequence[float]
    error: Sequence[float] | None = None


def line_chart(
    curves: Mapping[str, Curve], x_label: str, y_label: str, title: str = "", inches: tuple[float, float] = (7.0, 4.0)
) -> Figure:
    """Curves by their labels, in one diagram; a single curve with an empty label needs no legend."""
    figure = Figure(figsize=inches, layout="constrained")
    axes = figure.add_subplot()
    for label, curve in curves.items():
        plot_curve(axes, curve, label)
    finish(axes, x_label, y_label)
    axes.set_title(literal(title))
    if any(curves):
        axes.legend()
    return figure


def literal(text: str) -> str:
    """`text` for matplotlib to draw letter by letter: names in it may hold anything, and a "$" begins no formula."""
    return "\n".join(one_line(line) for line in text.split("\n")).replace("$", r"\$")


def plot_curve(axes: Axes, curve: Curve, label: str | None = None, colour: str | None = None) -> None:
    """Adds a curve to a diagram, its error as bars, or as a band where there are many points."""
    marker = "o" if len(curve.x) <= _MOST_MARKERS else ""
    style = {"marker": marker, "markersize": 4, "label": literal(label) if label else None, "color": colour}
    if curve.error is not None and len(curve.x) <= _MOST_BARS:
        axes.errorbar(curve.x, curve.y, curve.error, capsize=4, elinewidth=1, capthick=1, **style)
        return
    (line,) = axes.plot(curve.x, curve.y, **style)
    if curve.error is not None:
        low, high = np.subtract(curve.y, curve.error), np.add(curve.y, curve.error)
        axes.fill_between(curve.x, low, high, color=line.get_color(), alpha=0.2, linewidth=0)


def film_chart(frames: np.ndarray, given: int, curve: Curve, y_label: str, title: str = "") -> Figure:
    """A curve over the numbers of frames, from 1, under the frames themselves; of many frames every n-th is shown.

    Args:
      frames: uint8 [T, H, W, C].
      given: how many of the first are given to the model, and bordered as in strips.
      curve: over the numbers of frames.
      y_label: of the curve.
      title: above all.
    """
    stride = -(-len(frames) // _MOST_FRAMES)
    shown = range(0, len(frames), stride)
    first, last = 1 - stride / 2, len(frames) + stride / 2
    inches_per_frame = 0.93 * _WIDTH * stride / (last - first)
    aspect = frames.shape[2] / frames.shape[1]
    picture_height = min(inches_per_frame / aspect, 2.0)
    figure = Figure(figsize=(_WIDTH, picture_height + 3.4), layout="constrained")
    film, axes = figure.subplots(2, 1, sharex=True, height_ratios=[picture_height, 3.0])
    half = 0.47 * stride * picture_height * aspect / inches_per_frame
    for t in shown:
        film.imshow(
            with_channels(frames[t], 3),
            extent=(t + 1 - half, t + 1 + half, 0, 1),
            aspect="auto",
            interpolation="nearest",
        )
        if t < given:
            border = {"fill": False, "edgecolor": np.divide(CONTEXT, 255), "linewidth": _BORDER, "clip_on": False}
            film.add_patch(Rectangle((t + 1 - half, 0), 2 * half, 1, **border))
        film.annotate(str(t + 1), (t + 1, 1), (0, 4), textcoords="offset points", ha="center", fontsize="small")
    film.set_ylim(0, 1)
    film.set_title(literal(title), pad=20)  # Points: above the numbers.
    film.axis("off")
    plot_curve(axes, curve)
    axes.set_xlim(first, last)
    finish(axes, "frame", y_label)
    return figure


def save_chart(path: str | Path, figure: Figure) -> Path:
    """Writes a chart in the format that the suffix of `path` names."""
    path = Path(path)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=_DOTS_PER_INCH)
    return path


def svg(figure: Figure) -> str:
    """A chart as the `<svg>` element of a web page."""
    text = io.StringIO()
    figure.savefig(text, format="svg")
    return text.getvalue()[text.getvalue().index("<svg") :]


def finish(axes: Axes, x_label: str, y_label: str, whole_numbers: bool = True) -> None:
    """Labels the axes of a diagram and gives it its looks. `whole_numbers`: those alone are marked on the x axis."""
    axes.set(xlabel=literal(x_label), ylabel=literal(y_label))
    if whole_numbers:
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
