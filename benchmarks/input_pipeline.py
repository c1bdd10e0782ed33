"""How fast clips come, from every kind of source, beside what training takes: python benchmarks/input_pipeline.py.

Shapes are computed. The others are videos of them, made on the way: a folder of MP4 files, whose decoded frames are in
memory or (warm) on disk, and the same prepared as a TFDS dataset. Clips and batches are those of the demo.
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
from videoflow_tf.config import VideoFlowConfig
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


def clips_per_second(config: VideoFlowConfig, data_dir: Path | None, seconds: float) -> float:
    """As they come when nothing else runs, without the opening and the first batches."""
    batches = iter(data.train_clips(config, data_dir, batch_size=config.batch_size))
    for _ in range(20):
        next(batches)
    start, count = time.perf_counter(), 0
    while time.perf_counter() < start + seconds:
        next(batches)
        count += config.batch_size
    return count / (time.perf_counter() - start)


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Clips a second by name; those of a training step whose clips are there already first."""
    config = VideoFlowConfig.preset("demo")
    step = training_task(Work(config, config.batch_size, config.num_train_frames))
    seconds = timing.spread(timing.interleaved({"step": step}, options.steps)["step"])["median"]
    with tempfile.TemporaryDirectory() as scratch:
        folder, prepared = Path(scratch) / "videos", Path(scratch) / "data"
        folder.mkdir()
        make_videos(folder, options.num_videos)
        prepare_videos.prepare(folder, prepared, "mine", frame_size=config.frame_size)
        videos = config.replace(dataset="videos")
        sources = {
            "shapes": (config, None),
            "folder, in memory": (videos, folder),
            "folder, on disk": (videos.replace(cache_dir=str(Path(scratch) / "cache")), folder),
            "prepared set": (config.replace(dataset="tfds:mine"), prepared),
        }
        rates = {name: clips_per_second(*source, options.seconds) for name, source in sources.items()}
    return {"training step": config.batch_size / seconds} | rates


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each source is asked for clips")
    parser.add_argument("--steps", type=int, default=20, help="training steps that are timed")
    parser.add_argument("--num_videos", type=int, default=100, help="videos in the folder")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    options = parser.parse_args(argv)
    fast_forms.one_core_an_operation()
    found = measure(options)
    taken = found["training step"]
    for name, rate in found.items():
        print(f"{name:18} {rate:8.0f} clips a second, {rate / taken:6.1f} times what a training step takes")
    if options.json is not None:
        write_json(options.json, timing.machine() | {"clips_per_second": found})


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
