"""People's own videos, once and for all in the form of TensorFlow Datasets, which every user of TFDS can read.

TFDS's own writer writes the dataset: `video` uint8 [T, H, W, C], every frame a PNG, `name` and `fps` (0 where it is not
known), in the splits and the order of the source "videos", so that training sees the same clips. Videos are decoded
into files first, so that a run that was killed goes on where it was.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image
from tqdm import tqdm

from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.data import tfds_videos
from videoflow_tf.data.recordings import Recording
from videoflow_tf.data.video_folder import VideoFolder
from videoflow_tf.errors import UserError
from videoflow_tf.extras import require
from videoflow_tf.files import local_path, sole_user

VERSION = "1.0.0"
_CACHE, _SCRATCH = "incomplete.decoded", "incomplete.writing."


def prepare(
    input_dir: str | Path,
    data_dir: str | Path,
    name: str,
    frame_size: int | str = 64,
    channels: int = 3,
    fit: str = "crop",
) -> VideoFolder | None:
    """Prepares the videos of a folder as the dataset NAME in `data_dir`.

    The dataset appears under its final name when it is complete. A run that was killed goes on with the videos that it
    had decoded, and gives the same files as an undisturbed one.

    Args:
      input_dir: folder of videos, see `video_folder`.
      data_dir: folder for TFDS datasets, made if it is not there.
      name: of the dataset: letters, digits and underscores.
      frame_size: height and width of the frames, as in `VideoFlowConfig`.
      channels: 3 or 1.
      fit: how a frame of another form is made to fit, as in `VideoFlowConfig`.

    Returns:
      What there is in `input_dir`; None if the dataset was prepared before.

    Raises:
      UserError: `input_dir` has no videos that can be used, another dataset has the name, or `data_dir` cannot be
        written.
    """
    require("tensorflow_datasets")
    if not re.fullmatch(r"[a-zA-Z]\w*", name):
        raise UserError(f"name={name} must be letters, digits and underscores, a letter first")
    input_dir, data_dir = local_path(input_dir), local_path(data_dir)
    # Two frames are the shortest clip: one given, one to predict.
    frames = {"num_context": 1, "num_train_frames": 2, "num_eval_frames": 2, "levels": 1}
    look = {"frame_size": frame_size, "channels": channels, "fit": fit}
    final = data_dir / name / VERSION
    config = VideoFlowConfig(dataset="videos", cache_dir=str(final.parent / _CACHE), **frames, **look)
    described = f"Videos of the folder {input_dir.resolve()}, frames of {list(config.frame_shape)}, fit={fit}."
    if final.is_dir():
        _check_same(final, name, described)
        return None
    with tfds_videos.preparing(name, data_dir), sole_user(final.parent, f"preparing {name}"):
        for leftover in final.parent.glob(f"{_SCRATCH}*"):
            shutil.rmtree(leftover)
        source = VideoFolder(config, input_dir)
        with tempfile.TemporaryDirectory(dir=final.parent, prefix=_SCRATCH) as scratch:
            _write(source, Path(scratch), name, described)
            (Path(scratch) / name / VERSION).rename(final)
        shutil.rmtree(final.parent / _CACHE)
    return source


def _check_same(folder: Path, name: str, described: str) -> None:
    fault = tfds_videos.find_fault(folder)
    if fault:
        raise UserError(f"{fault}; remove {folder.parent} and prepare it again")
    there = tfds_videos.builder_from(folder).info.description
    if there != described:
        raise UserError(f"{folder.parent} is another dataset ({there.rstrip('.')}); choose another name than {name}")


def _write(source: VideoFolder, scratch: Path, name: str, described: str) -> None:
    """Writes the dataset in `scratch`, as if that were the data folder."""
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict(
        {
            "video": tfds.features.Video(shape=(None, *source.frame_shape)),
            "name": tfds.features.Text(),
            "fps": tfds.features.Scalar(np.float32),
        }
    )
    count = sum(len(recordings) for recordings in source.recordings.values())
    # On stdout TFDS praises the scratch folder.
    with (
        concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm(total=count, desc="Writing videos", leave=False, disable=None) as bar,
        contextlib.redirect_stdout(io.StringIO()),
        tfds_videos.without_bars(),
        _same_bytes(),
        tfds_videos.without_warnings(),
    ):
        tfds.dataset_builders.store_as_tfds_dataset(
            name=name,
            version=VERSION,
            features=features,
            split_datasets={
                split: _examples(recordings, pool, bar) for split, recordings in source.recordings.items() if recordings
            },
            data_dir=scratch,
            description=described,
            disable_shuffling=True,
        )


def _examples(
    recordings: Iterable[Recording], pool: concurrent.futures.Executor, bar: tqdm
) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, recording in enumerate(recordings):
        frames = list(pool.map(_png, recording.frames))
        yield number, {"video": frames, "name": recording.name, "fps": recording.fps or 0.0}
        bar.update()


def _png(frame: np.ndarray) -> io.BytesIO:
    file = io.BytesIO()
    Image.fromarray(frame[:, :, 0] if frame.shape[-1] == 1 else frame).save(file, "PNG")
    file.seek(0)
    return file


@contextlib.contextmanager
def _same_bytes() -> Iterator[None]:
    """Makes TFDS write the features of an example in a fixed order: of protocol buffers, every process has its own."""
    from tensorflow_datasets.core.example_serializer import ExampleSerializer

    def serialize(self: ExampleSerializer, example: Any) -> bytes:
        return self.get_tf_example(example).SerializeToString(deterministic=True)

    with mock.patch.object(ExampleSerializer, "serialize_example", serialize):
        yield
