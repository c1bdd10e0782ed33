"""The web page of a run: curves, results, pictures, configuration, commands; one file that needs no network."""

from __future__ import annotations

import base64
import contextlib
import re
from html import escape
from pathlib import Path
from typing import Any

from videoflow_tf.config import PARTS, VideoFlowConfig, help_of
from videoflow_tf.files import read_json
from videoflow_tf.protocol import Protocol
from videoflow_tf.registry import METRICS
from videoflow_tf.report.commands import result_commands, train_command
from videoflow_tf.report.curves import curve_charts
from videoflow_tf.workdir import latest_checkpoint, run_config

_MIME = {".png": "image/png", ".gif": "image/gif"}
_LONGEST_LIST = 16
# Pictures that training drew; of those before the last only a few strips are shown.
_TRAINING_PICTURE = re.compile(r"step-(\d+)_video-\d+$")
_EARLIER_STEPS = 4

_STYLE = """
body { margin: 0 auto; max-width: 76rem; padding: 1rem; font: 16px/1.5 system-ui, sans-serif; color: #1b1b1b; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #bbb; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
td, th { padding: 0.2rem 0.8rem 0.2rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #ddd; }
td.value { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 1rem; }
.curves svg { width: 100%; height: auto; }
figure { margin: 1rem 0; overflow-x: auto; } figure img { display: block; max-width: max(100%, 48rem); }
figcaption { font-size: 0.9rem; color: #444; overflow-wrap: anywhere; }
pre { padding: 0.8rem; overflow-x: auto; background: #f2f2f2; white-space: pre-wrap; overflow-wrap: anywhere; }
summary { cursor: pointer; font-weight: 600; }
"""


def report_page(workdir: str | Path) -> str:
    """HTML about the run in `workdir`: what is there is shown, what is not is left out.

    Raises:
      UserError: `workdir` is no run, or one of its results is no JSON.
    """
    workdir = Path(workdir)
    config = run_config(workdir)
    results = {path: read_json(path) for path in sorted((workdir / "eval").glob("*.json"))}
    protocols = {path: read_json(path) for path in sorted((workdir / "samples").glob("*.json"))}
    commands = [train_command(config, str(workdir))]
    for result in (results | protocols).values():
        commands += result_commands(result)
    sections = {
        "Training": _curves(workdir),
        "Results": _results(results, workdir / "eval"),
        "Samples": _samples(workdir / "samples"),
        "Configuration": _configuration(config),
        "Commands to repeat it": "<pre>" + escape("\n".join(dict.fromkeys(commands))) + "</pre>",
    }
    latest = latest_checkpoint(workdir)
    step = 0 if latest is None else latest[1]
    title = f"VideoFlow: {workdir.resolve().name}"
    height, width, channels = config.frame_shape
    kind = "pixels" if channels == 3 else "grey pixels"
    summary = f"Dataset {config.dataset}, {height} x {width} {kind}, {config.num_context} "
    summary += f"frame{'s' * (config.num_context > 1)} given; {step:,} of {config.train_steps:,} training steps."
    body = "".join(f"<section><h2>{name}</h2>{content}</section>\n" for name, content in sections.items() if content)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1><p>{escape(summary)}</p>\n{body}</body></html>\n"
    )


def _curves(workdir: Path) -> str:
    charts = curve_charts(workdir)
    return f'<div class="curves">{"".join(charts)}</div>' if charts else ""


def _results(results: dict[Path, Any], folder: Path) -> str:
    """A table for every file, above the pictures that go by its name; then the other pictures."""
    pictures = _pictures(folder)
    parts = []
    for path, result in results.items():
        own = [picture for picture in pictures if picture.stem == path.stem]
        pictures = [picture for picture in pictures if picture not in own]
        parts.append(f"<h3>{escape(path.stem.replace('_', ' '))}</h3>")
        parts += [_figure(picture) for picture in own]
        parts += [f"<p>{escape(text)}</p>" for text in _protocol_texts(result)]
        parts.append(_result_tables(result))
    return "".join(parts + [_figure(picture) for picture in pictures])


def _protocol_texts(result: Any) -> list[str]:
    """What was measured, in a line for each protocol in a file of metrics: the videos, samples and temperatures."""
    texts: dict[str, list[str]] = {}
    with contextlib.suppress(TypeError, KeyError, ValueError, AttributeError):  # No file of metrics.
        for metrics in result.get("results", [result]):
            for name in METRICS:
                if name in metrics:
                    names = texts.setdefault(Protocol.of_metric(metrics, name).videos_text, [])
                    names += [] if name in names else [name]
    return [f"{', '.join(names)}: {text}" for text, names in texts.items()]


def _result_tables(result: Any) -> str:
    """The numbers, and folded away below them how they were made."""
    leaves = [(name, _number(value)) for name, value in _flat(result)]
    how = [leaf for leaf in leaves if {"protocol", "argv"} & set(leaf[0].split(" / "))]
    numbers = [leaf for leaf in leaves if leaf not in how]
    tables = _table(numbers, ("quantity", "value")) if numbers else ""
    if how:
        tables += f"<details><summary>Protocol</summary>{_table(how, ('quantity', 'value'))}</details>"
    return tables


def _samples(folder: Path) -> str:
    """All pictures, but of those that training drew in passing only a few, folded away."""
    steps: dict[int, list[Path]] = {}
    drawn = []
    for picture in _pictures(folder):
        match = _TRAINING_PICTURE.match(picture.stem)
        if match:
            steps.setdefault(int(match[1]), []).append(picture)
        else:
            drawn.append(picture)
    parts = [_figure(picture) for picture in drawn]
    if steps:
        *earlier, last = sorted(steps)
        parts += [f"<h3>While training, step {last:,}</h3>", *(_figure(picture) for picture in steps[last])]
        stride = -(-len(earlier) // _EARLIER_STEPS) or 1
        for step in earlier[::stride]:
            strips = "".join(_figure(picture) for picture in steps[step] if picture.suffix == ".png")
            parts.append(f"<details><summary>Step {step:,}</summary>{strips}</details>")
    return "".join(parts)


def _configuration(config: VideoFlowConfig) -> str:
    """A table for each part of the configuration, folded away."""
    default = VideoFlowConfig()
    parts = []
    for part, names in PARTS.items():
        rows = []
        for name in names:
            value, usual = getattr(config, name), getattr(default, name)
            rows.append((name, str(value), str(usual) if value != usual else "", help_of(name)))
        table = _table(rows, ("field", "value", "bair preset", "meaning"))
        parts.append(f"<details><summary>{part.capitalize()}: {len(rows)} fields</summary>{table}</details>")
    return "".join(parts)


def _pictures(folder: Path) -> list[Path]:
    """Strips before the animations of the same name."""
    found = [path for path in folder.glob("*") if path.suffix in _MIME and not path.name.startswith(".")]
    return sorted(found, key=lambda path: (path.stem, path.suffix == ".gif"))


def _figure(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    name = escape(path.name)
    source = f"data:{_MIME[path.suffix]};base64,{data}"
    return f'<figure><img alt="{name}" loading="lazy" src="{source}"><figcaption>{name}</figcaption></figure>'


def _table(rows: list[tuple[str, ...]], header: tuple[str, ...]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f'<td class="value">{escape(cell)}</td>' for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


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
            return f"{len(value)} values, in the file"
        return ", ".join(_number(item) for item in value)
    if isinstance(value, float):
        return f"{value:.5g}"
    return "none" if value is None else str(value)
