"""The videos of a folder, decoded once: in memory, or in files that are mapped into it."""

from __future__ import annotations

import concurrent.futures
import functools
import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from videoflow_tf import memory
from videoflow_tf.commands import here
from videoflow_tf.data.recordings import VIDEO_SUFFIXES, Item, Recording, read_item
from videoflow_tf.errors import UserError, one_line
from videoflow_tf.extras import require
from videoflow_tf.files import ARRAY_ERRORS, atomic_path, local_path, read_json, reason_of, write_json
from videoflow_tf.media.array_files import map_array

_FORM = 1  # Of the files of a cache; another number, and they are made anew.


class Decoded(NamedTuple):
    """What came of an item."""

    recordings: list[Recording]
    problems: list[str]  # Without recordings: why there are none.


@functools.lru_cache(maxsize=1)
def decode_all(
    items: tuple[Item, ...], frame_shape: tuple[int, int, int], fit: str, cache_dir: str
) -> tuple[Decoded, ...]:
    """Decodes items, several at a time; a process does so once.

    Args:
      items: what to decode.
      frame_shape: [H, W, C] of the frames to give.
      fit: see `media.fitting`.
      cache_dir: folder in which decoded videos are kept and looked for; "": they are kept in memory.

    Raises:
      UserError: they do not fit into half the free memory, `cache_dir` is an address or cannot be written, or PyAV is
        not installed.
    """
    if any(item.path.suffix.lower() in VIDEO_SUFFIXES for item in items):
        require("av")  # Once for all: it is no fault of any file.
    room = memory.room()
    if cache_dir:
        decode = functools.partial(_decode_to_disk, cache_dir=local_path(cache_dir))
    else:
        decode = _decode
    done = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            work = pool.map(lambda item: decode(item, frame_shape, fit), items)
            # On a terminal alone, and gone when it is done.
            for decoded in tqdm(work, "Reading videos", len(items), leave=False, disable=None):
                done.append(decoded)
                room -= 0 if cache_dir else sum(recording.frames.nbytes for recording in decoded.recordings)
                if room < 0:
                    raise UserError(
                        f"the decoded videos do not fit into memory: {len(done)} of {len(items)} fill half of what is "
                        f"free; give --cache_dir=FOLDER to keep them on disk, or prepare them with "
                        + here("launch/prepare_videos.py")
                    )
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return tuple(done)


def _decode(item: Item, frame_shape: tuple[int, int, int], fit: str) -> Decoded:
    try:
        return Decoded(*read_item(item, frame_shape, fit))
    except UserError as error:
        return Decoded([], [one_line(str(error).removeprefix(f"{item.path} "))])


def _decode_to_disk(item: Item, frame_shape: tuple[int, int, int], fit: str, cache_dir: Path) -> Decoded:
    """As `_decode`, the frames of all its videos one after the other in KEY.npy, and what they are in KEY.json."""
    # By its name, too, which is kept with it: a link has another one, and so has a file in a folder within.
    key = hashlib.sha256(
        json.dumps([_FORM, item.name, str(item.path.resolve()), *item[2:], frame_shape, fit]).encode()
    ).hexdigest()
    array, description = cache_dir / f"{key[:32]}.npy", cache_dir / f"{key[:32]}.json"
    try:
        kept = _kept(array, description, frame_shape)
        if kept is None:
            decoded = _decode(item, frame_shape, fit)
            if decoded.recordings:
                with atomic_path(array) as temporary:
                    np.save(temporary, np.concatenate([recording.frames for recording in decoded.recordings]))
            parts = [(len(r.frames), r.name, r.size, r.fps) for r in decoded.recordings]
            write_json(description, {"recordings": parts, "problems": decoded.problems})
            kept = _kept(array, description, frame_shape)
    except OSError as error:
        raise UserError(f"cannot keep decoded videos in cache_dir={cache_dir}: {reason_of(error)}") from error
    return kept


def _kept(array: Path, description: Path, frame_shape: tuple[int, int, int]) -> Decoded | None:
    """What a cache has of an item; None if it has to be decoded: it is not there, or one of the files is damaged."""
    if not description.is_file():
        return None
    try:
        stored = read_json(description)
        recordings, problems, start = [], list(map(str, stored["problems"])), 0
        frames = map_array(array) if stored["recordings"] else ()
        for length, name, (height, width), fps in stored["recordings"]:
            part = frames[start : start + length]
            if (part.shape, part.dtype) != ((length, *frame_shape), np.uint8):
                return None
            recordings.append(Recording(str(name), part, (int(height), int(width)), fps and float(fps)))
            start += length
        return Decoded(recordings, problems) if start == len(frames) and (recordings or problems) else None
    except (*ARRAY_ERRORS, IndexError, TypeError, AttributeError):
        return None
