"""What a dataset is like: how much of it there is, what it looks like, and how far guessing without a model gets."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from videoflow_tf.config import SPLITS, VideoFlowConfig
from videoflow_tf.data.pipeline import left_out
from videoflow_tf.data.source import Source, open_source
from videoflow_tf.data.stored import StoredVideos
from videoflow_tf.data.video_folder import VideoFolder
from videoflow_tf.files import check_writable
from videoflow_tf.media import strips
from videoflow_tf.predictors.floors import CopyLast, Linear
from videoflow_tf.protocol import videos_digest
from videoflow_tf.units import BITS_LABEL, counted

_MOST_VIDEOS = 100  # Of each split that are looked at; generated ones are as many.
_SHEET_ROWS, _SHEET_COLUMNS = 12, 8
_GREY = 2.0  # Levels by which the colours of a grey video may differ, on average: it has been through a codec.


@dataclasses.dataclass(frozen=True)
class Look:
    """What the clips of a split look like."""

    videos: np.ndarray  # uint8 [V, T, H, W, C], the first frames of the first videos.
    motion: np.ndarray  # float [T - 1]: mean absolute difference of a frame from the one before, in levels.
    grey: float  # The share of videos without colour.


def inspect(config: VideoFlowConfig, data_dir: str | Path | None, folder: str | Path) -> Iterator[str]:
    """The lines of a report; the last names the contact sheet, a picture of some training videos.

    Args:
      config: of the dataset, and of its frames and clips.
      data_dir: folder of the dataset; None for one that is generated.
      folder: where to write contact_sheet_DIGEST.png, whose name is that of the videos in it alone.

    Raises:
      UserError: as `train_clips`, and if `folder` could not be written to.
    """
    check_writable(Path(folder))
    source = open_source(config, data_dir)
    yield f"Data: {config.dataset}: {source.contents()}"
    yield from left_out(source, None)
    if isinstance(source, StoredVideos):
        for split, lengths in source.lengths.items():
            if len(lengths):
                yield f"{split}, frames a video: {lengths.min()} to {lengths.max()}, median {np.median(lengths):g}"
    if isinstance(source, VideoFolder):
        recordings = [recording for of_split in source.recordings.values() for recording in of_split]
        yield "sizes: " + _counted(f"{r.size[0]}x{r.size[1]}" for r in recordings)
        yield "frames a second: " + _counted("unknown" if r.fps is None else f"{r.fps:g}" for r in recordings)
    looks = {split: look for split in SPLITS if (look := _look(source, config, split)) is not None}
    floors = [floor(config, data_dir) for floor in (CopyLast, Linear)] if "train" in looks else []
    for split, look in looks.items():
        count, length = look.videos.shape[:2]
        yield (
            f"{split}, {counted(count, 'video')} of {counted(length, 'frame')}: {look.grey:.0%} without colour; "
            f"motion {look.motion.mean():.2f} levels a frame, by frame: {' '.join(f'{m:.2f}' for m in look.motion)}"
        )
        for floor in floors:
            bits = floor.frame_bits_per_pixel(look.videos, np.zeros([count, 2], np.int32)).mean()
            yield f"{split}, {floor.guess}, with a Laplace error of width {floor.width:.3g}: {bits:.4f} {BITS_LABEL}"
    if looks:
        yield str(_contact_sheet(next(iter(looks.values())).videos, Path(folder)))


def _look(source: Source, config: VideoFlowConfig, split: str) -> Look | None:
    """None of a split without clips of the length that is evaluated."""
    num_frames = config.num_eval_frames
    if isinstance(source, StoredVideos) and not source.has_clips(split, num_frames):
        return None
    videos = np.stack(list(source.videos(split, num_frames).take(_MOST_VIDEOS).as_numpy_iterator()))
    motion = np.abs(np.diff(videos.astype(np.int16), axis=1)).mean(axis=(0, 2, 3, 4))
    spread = np.ptp(videos.astype(np.int16), axis=-1).mean(axis=(1, 2, 3))  # [V]
    return Look(videos, motion, float((spread <= _GREY).mean()))


def _contact_sheet(videos: np.ndarray, folder: Path) -> Path:
    path = folder / f"contact_sheet_{videos_digest([videos])}.png"
    columns = np.unique(np.linspace(0, videos.shape[1] - 1, _SHEET_COLUMNS).astype(int))
    rows = [strips.Row(str(i), video[columns], [(0, 0, 0)] * len(columns)) for i, video in enumerate(videos)]
    strips.save_png(path, strips.film(rows[:_SHEET_ROWS], [f"frame {t + 1}" for t in columns]))
    return path


def _counted(values: Iterator[str]) -> str:
    """The values, the most frequent first."""
    return ", ".join(f"{value} ({count})" for value, count in Counter(values).most_common())
