"""Futures of videos of a dataset or of a file, and the files that show them."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from videoflow_tf import data
from videoflow_tf.arguments import flag_text, name_text, takes
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.files import atomic_path, write_json
from videoflow_tf.media import strips
from videoflow_tf.media.progress import on_own_line, progress_bar
from videoflow_tf.metrics.metric import Clips
from videoflow_tf.predictors.by_name import open_predictor
from videoflow_tf.predictors.future_sampler import FutureSampler, lost_in_words
from videoflow_tf.predictors.predictor import Predictor
from videoflow_tf.protocol import Protocol, videos_digest
from videoflow_tf.registry import METRICS, PREDICTORS
from videoflow_tf.studies.arguments import PICTURES, SampleArguments
from videoflow_tf.studies.files import label_of, read_frames
from videoflow_tf.units import counted


@dataclasses.dataclass(frozen=True)
class SampledFutures:
    """Sampled futures of V videos, S of each."""

    context: np.ndarray  # uint8 [V, K, H, W, C]
    samples: np.ndarray  # uint8 [V, S, N, H, W, C]
    future: np.ndarray | None  # uint8 [V, N, H, W, C], the real one; None if a video is shorter
    choose: str | None  # The metric by which to show the best and the worst alone.
    protocol: Protocol
    not_finite: int = 0  # Samples that were left out, others drawn in their place.

    @property
    def stem(self) -> str:
        """What the names of all files begin with; `2x3x10` are 2 videos, 3 samples of each, 10 frames."""
        p = self.protocol
        source = p.split or f"{label_of(p.settings)}-from-{p.settings['start']}"
        model = p.step_mark if p.predictor is None else name_text(p.predictor)
        name = f"{model}_{source}-{p.videos}x{p.samples}x{p.frames}"
        name += f"_temperature-{flag_text(float(p.temperature))}"
        return f"{name}_seed-{p.seed}" + ("" if self.choose is None else f"_by-{self.choose}")


@takes(SampleArguments)
def sample(arguments: SampleArguments) -> list[Path]:
    """Samples futures with the trained model of a run, or another predictor, and writes them to `workdir`/samples.

    Shows a progress bar.

    Args: the fields of `SampleArguments`. All samples are written as .npz (arrays `context`, `samples` and, where the
    videos are long enough, the real `future`, as in `SampledFutures`) and what they are as .json, whichever the
    pictures.

    Returns:
      The files written.

    Raises:
      UserError: `workdir` has no trained model, the dataset is missing or has too few videos, the file cannot be read
        or has too few frames, an argument is out of range, or a sample is not finite.
    """
    predictor = open_predictor(arguments)
    arguments = arguments.at_step(predictor.step)
    futures = sample_futures(predictor, arguments)
    folder = arguments.results_dir / "samples"
    how = {"grid": arguments.grid, "kinds": arguments.pictures, "argv": arguments.argv()}
    return list(save_futures(futures, folder, **how))


def sample_futures(predictor: Predictor, arguments: SampleArguments, needs_future: bool = False) -> SampledFutures:
    """Samples the frames after the context of the first videos of a split, or of a file, and shows a progress bar.

    A sample is a function of the seed, the video's index and its own number. Beyond the result, the memory needed grows
    with neither `num_frames` nor `num_samples`, but for the latents, as large as the pixels.

    Args:
      predictor: what draws the samples.
      arguments: what to sample.
      needs_future: the real videos must be as long as the samples, as with `choose`.

    Raises:
      UserError: the dataset is missing or has too few videos or, where needed, frames; the file cannot be read or has
        too few frames; the frames are too small for the metric to choose by.
    """
    count, num_frames, seed, choose = arguments.num_samples, arguments.num_frames, arguments.seed, arguments.choose
    # One of the registry is known by its name; to know the width of a floor's error it would have to be fitted.
    identity = {"identity": None} if arguments.predictor in PREDICTORS else {}
    protocol = Protocol.of(
        predictor,
        videos=arguments.num_videos,
        samples=count,
        frames=num_frames,
        temperature=arguments.temperature,
        seed=seed,
        predictor=arguments.predictor,
        **identity,
    )
    config, num_context = predictor.config, predictor.config.num_context
    read = _videos if arguments.video_file is None else _file
    videos, where = read(config, arguments, needs_future or choose is not None)
    protocol = dataclasses.replace(protocol, **where, videos_digest=videos_digest(videos))
    if choose is not None:
        METRICS[choose](count).check(Clips.of(config, num_frames, len(videos)))
    context, future = videos[:, :num_context], videos[:, num_context:]
    samples = np.empty([len(videos), count, num_frames, *videos.shape[2:]], np.uint8)
    bar = progress_bar(len(videos) * count)
    sampler, lost = FutureSampler(predictor), 0
    for i in range(len(videos)):
        done = 0
        with on_own_line():
            for numbers, batch in sampler.batches(context[i], num_frames, protocol.temperature, seed, i, count):
                last = numbers[-1]
                samples[i, done : done + len(batch)] = batch
                done += len(batch)
                bar.add(len(batch))
        lost += last + 1 - count
    if lost:
        print(f"warning: {lost_in_words(lost)}", file=sys.stderr)
    return SampledFutures(context, samples, future if future.shape[1] else None, choose, protocol, lost)


def similarity(futures: SampledFutures, metric: str) -> np.ndarray:
    """Mean over frames of the similarity of every sample to the real future, by "psnr" or "ssim": [V, S]."""
    measure = METRICS[metric](futures.samples.shape[1]).measure
    clips = zip(futures.context, futures.future, futures.samples, strict=True)
    return np.stack([measure(*clip).mean(axis=1, dtype=np.float64) for clip in clips])


def save_futures(
    futures: SampledFutures,
    folder: Path,
    *,
    grid: bool = False,
    kinds: Sequence[str] = PICTURES,
    argv: Sequence[str] = (),
) -> Iterator[Path]:
    """Writes pictures of the samples, all samples as .npz and what they are as .json; gives the path of each.

    Args:
      folder: made if missing.
      grid: one picture of all videos and samples instead of one per video; its .png is of the last frame.
      kinds: of pictures, from `PICTURES`.
      argv: the command that gives the same files, word by word.
    """
    values = None if futures.choose is None else similarity(futures, futures.choose)
    name = Path(futures.protocol.own_stem(folder / (futures.stem + ("_grid" if grid else "")))).name
    title = f"temperature {futures.protocol.temperature:g}"
    if grid:
        moving = strips.grid(futures.context, futures.samples, futures.future, title)
        yield from strips.save_pictures(folder / name, moving[-1], moving, kinds)
    else:
        for i in range(len(futures.context)):
            named = _named_samples(futures, i, None if values is None else values[i])
            clip = futures.context[i], named, None if futures.future is None else futures.future[i], title
            still, moving = strips.strip(*clip), strips.animation(*clip)
            yield from strips.save_pictures(folder / f"{name}_video-{i}", still, moving, kinds)
    arrays = folder / f"{name}.npz"
    scalars = {"temperature": futures.protocol.temperature, "seed": futures.protocol.seed}
    with atomic_path(arrays) as temporary:
        videos = {"context": futures.context, "samples": futures.samples, "future": futures.future}
        videos = {name: array for name, array in videos.items() if array is not None}
        np.savez_compressed(temporary, **videos, **scalars)
    yield arrays
    summary: dict[str, Any] = {"protocol": futures.protocol.to_json(), "argv": list(argv)}
    if futures.not_finite:
        summary["not_finite"] = futures.not_finite
    if values is not None:
        best, worst = values.argmax(axis=1), values.argmin(axis=1)
        summary[futures.choose] = {"best": best.tolist(), "worst": worst.tolist(), "per_sample": values.tolist()}
    yield write_json(folder / f"{name}.json", summary)


def _named_samples(futures: SampledFutures, video: int, values: np.ndarray | None) -> dict[str, np.ndarray]:
    """The samples of a video to show, [N, H, W, C] each, by their labels."""
    samples = futures.samples[video]
    if values is None:
        return {f"sample {s + 1}": frames for s, frames in enumerate(samples)}
    metric = METRICS[futures.choose]
    chosen = {"best": values.argmax(), "worst": values.argmin()}
    return {f"{name}, {metric.text(values[s])}": samples[s] for name, s in chosen.items()}


def _videos(
    config: VideoFlowConfig, arguments: SampleArguments, needs_future: bool
) -> tuple[np.ndarray, dict[str, Any]]:
    """Context and real future, and the fields of a protocol about them.

    The context alone where the videos are shorter and the future is not needed.
    """
    where = {"data_dir": arguments.data_dir, "split": arguments.split}

    def read(num_frames: int) -> np.ndarray:
        how = {"num_videos": arguments.num_videos, "num_frames": num_frames}
        return data.load_videos(config, arguments.data_dir, arguments.split, **how)

    try:
        return read(config.num_context + arguments.num_frames), where
    except UserError as error:
        why = f"{counted(config.num_context, 'frame')} given, {arguments.num_frames} generated: {error}"
        if needs_future:
            raise UserError(why) from None
        videos = read(config.num_context)
        print(f"note: the real continuation is not shown; {why}", file=sys.stderr)
        return videos, where


def _file(config: VideoFlowConfig, arguments: SampleArguments, needs_future: bool) -> tuple[np.ndarray, dict[str, Any]]:
    """As `_videos`, of a file: a single video."""
    file, start, num_context = arguments.video_file, arguments.start, config.num_context
    whole = num_context + arguments.num_frames
    frames, settings = read_frames(file, config, start - 1 + whole)
    video = frames[start - 1 :]
    least = whole if needs_future else max(1, num_context)
    if len(video) < least:
        there = counted(len(frames), "frame")
        raise UserError(f"{file} has {there}, of which {least} are needed from number {start} on")
    video = video if len(video) == whole else video[:num_context]
    return video[None], {"dataset": None, "settings": {**settings, "start": start}}
