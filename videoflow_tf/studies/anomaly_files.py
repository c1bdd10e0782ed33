"""What anomaly detection reads and writes: videos to score, figures, numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from videoflow_tf import data
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.files import write_json
from videoflow_tf.media import charts
from videoflow_tf.media.video_files import read_video

_MOST_FRAMES = 1000


def file_video(config: VideoFlowConfig, path: str, max_frames: int | None) -> tuple[np.ndarray, dict[str, Any]]:
    """A video file as uint8 [T, H, W, 3] of the model's frame size, and what to call it; raises as `read_video`."""
    video = read_video(path, config.frame_size, max_frames or _MOST_FRAMES)
    return video, {"name": f"file-{Path(path).stem}", "video_file": path}


def split_video(
    config: VideoFlowConfig, data_dir: str | None, split: str, index: int, num_frames: int | None
) -> tuple[np.ndarray, dict[str, Any]]:
    """A video of a split, uint8 [T, H, W, 3], and what to call it; raises as `data.eval_videos`."""
    videos = data.eval_videos(config, data_dir, split, num_videos=index + 1, num_frames=num_frames)
    video = next(iter(videos.skip(index)))["video"].numpy()
    return video, {"name": f"{split}-{index}", "dataset": config.dataset, "split": split, "video": index}


def save_out_of_sequence(result: dict[str, Any], folder: Path) -> list[Path]:
    """Writes the result of `out_of_sequence` and its figure."""
    bits, protocol = result["bits_per_pixel"], result["protocol"]
    curve = charts.Curve(bits["frame"], bits["mean"], bits["standard_error"])
    videos = f"{protocol['videos']} {protocol['split']} video{'s' * (protocol['videos'] > 1)}"
    title = f"Out of sequence: {_given(protocol['context'])}, {videos}"
    chart = charts.line_chart({"": curve}, "frame put in the next place", "bits per pixel", title)
    return [
        charts.save_chart(folder / "out_of_sequence.png", chart),
        write_json(folder / "out_of_sequence.json", result),
    ]


def save_scores(video: np.ndarray, scores: np.ndarray, protocol: dict[str, Any], folder: Path) -> list[Path]:
    """Writes the scores of `frame_scores` for a video uint8 [T, H, W, 3], and the curve under its film strip."""
    context = len(video) - len(scores)
    numbers = list(range(context + 1, len(video) + 1))
    stem = f"anomaly_{protocol['name']}"
    title = f"Anomaly score: {_given(context)}"
    chart = charts.film_chart(video, charts.Curve(numbers, scores), "bits per pixel", title)
    result = {"frame": numbers, "bits_per_pixel": scores.tolist(), "protocol": protocol | {"context": context}}
    return [charts.save_chart(folder / f"{stem}.png", chart), write_json(folder / f"{stem}.json", result)]


def _given(context: int) -> str:
    return "frame 1 given" if context == 1 else f"frames 1 to {context} given"
