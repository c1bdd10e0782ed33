"""What the studies are asked for, checked without TensorFlow: a mistake need not wait for its import."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from videoflow_tf.arguments import TEMPERATURE, PredictorArguments, RunArguments, argument
from videoflow_tf.config import MAX_SEED, SPLITS
from videoflow_tf.errors import UserError
from videoflow_tf.extras import is_installed, require

PICTURES = ("gif", "mp4", "png")
_DEFAULT_PICTURES = PICTURES if is_installed("av") else ("gif", "png")
SIMILARITIES = ("psnr", "ssim")  # What the best and the worst sample can be chosen by: metrics that need no file.


@dataclasses.dataclass(frozen=True)
class SampleArguments(PredictorArguments):
    """Of `samples.sample`."""

    command: ClassVar[str] = "sample"

    split: str = argument("test", "Videos to take the context from.", enum_values=SPLITS)
    num_videos: int = argument(1, "The first so many of them.", lower_bound=1)
    video_file: str | None = argument(None, "Take the context from this file (MP4, GIF, ...) instead.", path=True)
    start: int = argument(1, "Number of the first frame of the file to give, from 1.", lower_bound=1)
    num_samples: int = argument(3, "Futures of each.", lower_bound=1)
    num_frames: int = argument(10, "Frames to generate.", lower_bound=1)
    temperature: float = argument(
        TEMPERATURE, "Factor of the prior's sigma; 0: its mean, 1: as trained.", lower_bound=0
    )
    seed: int = argument(0, "Seed of the samples.", lower_bound=0, upper_bound=MAX_SEED)
    choose: str | None = argument(
        None, "Show only the best and the worst sample, by the mean over frames of this.", enum_values=SIMILARITIES
    )
    grid: bool = argument(False, "One picture of all videos and samples; the PNG shows the last frame.")
    pictures: Sequence[str] = argument(_DEFAULT_PICTURES, "Which pictures to write; the .npz always is.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not set(self.pictures) <= set(PICTURES):
            raise UserError("--pictures must be a list of gif, mp4 and png, for example png,gif")
        if "mp4" in self.pictures:
            require("av")
        if self.choose is not None and self.choose not in SIMILARITIES:
            raise UserError(f"--choose={self.choose} must be one of {', '.join(SIMILARITIES)}")
        if self.grid and self.choose is not None:
            raise UserError("--grid shows all samples; leave out --choose or --grid")
        if self.start < 1:
            raise UserError(f"start={self.start} must be at least 1")
        if self.video_file is None and self.start != 1:
            raise UserError("--start is about the frames of a --video_file; give one, or leave out --start")
        if self.video_file is not None and self.num_videos != 1:
            raise UserError(f"--video_file is a single video: leave out --num_videos={self.num_videos}")


@dataclasses.dataclass(frozen=True)
class InterpolateArguments(RunArguments):
    """Of `interpolation.interpolate_videos`."""

    command: ClassVar[str] = "interpolate"

    split: str = argument("test", "Videos to take the frames from.", enum_values=SPLITS)
    video: int = argument(0, "Index of the video whose first frame is one end.", lower_bound=0)
    other_video: int | None = argument(
        None, "Index of the video whose last frame is the other end; default: the same.", lower_bound=0
    )
    video_file: str | None = argument(
        None, "File, a video or a picture, whose first frame is one end, instead.", path=True
    )
    other_file: str | None = argument(
        None, "File whose last frame is the other end, with --video_file; default: the same file.", path=True
    )
    num_frames: int | None = argument(
        None, "Length of the videos; default: as in evaluation, of files at most 1000.", lower_bound=1
    )
    steps: int = argument(10, "Frames to draw, both ends included.", lower_bound=2)
    levels: str = argument(
        "all", "Levels whose latents change: all, top, bottom, or numbers such as 0,2; 0 is nearest the pixels."
    )
    channel_rank: int | None = argument(
        None, "Change in each level only the channel with the n-th largest difference; default: all.", lower_bound=1
    )

    def __post_init__(self) -> None:
        if self.other_file is not None and self.video_file is None:
            raise UserError("--other_file is the other end beside that of --video_file: give both")
        if self.video_file is not None and (self.video != 0 or self.other_video is not None):
            raise UserError("give --video and --other_video, or --video_file and --other_file, not both")


@dataclasses.dataclass(frozen=True)
class AnomalyArguments(RunArguments):
    """Of `anomaly_files.detect`."""

    command: ClassVar[str] = "anomaly"

    split: str = argument("test", "Videos to take.", enum_values=SPLITS)
    num_videos: int | None = argument(
        None, "The first so many of them, for out-of-sequence detection; default: 64, or all of fewer.", lower_bound=1
    )
    video: int | None = argument(None, "Score the frames of the video of this index instead.", lower_bound=0)
    video_file: str | None = argument(None, "Score the frames of this file (MP4, GIF, ...) instead.", path=True)
    max_frames: int | None = argument(
        None, "Score no more frames; default: as in evaluation with --video, 1000 with --video_file.", lower_bound=2
    )
    seed: int = argument(0, "Seed of the dequantisation noise.", lower_bound=0, upper_bound=MAX_SEED)

    def __post_init__(self) -> None:
        if self.video is not None and self.video_file is not None:
            raise UserError("give --video or --video_file, not both")


@dataclasses.dataclass(frozen=True)
class StudyArguments(PredictorArguments):
    """Of `fooling_clips.build_study`."""

    command: ClassVar[str] = "fooling_study build"

    workdir: str | Path = dataclasses.field(
        metadata={"help": "Folder of the run; score: where to keep the result, if anywhere.", "path": True}
    )
    split: str = argument("test", "build: videos to show.", enum_values=SPLITS)
    num_videos: int = argument(20, "build: real clips, and as many generated ones.", lower_bound=1)
    num_frames: int = argument(10, "build: frames to generate.", lower_bound=1)
    temperature: float = argument(TEMPERATURE, "build: factor of the prior's sigma.", lower_bound=0)
    seed: int = argument(0, "build: seed of the samples.", lower_bound=0, upper_bound=MAX_SEED)
    same_videos: bool = argument(False, "build: generate from the videos that are shown real, too.")
    seconds: float = argument(2.0, "build: how long a clip is shown.", lower_bound=0.1)
    frames_per_second: float = argument(8.0, "build: speed of a clip.", lower_bound=0.1, upper_bound=60.0)
