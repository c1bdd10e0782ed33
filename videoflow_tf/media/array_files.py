"""Arrays in .npy and .npz files: how large they are is known before they are read, and no file can run code."""

from __future__ import annotations

import io
import math
import threading
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

_LONGEST_HEADER = 2**16  # Bytes; NumPy itself takes no header of 10,000.
# NumPy reads headers by Python's parser, which in several threads at once now and then ends with "SystemError: AST
# constructor recursion depth mismatch".
_PARSER = threading.Lock()


class Header(NamedTuple):
    """What an array is."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def size(self) -> int:
        """In bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_headers(path: str | Path) -> dict[str, Header]:
    """Of an .npz file, by the arrays' names; raises one of `files.ARRAY_ERRORS` where it is none, or damaged."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            with archive.open(member) as stream:
                found[member.filename.removesuffix(".npy")] = _read_header(stream)
    return found


def read_arrays(path: str | Path, names: Collection[str]) -> dict[str, np.ndarray]:
    """Those arrays of an .npz file that are there; errors as of `read_headers`."""
    with zipfile.ZipFile(path) as archive:
        members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        found = {}
        for name in names:
            if name in members:
                with archive.open(members[name]) as stream, _PARSER:
                    found[name] = np.lib.format.read_array(stream, allow_pickle=False)
    return found


def map_array(path: str | Path) -> np.ndarray:
    """The array, of any shape, of a .npy file, left on the disk; errors as of `read_headers`."""
    with open(path, "rb") as file:
        header = _read_header(file)
    if not header.size:  # Of elements without a byte NumPy ends the process.
        raise ValueError("it is empty")
    with _PARSER:
        return np.lib.format.open_memmap(path, mode="r")


def _read_header(file: IO[bytes]) -> Header:
    stream = io.BytesIO(file.read(_LONGEST_HEADER))
    version = np.lib.format.read_magic(stream)
    v1, v2 = np.lib.format.read_array_header_1_0, np.lib.format.read_array_header_2_0
    with _PARSER:
        shape, _, dtype = (v1 if version == (1, 0) else v2)(stream)
    if min(shape, default=0) < 0:
        raise ValueError(f"it says that it is {list(shape)}")
    return Header(shape, dtype)
