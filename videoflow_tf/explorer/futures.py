"""Futures of a clip, their bits per pixel, and what lies between two of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from videoflow_tf.explorer.clips import Clip
from videoflow_tf.metrics.metric import check_finite
from videoflow_tf.model.video_flow import VideoFlow
from videoflow_tf.predictors.future_sampler import FutureSampler, lost_in_words
from videoflow_tf.predictors.video_flow import VideoFlowPredictor
from videoflow_tf.seeds import as_seed
from videoflow_tf.studies.interpolation import exact_latents

REAL = "real"


class Futures(NamedTuple):
    """What may come after a context, and what really came."""

    context: np.ndarray  # uint8 [K, H, W, C]
    clips: dict[str, np.ndarray]  # label -> uint8 [N, H, W, C]: `REAL` first, if it is known, then the samples.
    temperature: float
    seed: tuple[int, int]  # Of the draw, and the clip's index.
    notes: tuple[str, ...]  # What is to be known of them.


def draw_futures(
    predictor: VideoFlowPredictor, clip: Clip, *, count: int, num_frames: int, temperature: float, seed: int
) -> Futures:
    """Draws futures of a clip, those that `sample.py` draws; raises `UserError` if most are not finite."""
    batches = [*FutureSampler(predictor).batches(clip.context, num_frames, temperature, seed, clip.index, count)]
    samples = np.concatenate([batch for _, batch in batches])
    notes, lost = clip.notes, batches[-1][0][-1] + 1 - count
    if lost:
        notes += (lost_in_words(lost),)
    clips = {} if clip.future is None else {REAL: clip.future}
    clips |= {f"sample {i + 1}": sample for i, sample in enumerate(samples)}
    return Futures(clip.context, clips, temperature, (seed, clip.index), notes)


def frame_bits(predictor: VideoFlowPredictor, futures: Futures) -> dict[str, np.ndarray]:
    """Bits per pixel of all clips by their labels, float32 [frames scored]: the last ones, mostly those of the future.

    The dequantisation noise is that of `evaluate.py` for the same seed, the same for all.

    Raises:
      UserError: bits are not finite.
    """
    videos = np.stack([np.concatenate([futures.context, clip]) for clip in futures.clips.values()])
    bits = predictor.frame_bits_per_pixel(videos, np.tile(as_seed(futures.seed), [len(videos), 1]))
    check_finite(bits, "the likelihood of future {}", first=1)
    return dict(zip(futures.clips, bits, strict=True))


class Between:
    """The way from one future to another in the space of the latents, frame by frame; see `studies.interpolation`.

    Attributes:
      futures: what the two are of.
      labels: those of the two.
    """

    def __init__(self, model: VideoFlow, futures: Futures, first: str, last: str) -> None:
        """first, last: labels in `futures`."""
        self.futures, self.labels = futures, (first, last)
        self._model, self._ends = model, [futures.clips[label] for label in self.labels]
        self._latents = exact_latents(model, np.stack(self._ends))  # [2, N, h, w, c] of every level.

    def at(self, weight: float) -> np.ndarray:
        """The clip at `weight`, from 0, the first, to 1, the last: uint8 [N, H, W, C].

        Raises:
          UserError: a frame is not finite.
        """
        if weight in (0, 1):  # Through the official code's pixel scaling the way back may be off by a grey level.
            return self._ends[int(weight)]
        frames = self._model.decode([z[:1] + weight * (z[1:] - z[:1]) for z in self._latents])
        check_finite(frames[0].numpy(), "frame {} between the two", first=1)
        return self._model.quantize(frames)[0].numpy()
