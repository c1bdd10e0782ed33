"""The training curves of a run, read from TensorBoard's event files."""

from __future__ import annotations

from pathlib import Path

from videoflow_tf.media.charts import Curve, line_chart, svg
from videoflow_tf.units import BITS_LABEL

PARTS = ("train", "validation")
_INCHES = (5.0, 3.2)  # Small: on a phone they are shown smaller still, letters included.
# Of tags that their words alone do not explain.
_LABELS = {"bits_per_pixel": BITS_LABEL, "reconstruction_error": "reconstruction error (grey levels)"}


def read_scalars(folder: Path) -> dict[str, Curve]:
    """The scalars of a folder of event files by their tags, over the training step; empty if there are none.

    Of a step that a resumed run went through again, the later value counts.
    """
    from tensorboard.backend.event_processing.event_accumulator import TENSORS, EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    if not folder.is_dir():
        return {}
    events = EventAccumulator(str(folder), size_guidance={TENSORS: 0}).Reload()
    curves = {}
    for tag in events.Tags()["tensors"]:
        if events.SummaryMetadata(tag).plugin_data.plugin_name != "scalars":
            continue
        # The names of files written within a second need not be in their order.
        tensors = sorted(events.Tensors(tag), key=lambda event: event.wall_time)
        points = {event.step: float(make_ndarray(event.tensor_proto)) for event in tensors}
        steps = sorted(points)
        curves[tag] = Curve(steps, [points[step] for step in steps])
    return curves


def curve_charts(workdir: Path) -> list[str]:
    """An `<svg>` for every scalar of the run, training and validation together."""
    parts = {part: read_scalars(workdir / "tensorboard" / part) for part in PARTS}
    tags = sorted({tag for curves in parts.values() for tag in curves})
    charts = []
    for tag in tags:
        curves = {part: curves[tag] for part, curves in parts.items() if tag in curves}
        label = _LABELS.get(tag, tag.replace("_", " ").replace("/", ", "))
        charts.append(svg(line_chart(curves, "training step", label, label.capitalize(), inches=_INCHES)))
    return charts
