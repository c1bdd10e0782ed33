"""Looks at the validation split while training: bits per pixel, pictures, and a record of both."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras

from videoflow_tf import data
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.files import read_json, write_json
from videoflow_tf.media import strips
from videoflow_tf.model.video_flow import VideoFlow
from videoflow_tf.training.callbacks import StopOnRequest, WatchInvertibility
from videoflow_tf.training.checkpoints import Checkpoints, writing
from videoflow_tf.training.optimizer import Adam
from videoflow_tf.training.signals import StopOnSignal
from videoflow_tf.training.strategies import in_several_processes, is_chief, shard_data
from videoflow_tf.units import BITS_LABEL

_PICTURED_VIDEOS = 2
_TEMPERATURES = (0.0, 0.5, 1.0)
_TITLE = "samples at temperature T"


class Validations:
    """Bits per pixel of a run on the validation split by the step, kept in `workdir`/validation.json; null where they
    are not finite.

    A step is in the file when all that belongs to its validation is done.
    """

    def __init__(self, workdir: str | Path, step: int) -> None:
        """Of the run in `workdir` as it was at `step`; `UserError` if its file is damaged."""
        self._path = Path(workdir) / "validation.json"
        self._begun = self._path.is_file()
        bits = read_json(self._path) if self._begun else {}
        try:
            found = {int(at): None if value is None else float(value) for at, value in bits.items()}
        except (AttributeError, TypeError, ValueError, OverflowError):
            raise UserError(f"{self._path} is no record of validations; bring it back, or remove it") from None
        self._bits = {at: value for at, value in found.items() if at <= step}

    def misses(self, step: int, config: VideoFlowConfig) -> bool:
        """Whether the run was stopped between the checkpoint of `step` and the validation that follows it.

        False where nothing is known: of a run from before there was a record, or one that was not trained here.
        """
        due = step > 0 and (step % config.eval_every == 0 or step == config.train_steps)
        return self._begun and due and step not in self._bits

    @property
    def best(self) -> tuple[int, float] | None:
        """The first step of those with the fewest bits per pixel, and these."""
        finite = {step: bits for step, bits in self._bits.items() if bits is not None}
        return min(finite.items(), key=lambda item: item[1], default=None)

    @property
    def best_step(self) -> int | None:
        """That of `best`."""
        return None if self.best is None else self.best[0]

    def worse(self, most: int) -> bool:
        """Whether the last `most` or more were not better than one before them; never if `most` is 0."""
        best = self.best_step
        return 0 < most <= sum(best is None or step > best for step in self._bits)

    def add(self, step: int, bits: float) -> None:
        """Notes what was measured at a step."""
        self._bits[step] = bits if math.isfinite(bits) else None

    def write(self) -> None:
        """Writes the file."""
        write_json(self._path, {str(step): bits for step, bits in self._bits.items()})


class Validator:
    """Evaluates a model that is being trained, draws samples of it, and keeps the best."""

    def __init__(
        self,
        model: VideoFlow,
        workdir: Path,
        data_dir: str | None,
        validations: Validations,
        checkpoints: Checkpoints,
        signals: StopOnSignal,
    ) -> None:
        self.validations = validations
        self.workdir, self.data_dir = workdir, data_dir
        self._model = model
        self._checkpoints = checkpoints
        # Where several machines train, the others are at the next step, and the chief stops with them.
        self._check = (lambda: None) if in_several_processes(model.distribute_strategy) else signals.check
        self._videos = _validation_batches(model.config, data_dir, model.distribute_strategy)
        self._chief = is_chief(model.distribute_strategy)
        folder = workdir / "tensorboard" / "validation"
        self._writer = tf.summary.create_file_writer(str(folder)) if self._chief else None
        self._watchers: list[tf_keras.callbacks.Callback] = [StopOnRequest(signals)]
        if self._chief:
            (clip,) = data.load_videos(model.config, data_dir, "validation", num_videos=1)
            self._watchers.append(WatchInvertibility(clip, self._writer))

    def validate(self, step: int) -> None:
        """Shows, draws and records what the model of `step` gives on the validation split."""
        model = self._model
        with averaged_weights(model, model.optimizer):
            bits = model.evaluate(self._videos, verbose=0, return_dict=True, callbacks=self._watchers)
            bits = bits["bits_per_pixel"]
            if self._chief:
                print(f"Step {step}: {bits:.4f} {BITS_LABEL} on the validation split", flush=True)
                stem = self.workdir / "samples" / f"step-{step:07d}"
                pictures = draw_samples(model, self.data_dir, stem, self._check)
                with writing(self.workdir / "tensorboard"), self._writer.as_default(step):
                    tf.summary.scalar("bits_per_pixel", bits, description=BITS_LABEL)
                    if pictures:
                        tf.summary.image("samples", np.stack(pictures), max_outputs=len(pictures))
                    self._writer.flush()
        self.validations.add(step, bits)
        if self._chief:
            if self.validations.best_step == step:
                self._checkpoints.save_best()
            self.validations.write()


@contextlib.contextmanager
def averaged_weights(model: VideoFlow, optimizer: Adam) -> Iterator[None]:
    """Inside, the model has the moving average of its weights if the optimizer keeps one; afterwards its own again."""
    if not optimizer.use_ema:
        yield
        return
    own = [tf.identity(variable) for variable in model.trainable_variables]
    optimizer.load_averages(model.trainable_variables)
    try:
        yield
    finally:
        for variable, value in zip(model.trainable_variables, own, strict=True):
            variable.assign(value)


def draw_samples(model: VideoFlow, data_dir: str | None, stem: Path, check: Callable[[], None]) -> list[np.ndarray]:
    """Draws samples for the first validation videos at a few temperatures; returns small strips for TensorBoard.

    Samples that are not finite are left out; without any, nothing is drawn. `check` is called before each temperature.
    """
    config = model.config
    count, seed = config.num_eval_frames - config.num_context, tf.constant([config.seed, 0])
    videos = data.validation_videos(config, data_dir, min(_PICTURED_VIDEOS, config.eval_videos))
    videos = np.stack([element["video"] for element in videos.as_numpy_iterator()])
    context, future = videos[:, : config.num_context], videos[:, config.num_context :]
    samples = {}
    for t in _TEMPERATURES:
        check()
        try:
            samples[f"T = {t:g}"] = model.predict_frames(context, count, t, seed).numpy()
        except tf.errors.InvalidArgumentError:
            # Early in training, the inverse of an affine coupling can run away from frame to frame.
            print(f"No samples at temperature {t:g} yet: they are not finite")
    if not samples:
        return []
    pictures = []
    for i in range(len(videos)):
        clip = context[i], {label: frames[i] for label, frames in samples.items()}, future[i], _TITLE
        pictures.append(strips.strip(*clip, small=True))
        strips.save_pictures(f"{stem}_video-{i}", strips.strip(*clip), strips.animation(*clip))
    return pictures


def _validation_batches(
    config: VideoFlowConfig, data_dir: str | None, strategy: tf.distribute.Strategy
) -> tf.data.Dataset:
    videos = data.validation_videos(config, data_dir, config.eval_videos)
    count, replicas = int(videos.cardinality()), strategy.num_replicas_in_sync
    share = config.batch_size
    if replicas > 1:  # They take equal shares: the largest that leaves out no video, or as few as can be.
        share = min(range(share, 0, -1), key=lambda n: count % (n * replicas))
    batch = min(share * replicas, count)
    return shard_data(videos.map(lambda element: element["video"]).batch(batch, drop_remainder=replicas > 1))
