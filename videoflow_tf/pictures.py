"""Pictures of predictions: strips (PNG) and animations (GIF). Context is bordered blue, generated frames red."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from videoflow_tf.checkpoints import atomic_path

Colour = tuple[int, int, int]
CONTEXT: Colour = (40, 90, 220)
GENERATED: Colour = (210, 40, 40)
REAL: Colour = (130, 130, 130)

_BACKGROUND: Colour = (255, 255, 255)
_TEXT: Colour = (0, 0, 0)
_FRAME_PIXELS = 128  # Frames are enlarged to at least about this.
_BORDER = 4
_GAP = 4
_FONT_SIZE = 18
_MOST_COLUMNS = 20


class _Row(NamedTuple):
    label: str
    frames: np.ndarray  # uint8 [T, H, W, 3]
    colours: list[Colour]  # of the borders, T


def strip(context: np.ndarray, samples: Mapping[str, np.ndarray], future: np.ndarray | None = None) -> np.ndarray:
    """Frames side by side: a row for the real video, if its `future` is given, and one for each sample.

    Of long videos every n-th generated frame is shown; the number above each column is that of the frame, from 1.

    Args:
      context: uint8 [K, H, W, 3].
      samples: label -> uint8 [N, H, W, 3], the generated frames.
      future: uint8 [N, H, W, 3], what really came after the context.

    Returns:
      uint8 [height, width, 3]
    """
    rows = _rows(context, samples, future)
    columns = _columns(len(context), len(rows[0].frames))
    cells = [[_cell(row.frames[t], row.colours[t]) for t in columns] for row in rows]
    height, width = cells[0][0].shape[:2]
    left, top = max(_text_width(row.label) for row in rows) + 2 * _GAP, _FONT_SIZE + 2 * _GAP
    canvas = _canvas(top + len(rows) * (height + _GAP), left + len(columns) * (width + _GAP))
    for i in range(len(rows)):
        for j, cell in enumerate(cells[i]):
            y, x = top + i * (height + _GAP), left + j * (width + _GAP)
            canvas[y : y + height, x : x + width] = cell
    labels = [(left + j * (width + _GAP) + width // 2, top // 2, str(t + 1), "mm") for j, t in enumerate(columns)]
    labels += [(_GAP, top + i * (height + _GAP) + height // 2, row.label, "lm") for i, row in enumerate(rows)]
    return _with_text(canvas, labels)


def animation(context: np.ndarray, samples: Mapping[str, np.ndarray], future: np.ndarray | None = None) -> np.ndarray:
    """The same videos side by side, moving.

    Args: as `strip`.

    Returns:
      uint8 [K + N, height, width, 3]
    """
    rows = _rows(context, samples, future)
    height, width = _cell(rows[0].frames[0], REAL).shape[:2]
    panel = max(width, *(_text_width(row.label) for row in rows)) + _GAP
    top = 2 * (_FONT_SIZE + _GAP)
    pictures = []
    for t in range(len(rows[0].frames)):
        canvas = _canvas(top + height + _GAP, _GAP + panel * len(rows))
        for i, row in enumerate(rows):
            x = _GAP + i * panel + (panel - _GAP - width) // 2
            canvas[top : top + height, x : x + width] = _cell(row.frames[t], row.colours[t])
        labels = [(_GAP + i * panel + (panel - _GAP) // 2, top // 4, row.label, "mm") for i, row in enumerate(rows)]
        labels.append((_GAP, 3 * top // 4, f"frame {t + 1}", "lm"))
        pictures.append(_with_text(canvas, labels))
    return np.stack(pictures)


def save_prediction(
    stem: str | Path, context: np.ndarray, samples: Mapping[str, np.ndarray], future: np.ndarray | None = None
) -> np.ndarray:
    """Writes the strip to `stem`.png and the animation to `stem`.gif; returns the strip."""
    picture = strip(context, samples, future)
    save_png(f"{stem}.png", picture)
    save_gif(f"{stem}.gif", animation(context, samples, future))
    return picture


def save_png(path: str | Path, image: np.ndarray) -> None:
    """Writes uint8 [H, W, 3] as a PNG."""
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary)


def save_gif(path: str | Path, frames: np.ndarray, frames_per_second: float = 5.0) -> None:
    """Writes uint8 [T, H, W, 3] as an endless GIF that rests on the last frame for a second."""
    from PIL import Image

    durations = [round(1000 / frames_per_second)] * len(frames)
    durations[-1] += 1000
    first, *rest = [Image.fromarray(frame) for frame in frames]
    with atomic_path(path) as temporary:
        first.save(temporary, save_all=True, append_images=rest, duration=durations, loop=0)


def _rows(context: np.ndarray, samples: Mapping[str, np.ndarray], future: np.ndarray | None) -> list[_Row]:
    continuations = [(label, frames, GENERATED) for label, frames in samples.items()]
    if future is not None:
        continuations.insert(0, ("real", future, REAL))
    return [
        _Row(label, np.concatenate([context, frames]), [CONTEXT] * len(context) + [colour] * len(frames))
        for label, frames, colour in continuations
    ]


def _columns(num_context: int, length: int) -> list[int]:
    """The frames of a strip, at most `_MOST_COLUMNS`: the last of the context, and evenly spaced generated ones."""
    first = max(0, num_context - _MOST_COLUMNS // 4)
    room = _MOST_COLUMNS - (num_context - first)
    stride = -(-(length - num_context) // room)
    return [*range(first, num_context), *range(num_context, length, stride)]


def _cell(frame: np.ndarray, colour: Colour) -> np.ndarray:
    """A frame enlarged to its nearest neighbours, with a border."""
    factor = max(1, round(_FRAME_PIXELS / frame.shape[0]))
    enlarged = frame.repeat(factor, axis=0).repeat(factor, axis=1)
    height, width, _ = enlarged.shape
    cell = np.empty([height + 2 * _BORDER, width + 2 * _BORDER, 3], np.uint8)
    cell[:] = colour
    cell[_BORDER:-_BORDER, _BORDER:-_BORDER] = enlarged
    return cell


def _canvas(height: int, width: int) -> np.ndarray:
    canvas = np.empty([height, width, 3], np.uint8)
    canvas[:] = _BACKGROUND
    return canvas


def _font():
    from PIL import ImageFont

    return ImageFont.load_default(size=_FONT_SIZE)


def _text_width(text: str) -> int:
    return round(_font().getlength(text))


def _with_text(canvas: np.ndarray, labels: list[tuple[int, int, str, str]]) -> np.ndarray:
    """The canvas with texts (x, y, text, anchor as Pillow has it) on it."""
    from PIL import Image, ImageDraw

    image = Image.fromarray(canvas)
    draw, font = ImageDraw.Draw(image), _font()
    for x, y, text, anchor in labels:
        draw.text((x, y), text, fill=_TEXT, font=font, anchor=anchor)
    return np.asarray(image)
