"""The clips of a fooling study, and its page."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from videoflow_tf import data
from videoflow_tf.arguments import takes
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.files import write_json, write_text
from videoflow_tf.predictors.by_name import open_predictor
from videoflow_tf.predictors.predictor import Predictor
from videoflow_tf.protocol import Protocol
from videoflow_tf.studies.arguments import SampleArguments, StudyArguments
from videoflow_tf.studies.fooling import study_page
from videoflow_tf.studies.samples import sample_futures
from videoflow_tf.units import counted


@takes(StudyArguments)
def build_study(arguments: StudyArguments) -> Path:
    """Writes the page of a study of the trained model of a run, or another predictor, to `workdir`/eval.

    Beside it stands what it is, as .json.

    Returns:
      The path of the page.

    Args: the fields of `StudyArguments`.

    Raises:
      UserError: `workdir` has no trained model, or as `study_clips` and `study_page`.
    """
    predictor = open_predictor(arguments)
    arguments = arguments.at_step(predictor.step)
    real, generated, protocol = study_clips(predictor, arguments)
    how = {"seconds": arguments.seconds, "frames_per_second": arguments.frames_per_second}
    page = study_page(real, generated, protocol=protocol.to_json(), **how)
    stem = protocol.own_stem(arguments.results_dir / "eval" / arguments.result_name("fooling_study"))
    write_json(f"{stem}.json", {"protocol": protocol.to_json(), "argv": arguments.argv()})
    return write_text(f"{stem}.html", page)


def study_clips(predictor: Predictor, study: StudyArguments) -> tuple[np.ndarray, np.ndarray, Protocol]:
    """Real and generated clips, context included: uint8 [num_videos, K + num_frames, H, W, C] each, and the protocol.

    With `same_videos` the very videos are continued that are shown as real ones, else the next `num_videos` of the
    split.

    Raises:
      UserError: the dataset is missing, or has too few videos or frames.
    """
    total = study.num_videos * (1 if study.same_videos else 2)
    _check_videos(predictor.config, study, total)
    same = ("data_dir", "split", "num_frames", "temperature", "seed", "predictor")
    shared = {name: getattr(study, name) for name in same}
    sampled = SampleArguments(study.workdir, num_videos=total, num_samples=1, **shared)
    futures = sample_futures(predictor, sampled, needs_future=True)
    real = np.concatenate([futures.context, futures.future], axis=1)[: study.num_videos]
    generated = np.concatenate([futures.context, futures.samples[:, 0]], axis=1)[-study.num_videos :]
    return real, generated, dataclasses.replace(futures.protocol, settings={"same_videos": study.same_videos})


def _check_videos(config: VideoFlowConfig, study: StudyArguments, total: int) -> None:
    """Raises `UserError` if there are not so many videos as long as the clips: in words of the study, if half are."""

    def open_videos(count: int) -> None:
        length = config.num_context + study.num_frames
        data.eval_videos(config, study.data_dir, study.split, num_videos=count, num_frames=length)

    open_videos(study.num_videos)
    try:
        open_videos(total)
    except UserError as error:
        of_each = f"{counted(study.num_videos, 'real clip')} and as many generated from other videos"
        raise UserError(f"{of_each} take {total}: {error}; give a smaller --num_videos, or --same_videos") from None
