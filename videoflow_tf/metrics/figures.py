"""Figures of metrics: curves over frames, and over temperatures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoflow_tf.media.charts import Curve, finish, plot_curve, save_chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Metric -> the label of its axis, unit in brackets.
_LABELS = {
    "bits_per_pixel": "Likelihood (bits per pixel)",
    "psnr": "PSNR (dB)",
    "ssim": "SSIM (1: equal)",
    "vgg_cosine": "VGG cosine similarity (1: equal)",
    "fvd": "FVD (squared distance of I3D logits)",
    "diversity": "Pairwise RMS pixel difference (of 255)",
    "vgg_diversity": "Pairwise VGG cosine distance",
}
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
    names = [name for name in _LABELS if {"best", "per_frame"} & metrics.get(name, {}).keys()]
    if not names:
        return False
    figure, axes = _panels(len(names))
    for axis, name in zip(axes, names, strict=True):
        result = metrics[name]
        protocol = result.get("protocol") or metrics["protocol"]
        for kind, colour in _kinds(result):
            curve = result[kind] if kind else result
            # Scored frames are the last ones: all after the context, unless the context is scored as well.
            frames = range(protocol["frames"] - len(curve["per_frame"]) + 1, protocol["frames"] + 1)
            plot_curve(axis, Curve(frames, curve["per_frame"], curve["per_frame_standard_error"]), kind, colour)
        context = protocol["context"]
        _title(axis, protocol, "standard error" if protocol["videos"] > 1 else None)
        finish(axis, f"Frame (1 to {context} given)" if context > 1 else "Frame (the first given)", _LABELS[name])
        _legend(axis, result)
    save_chart(path, figure)
    return True


def save_sweep(path: Path, results: list[dict[str, Any]]) -> None:
    """Draws each metric over the temperature: mean over videos and its standard error; for FVD over draws, with spread.

    Args:
      results: of each temperature: `temperature`, and metrics by name.
    """
    names = [name for name in _LABELS if name in results[0]]
    temperatures = [result["temperature"] for result in results]
    figure, axes = _panels(len(names))
    for axis, name in zip(axes, names, strict=True):
        for kind, colour in _kinds(results[0][name]):
            points = [result[name][kind] if kind else result[name] for result in results]
            errors = [point.get("standard_error", point.get("standard_deviation")) for point in points]
            means = [point["mean"] for point in points]
            plot_curve(axis, Curve(temperatures, means, None if None in errors else errors), kind, colour)
        protocol = results[0][name]["protocol"]
        spreads = "standard deviation over draws" if name == "fvd" else "standard error"
        _title(axis, protocol, spreads if protocol["samples" if name == "fvd" else "videos"] > 1 else None)
        finish(axis, "Temperature (factor of sigma)", _LABELS[name], whole_numbers=False)
        _legend(axis, results[0][name])
    save_chart(path, figure)


def _kinds(result: dict[str, Any]) -> list[tuple[str | None, str]]:
    """The curves of a result and their colours; one without a name where it has no best and worst."""
    return list(_KINDS.items()) if "best" in result else [(None, _KINDS["mean"])]


def count_videos(protocol: dict[str, Any]) -> str:
    """ "256 test videos"."""
    return f"{protocol['videos']} {protocol['split']} video" + "s" * (protocol["videos"] > 1)


def _count(protocol: dict[str, Any]) -> str:
    return count_videos(protocol) + (f", {protocol['samples']} samples each" if "samples" in protocol else "")


def _title(axis: Axes, protocol: dict[str, Any], spread: str | None) -> None:
    axis.set_title(_count(protocol) + (f"\nwith {spread}" if spread else ""), fontsize="medium")


def _legend(axis: Axes, result: dict[str, Any]) -> None:
    if "best" in result:
        axis.legend()


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    columns = 2 if count == 4 else min(count, _MOST_COLUMNS)
    rows = -(-count // columns)
    figure = Figure(figsize=(columns * _PANEL[0], rows * _PANEL[1]), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)  # Inches.
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for unused in grid[count:]:
        unused.remove()
    return figure, list(grid[:count])
