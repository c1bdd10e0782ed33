"""The web page of a run: curves, results, pictures, configuration, commands; one file that needs no network."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

from videoflow_tf.config import PARTS, VideoFlowConfig, help_of
from videoflow_tf.files import read_json
from videoflow_tf.metrics.results import in_words
from videoflow_tf.protocol import Protocol
from videoflow_tf.registry import METRICS
from videoflow_tf.report import html
from videoflow_tf.report.commands import result_commands, train_command
from videoflow_tf.report.curves import curve_charts
from videoflow_tf.training.validation import Validations
from videoflow_tf.units import BITS_LABEL, counted
from videoflow_tf.workdir import began_with, find_run, latest_checkpoint, read_history, run_config

_LONGEST_LIST = 16
# Pictures that training drew; of those before the last only a few strips are shown.
_TRAINING_PICTURE = re.compile(r"step-(\d+)_video-\d+$")
_EARLIER_STEPS = 4
# What a picture of a single video of a set of samples ends with.
_VIDEO = re.compile(r"_video-(\d+)$")
_SHOWN_VIDEOS = 4
_PLUS_MINUS = "\N{NO-BREAK SPACE}\N{PLUS-MINUS SIGN}\N{NO-BREAK SPACE}"


def report_page(workdir: str | Path, output_dir: str | Path | None = None) -> str:
    """HTML about the run in `workdir`: what is there is shown, what is not is left out.

    `output_dir`: a folder in which commands have put results and samples instead of the run's own; these are shown too.

    Raises:
      UserError: `workdir` is no run, or one of its results is no JSON.
    """
    named, workdir = workdir, find_run(workdir)
    config = run_config(workdir)
    folders = list(dict.fromkeys([workdir, Path(output_dir or named)]))
    results = {path: read_json(path) for folder in folders for path in sorted((folder / "eval").glob("*.json"))}
    protocols = {path: read_json(path) for folder in folders for path in sorted((folder / "samples").glob("*.json"))}
    history = read_history(workdir)
    commands = [*result_commands(history)]
    if not (history and history[0]["step"] == 0 and "argv" in history[0]):  # Started from Python, or long ago.
        commands.insert(0, train_command(config, str(named), began_with(workdir)))
    for result in (results | protocols).values():
        commands += result_commands(result)
    latest = latest_checkpoint(workdir)
    step = 0 if latest is None else latest[1]
    headlines = _headlines(workdir, results.values(), step)
    sections = {
        "Results": headlines + "".join(_results(results, folder / "eval") for folder in folders),
        "Samples": "".join(_samples(folder / "samples") for folder in folders),
        "Training": _curves(workdir),
        "Configuration": _configuration(config),
        "Commands to repeat it": "<pre>" + escape("\n".join(dict.fromkeys(commands))) + "</pre>",
    }
    title = f"VideoFlow: {workdir.resolve().name}"
    height, width, channels = config.frame_shape
    kind = "pixels" if channels == 3 else "grey pixels"
    summary = f"Dataset {config.dataset}, {height} x {width} {kind}, {counted(config.num_context, 'frame')} "
    summary += f"given; {step:,} of {counted(config.train_steps, 'training step')}."
    return html.page(title, summary, sections)


def _curves(workdir: Path) -> str:
    charts = curve_charts(workdir)
    return f'<div class="curves">{"".join(charts)}</div>' if charts else ""


def _headlines(workdir: Path, results: Iterable[Any], step: int) -> str:
    """A table of what was measured: the mean of every metric, but for sweeps, and the best of the validation split."""
    best = Validations(workdir, step).best
    rows = []
    if best is not None:
        where = f"validation split, the best of the training: step {best[0]:,}"
        rows.append((BITS_LABEL.capitalize(), f"{best[1]:.4f}", where))
    for result in results:
        with contextlib.suppress(TypeError, KeyError, ValueError, AttributeError):  # No file of metrics.
            rows += [_headline(result, name, step) for name in METRICS if name in result]
    return html.table(rows, ("metric", "mean", "measured on"), "words") if rows else ""


def _headline(metrics: dict[str, Any], name: str, step: int) -> tuple[str, str, str]:
    values, where = in_words(metrics, name)
    protocol = Protocol.of_metric(metrics, name)
    if protocol.data_dir is not None:
        where += f"; from {protocol.data_dir}"
    if protocol.predictor is not None:
        where += f"; of {protocol.predictor}"
    elif protocol.step != step:
        where += f"; at step {protocol.step:,}"
    return METRICS[name].axis_label(), values.replace(" +- ", _PLUS_MINUS), where


def _results(results: dict[Path, Any], folder: Path) -> str:
    """For every file in a folder the pictures that go by its name, and its numbers folded away; then other pictures."""
    pictures = html.pictures(folder)
    parts = []
    for path in (path for path in results if path.parent == folder):
        own = [picture for picture in pictures if picture.stem == path.stem]
        pictures = [picture for picture in pictures if picture not in own]
        parts.append(f"<h3>{escape(path.stem.replace('_', ' '))}</h3>")
        parts += [html.figure(picture) for picture in own]
        parts.append(_result_tables(results[path]))
    return "".join(parts + [html.figure(picture) for picture in pictures])


def _result_tables(result: Any) -> str:
    """The numbers, and how they were made, folded away."""
    leaves = [(name, _number(value)) for name, value in _flat(result)]
    how = [leaf for leaf in leaves if {"protocol", "argv"} & set(leaf[0].split(" / "))]
    parts = {"All numbers": [leaf for leaf in leaves if leaf not in how], "Protocol": how}
    return "".join(html.folded(title, html.table(rows, ("quantity", "value"))) for title, rows in parts.items() if rows)


def _samples(folder: Path) -> str:
    """The pictures of the first videos of each set of samples; of those that training drew in passing only a few."""
    steps: dict[int, list[Path]] = {}
    drawn: dict[str, list[Path]] = {}
    for picture in html.pictures(folder):
        match = _TRAINING_PICTURE.match(picture.stem)
        if match:
            steps.setdefault(int(match[1]), []).append(picture)
        else:
            drawn.setdefault(_VIDEO.sub("", picture.stem), []).append(picture)
    parts = []
    for pictures in drawn.values():
        pictures.sort(key=_video_number)
        first = sorted({_video_number(picture) for picture in pictures})[:_SHOWN_VIDEOS]
        shown = [picture for picture in pictures if _video_number(picture) in first]
        if "_grid" in shown[-1].stem:
            shown = shown[-1:]  # The PNG beside an animation is its last frame.
        parts += map(html.figure, shown)
        if _video_number(pictures[-1]) not in first:
            parts.append(f"<p>Pictures of further videos are in {escape(str(folder))}.</p>")
    if steps:
        *earlier, last = sorted(steps)
        parts += [f"<h3>While training, step {last:,}</h3>", *map(html.figure, steps[last])]
        stride = -(-len(earlier) // _EARLIER_STEPS) or 1
        for step in earlier[::stride]:
            parts.append(html.folded(f"Step {step:,}", html.figure(steps[step][0])))
    return "".join(parts)


def _video_number(picture: Path) -> int:
    """In the name of a picture of one video; 0 of a picture of several."""
    match = _VIDEO.search(picture.stem)
    return int(match[1]) if match else 0


def _configuration(config: VideoFlowConfig) -> str:
    """A table for each part of the configuration, folded away."""
    default = VideoFlowConfig()
    parts = []
    for part, names in PARTS.items():
        rows = []
        for name in names:
            value, usual = getattr(config, name), getattr(default, name)
            rows.append((name, str(value), str(usual) if value != usual else "", help_of(name)))
        table = html.table(rows, ("field", "value", "bair preset", "meaning"))
        parts.append(html.folded(f"{part.capitalize()}: {len(rows)} fields", table))
    return "".join(parts)


def _flat(value: Any, name: str = "") -> list[tuple[str, Any]]:
    """The leaves of nested JSON objects with the path to each."""
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        value = {str(i + 1): item for i, item in enumerate(value)}
    if not isinstance(value, dict):
        return [(name, value)]
    return [leaf for key, inner in value.items() for leaf in _flat(inner, f"{name} / {key}" if name else key)]


def _number(value: Any) -> str:
    if isinstance(value, list):
        if len(value) > _LONGEST_LIST or any(isinstance(item, list) for item in value):
            return f"{counted(len(value), 'value')}, in the file"
        return ", ".join(_number(item) for item in value)
    if isinstance(value, float):
        return f"{value:.5g}"
    return "none" if value is None else str(value)
