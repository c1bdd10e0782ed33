"""Futures of videos of a dataset, and the files that show them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from videoflow_tf import data
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.files import atomic_path, write_json
from videoflow_tf.media import strips as pictures
from videoflow_tf.media.progress import progress_bar
from videoflow_tf.metrics.similarity import PSNR, SSIM, Similarity
from videoflow_tf.model.future_sampler import FutureSampler
from videoflow_tf.model.video_flow import VideoFlow

# What to choose the best and the worst sample by, and how to write it.
METRICS: dict[str, tuple[type[Similarity], str]] = {"psnr": (PSNR, "{:.1f} dB"), "ssim": (SSIM, "SSIM {:.3f}")}
PICTURES = ("gif", "mp4", "png")


@dataclasses.dataclass(frozen=True)
class Futures:
    """Sampled futures of V videos, S of each."""

    context: np.ndarray  # uint8 [V, K, H, W, 3]
    samples: np.ndarray  # uint8 [V, S, N, H, W, 3]
    future: np.ndarray | None  # uint8 [V, N, H, W, 3], the real one; None if the videos are shorter
    choose: str | None  # One of `METRICS`, by which to show the best and the worst alone.
    protocol: dict[str, Any]

    @property
    def stem(self) -> str:
        """What the names of all files begin with; `2x3x10` are 2 videos, 3 samples of each, 10 frames."""
        name = "step-{step:07d}_{split}-{videos}x{samples}x{frames}_temperature-{temperature:g}_seed-{seed}"
        return name.format(**self.protocol) + ("" if self.choose is None else f"_by-{self.choose}")


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
    choose: str | None = None,
    needs_future: bool = False,
) -> Futures:
    """Samples the frames after the context of the first videos of a split, and shows a progress bar.

    A sample is a function of the seed, the video's index and its own number. Beyond the result, the memory needed grows
    with neither `num_frames` nor `num_samples`, but for the latents, as large as the pixels.

    Args:
      choose: one of `METRICS` by which to show the best and the worst sample alone.
      needs_future: the real videos must be as long as the samples, as with `choose`.

    Raises:
      UserError: the dataset is missing or has too few videos or, where needed, frames; the frames are too small for
        the metric to choose by.
    """
    config = model.config
    needs_future = needs_future or choose is not None
    videos = _videos(config, data_dir, split, num_videos, num_frames, needs_future)
    if choose is not None:
        METRICS[choose][0](num_samples).check(config, num_frames, num_videos)
    num_context = config.num_context
    context, future = videos[:, :num_context], videos[:, num_context:]
    samples = np.empty([num_videos, num_samples, num_frames, *videos.shape[2:]], np.uint8)
    bar = progress_bar(num_videos * num_samples)
    sampler = FutureSampler(model)
    for i in range(num_videos):
        done = 0
        for batch in sampler.batches(context[i], num_frames, temperature, seed, i, num_samples):
            samples[i, done : done + len(batch)] = batch
            done += len(batch)
            bar.add(len(batch))
    protocol = {
        "dataset": config.dataset,
        "split": split,
        "videos": num_videos,
        "samples": num_samples,
        "context": num_context,
        "frames": num_frames,
        "temperature": temperature,
        "seed": seed,
        "step": int(model.step.numpy()),
    }
    return Futures(context, samples, future if future.shape[1] else None, choose, protocol)


def similarity(futures: Futures, metric: str) -> np.ndarray:
    """Mean over frames of the similarity of every sample to the real future, by one of `METRICS`: [V, S]."""
    measure = METRICS[metric][0](futures.samples.shape[1]).measure
    clips = zip(futures.context, futures.future, futures.samples, strict=True)
    return np.stack([measure(*clip).mean(axis=1, dtype=np.float64) for clip in clips])


def save_futures(
    futures: Futures, folder: Path, *, grid: bool = False, kinds: tuple[str, ...] = PICTURES
) -> Iterator[Path]:
    """Writes pictures of the samples, all samples as .npz and what they are as .json; gives the path of each.

    Args:
      folder: made if missing.
      grid: one picture of all videos and samples instead of one per video; its .png is of the last frame.
      kinds: of pictures, from `PICTURES`.
    """
    values = None if futures.choose is None else similarity(futures, futures.choose)
    if grid:
        moving = pictures.grid(futures.context, futures.samples, futures.future)
        yield from _save_pictures(folder / f"{futures.stem}_grid", moving[-1], moving, kinds)
    else:
        for i in range(len(futures.context)):
            named = _named_samples(futures, i, None if values is None else values[i])
            clip = futures.context[i], named, None if futures.future is None else futures.future[i]
            stem = folder / f"{futures.stem}_video-{i}"
            yield from _save_pictures(stem, pictures.strip(*clip), pictures.animation(*clip), kinds)
    yield _save_arrays(futures, folder / f"{futures.stem}.npz")
    yield _save_summary(futures, values, folder / f"{futures.stem}.json")


def _named_samples(futures: Futures, video: int, values: np.ndarray | None) -> dict[str, np.ndarray]:
    """The samples of a video to show, [N, H, W, 3] each, by their labels."""
    samples = futures.samples[video]
    if values is None:
        return {f"sample {s + 1}": frames for s, frames in enumerate(samples)}
    text = METRICS[futures.choose][1]
    chosen = {"best": values.argmax(), "worst": values.argmin()}
    return {f"{name}, {text.format(values[s])}": samples[s] for name, s in chosen.items()}


def _save_arrays(futures: Futures, path: Path) -> Path:
    arrays = {"context": futures.context, "samples": futures.samples}
    scalars = {name: futures.protocol[name] for name in ("temperature", "seed")}
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **arrays, **scalars)
    return path


def _save_summary(futures: Futures, values: np.ndarray | None, path: Path) -> Path:
    summary: dict[str, Any] = {"protocol": futures.protocol}
    if values is not None:
        summary[futures.choose] = {
            "best": values.argmax(axis=1).tolist(),
            "worst": values.argmin(axis=1).tolist(),
            "per_sample": values.tolist(),
        }
    return write_json(path, summary)


def _save_pictures(stem: Path, still: np.ndarray, moving: np.ndarray, kinds: tuple[str, ...]) -> Iterator[Path]:
    for kind in kinds:
        path = Path(f"{stem}.{kind}")
        if kind == "png":
            pictures.save_png(path, still)
        else:
            {"gif": pictures.save_gif, "mp4": pictures.save_mp4}[kind](path, moving)
        yield path


def _videos(
    config: VideoFlowConfig, data_dir: str | None, split: str, num_videos: int, num_frames: int, needs_future: bool
) -> np.ndarray:
    """Context and real future; the context alone where the videos are shorter and the future is not needed."""

    def read(length: int) -> np.ndarray:
        videos = data.eval_videos(config, data_dir, split, num_videos=num_videos, num_frames=length)
        return np.stack([element["video"] for element in videos.as_numpy_iterator()])

    try:
        return read(config.num_context + num_frames)
    except UserError:
        if needs_future:
            raise
        return read(config.num_context)
