"""The clips of a fooling study."""

from __future__ import annotations

from typing import Any

import numpy as np

from videoflow_tf.model.video_flow import VideoFlow
from videoflow_tf.studies.samples import sample_futures


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
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
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
    return real, generated, futures.protocol | {"same_videos": same_videos}
