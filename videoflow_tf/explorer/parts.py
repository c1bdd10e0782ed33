"""The parts of the page that show something, as HTML; pictures are in the HTML itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np

from videoflow_tf.explorer.futures import REAL, Between, Futures
from videoflow_tf.media import strips
from videoflow_tf.media.charts import Curve, line_chart, svg
from videoflow_tf.report.html import table
from videoflow_tf.units import BITS_LABEL

STYLE = """
.clips { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: 0.75rem; }
.clips.way { grid-template-columns: repeat(3, minmax(0, 1fr)); }
.clips figure { margin: 0; max-width: 17rem; } .clips figcaption { font-weight: 600; }
.film { background-size: calc(var(--frames) * 100%) 100%; animation: film steps(var(--frames), jump-none) infinite; }
@keyframes film { from { background-position-x: 0; } to { background-position-x: 100%; } }
.chart svg { width: 100%; max-width: 40rem; height: auto; }
.part h1 { margin: 0; font-size: 1.5rem; font-weight: 600; }
.part h2 { margin: 0 0 0.5rem; font-size: 1.2rem; font-weight: 600; }
.part table { display: block; overflow-x: auto; border-collapse: collapse; margin-top: 0.75rem; }
.part td, .part th { padding: 0.15rem 0.8rem 0.15rem 0; text-align: right; white-space: nowrap; }
.part td:first-child, .part th:first-child { text-align: left; }
.part td { font-variant-numeric: tabular-nums; }
.part .note { margin: 0.4rem 0; overflow-wrap: anywhere; opacity: 0.8; }
.part .fault { overflow-wrap: anywhere; color: #c62828; font-weight: 600; }
.given { color: #285adc; } .generated { color: #d22828; } .real { color: #828282; }
"""
# Films begin when they come to the page, and those that stay go on: as if all had begun with the page, they keep step.
IN_STEP = "watch('value', () => element.getAnimations({subtree: true}).forEach(film => { film.startTime = 0; }))"
_COLOURS = (
    '<p class="note">Borders: <b class="given">blue</b> are frames given, <b class="real">grey</b> is what really '
    'came, <b class="generated">red</b> is generated.</p>'
)
_FRAMES_PER_SECOND, _REST = 5, 5  # On the last frame.
_INCHES, _LEGEND_COLUMNS = (4.8, 4.4), 3  # Small: on a phone they are shown smaller still, letters included.


def header(title: str, about: str) -> str:
    """What the page is about."""
    return f'<div class="part"><h1>{escape(title)}</h1><p class="note">{escape(about)}</p></div>'


def fault(message: str) -> str:
    """What is wrong, in the place of what was asked for."""
    return f'<div class="part"><p class="fault" role="alert">{escape(message)}</p></div>'


def chosen_clip(context: np.ndarray, future: np.ndarray | None, notes: Sequence[str]) -> str:
    """A clip that nothing has been drawn for; context uint8 [K, H, W, C], future [N, H, W, C]."""
    future = context[:0] if future is None else future
    clips = [(REAL, future)] if len(context) + len(future) else []
    return _part("The clip", _moving(context, clips), _notes(notes))


def drawn_futures(drawn: Futures) -> str:
    """The real future beside the samples, moving."""
    moving = _moving(drawn.context, drawn.clips.items())
    return _part(f"Futures at temperature {drawn.temperature:g}", moving, _COLOURS, _notes(drawn.notes))


def way_between(between: Between, weight: float) -> str:
    """Two futures and what lies between them, all moving."""
    drawn, (first, last) = between.futures, between.labels
    clips = [(first, drawn.clips[first]), (f"at {weight:.2f}", between.at(weight)), (last, drawn.clips[last])]
    moving = _moving(drawn.context, clips, "clips way")
    return _part(f"Between two futures at temperature {drawn.temperature:g}", moving)


def bits_by_frame(drawn: Futures, bits: Mapping[str, np.ndarray]) -> str:
    """Bits per pixel of every frame that is scored: a chart, and a table of the numbers."""
    last = len(drawn.context) + len(next(iter(drawn.clips.values())))
    numbers = [*range(last - len(next(iter(bits.values()))) + 1, last + 1)]
    chart = line_chart(
        {label: Curve(numbers, of_one) for label, of_one in bits.items()}, "frame", BITS_LABEL, inches=_INCHES
    )
    chart.axes[0].get_legend().remove()  # Of many curves it would cover some.
    chart.legend(loc="outside lower center", ncols=_LEGEND_COLUMNS)
    rows = [[label, *(f"{b:.3f}" for b in (of_one.mean(), *of_one))] for label, of_one in bits.items()]
    numbers_table = table(rows, ["future", "mean", *(f"frame {number}" for number in numbers)], "number")
    title = f"{BITS_LABEL.capitalize()} by frame, futures at temperature {drawn.temperature:g}"
    return _part(title, f'<div class="chart">{svg(chart)}</div>', numbers_table)


def _moving(context: np.ndarray, clips: Iterable[tuple[str, np.ndarray]], kind: str = "clips") -> str:
    """Futures after their context by their labels, moving side by side, in step, and enlarged."""
    return f'<div class="{kind}">{"".join(_picture(context, label, clip) for label, clip in clips)}</div>'


def _picture(context: np.ndarray, label: str, clip: np.ndarray) -> str:
    """A film that CSS moves past a window: each GIF would start when it is first seen."""
    colours = [strips.CONTEXT] * len(context) + [strips.REAL if label == REAL else strips.GENERATED] * len(clip)
    frames = np.concatenate([context, clip])[:, None]
    cells = [strips.Row("", frame, [colour]) for frame, colour in zip(frames, colours, strict=True)]
    shown = [strips.film([cell], [f"frame {t}"]) for t, cell in enumerate(cells, 1)]
    shown += [shown[-1]] * _REST
    height, width, _ = shown[0].shape
    style = f"--frames: {len(shown)}; animation-duration: {len(shown) / _FRAMES_PER_SECOND}s; "
    style += f"aspect-ratio: {width} / {height}; background-image: url({strips.film_url(np.stack(shown))})"
    text = escape(label)
    film = f'<div class="film" role="img" aria-label="{text}, moving" style="{style}"></div>'
    return f"<figure><figcaption>{text}</figcaption>{film}</figure>"


def _notes(notes: Sequence[str]) -> str:
    return "".join(f'<p class="note">{escape(note)}</p>' for note in notes)


def _part(title: str, *parts: str) -> str:
    return f'<section class="part"><h2>{escape(title)}</h2>{"".join(parts)}</section>'
