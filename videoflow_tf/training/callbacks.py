"""What happens between training steps: watch, show, record, save."""

from __future__ import annotations

import dataclasses
import math
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras

from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.media.progress import progress_bar
from videoflow_tf.training.checkpoints import Checkpoints, writing
from videoflow_tf.training.signals import StopOnSignal, Stopped
from videoflow_tf.training.strategies import any_machine
from videoflow_tf.units import BITS_LABEL, BITS_UNIT

_SUMMARY_EVERY = 10
_MOST_SKIPPED = 20
# Frames in the middle of their pixels' bins that come back with a smaller error, in grey levels, have the same pixels.
_RECONSTRUCTED = 0.5


class StopOnDivergence(tf_keras.callbacks.Callback):
    """Counts the steps that were skipped because their gradient was not finite; too many in a row are a `UserError`."""

    def __init__(self) -> None:
        super().__init__()
        self.skipped, self.in_a_row = 0, 0

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        if math.isfinite(logs["gradient_norm"]):
            self.in_a_row = 0
            return
        self.skipped += 1
        self.in_a_row += 1
        if self.in_a_row == _MOST_SKIPPED:
            step = int(self.model.step.numpy())
            print(flush=True)  # The message stands on a line of its own, not behind the progress bar.
            raise UserError(
                f"training diverged: the gradient is {logs['gradient_norm']} at step {step}, as at the "
                f"{_MOST_SKIPPED - 1} before; the last checkpoint is from before: go on from it, or an earlier "
                "--checkpoint, with a lower --learning_rate --allow_changes=learning_rate, or start anew with more "
                "--warmup_steps or a larger --init_batch_size in another --workdir"
            )


class ShowProgress(tf_keras.callbacks.Callback):
    """A Keras progress bar per call of `fit`, with the speed and the time left of the whole run."""

    def __init__(self, train_steps: int, frames_per_step: int) -> None:
        """`frames_per_step`: scored frames of a global batch."""
        super().__init__()
        self._train_steps = train_steps
        self._frames_per_step = frames_per_step
        self._seconds_per_step: float | None = None  # A moving average; the first step, which compiles, left out.
        self._last: float | None = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        step, count = int(self.model.step.numpy()), self.params["steps"]
        print(f"Steps {step + 1} to {step + count} of {self._train_steps}; bits_per_pixel: {BITS_UNIT}")
        self._bar = progress_bar(count, stateful_metrics=["bits_per_pixel", "frames_per_second", "minutes_left"])
        self._last = None

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        now = time.monotonic()
        if self._last is not None:
            seconds = now - self._last
            before = self._seconds_per_step
            self._seconds_per_step = seconds if before is None else 0.9 * before + 0.1 * seconds
        self._last = now
        values = [("bits_per_pixel", logs["bits_per_pixel"])]
        if self._seconds_per_step is not None:
            left = self._train_steps - int(self.model.step.numpy())
            values.append(("frames_per_second", self._frames_per_step / self._seconds_per_step))
            # Keras writes what is less than a thousandth with an exponent.
            values.append(("minutes_left", max(left * self._seconds_per_step / 60, 0.01)))
        self._bar.update(batch + 1, values)


