"""The clips of a fooling study, and its page."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from videoflow_tf.files import atomic_path
from videoflow_tf.model.video_flow import VideoFlow
from videoflow_tf.protocol import Protocol
from videoflow_tf.studies.fooling import study_page
from videoflow_tf.studies.samples import sample_futures
from videoflow_tf.training.checkpoints import load_workdir


def build_study(
    workdir: str | Path,
    data_dir: str | None = None,
    split: str = "test",
    *,
    num_videos: int = 20,
    num_frames: int = 10,
    temperature: float = 0.5,
    seed: int = 0,
    same_videos: bool = False,
    seconds: float = 2.0,
    frames_per_second: float = 8.0,
) -> Path:
    """Writes the page of a study of the trained model of a run to `workdir`/eval, and gives its path.

    Args: as `study_clips` and `study_page`.

    Raises:
      UserError: `workdir` has no trained model, or as these two.
    """
    _, model = load_workdir(workdir)
    real, generated, protocol = study_clips(
        model,
        data_dir,
        split,
        num_videos=num_videos,
        num_frames=num_frames,
        temperature=temperature,
        seed=seed,
        same_videos=same_videos,
    )
    page = study_page(
        real, generated, seconds=seconds, frames_per_second=frames_per_second, protocol=protocol.to_json()
    )
    target = Path(workdir) / "eval" / "fooling_study.html"
    with atomic_path(target) as path:
        path.write_text(page, encoding="utf-8")
    return target


def study_clips(
    model: VideoFlow,
    data_dir: str | None,
    split: str,
    *,
    num_videos: int,
    num_frames: int,
    temperature: float,
    seed: int,
    same_videos: bool = False,
) -> tuple[np.ndarray, np.ndarray, Protocol]:
    """Real and generated clips, context included: uint8 [num_videos, K + num_frames, H, W, 3] each, and the protocol.

    Args:
      model: a trained model.
      data_dir: folder of the prepared dataset; None for one that is generated.
      split: "train", "validation" or "test".
      num_videos: real clips, and as many generated ones.
      num_frames: to generate.
      temperature, seed: of the samples.
      same_videos: continue the very videos that are shown as real ones, not the next `num_videos` of the split.

    Raises:
      UserError: the dataset is missing, or has too few videos or frames.
    """
    total = num_videos if same_videos else 2 * num_videos
    futures = sample_futures(
        model,
        data_dir,
        split,
        num_videos=total,
        num_samples=1,
        num_frames=num_frames,
        temperature=temperature,
        seed=seed,
        needs_future=True,
    )
    real = np.concatenate([futures.context, futures.future], axis=1)[:num_videos]
    generated = np.concatenate([futures.context, futures.samples[:, 0]], axis=1)[-num_videos:]
    return real, generated, dataclasses.replace(futures.protocol, settings={"same_videos": same_videos})
