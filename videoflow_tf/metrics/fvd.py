"""Fréchet video distance (Unterthiner et al. 2018): the distance of two sets of videos in the space of I3D logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from videoflow_tf.colour import with_channels
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.metrics.measurements import file_digest
from videoflow_tf.metrics.metric import MetricOptions, SampleMetric

_SOURCE = "https://tfhub.dev/deepmind/i3d-kinetics-400/1"
_INPUT_SIZE = 224  # Pixels.
_LEAST_FRAMES = 9  # I3D halves the time three times and pools two of what is left.
_CLIPS_AT_A_TIME = 8
SELF_CHECK_VALUE = 131.0


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Squared Fréchet distance of the Gaussians fitted to two sets of vectors (Dowson and Landau 1982).

    |m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2)), S the unbiased covariances. With S = A^T A, A being the centred
    vectors / sqrt(n - 1), the last trace is the sum of the singular values of A1 A2^T. That takes no root of a matrix
    and no inverse: the singular covariances of fewer vectors than dimensions are no special case.

    Args:
      first, second: [n, d] and [m, d] with n, m >= 2.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    centred = [(x - x.mean(axis=0)) / np.sqrt(len(x) - 1) for x in (first, second)]
    traces = sum(float((a**2).sum()) for a in centred)
    trace_of_root = float(np.linalg.svd(centred[0] @ centred[1].T, compute_uv=False).sum())
    means = float(((first.mean(axis=0) - second.mean(axis=0)) ** 2).sum())
    return max(0.0, means + traces - 2 * trace_of_root)


class I3D:
    """Logits of I3D (Carreira and Zisserman 2017) trained on Kinetics-400, from a local SavedModel."""

    def __init__(self, path: str | None) -> None:
        """Reads the SavedModel: signature "default", one input float32 [B, T, 224, 224, 3] in [-1, 1], logits [B, c].

        Raises:
          UserError: there is no such SavedModel, or its signature is another.
        """
        if path is None or not (Path(path) / "saved_model.pb").is_file():
            given = "needs --i3d_path" if path is None else f"finds no saved_model.pb in --i3d_path={path}"
            raise UserError(
                f"FVD {given}: download {_SOURCE}?tf-hub-format=compressed, unpack it and give the folder's path"
            )
        # A module of the first TF-Hub format keeps its graph without a tag.
        tags = [] if (Path(path) / "tfhub_module.pb").is_file() else None
        try:
            self._model = tf.saved_model.load(str(path), tags=tags)
        except (ValueError, OSError, RuntimeError, tf.errors.OpError) as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"cannot read the SavedModel --i3d_path={path} (from {_SOURCE}): {reason}") from None
        signatures = self._model.signatures
        name = next((name for name in ("default", "serving_default") if name in signatures), None)
        signature = signatures[name] if name else None
        inputs = list(signature.structured_input_signature[1].items()) if signature else []
        if len(inputs) != 1 or not inputs[0][1].shape.is_compatible_with([None, None, _INPUT_SIZE, _INPUT_SIZE, 3]):
            raise UserError(f"--i3d_path={path} has no signature 'default' on [B, T, 224, 224, 3]; take {_SOURCE}")
        outputs = signature.structured_outputs
        self._signature, self._input = signature, inputs[0][0]
        self._output = "default" if "default" in outputs else next(iter(outputs))
        self.digest = file_digest(path)

    def logits(self, videos: np.ndarray) -> np.ndarray:
        """uint8 [B, T, H, W, C], T >= 9 -> float32 [B, classes]."""
        batches = [videos[i : i + _CLIPS_AT_A_TIME] for i in range(0, len(videos), _CLIPS_AT_A_TIME)]
        return np.concatenate(
            [self._signature(**{self._input: _preprocess(batch)})[self._output].numpy() for batch in batches]
        )


def _preprocess(videos: np.ndarray) -> tf.Tensor:
    """uint8 [B, T, H, W, C] -> float32 [B, T, 224, 224, 3] in [-1, 1], as the authors of the metric do it."""
    videos = with_channels(videos, 3)
    frames = tf.reshape(tf.cast(videos, tf.float32), [-1, *videos.shape[2:]])
    # The first resize of TensorFlow, without half-pixel centres, is theirs.
    frames = tf.raw_ops.ResizeBilinear(images=frames, size=[_INPUT_SIZE, _INPUT_SIZE])
    return tf.reshape(2 * frames / 255 - 1, [*videos.shape[:2], _INPUT_SIZE, _INPUT_SIZE, 3])


class FVD(SampleMetric):
    """The distance between the real videos and one sample of each; mean and spread over several such draws."""

    name = "fvd"
    label = "FVD"
    unit = "squared distance of I3D logits"

    def __init__(self, draws: int, i3d: I3D, include_context: bool) -> None:
        """`include_context`: whether the given frames are part of both sets of clips."""
        super().__init__(draws)
        self._i3d = i3d
        self._include_context = include_context

    @classmethod
    def from_options(cls, options: MetricOptions) -> FVD:
        return cls(options.arguments.fvd_draws, I3D(options.arguments.i3d_path), options.arguments.fvd_context)

    def settings(self) -> dict[str, Any]:
        return {"i3d": self._i3d.digest, "draws": self.num_samples, "context_included": self._include_context}

    def check(self, config: VideoFlowConfig, num_frames: int, num_videos: int) -> None:
        length = num_frames + (config.num_context if self._include_context else 0)
        if length < _LEAST_FRAMES:
            raise UserError(
                f"fvd needs clips of at least {_LEAST_FRAMES} frames, these have {length}; give a larger --num_frames"
            )
        if num_videos < 2:
            raise UserError("fvd compares distributions: give --num_videos of 2 or more (256 for figures to publish)")

    def measure(self, context: np.ndarray, real: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """Logits float32 [1 + draws, classes], those of the real video first."""
        clips = np.concatenate([real[None], samples])
        if self._include_context:
            clips = np.concatenate([np.broadcast_to(context, [len(clips), *context.shape]), clips], axis=1)
        return self._i3d.logits(clips)

    def summarize(self, measurements: np.ndarray) -> dict[str, Any]:
        """`mean`, `standard_deviation` (None for one draw) and `per_draw` [draws]; measurements: [V, 1 + draws, c]."""
        real = measurements[:, 0]
        draws = [frechet_distance(real, measurements[:, 1 + i]) for i in range(self.num_samples)]
        return {
            "mean": float(np.mean(draws)),
            "standard_deviation": float(np.std(draws, ddof=1)) if len(draws) > 1 else None,
            "per_draw": draws,
        }


def self_check(i3d: I3D) -> float:
    """FVD of all-black and all-white clips, the example of the metric's authors: about 131 on the real weights."""
    black = np.zeros([2, 15, 64, 64, 3], np.uint8)
    return frechet_distance(i3d.logits(black), i3d.logits(np.full_like(black, 255)))
