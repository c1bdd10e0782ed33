"""Writes the parts of the pages that come from the code, docs/generated/: python docs/generate.py."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from videoflow_tf.arguments import flag_text
from videoflow_tf.config import PARTS, PRESETS, VideoFlowConfig, choices_of, help_of
from videoflow_tf.files import write_text
from videoflow_tf.media.charts import svg

FOLDER = Path(__file__).parent / "generated"

# Between levels, and a box's width and height, in units of the drawing.
_ROW, _BOX = 2.2, (2.3, 1.1)
_FRAME, _FLOW, _LATENT, _PRIOR = "#e8e8e8", "#bcd6f2", "#f9dba8", "#c8e6c4"


def draw_model(config: VideoFlowConfig) -> Figure:
    """Two frames on their way up through the levels of a model, and the priors between their latents."""
    levels = config.levels
    figure = Figure(figsize=(9.5, 1.6 * (levels + 1)), layout="constrained")
    axes = figure.add_subplot()
    # From left to right: flow and latents of the frame before, the priors, latents and flow of the frame.
    for time, flow_x, latent_x in (("t-1", 0.0, 2.9), ("t", 12.0, 9.1)):
        towards = 1 if latent_x > flow_x else -1
        _box(axes, flow_x, 0, f"$x_{{{time}}}$\n{_size(config.frame_shape)}", _FRAME)
        for level in range(levels):
            y = (level + 1) * _ROW
            _box(axes, flow_x, y, f"squeeze\n{config.depth} flow steps", _FLOW)
            _box(axes, latent_x, y, f"$z^{level + 1}_{{{time}}}$\n{_size(config.latent_shape(level))}", _LATENT)
            below = f"$h^{level}_{{{time}}}$" if level else ""
            _arrow(axes, (flow_x, y - _ROW + _BOX[1] / 2), (flow_x, y - _BOX[1] / 2), below)
            _arrow(axes, (flow_x + towards * _BOX[0] / 2, y), (latent_x - towards * _BOX[0] / 2, y))
    for level in range(levels):
        y, given = (level + 1) * _ROW, f"z^{level + 1}_{{<t}}" + (f", h^{level + 1}_t" if level < levels - 1 else "")
        _box(axes, 6.0, y, rf"$p(z^{level + 1}_t \mid {given})$", _PRIOR, 2.9)
        _arrow(axes, (2.9 + _BOX[0] / 2, y), (6.0 - 1.45, y))
        _arrow(axes, (6.0 + 1.45, y), (9.1 - _BOX[0] / 2, y))
    axes.set(xlim=(-1.3, 13.3), ylim=(-0.7, levels * _ROW + 0.7), aspect="equal")
    axes.axis("off")
    return figure


def configuration_table() -> str:
    """All fields of `VideoFlowConfig` by part, with the values of the presets that differ."""
    fields = {field.name: field for field in dataclasses.fields(VideoFlowConfig)}
    lines = []
    for part, names in PARTS.items():
        lines += [f"## {part.capitalize()}", "", "| field, flag | default | what | presets |", "|---|---|---|---|"]
        for name in names:
            choices = choices_of(name)
            what = help_of(name).replace("|", r"\|") + (f": `{'`, `'.join(choices)}`" if choices else "")
            values = {preset: getattr(config, name) for preset, config in PRESETS.items()}
            other = ", ".join(f"{p} `{flag_text(v)}`" for p, v in values.items() if v != fields[name].default)
            lines.append(f"| `{name}` | {_code(flag_text(fields[name].default))} | {what} | {other} |")
        lines.append("")
    return "\n".join(lines)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _size(shape: tuple[int, int, int]) -> str:
    return r"{} $\times$ {} $\times$ {}".format(*shape)


def _box(axes: Axes, x: float, y: float, text: str, colour: str, width: float = _BOX[0]) -> None:
    style = {"boxstyle": "round,pad=0.02,rounding_size=0.15", "facecolor": colour, "edgecolor": "#444444"}
    axes.add_patch(FancyBboxPatch((x - width / 2, y - _BOX[1] / 2), width, _BOX[1], **style))
    axes.text(x, y, text, ha="center", va="center", fontsize=9)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], label: str = "") -> None:
    axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": "#444444"})
    if label:
        axes.text(start[0] + 0.15, (start[1] + end[1]) / 2, label, va="center", fontsize=9)


def main() -> None:
    """Writes them."""
    FOLDER.mkdir(exist_ok=True)
    write_text(FOLDER / "model.svg", svg(draw_model(PRESETS["bair"])))
    write_text(FOLDER / "configuration.md", configuration_table())


if __name__ == "__main__":
    main()
