"""What anomaly detection reads and writes: videos to score, figures, numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from videoflow_tf import data
from videoflow_tf.arguments import takes
from videoflow_tf.errors import one_line
from videoflow_tf.files import write_json
from videoflow_tf.media import charts
from videoflow_tf.predictors.video_flow import VideoFlowPredictor
from videoflow_tf.protocol import Protocol, videos_digest
from videoflow_tf.studies.anomaly import frame_scores, out_of_sequence
from videoflow_tf.studies.arguments import AnomalyArguments
from videoflow_tf.studies.files import label_of, read_frames
from videoflow_tf.units import BITS_LABEL, BITS_UNIT

_DEFAULT_VIDEOS = 64
_LONGEST_NAME = 80  # In a title.


@takes(AnomalyArguments)
def detect(arguments: AnomalyArguments) -> list[Path]:
    """Finds frames that do not fit with the trained model of a run; writes the numbers and a figure to `workdir`/eval.

    Args: the fields of `AnomalyArguments`. Given a video, of the split or from a file, every frame of it after the
    context is scored; without one, out-of-sequence detection on the split.

    Returns:
      The files written.

    Raises:
      UserError: `workdir` has no trained model, there is no such video, or as `out_of_sequence` and `frame_scores`.
    """
    predictor = VideoFlowPredictor.of_run(arguments.workdir, arguments.checkpoint)
    arguments = arguments.at_step(predictor.step)
    of_split = arguments.video is None and arguments.video_file is None
    name, chart, result = (_of_split if of_split else _of_video)(predictor, arguments)
    stem = Protocol.from_json(result["protocol"]).own_stem(arguments.results_dir / "eval" / name)
    picture = charts.save_chart(Path(f"{stem}.png"), chart)
    return [picture, write_json(f"{stem}.json", result | {"argv": arguments.argv()})]


def _of_split(predictor: VideoFlowPredictor, arguments: AnomalyArguments) -> tuple[str, Figure, dict[str, Any]]:
    """The name of the files, the figure and the numbers of out-of-sequence detection."""
    split, num_videos = arguments.split, arguments.num_videos
    if num_videos is None:
        num_videos = min(_DEFAULT_VIDEOS, data.num_eval_videos(predictor.config, arguments.data_dir, split))
    result = out_of_sequence(predictor.model, arguments.data_dir, split, num_videos=num_videos, seed=arguments.seed)
    bits, protocol = result["bits_per_pixel"], Protocol.from_json(result["protocol"])
    curve = charts.Curve(bits["frame"], bits["mean"], bits["standard_error"])
    title = f"Out of sequence: {_given(protocol.context)}, {protocol.videos_text}"
    chart = charts.line_chart({"": curve}, "frame put in the next place", BITS_LABEL, title)
    return arguments.result_name("out_of_sequence"), chart, result


def _of_video(predictor: VideoFlowPredictor, arguments: AnomalyArguments) -> tuple[str, Figure, dict[str, Any]]:
    """The name of the files, the curve under the film strip and the scores of the frames of a video."""
    config, seed, file, index = predictor.config, arguments.seed, arguments.video_file, arguments.video
    if file is not None:
        frames, settings = read_frames(file, config, arguments.max_frames)
        name, where = arguments.result_name("anomaly", video_file=label_of(settings)), {"dataset": None}
        what = one_line(Path(file).name)[:_LONGEST_NAME]
    else:
        frames = data.load_video(config, arguments.data_dir, arguments.split, index, arguments.max_frames)
        name, settings = arguments.result_name("anomaly"), {"video": index}
        where = {"data_dir": arguments.data_dir, "split": arguments.split}
        what = f"video {index} of split {arguments.split}"
    scores = frame_scores(predictor.model, frames, seed, what)
    context = len(frames) - len(scores)
    numbers = list(range(context + 1, len(frames) + 1))
    title = f"{what}\nAnomaly score, {_given(context)} (blue)"
    chart = charts.film_chart(frames, context, charts.Curve(numbers, scores), BITS_LABEL, title)
    protocol = Protocol.of(predictor, **where, seed=seed, videos_digest=videos_digest([frames]), settings=settings)
    result = {"frame": numbers, "bits_per_pixel": scores.tolist(), "unit": BITS_UNIT, "protocol": protocol.to_json()}
    return name, chart, result


def _given(context: int) -> str:
    return "frame 1 given" if context == 1 else f"frames 1 to {context} given"
