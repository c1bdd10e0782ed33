"""What is in a folder of videos: video files, folders of pictures and arrays, found and read."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from videoflow_tf.errors import UserError
from videoflow_tf.files import ARRAY_ERRORS
from videoflow_tf.media.array_files import Header, map_array, read_arrays, read_headers
from videoflow_tf.media.fitting import fit_frames, fit_image
from videoflow_tf.media.video_files import read_video
from videoflow_tf.memory import check_fits
from videoflow_tf.units import counted

VIDEO_SUFFIXES = frozenset(
    ".mp4 .m4v .mov .avi .mkv .webm .flv .ts .mts .m2ts .mpg .mpeg .vob .wmv .asf .y4m .gif .ogv .3gp".split()
)
ARRAY_SUFFIXES = frozenset((".npy", ".npz"))
IMAGE_SUFFIXES = frozenset((".png", ".jpg", ".jpeg"))
_SHORTER = "cut it into several"


class Item(NamedTuple):
    """Something in a folder that holds videos, as it was when it was found."""

    name: str  # Its path within the folder, with slashes.
    path: Path
    size: int  # In bytes.
    changed: int  # When, in nanoseconds.


@dataclasses.dataclass(frozen=True, eq=False)
class Recording:
    """A video."""

    name: str
    frames: np.ndarray  # uint8 [T, H, W, C]
    size: tuple[int, int]  # Height and width as they are stored, in pixels.
    fps: float | None  # Frames a second, where it is known.


def find_items(folder: Path) -> tuple[list[Item], list[tuple[str, str]]]:
    """All that may be videos in a folder and in those within it, by name; and what else there is, with the reason.

    Hidden files are passed over without a word. A folder of pictures is one video, whatever else is in it.

    Raises:
      UserError: there is no such folder.
    """
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "is not there"
        raise UserError(f"{folder} {what}; name the folder that the videos are in")
    items, others = [], []
    pictures: dict[Path, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if any(part.startswith(".") for part in path.relative_to(folder).parts) or not path.is_file():
            continue
        suffix = path.suffix.lower()
        if suffix in IMAGE_SUFFIXES:
            pictures.setdefault(path.parent, []).append(path)
        elif suffix in VIDEO_SUFFIXES | ARRAY_SUFFIXES:
            items.append(Item(name, path, path.stat().st_size, path.stat().st_mtime_ns))
        else:
            others.append((name, f"not a video by its name ({suffix or 'no ending'})"))
    for path, files in pictures.items():
        stats = [file.stat() for file in files]
        name = path.relative_to(folder).as_posix()
        items.append(Item(name, path, sum(s.st_size for s in stats), max(s.st_mtime_ns for s in stats)))
    return sorted(items), others


def read_item(item: Item, frame_shape: tuple[int, int, int], fit: str) -> tuple[list[Recording], list[str]]:
    """The videos of an item, upright and made to fit; and what was wrong on the way to them.

    Args:
      item: what to read.
      frame_shape: [H, W, C] of the frames to give.
      fit: see `media.fitting`.

    Raises:
      UserError: there is no frame that can be read.
    """
    suffix = item.path.suffix.lower()
    if item.path.is_dir():
        return _read_pictures(item, frame_shape, fit)
    if suffix in ARRAY_SUFFIXES:
        return _read_arrays(item, frame_shape, fit)
    video = read_video(item.path, frame_shape, fit=fit)
    return [Recording(item.name, video.frames, video.size, video.fps)], video.problems


def _read_pictures(item: Item, frame_shape: tuple[int, int, int], fit: str) -> tuple[list[Recording], list[str]]:
    """The pictures of a folder, in the order of the numbers in their names, up to the first that cannot be read."""
    paths = [path for path in item.path.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
    paths = sorted((path for path in paths if not path.name.startswith(".")), key=_natural)
    check_fits(str(item.path), len(paths) * math.prod(frame_shape), _SHORTER)
    frames, problems, size = [], [], (0, 0)
    for path in paths:
        try:
            with Image.open(path) as opened:
                image = ImageOps.exif_transpose(opened)
                frames.append(fit_image(image, frame_shape, fit))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            before = counted(len(frames), "picture")
            problems.append(f"{path.name} cannot be read ({type(error).__name__}): {before} before it")
            break
        size = (image.height, image.width)
    if not frames:
        raise UserError(problems[0])
    return [Recording(item.name, np.stack(frames), size, None)], problems


def _natural(path: Path) -> list[tuple[int, str]]:
    """So that frame2 comes before frame10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def _read_arrays(item: Item, frame_shape: tuple[int, int, int], fit: str) -> tuple[list[Recording], list[str]]:
    recordings, problems = [], []
    try:
        for name, (shape, dtype), load in _arrays(item):
            if dtype != np.uint8 or len(shape) not in (4, 5) or shape[-1] not in (1, 3) or 0 in shape:
                which = name.removeprefix(item.name)  # Of several.
                expected = "must be uint8 [T, H, W, C] or [N, T, H, W, C]"
                problems.append(f"{which} {expected}; is {dtype} {shape}".lstrip())
                continue
            check_fits(str(item.path), math.prod(shape[:-3]) * math.prod(frame_shape), _SHORTER)
            array = load()
            videos = {name: array} if array.ndim == 4 else {f"{name}[{i}]": video for i, video in enumerate(array)}
            for video_name, video in videos.items():
                frames = np.array(fit_frames(video, frame_shape, fit))
                recordings.append(Recording(video_name, frames, video.shape[1:3], None))
    except UserError:  # A `ValueError`, too.
        raise
    except ARRAY_ERRORS as error:
        problems.append(f"it cannot be read as an array: {error or type(error).__name__}")
    if not recordings:
        raise UserError(problems[0] if problems else "it has no arrays")
    return recordings, problems


def _arrays(item: Item) -> Iterator[tuple[str, Header, Callable[[], np.ndarray]]]:
    """What to call the arrays of a .npy (left on the disk) or .npz, what they are, and how to read them."""
    if item.path.suffix.lower() == ".npy":
        array = map_array(item.path)
        yield item.name, Header(array.shape, array.dtype), lambda: array
        return
    headers = read_headers(item.path)
    for key, header in headers.items():

        def load(key: str = key, header: Header = header) -> np.ndarray:
            check_fits(str(item.path), header.size, _SHORTER)
            return read_arrays(item.path, [key])[key]

        yield f"{item.name}[{key}]" if len(headers) > 1 else item.name, header, load
