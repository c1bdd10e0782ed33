"""What anomaly detection reads and writes: videos to score, figures, numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoflow_tf import data
from videoflow_tf.files import write_json
from videoflow_tf.media import charts
from videoflow_tf.media.video_files import read_video
from videoflow_tf.protocol import Protocol
from videoflow_tf.studies.anomaly import frame_scores, out_of_sequence
from videoflow_tf.training.checkpoints import load_workdir

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DEFAULT_VIDEOS = 64
_MOST_FRAMES = 1000


def detect_in_split(
    workdir: str | Path,
    data_dir: str | None = None,
    split: str = "test",
    *,
    num_videos: int | None = None,
    seed: int = 0,
) -> list[Path]:
    """Out-of-sequence detection with the trained model of a run; writes the numbers and a figure to `workdir`/eval.

    Args: as `out_of_sequence`; `num_videos`: None for 64, or all of fewer.

    Returns:
      The files written.

    Raises:
      UserError: `workdir` has no trained model, or as `out_of_sequence`.
    """
    config, model = load_workdir(workdir)
    if num_videos is None:
        num_videos = min(_DEFAULT_VIDEOS, data.num_eval_videos(config, data_dir, split))
    result = out_of_sequence(model, data_dir, split, num_videos=num_videos, seed=seed)
    bits, protocol = result["bits_per_pixel"], Protocol.from_json(result["protocol"])
    curve = charts.Curve(bits["frame"], bits["mean"], bits["standard_error"])
    title = f"Out of sequence: {_given(protocol.context)}, {protocol.videos_text}"
    chart = charts.line_chart({"": curve}, "frame put in the next place", "bits per pixel", title)
    return _save(Path(workdir) / "eval" / "out_of_sequence", chart, result)


def detect_in_video(
    workdir: str | Path,
    data_dir: str | None = None,
    split: str = "test",
    *,
    video: int = 0,
    video_file: str | None = None,
    max_frames: int | None = None,
    seed: int = 0,
) -> list[Path]:
    """Scores every frame of a video after the context; writes the numbers and the curve under the film strip.

    Args:
      workdir: folder of the run.
      data_dir: folder of the prepared dataset; None for one that is generated.
      split: "train", "validation" or "test".
      video: index of a video of the split.
      video_file: a file to score instead.
      max_frames: score no more; None: `config.num_eval_frames`, or 1000 of a file.
      seed: of the dequantisation noise.

    Returns:
      The files written, to `workdir`/eval.

    Raises:
      UserError: `workdir` has no trained model, there is no such video, or as `frame_scores`.
    """
    config, model = load_workdir(workdir)
    if video_file is not None:
        frames = read_video(video_file, config.frame_size, max_frames or _MOST_FRAMES)
        name = f"file-{Path(video_file).stem}"
        protocol = Protocol.of(model, dataset=None, seed=seed, settings={"name": name, "video_file": video_file})
    else:
        videos = data.eval_videos(config, data_dir, split, num_videos=video + 1, num_frames=max_frames)
        frames = next(iter(videos.skip(video)))["video"].numpy()
        name = f"{split}-{video}"
        protocol = Protocol.of(model, split=split, seed=seed, settings={"name": name, "video": video})
    scores = frame_scores(model, frames, seed)
    context = len(frames) - len(scores)
    numbers = list(range(context + 1, len(frames) + 1))
    title = f"Anomaly score: {_given(context)}"
    chart = charts.film_chart(frames, charts.Curve(numbers, scores), "bits per pixel", title)
    result = {"frame": numbers, "bits_per_pixel": scores.tolist(), "protocol": protocol.to_json()}
    return _save(Path(workdir) / "eval" / f"anomaly_{name}", chart, result)


def _save(stem: Path, chart: Figure, result: dict[str, Any]) -> list[Path]:
    picture, numbers = (stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "json"))
    return [charts.save_chart(picture, chart), write_json(numbers, result)]


def _given(context: int) -> str:
    return "frame 1 given" if context == 1 else f"frames 1 to {context} given"
