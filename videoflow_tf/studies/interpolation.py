"""Interpolation between two frames in the space of the latents (Kumar et al. 2020, section 5.5)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from videoflow_tf import data
from videoflow_tf.arguments import takes
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.files import write_json
from videoflow_tf.media import strips
from videoflow_tf.metrics.metric import check_finite
from videoflow_tf.model.video_flow import VideoFlow
from videoflow_tf.predictors.video_flow import VideoFlowPredictor
from videoflow_tf.protocol import Protocol, videos_digest
from videoflow_tf.studies.arguments import InterpolateArguments
from videoflow_tf.studies.files import label_of, read_frames
from videoflow_tf.units import counted


class Interpolation(NamedTuple):
    """What lies between two frames."""

    frames: np.ndarray  # uint8 [steps, H, W, C]
    ends: np.ndarray  # uint8 [2, H, W, C], the two frames.
    channels: dict[int, int]  # level -> the channel that was chosen by its rank, from 0; empty if all change.


@takes(InterpolateArguments)
def interpolate_videos(arguments: InterpolateArguments) -> list[Path]:
    """Interpolates between frames of a dataset or of files with the trained model of a run; writes to `workdir`/eval.

    Args: the fields of `InterpolateArguments`.

    Returns:
      The files written.

    Raises:
      UserError: `workdir` has no trained model, or as `parse_levels`, `read_ends` and `interpolate`.
    """
    steps, channel_rank = arguments.steps, arguments.channel_rank
    predictor = VideoFlowPredictor.of_run(arguments.workdir, arguments.checkpoint)
    arguments = arguments.at_step(predictor.step)
    levels = parse_levels(arguments.levels, predictor.config)
    ends, protocol = read_ends(predictor, arguments)
    result = interpolate(predictor.model, ends, steps, levels, channel_rank)
    what = {**protocol.settings, "steps": steps, "levels": levels, "channel_rank": channel_rank}
    ends_of = {"video_file": protocol.settings["first"], "other_file": protocol.settings["last"]}
    files = {name: label_of(of_file) for name, of_file in ends_of.items() if getattr(arguments, name) is not None}
    protocol = dataclasses.replace(protocol, videos_digest=videos_digest(ends), settings=what)
    stem = protocol.own_stem(arguments.results_dir / "eval" / arguments.result_name("interpolation", **files))
    numbers = {"channels": result.channels, "protocol": protocol.to_json(), "argv": arguments.argv()}
    return [*save_pictures(result, Path(stem)), write_json(f"{stem}.json", numbers)]


def interpolate(
    model: VideoFlow, ends: np.ndarray, num_steps: int, levels: Sequence[int], channel_rank: int | None = None
) -> Interpolation:
    """Decodes points evenly spaced on the line between the latents of two frames.

    The latents that do not change stay those of the first frame.

    Args:
      model: a trained model.
      ends: uint8 [2, H, W, C].
      num_steps: frames to decode, both ends included, at least 2.
      levels: whose latents change; 0 is nearest the pixels.
      channel_rank: change in each level only the channel with the n-th largest squared difference between the two
        frames, summed over space (n from 1); None: all channels.

    Raises:
      UserError: fewer than 2 steps, no such level, a level has fewer channels than `channel_rank`, or a frame between
        is not finite.
    """
    _check(model.config, num_steps, levels, channel_rank)
    latents = exact_latents(model, ends[None])
    weights = tf.reshape(tf.linspace(tf.cast(0, model.float_dtype), 1, num_steps), [1, num_steps, 1, 1, 1])
    between, channels = [], {}
    for level, z in enumerate(latents):
        first, change = z[:, :1], z[:, 1:] - z[:, :1]  # [1, 1, h, w, c]
        if level not in levels:
            change = tf.zeros_like(change)
        elif channel_rank is not None:
            channels[level] = _ranked_channel(change, channel_rank)
            change *= tf.one_hot(channels[level], z.shape[-1], dtype=z.dtype)
        between.append(first + weights * change)
    frames = model.decode(between)
    check_finite(frames[0].numpy(), "frame {} between the two", first=1)
    return Interpolation(model.quantize(frames)[0].numpy(), ends, channels)


def exact_latents(model: VideoFlow, videos: np.ndarray) -> list[tf.Tensor]:
    """`model.encode` of uint8 [B, T, H, W, C], the pixels dequantised to the middles of their bins.

    A frame's round trip through the flow is then that frame.
    """
    return model.encode(videos, tf.fill(videos.shape, 0.5))


def read_ends(predictor: VideoFlowPredictor, arguments: InterpolateArguments) -> tuple[np.ndarray, Protocol]:
    """The first frame of a video and the last of the same or another one: uint8 [2, H, W, C], and where they are from.

    Raises:
      UserError: the dataset is missing, or has too few videos or frames; a file cannot be read, or both ends are the
        one frame of the same file.
    """
    if arguments.video_file is not None:
        return _ends_of_files(predictor, arguments)
    video, other, length = arguments.video, arguments.other_video, arguments.num_frames
    other = video if other is None else other
    length = predictor.config.num_eval_frames if length is None else length
    of_split = predictor.config, arguments.data_dir, arguments.split
    first, last = (data.load_video(*of_split, i, length)[t] for i, t in ((video, 0), (other, -1)))
    where = {"first": {"video": video, "frame": 1}, "last": {"video": other, "frame": length}}
    of_data = {"data_dir": arguments.data_dir, "split": arguments.split}
    return np.stack([first, last]), Protocol.of(predictor, **of_data, context=None, settings=where)


def _ends_of_files(predictor: VideoFlowPredictor, arguments: InterpolateArguments) -> tuple[np.ndarray, Protocol]:
    """As `read_ends`, of files; of a single one both ends."""
    file, other, length = arguments.video_file, arguments.other_file, arguments.num_frames
    first, of_first = read_frames(file, predictor.config, length if other is None else 1)
    last, of_last = (first, of_first) if other is None else read_frames(other, predictor.config, length)
    if other is None and len(first) == 1:
        raise UserError(f"{file} has one frame alone; give the file of the other end, --other_file")
    where = {"first": {**of_first, "frame": 1}, "last": {**of_last, "frame": len(last)}}
    return np.stack([first[0], last[-1]]), Protocol.of(predictor, dataset=None, context=None, settings=where)


def parse_levels(text: str, config: VideoFlowConfig) -> list[int]:
    """ "all", "top", "bottom" or numbers separated by commas, as levels; 0, the bottom one, is nearest the pixels.

    Raises:
      UserError: it is nothing of the kind.
    """
    named = {"all": list(range(config.levels)), "top": [config.levels - 1], "bottom": [0]}
    if text in named:
        return named[text]
    try:
        return sorted({int(level) for level in text.split(",")})
    except ValueError:
        raise UserError(f"--levels={text} must be all, top, bottom or numbers such as 0,2") from None


def _check(config: VideoFlowConfig, num_steps: int, levels: Sequence[int], channel_rank: int | None) -> None:
    if num_steps < 2:
        raise UserError(f"an interpolation needs at least 2 steps, its ends; got {num_steps}")
    for level in levels:
        if not 0 <= level < config.levels:
            raise UserError(f"there is no level {level}: the model has levels 0 (bottom) to {config.levels - 1} (top)")
        channels = config.latent_shape(level)[-1]
        if channel_rank is not None and not 1 <= channel_rank <= channels:
            raise UserError(
                f"level {level} has {counted(channels, 'channel')}: a channel rank of {channel_rank} is not one of them"
            )


def _ranked_channel(change: tf.Tensor, rank: int) -> int:
    """The channel of [1, 1, h, w, c] with the `rank`-th largest sum of squares, the lower of equal ones first."""
    squares = tf.reduce_sum(change**2, axis=[0, 1, 2, 3])
    return int(tf.math.top_k(squares, k=rank).indices[-1])


def save_pictures(result: Interpolation, stem: Path) -> list[Path]:
    """Writes a strip to `stem`.png and an animation to `stem`.gif."""
    steps = len(result.frames)
    weights = np.linspace(0, 1, steps)
    ends = np.concatenate([result.ends[:1], result.frames, result.ends[1:]])
    row = strips.Row("", ends, [strips.REAL, *[strips.GENERATED] * steps, strips.REAL])
    captions = ["first", *(f"{weight:.2f}" for weight in weights), "last"]
    return strips.save_pictures(stem, strips.film([row], captions), strips.side_by_side([row], captions))
