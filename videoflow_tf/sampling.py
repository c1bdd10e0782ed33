"""Futures of videos of a dataset, and the files that show them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from videoflow_tf import data, pictures
from videoflow_tf.checkpoints import atomic_path
from videoflow_tf.errors import UserError
from videoflow_tf.model import VideoFlow


@dataclasses.dataclass(frozen=True)
class Futures:
    """Sampled futures of V videos, S of each."""

    context: np.ndarray  # uint8 [V, K, H, W, 3]
    samples: np.ndarray  # uint8 [V, S, N, H, W, 3]
    future: np.ndarray | None  # uint8 [V, N, H, W, 3], the real one; None if the videos are shorter
    temperature: float
    seed: int
    step: int  # of the training


def sample_futures(
    model: VideoFlow,
    data_dir: str | None,
    split: str = "test",
    *,
    num_videos: int = 1,
    num_samples: int = 3,
    num_frames: int = 10,
    temperature: float = 0.5,
    seed: int = 0,
) -> Futures:
    """Samples the frames after the context of the first videos of a split.

    The samples of a video are a function of the seed and the video's index.

    Raises:
      UserError: the dataset is missing, or has too few videos.
    """
    videos = _videos(model, data_dir, split, num_videos, num_frames)
    num_context = model.hparams.num_context
    context, future = videos[:, :num_context], videos[:, num_context:]
    samples = [
        model.predict_frames(
            np.repeat(context[i : i + 1], num_samples, axis=0), num_frames, temperature, tf.constant([seed, i])
        ).numpy()
        for i in range(num_videos)
    ]
    step = int(model.step.numpy())
    return Futures(context, np.stack(samples), future if future.shape[1] else None, temperature, seed, step)


def save_futures(futures: Futures, folder: Path) -> Iterator[Path]:
    """Writes a strip and an animation per video and one .npz, and gives the path of each."""
    stem = f"step-{futures.step:07d}_temperature-{futures.temperature:g}_seed-{futures.seed}"
    for i in range(len(futures.context)):
        samples = {f"sample {s + 1}": frames for s, frames in enumerate(futures.samples[i])}
        path = folder / f"{stem}_video-{i}"
        pictures.save_prediction(
            path, futures.context[i], samples, None if futures.future is None else futures.future[i]
        )
        yield Path(f"{path}.png")
        yield Path(f"{path}.gif")
    path = folder / f"{stem}.npz"
    with atomic_path(path) as temporary:
        np.savez_compressed(
            temporary,
            context=futures.context,
            samples=futures.samples,
            temperature=futures.temperature,
            seed=futures.seed,
        )
    yield path


def _videos(model: VideoFlow, data_dir: str | None, split: str, num_videos: int, num_frames: int) -> np.ndarray:
    """Context and real future, or the context alone where the videos are shorter than both."""
    config = model.hparams

    def read(length: int) -> np.ndarray:
        videos = data.eval_videos(config, data_dir, split, num_videos=num_videos, num_frames=length)
        return np.stack([element["video"] for element in videos.as_numpy_iterator()])

    try:
        return read(config.num_context + num_frames)
    except UserError:
        return read(config.num_context)
