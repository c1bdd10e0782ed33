"""Samples that are drawn already, by whatever model: .npz files, as `sample.py` writes them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from videoflow_tf.arguments import file_label
from videoflow_tf.errors import UserError, one_line
from videoflow_tf.files import ARRAY_ERRORS, file_digest, local_path
from videoflow_tf.media.array_files import Header, read_arrays, read_headers
from videoflow_tf.memory import check_fits
from videoflow_tf.units import counted

_SHAPES = {"context": "videos, K, H, W, C", "samples": "videos, samples, N, H, W, C", "future": "videos, N, H, W, C"}
_FORM = "; ".join(f"{name} [{shape}]" for name, shape in _SHAPES.items())


class PredictedClip(NamedTuple):
    """A video, and what was predicted of it."""

    context: np.ndarray  # uint8 [K, H, W, C]
    real: np.ndarray  # uint8 [N, H, W, C]
    samples: np.ndarray  # uint8 [S, N, H, W, C]


class Predictions:
    """The videos in a file, or in all .npz files of a folder, in the order of their names.

    Attributes:
      num_videos, num_samples, num_frames: V of all files, S of each video, N of each sample.
      context_shape: [K, H, W, C].
      drawn_with: `temperature` and `seed`, where the files say them; all say the same.
    """

    def __init__(self, path: str | Path) -> None:
        """Reads how large the arrays are.

        Raises:
          UserError: there is no such file, an array is missing or of another type or shape, or files differ, in how
            their samples were drawn, too.
        """
        self._path = local_path(path)
        self._files = sorted(self._path.glob("*.npz")) if self._path.is_dir() else [self._path]
        if not self._files:
            raise UserError(f"{path} has no .npz files; see --predictions in --help")
        shapes = [_checked_shapes(file) for file in self._files]
        for (file, shape), name in itertools.product(zip(self._files, shapes, strict=True), ("context", "samples")):
            if shape[name][1:] != shapes[0][name][1:]:
                raise UserError(
                    f"{file} differs from {self._files[0]} in more than the number of videos: {name} "
                    f"{list(shape[name])}, {list(shapes[0][name])} there"
                )
        self._counts = [shape["samples"][0] for shape in shapes]
        self.num_videos = sum(self._counts)
        self.context_shape = shapes[0]["context"][1:]
        self.num_samples, self.num_frames = shapes[0]["samples"][1:3]
        self.drawn_with = _scalars(self._files[0])
        for file in self._files[1:]:
            if (drawn_with := _scalars(file)) != self.drawn_with:
                raise UserError(
                    f"{file} says {_in_words(drawn_with)} of its samples, {self._files[0]} "
                    f"{_in_words(self.drawn_with)}; give each kind a folder of its own"
                )

    @property
    def identity(self) -> Mapping[str, Any]:
        """JSON values that differ where the files do."""
        return {"predictions": str(self._path), "predictions_digest": file_digest(self._path)}

    @property
    def label(self) -> str:
        """What they are called in the names of results."""
        return file_label(self._path, self.identity["predictions_digest"])

    def check_temperature(self, expected: float, remedy: str) -> None:
        """Raises `UserError`, which ends with `remedy`, if the files say that they are of another temperature."""
        drawn_at = self.drawn_with.get("temperature", expected)
        if drawn_at != expected:
            raise UserError(f"{self._path} says temperature={drawn_at} of its samples, not {expected}; {remedy}")

    def check_samples(self, count: int, metric: str) -> None:
        """Raises `UserError` if there are not so many samples of each video, which a metric needs."""
        if count > self.num_samples:
            raise UserError(
                f"{self._path} has {counted(self.num_samples, 'sample')} of each video, {metric} needs {count}; "
                "leave it out, or give a smaller --fvd_draws"
            )

    def __iter__(self) -> Iterator[PredictedClip]:
        """All videos, a file in memory at a time."""
        for file in self._files:
            arrays = _read(file)
            for i in range(len(arrays["context"])):
                yield PredictedClip(arrays["context"][i], arrays["future"][i], arrays["samples"][i])


def _checked_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of the arrays in a file, which are not read for it."""
    headers = _headers(file)
    for name in _SHAPES:
        if name not in headers:
            there = ", ".join(headers) or "nothing"
            raise UserError(f"{file} has no array {name!r}, it has {there}; it needs, uint8: {_FORM}")
        shape, dtype = headers[name]
        if dtype != np.uint8:
            raise UserError(f"{name} in {file} is {dtype}; it must be uint8, 0 to 255")
        if len(shape) != len(_SHAPES[name].split(",")) or 0 in shape or shape[-1] not in (1, 3):
            raise UserError(f"{name} in {file} is {list(shape)}; it must be [{_SHAPES[name]}] with C of 1 or 3")
    (context, samples, future) = (headers[name].shape for name in _SHAPES)
    if not (context[0] == samples[0] == future[0] and context[2:] == samples[3:] == future[2:]):
        raise UserError(
            f"{file} has context {list(context)}, samples {list(samples)} and future {list(future)}: they do not "
            f"agree in videos, height, width or channels: {_FORM}"
        )
    if samples[2] != future[1]:
        of_samples = counted(samples[2], "frame")
        raise UserError(f"{file} has samples of {of_samples} and a future of {future[1]}; give equally many")
    cure = "write fewer videos to a file, and give a folder of such files"
    check_fits(str(file), sum(headers[name].size for name in _SHAPES), cure)
    return {"context": context, "samples": samples, "future": future}


def _headers(file: Path) -> dict[str, Header]:
    """What every array in an .npz file is."""
    try:
        return read_headers(file)
    except FileNotFoundError:
        raise UserError(f"there is no file {file}; --predictions is an .npz file or a folder of them") from None
    except ARRAY_ERRORS as error:
        raise UserError(
            f"{file} cannot be read as .npz: {one_line(str(error))}; write it again with np.savez_compressed"
        ) from None


def _read(file: Path, names: Collection[str] = _SHAPES) -> dict[str, np.ndarray]:
    """Of the arrays of these names those that are there."""
    try:
        return read_arrays(file, names)
    except ARRAY_ERRORS as error:
        raise UserError(f"{file} is damaged: {one_line(str(error))}; write it again") from None


def _scalars(file: Path) -> dict[str, float | int]:
    """What a file says of how it was drawn: `temperature` and `seed`, one, both or neither."""
    found: dict[str, float | int] = {}
    there = {name: header for name, header in _headers(file).items() if name in ("temperature", "seed")}
    for name, (shape, dtype) in there.items():
        if math.prod(shape) != 1 or dtype.kind not in "iuf":
            raise UserError(f"{name} in {file} is {dtype} {list(shape)}; it must be one number")
    for name, value in _read(file, there).items():
        # 0.7 in float32 is 0.7, not 0.699999988.
        number = value.item() if value.dtype.kind in "iu" else float(str(value.ravel()[0]))
        if not math.isfinite(number) or (name == "temperature" and number < 0):
            raise UserError(f"{name} in {file} is {number}; it must be finite, and a temperature 0 or more")
        found[name] = number
    return found


def _in_words(drawn_with: Mapping[str, float | int]) -> str:
    return ", ".join(f"{name}={value}" for name, value in drawn_with.items()) or "nothing"
