"""Pictures of predictions: strips (PNG) and animations (GIF). Context is bordered blue, generated frames red."""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from videoflow_tf.colour import with_channels
from videoflow_tf.extras import require
from videoflow_tf.files import atomic_path

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
_MOST_COLUMNS, _FEW_COLUMNS = 20, 4
_GIF_COLOURS = 256

_font = functools.partial(ImageFont.load_default, size=_FONT_SIZE)


class Row(NamedTuple):
    """One row of a film strip."""

    label: str
    frames: np.ndarray  # uint8 [T, H, W, C]
    colours: Sequence[Colour]  # of the borders, T


def film(
    rows: Sequence[Row], columns: Sequence[str], title: str | None = None, pixels: int = _FRAME_PIXELS
) -> np.ndarray:
    """Frames side by side, rows below each other.

    Args:
      rows: of equally many frames.
      columns: what to write above each frame.
      title: what to write above all of them.
      pixels: frames are enlarged to at least about this.

    Returns:
      uint8 [height, width, 3]
    """
    cells = [
        [_cell(frame, colour, pixels) for frame, colour in zip(row.frames, row.colours, strict=True)] for row in rows
    ]
    return _table(cells, columns, [row.label for row in rows], title)


def side_by_side(rows: Sequence[Row], captions: Sequence[str] | None = None) -> np.ndarray:
    """The rows as videos next to each other, moving.

    Args:
      rows: as for `film`.
      captions: what to write above the pictures at each time; default "frame 1" and so on.

    Returns:
      uint8 [T, height, width, 3]
    """
    length = len(rows[0].frames)
    captions = _captions(length) if captions is None else captions
    # A caption wider than a lone picture is not cut off.
    least = -(-max(_text_width(caption) for caption in captions) // len(rows))
    labels = [row.label for row in rows]
    pictures = [_table([_cells(rows, t)], labels, caption=text, least_width=least) for t, text in enumerate(captions)]
    return np.stack(pictures)


def strip(
    context: np.ndarray,
    samples: Mapping[str, np.ndarray],
    future: np.ndarray | None = None,
    title: str | None = None,
    *,
    small: bool = False,
) -> np.ndarray:
    """A row for the real video, if its `future` is given, and one for each sample.

    Of long videos every n-th generated frame is shown; the number above each column is that of the frame, from 1.

    Args:
      context: uint8 [K, H, W, C].
      samples: label -> uint8 [N, H, W, C], the generated frames.
      future: uint8 [N, H, W, C], what really came after the context.
      title: what to write above all, such as the temperature.
      small: at most four columns, of smaller frames: about as wide as TensorBoard shows a picture, 350 pixels.

    Returns:
      uint8 [height, width, 3]
    """
    rows = _rows(context, samples, future)
    columns = _columns(len(context), len(rows[0].frames), _FEW_COLUMNS if small else _MOST_COLUMNS)
    shown = [Row(row.label, row.frames[columns], [row.colours[t] for t in columns]) for row in rows]
    return film(shown, [str(t + 1) for t in columns], title, _FRAME_PIXELS // 2 if small else _FRAME_PIXELS)


def animation(
    context: np.ndarray,
    samples: Mapping[str, np.ndarray],
    future: np.ndarray | None = None,
    title: str | None = None,
) -> np.ndarray:
    """The same videos side by side, moving.

    Args: as `strip`.

    Returns:
      uint8 [K + N, height, width, 3]
    """
    rows = _rows(context, samples, future)
    return side_by_side(rows, _captions(len(rows[0].frames), title))


def grid(
    context: np.ndarray, samples: np.ndarray, future: np.ndarray | None = None, title: str | None = None
) -> np.ndarray:
    """Many samples of many videos at once, moving: a row for each video, a column for each sample.

    Args:
      context: uint8 [V, K, H, W, C].
      samples: uint8 [V, S, N, H, W, C].
      future: uint8 [V, N, H, W, C], what really came; the first column if given.
      title: as of `strip`.

    Returns:
      uint8 [K + N, height, width, 3]
    """
    columns = ([] if future is None else ["real"]) + [f"sample {s + 1}" for s in range(samples.shape[1])]
    pixels = _FRAME_PIXELS if len(columns) <= _MOST_COLUMNS // 2 else _FRAME_PIXELS // 2
    named = [dict(zip(columns[-samples.shape[1] :], video, strict=True)) for video in samples]
    videos = [_rows(context[i], named[i], None if future is None else future[i]) for i in range(len(context))]
    return _moving_table(videos, columns, [f"video {i}" for i in range(len(videos))], title, pixels)


def models(
    context: np.ndarray, samples: Mapping[str, np.ndarray], future: np.ndarray, title: str | None = None
) -> np.ndarray:
    """Several models' samples of one video at once, moving: a column for what really came and one for each model.

    Args:
      context: uint8 [K, H, W, C].
      samples: model -> uint8 [S, N, H, W, C], the same S for all: a row for each.
      future: uint8 [N, H, W, C].
      title: as of `strip`.

    Returns:
      uint8 [K + N, height, width, 3]
    """
    count = len(next(iter(samples.values())))
    clips = [_rows(context, {name: of_one[s] for name, of_one in samples.items()}, future) for s in range(count)]
    return _moving_table(clips, [row.label for row in clips[0]], [f"sample {s + 1}" for s in range(count)], title)


def save_pictures(
    stem: str | Path, still: np.ndarray, moving: np.ndarray, kinds: Sequence[str] = ("png", "gif")
) -> list[Path]:
    """Writes a picture [H, W, 3] to `stem`.png, frames [T, H, W, 3] to `stem`.gif and .mp4, as `kinds` say; all uint8.

    Returns:
      The paths.
    """
    paths = [Path(f"{stem}.{kind}") for kind in kinds]
    for kind, path in zip(kinds, paths, strict=True):
        save = {"png": save_png, "gif": save_gif, "mp4": save_mp4}[kind]
        save(path, still if kind == "png" else moving)
    return paths


def save_png(path: str | Path, image: np.ndarray) -> None:
    """Writes uint8 [H, W, 3] as a PNG."""
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary)


def film_url(frames: np.ndarray) -> str:
    """uint8 [T, H, W, C] as one PNG, the frames side by side, in a data URL: for pages that show one after another."""
    data = io.BytesIO()
    Image.fromarray(with_channels(np.concatenate(frames, axis=1), 3)).save(data, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()


def save_gif(path: str | Path, frames: np.ndarray, frames_per_second: float = 5.0) -> None:
    """Writes what `gif` gives of uint8 [T, H, W, 3]."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(gif(frames, frames_per_second))


def gif(frames: np.ndarray, frames_per_second: float = 5.0) -> bytes:
    """uint8 [T, H, W, 3] as an endless GIF that rests on the last frame for a second.

    A notebook shows it by `IPython.display.Image(data=gif(frames))`. All frames share their 256 colours, so that what
    does not move is stored once; up to so many are kept exactly.
    """
    durations = [round(1000 / frames_per_second)] * len(frames)
    durations[-1] += 1000
    count, height, width, _ = frames.shape
    film = Image.fromarray(frames.reshape(count * height, width, 3))
    few = film.getcolors(_GIF_COLOURS) is not None
    # Of many, the second keeps those of small things, and is the smaller and the faster.
    film = film.quantize(_GIF_COLOURS, Image.Quantize.MEDIANCUT if few else Image.Quantize.FASTOCTREE)
    first, *rest = [film.crop((0, t * height, width, (t + 1) * height)) for t in range(count)]
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=rest, duration=durations, loop=0)
    return file.getvalue()


def save_mp4(path: str | Path, frames: np.ndarray, frames_per_second: int = 5) -> None:
    """Writes uint8 [T, H, W, 3] as an H.264 video; a last row or column of an odd size is repeated."""
    require("av")
    import av

    _, height, width, _ = frames.shape
    frames = np.pad(frames, [(0, 0), (0, height % 2), (0, width % 2), (0, 0)], mode="edge")
    with atomic_path(path) as temporary, av.open(str(temporary), "w") as container:
        stream = container.add_stream("libx264", rate=frames_per_second)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"  # What every player understands; it halves colour in both directions, hence even.
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def _rows(context: np.ndarray, samples: Mapping[str, np.ndarray], future: np.ndarray | None) -> list[Row]:
    continuations = [(label, frames, GENERATED) for label, frames in samples.items()]
    if future is not None:
        continuations.insert(0, ("real", future, REAL))
    return [
        Row(label, np.concatenate([context, frames]), [CONTEXT] * len(context) + [colour] * len(frames))
        for label, frames, colour in continuations
    ]


def _columns(num_context: int, length: int, most: int) -> list[int]:
    """The frames of a strip, at most so many: the last of the context, and evenly spaced generated ones."""
    first = max(0, num_context - most // 4)
    room = most - (num_context - first)
    stride = max(1, (length - num_context - 1) // (room - 1))
    return [*range(first, num_context), *range(num_context, length, stride)[:room]]


def _cell(frame: np.ndarray, colour: Colour, pixels: int = _FRAME_PIXELS) -> np.ndarray:
    """A frame in colour, its longer side enlarged to about so many pixels, by nearest neighbours, with a border."""
    factor = max(1, round(pixels / max(frame.shape[:2])))
    enlarged = with_channels(frame, 3).repeat(factor, axis=0).repeat(factor, axis=1)
    height, width, _ = enlarged.shape
    cell = np.full([height + 2 * _BORDER, width + 2 * _BORDER, 3], colour, np.uint8)
    cell[_BORDER:-_BORDER, _BORDER:-_BORDER] = enlarged
    return cell


def _cells(rows: Sequence[Row], t: int, pixels: int = _FRAME_PIXELS) -> list[np.ndarray]:
    """The frames at one time."""
    return [_cell(row.frames[t], row.colours[t], pixels) for row in rows]


def _moving_table(
    clips: Sequence[Sequence[Row]],
    columns: Sequence[str],
    names: Sequence[str],
    title: str | None,
    pixels: int = _FRAME_PIXELS,
) -> np.ndarray:
    """Rows and columns of videos: uint8 [T, height, width, 3]."""
    captions = _captions(len(clips[0][0].frames), title)
    tables = ([_cells(rows, t, pixels) for rows in clips] for t in range(len(captions)))
    return np.stack([_table(cells, columns, names, text) for cells, text in zip(tables, captions, strict=True)])


def _captions(length: int, title: str | None = None) -> list[str]:
    """What stands above a moving picture at each time."""
    return [f"frame {t + 1}" + (f", {title}" if title else "") for t in range(length)]


def _table(
    cells: Sequence[Sequence[np.ndarray]],
    columns: Sequence[str],
    names: Sequence[str] | None = None,
    caption: str | None = None,
    least_width: int = 0,
) -> np.ndarray:
    """Pictures in rows and columns.

    Args:
      cells: rows of uint8 [h, w, 3], all of one size.
      columns: what to write above each column.
      names: what to write on the left of each row.
      caption: what to write below the names of the columns.
      least_width: of a column, in pixels.

    Returns:
      uint8 [height, width, 3]
    """
    height, width = cells[0][0].shape[:2]
    panel = max(width, least_width, *(_text_width(text) for text in columns))
    left = _GAP if names is None else max(_text_width(name) for name in names) + 2 * _GAP
    lines = 1 if caption is None else 2
    top = lines * _FONT_SIZE + 2 * _GAP
    size = [top + len(cells) * (height + _GAP), left + len(columns) * (panel + _GAP), 3]
    canvas = np.full(size, _BACKGROUND, np.uint8)
    labels = [] if caption is None else [(_GAP, 3 * top // 4, caption, "lm")]
    for j, text in enumerate(columns):
        x = left + j * (panel + _GAP)
        labels.append((x + panel // 2, top // (2 * lines), text, "mm"))
        x += (panel - width) // 2
        for i, row in enumerate(cells):
            y = top + i * (height + _GAP)
            canvas[y : y + height, x : x + width] = row[j]
    for i, name in enumerate(names or ()):
        labels.append((_GAP, top + i * (height + _GAP) + height // 2, name, "lm"))
    return _with_text(canvas, labels)


def _text_width(text: str) -> int:
    return round(_font().getlength(text))


def _with_text(canvas: np.ndarray, labels: list[tuple[int, int, str, str]]) -> np.ndarray:
    """The canvas with texts (x, y, text, anchor as Pillow has it) on it."""
    image = Image.fromarray(canvas)
    draw, font = ImageDraw.Draw(image), _font()
    for x, y, text, anchor in labels:
        draw.text((x, y), text, fill=_TEXT, font=font, anchor=anchor)
    return np.asarray(image)
