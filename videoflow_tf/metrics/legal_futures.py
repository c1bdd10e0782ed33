"""Legal futures: how many samples are what the generator of the moving shapes could have shown after these frames."""

from __future__ import annotations

from typing import Any

import numpy as np

from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.data.shapes import Scene, backdrop, possible_futures
from videoflow_tf.errors import UserError
from videoflow_tf.metrics.metric import Clips, MetricOptions, SampleMetric, curve_statistics, mean_statistics

_CONTRAST = 64  # Levels: a pixel further than this from a frame without a shape, in some channel, is one of the shape.
_LEAST_IOU = 0.7
_MOST_COLOUR_ERROR = 32  # Levels.
_FAINT = 128  # Levels: the two above are less, in proportion, for a colour nearer to the background; no RGB one is.
_LEAST_PIXELS = 10
_LEAST_FRAME_SIZE = 16
_MOST_CONTEXT = 3  # Frame 3 is the last that shows the largest shape, of 1.5 units, as a whole.


class LegalFutures(SampleMetric):
    """The share of samples that are legal: right in every frame for one and the same direction of those still open.

    A frame is right for a direction if two things hold. The mask of its shape and the true one there overlap, as
    intersection over union, by at least 0.7; and inside the true mask, its colour is wrong by at most 32 levels, as a
    mean over pixels and channels; a grey shape that is fainter than any in colour is judged more strictly, in
    proportion. A frame does not count where the true shape is leaving the picture and has fewer
    than 10 pixels left; while the shape is there as a whole every frame counts, however small it is. Behind an occluder
    there must be less than 10 pixels of it to be seen, and beyond it the shape must be the same again.
    """

    name = "legal_futures"
    label = "Legal futures"
    unit = "share of samples"

    def __init__(self, num_samples: int, config: VideoFlowConfig) -> None:
        super().__init__(num_samples)
        self._scene = Scene.of(config)
        self._backdrop = backdrop(config.frame_shape[:2], self._scene).astype(np.int16)

    @classmethod
    def from_options(cls, options: MetricOptions) -> LegalFutures:
        if options.clips.config is None:
            raise UserError(f"{cls.name} needs the dataset shapes: give --workdir, a run on the same videos")
        return cls(options.num_samples, options.clips.config)

    def settings(self) -> dict[str, Any]:
        return {
            "contrast": _CONTRAST,
            "least_iou": _LEAST_IOU,
            "most_colour_error": _MOST_COLOUR_ERROR,
            "least_pixels": _LEAST_PIXELS,
        }

    def check(self, clips: Clips) -> None:
        config, size, given = clips.config, min(clips.frame_shape[:2]), clips.context
        _need(config.dataset == "shapes", "the dataset shapes, whose futures are known", config.dataset)
        _need(config.shapes_count == 1, "one shape in a video", config.shapes_count)
        _need(size >= _LEAST_FRAME_SIZE, f"frames of at least {_LEAST_FRAME_SIZE} pixels", size)
        _need(1 <= given <= _MOST_CONTEXT, f"1 to {_MOST_CONTEXT} frames given", given)

    def measure(self, context: np.ndarray, real: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """float64 [N + 2]: the share of samples that are legal up to and including each frame; of frames that are
        empty; the number of different directions among the legal samples."""
        futures = possible_futures(context, samples.shape[1], self._scene)
        contrast = np.abs(futures.colours.astype(int) - self._scene.background).max(axis=1).min()
        scale = min(1.0, contrast / _FAINT)
        masks, true_masks = (self._masks(frames, scale * _CONTRAST) for frames in (samples, futures.frames))
        true_pixels = true_masks.sum(axis=(2, 3))
        counts = (true_pixels >= _LEAST_PIXELS) | (futures.whole & (true_pixels > 0))  # [P, N]
        right = np.ones([len(counts), *masks.shape[:2]], bool)  # [P, S, N]
        for p, t in np.argwhere(counts):
            errors = _colour_errors(samples[:, t], futures.frames[p, t], true_masks[p, t])
            right[p, :, t] = errors <= scale * _MOST_COLOUR_ERROR
            right[p, :, t] &= _overlaps(masks[:, t], true_masks[p, t]) >= _LEAST_IOU
        for p, t in np.argwhere(futures.hidden):
            right[p, :, t] = masks[:, t].sum(axis=(1, 2)) < _LEAST_PIXELS
        legal = np.logical_and.accumulate(right, axis=2)
        directions = np.unique(futures.directions[legal[:, :, -1].any(axis=1)])
        # An empty frame is a fault only where the shape is in the picture, whatever its direction.
        empty = ~masks[:, counts.all(axis=0)].any(axis=(2, 3))
        return np.array([*legal.any(axis=0).mean(axis=0), empty.mean(), len(directions)])

    def summarize(self, measurements: np.ndarray) -> dict[str, Any]:
        """`mean` and `per_video` are about whole samples, `per_frame` about samples up to and including the frame.

        `first_frames`: the share of legal first frames; `empty_frames`: of frames without a shape that should have one;
        `directions`: how many different ones the legal samples of a video have. Each with `mean`, `standard_error` and
        `per_video`.
        """
        curves, empty, directions = measurements[:, :-2], measurements[:, -2], measurements[:, -1]
        return {
            **curve_statistics(curves),
            **mean_statistics(curves[:, -1]),
            "first_frames": mean_statistics(curves[:, 0]),
            "empty_frames": mean_statistics(empty),
            "directions": mean_statistics(directions),
        }

    def _masks(self, frames: np.ndarray, contrast: float) -> np.ndarray:
        """Where the shape is: uint8 [..., C] -> bool [...]."""
        return (np.abs(frames.astype(np.int16) - self._backdrop) > contrast).any(axis=-1)


def _need(met: bool, what: str, got: object) -> None:
    if not met:
        raise UserError(f"{LegalFutures.name} needs {what}, got {got}; leave it out of the metrics")


def _overlaps(masks: np.ndarray, true_mask: np.ndarray) -> np.ndarray:
    """Intersection over union of bool [S, H, W] with [H, W]: [S]."""
    intersection = masks[:, true_mask].sum(axis=1)
    return intersection / (masks.sum(axis=(1, 2)) + true_mask.sum() - intersection)


def _colour_errors(frames: np.ndarray, true_frame: np.ndarray, true_mask: np.ndarray) -> np.ndarray:
    """Mean absolute error of uint8 [S, H, W, C] inside the true mask: [S], in levels."""
    return np.abs(frames[:, true_mask].astype(np.int16) - true_frame[true_mask]).mean(axis=(1, 2))
