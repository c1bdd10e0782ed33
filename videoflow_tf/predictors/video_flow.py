"""A trained VideoFlow as a predictor."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from videoflow_tf.config import RESUMABLE_FIELDS
from videoflow_tf.model.video_flow import VideoFlow
from videoflow_tf.predictors.predictor import NotFiniteError, Predictor
from videoflow_tf.training.checkpoints import load_workdir


class VideoFlowPredictor(Predictor):
    """VideoFlow's bits per pixel are a bound, by the dequantisation."""

    likelihood = "bound"

    def __init__(self, model: VideoFlow, frames_at_once: int | None = None) -> None:
        """`frames_at_once`: as for `VideoFlow.sample_frames`."""
        super().__init__(model.config)
        self.model, self._frames_at_once = model, frames_at_once
        self.step = int(model.step.numpy())
        self.num_parameters = model.num_parameters
        # Traced once for each size of a batch.
        self._draw = tf.function(self._sample, autograph=False)
        self._bits = tf.function(
            lambda video, seeds: model.frame_bits_per_pixel(video, seed=seeds), reduce_retracing=True
        )

    @classmethod
    def of_run(cls, workdir: str | Path, checkpoint: str | int) -> VideoFlowPredictor:
        """The trained model of a run; raises `UserError` as `load_workdir`."""
        return cls(load_workdir(workdir, checkpoint)[1])

    @functools.cached_property
    def identity(self) -> dict[str, Any]:
        """Configuration, training step and a digest of the weights."""
        digest = hashlib.sha256()
        for variable in self.model.own_variables.values():
            digest.update(variable.numpy().tobytes())
        config = {k: v for k, v in dataclasses.asdict(self.config).items() if k not in RESUMABLE_FIELDS}
        return {"config": config, "step": self.step, "weights": digest.hexdigest()}

    def predict_frames(self, context: np.ndarray, num_frames: int, temperature: float, seeds: np.ndarray) -> np.ndarray:
        scale = tf.constant(temperature, self.model.float_dtype)
        try:
            return self._draw(tf.constant(context[None]), tf.constant(num_frames), scale, tf.constant(seeds)).numpy()
        except tf.errors.InvalidArgumentError as error:
            if "not finite" not in str(error):
                raise
            raise NotFiniteError from error

    def frame_bits_per_pixel(self, videos: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        return self._bits(tf.constant(videos), tf.constant(seeds)).numpy()

    def num_scored(self, num_frames: int) -> int:
        return num_frames - self.config.num_unscored

    def _sample(self, context: tf.Tensor, num_frames: tf.Tensor, temperature: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        """context uint8 [1, K, H, W, C], seeds int32 [n, 2] -> uint8 [n, N, H, W, C]."""
        frames = self.model.sample_frames(
            context, num_frames, temperature, seeds, copies=seeds.shape[0], frames_at_once=self._frames_at_once
        )
        return self.model.quantize(frames[:, 0])
