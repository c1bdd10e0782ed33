"""A trained VideoFlow as a predictor."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from videoflow_tf.config import RESUMABLE_FIELDS
from videoflow_tf.model.video_flow import VideoFlow
from videoflow_tf.predictors.predictor import NotFiniteError, Predictor
from videoflow_tf.training.checkpoints import load_workdir
from videoflow_tf.training.strategies import make_strategy


class VideoFlowPredictor(Predictor):
    """VideoFlow's bits per pixel are a bound, by the dequantisation.

    Of a model that was made in the scope of a `tf.distribute` strategy, the replicas share every batch.
    """

    likelihood = "bound"

    def __init__(self, model: VideoFlow, frames_at_once: int | None = None) -> None:
        """`frames_at_once`: as for `VideoFlow.sample_frames`."""
        super().__init__(model.config)
        self.model, self._frames_at_once = model, frames_at_once
        self.step = int(model.step.numpy())
        self.num_parameters = model.num_parameters
        self.num_replicas = model.distribute_strategy.num_replicas_in_sync
        # Traced once for each size of a batch.
        self._draw = tf.function(self._sample, autograph=False)
        self._bits = tf.function(
            lambda video, seeds: model.frame_bits_per_pixel(video, seed=seeds), reduce_retracing=True
        )

    @classmethod
    def of_run(
        cls, workdir: str | Path, checkpoint: str | int, strategy: str | tf.distribute.Strategy = "one_device"
    ) -> VideoFlowPredictor:
        """The trained model of a run on the devices of `strategy`, see `make_strategy`; raises `UserError` as
        `load_workdir`."""
        with make_strategy(strategy).scope():
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
            return self._on_replicas(self._draw, seeds, shared=(context[None], num_frames, scale))
        except tf.errors.InvalidArgumentError as error:
            if "not finite" not in str(error):
                raise
            raise NotFiniteError from error

    def frame_bits_per_pixel(self, videos: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        return self._on_replicas(self._bits, videos, seeds)

    def num_scored(self, num_frames: int) -> int:
        return num_frames - self.config.num_unscored

    def _on_replicas(
        self, function: tf.types.experimental.PolymorphicFunction, *rows: np.ndarray, shared: Sequence[Any] = ()
    ) -> np.ndarray:
        """function(*shared, *rows) of batches [n, ...] whose rows the replicas share, [n, ...]."""
        shared = [tf.constant(value) for value in shared]
        if self.num_replicas == 1:
            return function(*shared, *map(tf.constant, rows)).numpy()
        count, replicas = len(rows[0]), self.num_replicas
        # As many for each: the last is repeated for those that would have fewer.
        each = -(-count // replicas)
        shares = np.minimum(np.arange(each * replicas), count - 1).reshape(replicas, each)
        strategy = self.model.distribute_strategy
        values = [
            strategy.experimental_distribute_values_from_function(
                lambda context, batch=batch: tf.constant(batch[shares[context.replica_id_in_sync_group]])
            )
            for batch in rows
        ]
        results = strategy.experimental_local_results(strategy.run(function, (*shared, *values)))
        return np.concatenate(results)[:count]

    def _sample(self, context: tf.Tensor, num_frames: tf.Tensor, temperature: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        """context uint8 [1, K, H, W, C], seeds int32 [n, 2] -> uint8 [n, N, H, W, C]."""
        frames = self.model.sample_frames(
            context, num_frames, temperature, seeds, copies=seeds.shape[0], frames_at_once=self._frames_at_once
        )
        return self.model.quantize(frames[:, 0])
