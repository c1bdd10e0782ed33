"""How fast clips come, from every kind of source, beside what training takes: python benchmarks/input_pipeline.py.

Shapes are computed. The others are videos of them, made on the way: a folder of MP4 files, whose decoded frames are in
memory or (warm) on disk, and the same prepared as a TFDS dataset. Clips and batches are those of a preset; with
--data_dir=D they come from its own dataset there, and from nothing else.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import timing
from work import Work, training_task

from bijectors import fast_forms
from videoflow_tf import data
from videoflow_tf.config import PRESETS, VideoFlowConfig
from videoflow_tf.data import prepare_videos
from videoflow_tf.errors import UserError
from videoflow_tf.files import write_json
from videoflow_tf.media import strips

_VIDEO_FRAMES, _VIDEO_SIZE = 30, 64


def make_videos(folder: Path, count: int) -> None:
    """Moving shapes of twice the size, as MP4 files."""
    config = VideoFlowConfig.preset("demo").replace(frame_size=_VIDEO_SIZE)
    videos = data.eval_videos(config, None, "train", num_videos=count, num_frames=_VIDEO_FRAMES)
    for element in videos.as_numpy_iterator():
        strips.save_mp4(folder / f"{element['index']}.mp4", element["video"])


def trained(config: VideoFlowConfig, steps: int) -> float:
    """Clips a second that training takes, when they are there already."""
    step = training_task(Work(config, config.batch_size, config.num_train_frames))
    return config.batch_size / timing.spread(timing.interleaved({"step": step}, steps)["step"])["median"]


def delivered(config: VideoFlowConfig, data_dir: str | Path | None, seconds: float) -> tuple[float, float]:
    """Clips a second, and a second of a core's time, when nothing else runs; without the opening and first batches."""
    batches = iter(data.train_clips(config, data_dir, batch_size=config.batch_size))
    for _ in range(20):
        next(batches)
    start, start_busy, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() < start + seconds:
        next(batches)
        count += config.batch_size
    return count / (time.perf_counter() - start), count / (time.process_time() - start_busy)


def measure(config: VideoFlowConfig, options: argparse.Namespace) -> dict[str, tuple[float, float]]:
    """What is delivered by every source, by its name."""
    if options.data_dir is not None:
        return {config.dataset: delivered(config, options.data_dir, options.seconds)}
    with tempfile.TemporaryDirectory() as scratch:
        folder, prepared = Path(scratch) / "videos", Path(scratch) / "data"
        folder.mkdir()
        make_videos(folder, options.num_videos)
        prepare_videos.prepare(folder, prepared, "mine", frame_size=config.frame_size)
        videos = config.replace(dataset="videos")
        sources = {
            "shapes": (config.replace(dataset="shapes"), None),
            "folder, in memory": (videos, folder),
            "folder, on disk": (videos.replace(cache_dir=str(Path(scratch) / "cache")), folder),
            "prepared set": (config.replace(dataset="tfds:mine"), prepared),
        }
        return {name: delivered(*source, options.seconds) for name, source in sources.items()}


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="demo")
    parser.add_argument("--data_dir", metavar="D", help="where the preset's dataset is prepared")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each source is asked for clips")
    parser.add_argument("--steps", type=int, default=20, help="training steps that are timed; 0: none")
    parser.add_argument("--num_videos", type=int, default=100, help="videos in the folder")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    options = parser.parse_args(argv)
    fast_forms.one_core_an_operation()
    config = PRESETS[options.preset]
    taken = trained(config, options.steps) if options.steps else None
    sources = measure(config, options)
    for name, (rate, by_core) in sources.items():
        times = "" if taken is None else f", {rate / taken:6.1f} times the {taken:.0f} that training takes"
        print(f"{name:18} {rate:8.0f} clips a second, {by_core:8.0f} by each core at work{times}")
    if options.json is not None:
        figures = {"clip": [config.num_train_frames, *config.frame_shape], "clips_per_second_in_training": taken}
        for i, kind in enumerate(("clips_per_second", "clips_per_core_second")):
            figures[kind] = {name: rates[i] for name, rates in sources.items()}
        write_json(options.json, timing.machine() | figures)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
