"""How fast configurations learn: bits per pixel and legal futures against processor minutes, trained in turns.

python benchmarks/learning.py --config="demo" --config="demo dequantization=variational" --minutes=10 --out=DIR
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
import timing

from bijectors import fast_forms
from videoflow_tf import VideoFlow, VideoFlowConfig, data
from videoflow_tf.errors import UserError
from videoflow_tf.files import atomic_path, write_json
from videoflow_tf.media.charts import Curve, finish, plot_curve
from videoflow_tf.metrics.legal_futures import LegalFutures
from videoflow_tf.training.optimizer import make_optimizer
from videoflow_tf.training.validation import averaged_weights
from videoflow_tf.units import BITS_LABEL

# The part of the time in which the rate stays; after it, it falls linearly to zero.
_CONSTANT = 0.5
_SAMPLING_SEED = 7


class Learner:
    """A configuration in training. Its own schedule and number of steps do not count: the minutes decide."""

    def __init__(self, label: str, config: VideoFlowConfig, minutes: float, options: argparse.Namespace) -> None:
        self.label, self.config, self.minutes, self.options = label, config, minutes, options
        self.model = VideoFlow(config)
        self.model.initialize(data.init_clips(config, None, num_clips=config.init_batch_size))
        self.optimizer = make_optimizer(config, learning_rate=0.0)
        self.optimizer.build(self.model.trainable_variables)
        self.model.compile(optimizer=self.optimizer)
        self.step = tf.function(self.model.train_step)
        self.clips = iter(data.train_clips(config, None, batch_size=config.batch_size, start_step=0))
        self.step(next(self.clips))  # Traces, and does not count: the rate is 0.
        self.spent, self.steps, self.skipped = 0.0, 0, 0
        self.curve: list[dict[str, float]] = []
        videos = data.eval_videos(config, None, "validation", num_videos=options.num_videos)
        self.videos = np.stack([element["video"] for element in videos.as_numpy_iterator()])

    def train_until(self, minutes: float) -> None:
        """Trains on until so many processor minutes, of all threads together, are spent."""
        start = time.process_time() - 60 * self.spent
        while self.spent < minutes:
            warm = min(1.0, (self.steps + 1) / max(self.config.warmup_steps, 1))
            left = min(1.0, (1 - self.spent / self.minutes) / (1 - _CONSTANT))
            self.optimizer.learning_rate = self.config.learning_rate * warm * left
            self.skipped += not np.isfinite(self.step(next(self.clips))["gradient_norm"])
            self.steps += 1
            self.spent = (time.process_time() - start) / 60

    def measure(self) -> dict[str, float]:
        """Bits per pixel and legal futures on the validation split, not counted as time."""
        count = self.config.num_context
        metric = LegalFutures(self.options.num_samples, self.config)
        found = {"minutes": round(self.spent, 3), "steps": self.steps, "skipped_steps": self.skipped}
        with averaged_weights(self.model, self.optimizer):
            bits = [
                self.model.bits_per_pixel(batch) for batch in np.array_split(self.videos, -(-len(self.videos) // 8))
            ]
            found["bits_per_pixel"] = float(np.concatenate(bits).mean())
            for temperature in self.options.temperatures:
                measured = [
                    self._measure_video(metric, video[:count], video[count:], temperature) for video in self.videos
                ]
                summary = metric.summarize(np.array(measured))
                found[f"legal_{temperature:g}"] = summary["mean"]
                found[f"legal_first_{temperature:g}"] = summary["first_frames"]["mean"]
                found[f"directions_{temperature:g}"] = summary["directions"]["mean"]
        self.curve.append(found)
        return found

    def _measure_video(
        self, metric: LegalFutures, context: np.ndarray, real: np.ndarray, temperature: float
    ) -> np.ndarray:
        contexts = np.repeat(context[None], self.options.num_samples, axis=0)
        try:
            samples = self.model.predict_frames(contexts, len(real), temperature, _SAMPLING_SEED).numpy()
        except tf.errors.InvalidArgumentError:  # Not finite, early in training.
            samples = np.zeros([len(contexts), *real.shape], np.uint8)
        return metric.measure(context, real, samples)


def parse_config(text: str) -> VideoFlowConfig:
    """`preset field=value ...`; a value that is JSON is taken as such: `demo depth=6 latent_dilations=[1,2]`."""
    preset, *changes = text.split()
    values = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals:
            raise UserError(f"--config={text}: expected field=value, got {change!r}")
        try:
            values[name] = json.loads(value)
        except json.JSONDecodeError:
            values[name] = value
    return VideoFlowConfig.preset(preset).replace(**values)


def draw(learners: list[Learner], temperature: float, path: Path) -> None:
    """Bits per pixel, and below them the share of legal samples, against processor minutes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 7.0), layout="constrained")
    for axes, key, label in zip(
        figure.subplots(2, 1, sharex=True),
        ("bits_per_pixel", f"legal_{temperature:g}"),
        (BITS_LABEL, f"legal samples at temperature {temperature:g}"),
        strict=True,
    ):
        for learner in learners:
            points = [(found["minutes"], found[key]) for found in learner.curve]
            plot_curve(axes, Curve(*zip(*points, strict=True)), learner.label)
        finish(axes, "processor minutes", label)
    figure.axes[0].legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", action="append", required=True, help='"preset field=value ..."; any number of them')
    parser.add_argument("--minutes", type=float, required=True, help="processor minutes (all threads) of each")
    parser.add_argument("--turns", type=int, default=8, help="how often each is measured and gives way to the next")
    parser.add_argument("--num_videos", type=int, default=32, help="validation videos")
    parser.add_argument("--num_samples", type=int, default=8, help="samples of each")
    parser.add_argument("--temperatures", type=float, nargs="+", default=[0.5, 1.0], help="the first is drawn")
    parser.add_argument("--out", type=Path, required=True, help="folder for learning.json and learning.png")
    options = parser.parse_args(argv)
    fast_forms.one_core_an_operation()
    learners = [Learner(text, parse_config(text), options.minutes, options) for text in options.config]
    for turn in range(1, options.turns + 1):
        for learner in learners:
            learner.train_until(options.minutes * turn / options.turns)
            found = learner.measure()
            print(f"{learner.label}: " + ", ".join(f"{name} {value:.4g}" for name, value in found.items()), flush=True)
        result = {
            learner.label: {"parameters": learner.model.count_params(), "curve": learner.curve} for learner in learners
        }
        write_json(options.out / "learning.json", timing.machine() | {"configurations": result})
        draw(learners, options.temperatures[0], options.out / "learning.png")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