class WriteSummaries(tf_keras.callbacks.Callback):
    """To TensorBoard the configuration, a text, and scalars every 10 steps: bits_per_pixel (mean since the last),
    gradient_norm, learning_rate, and skipped_steps since training was last started.

    Every machine has it: of the mean each keeps a part, which has to start anew with the others'.
    """

    def __init__(self, folder: str | Path | None, divergence: StopOnDivergence) -> None:
        """`folder`: None on a machine that writes none."""
        super().__init__()
        self._divergence = divergence
        self._folder = folder
        self._writer = None if folder is None else tf.summary.create_file_writer(str(folder))
        self._begun = False

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        if self._begun or self._writer is None:
            return
        self._begun = True
        fields = dataclasses.asdict(self.model.config)
        lines = ["| field | value |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in fields.items())]
        with writing(self._folder), self._writer.as_default(int(self.model.step.numpy())):
            tf.summary.text("configuration", "\n".join(lines))

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        step = int(self.model.step.numpy())
        if step % _SUMMARY_EVERY == 0:
            if self._writer is not None:
                self._write(step, logs)
            self.model.reset_metrics()  # `bits_per_pixel` is a running mean.

    def _write(self, step: int, logs: dict[str, float]) -> None:
        with writing(self._folder), self._writer.as_default(step):
            if math.isfinite(logs["gradient_norm"]):  # After a skipped step the mean may be of no step at all.
                tf.summary.scalar("bits_per_pixel", logs["bits_per_pixel"], description=BITS_LABEL)
            tf.summary.scalar("gradient_norm", logs["gradient_norm"])
            tf.summary.scalar("skipped_steps", self._divergence.skipped)
            tf.summary.scalar("learning_rate", self.model.optimizer.rate_at(step - 1))
            self._writer.flush()


class StopOnRequest(tf_keras.callbacks.Callback):
    """Raises `Stopped` after the batch under way if a signal came, in training and evaluation; with several machines
    after the same one everywhere, if it came to one of them."""

    def __init__(self, signals: StopOnSignal) -> None:
        super().__init__()
        self._signals = signals

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self._signals.has_work = True
        self._check()

    def on_test_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self._check()

    def _check(self) -> None:
        if any_machine(self.model.distribute_strategy, self._signals.received is not None):
            raise Stopped


class SaveCheckpoints(tf_keras.callbacks.Callback):
    """A checkpoint every `checkpoint_every` steps and after the last, but none in between after a step that was
    skipped: the weights may be to blame."""

    def __init__(self, checkpoints: Checkpoints, config: VideoFlowConfig) -> None:
        super().__init__()
        self._checkpoints = checkpoints
        self._config = config

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        step = int(self.model.step.numpy())
        due = step % self._config.checkpoint_every == 0 or step == self._config.train_steps
        if due and (step == self._config.train_steps or math.isfinite(logs["gradient_norm"])):
            self._checkpoints.save()


class WatchInvertibility(tf_keras.callbacks.Callback):
    """After every `evaluate`: how well the flow gives a fixed clip back, to TensorBoard, and a line where it does not.

    Scalars: `reconstruction_error`, the greatest difference in grey levels of the model's n bits; and for every level
    `condition_number/level_i`, the greatest of its 1x1 convolutions'.
    """

    def __init__(self, clip: np.ndarray, writer: tf.summary.SummaryWriter) -> None:
        """`clip`: uint8 [T, H, W, C]."""
        super().__init__()
        self._clip, self._writer = tf.constant(clip[None]), writer
        self._compiled = tf.function(self._reconstruction_error, autograph=False)

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        step, error = int(self.model.step.numpy()), float(self._compiled(self._clip))
        with writing("the curves of TensorBoard"), self._writer.as_default(step):
            tf.summary.scalar("reconstruction_error", error)
            for i, level in enumerate(self.model.levels):
                matrices = np.stack([flow_step.conv.matrix() for flow_step in level.steps])
                worst = np.linalg.cond(matrices).max() if np.isfinite(matrices).all() else math.inf
                tf.summary.scalar(f"condition_number/level_{i}", worst)
        if not error < _RECONSTRUCTED:
            print(
                f"warning: at step {step} the flow is no longer invertible in numbers: a clip comes back with an error "
                f"of {error:.3g} grey levels; samples will be wrong. A lower --learning_rate or --clip_norm helps",
                flush=True,
            )

    def _reconstruction_error(self, clip: tf.Tensor) -> tf.Tensor:
        frames = self.model.dequantize(clip, tf.fill(tf.shape(clip), 0.5))
        difference = tf.abs(self.model.decode(self.model.encode(frames)) - frames)
        return 2.0**self.model.config.n_bits * tf.reduce_max(difference)
