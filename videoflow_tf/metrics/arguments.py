"""What to measure, checked without TensorFlow: a misspelt name need not wait for its import."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from videoflow_tf.arguments import TEMPERATURE, Arguments, PredictorArguments, argument
from videoflow_tf.config import MAX_SEED, SPLITS
from videoflow_tf.errors import UserError
from videoflow_tf.files import local_path
from videoflow_tf.metrics.papers import PAPERS
from videoflow_tf.registry import METRICS
from videoflow_tf.units import counted


@dataclasses.dataclass(frozen=True)
class MeasureArguments(Arguments):
    """What to measure, on what: the protocol of `evaluate` and `compare`.

    Raises:
      UserError: there are no metrics, or none of such a name; a count is below 1.
    """

    not_in_names: ClassVar[frozenset[str]] = Arguments.not_in_names | {
        "metrics",
        "vgg_weights",
        "i3d_path",
        "batch_size",
    }

    metrics: Sequence[str] | None = argument(
        None,
        f"What to measure, comma-separated, of {', '.join(METRICS)}; default: bits_per_pixel (bits "
        "per colour component); psnr,ssim of predictions.",
    )
    protocol: str | None = argument(
        None,
        "Split, videos, samples, frames and temperature as this paper has them on BAIR.",
        enum_values=tuple(PAPERS),
    )
    split: str = argument("test", "Videos to evaluate on.", enum_values=SPLITS)
    num_videos: int | None = argument(None, "The first so many of them; default: 256, or all of fewer.", lower_bound=1)
    num_samples: int | None = argument(
        None, "Futures of each video; default: 100, or all there are of predictions.", lower_bound=1
    )
    num_frames: int | None = argument(
        None, "Frames to predict in samples; default: num_eval_frames - num_context.", lower_bound=1
    )
    temperature: float = argument(TEMPERATURE, "Factor of the prior's sigma in samples; 1: as trained.", lower_bound=0)
    dequantization_samples: int = argument(
        1, "Noise draws for a bound of bits_per_pixel; 2 and more: the importance-weighted bound too.", lower_bound=1
    )
    vgg_weights: str | None = argument(None, "Keras's VGG16 weights without top (.h5), for vgg_*.", path=True)
    lpips_network: str = argument("alex", "Network of lpips: AlexNet or VGG16.", enum_values=("alex", "vgg"))
    i3d_path: str | None = argument(None, "Folder of I3D, for fvd; default: what prepare_i3d.py wrote.", path=True)
    fvd_draws: int = argument(5, "FVD is measured so many times, on one sample of each video.", lower_bound=1)
    fvd_context: bool = argument(True, "Whether the given frames are part of the clips that fvd sees.")
    fvd_clips: int = argument(
        1,
        "More: debiased FVD too, on so many clips of each video, a frame apart; MAGVIT has 15 on BAIR.",
        lower_bound=1,
    )
    batch_size: int = argument(
        16, "Videos or samples at a time, on each device; matters to memory and speed only.", lower_bound=1
    )
    seed: int = argument(0, "Seed of the samples and of the dequantisation noise.", lower_bound=0, upper_bound=MAX_SEED)

    def __post_init__(self) -> None:
        if self.metrics is not None:
            object.__setattr__(self, "metrics", _checked_names(self.metrics))
        if self.protocol is not None:
            self._follow(self.protocol)
        for name in ("num_samples", "num_frames", "dequantization_samples", "fvd_draws", "fvd_clips"):
            if (count := getattr(self, name)) is not None and count < 1:
                raise UserError(f"{name}={count} must be at least 1")

    def check_follows(self, context: int, frame_shape: tuple[int, int, int]) -> None:
        """Raises `UserError` if the protocol of a paper is asked for, which is about other videos than these.

        Args:
          context: frames given.
          frame_shape: [H, W, C]
        """
        if self.protocol is None:
            return
        paper = PAPERS[self.protocol]
        if (context, frame_shape) != (paper.context, paper.frame_shape):
            raise UserError(
                f"--protocol={self.protocol} is about {_described(paper.context, paper.frame_shape)}, not about "
                f"{_described(context, frame_shape)}: {paper.source}"
            )

    def _follow(self, name: str) -> None:
        """Takes the values of a paper; raises `UserError` if there is no such, or another value is given."""
        if name not in PAPERS:
            raise UserError(f"there is no protocol {name!r}; --protocol is one of {', '.join(PAPERS)}")
        given = self.given()
        values = {field: value for field, value in PAPERS[name].arguments.items() if self._takes(field)}
        for field, value in values.items():
            if field in given and getattr(self, field) != value:
                raise UserError(f"--protocol={name} has --{field}={value}, given is {given[field]}; leave one out")
            object.__setattr__(self, field, value)

    def _takes(self, field: str) -> bool:
        """Whether it has an effect."""
        return True


@dataclasses.dataclass(frozen=True)
class EvaluateArguments(MeasureArguments, PredictorArguments):
    """Of `evaluate.evaluate`: metrics once each, the temperatures of a sweep ascending (None without a sweep).

    Raises:
      UserError: as `MeasureArguments` and `PredictorArguments`; a temperature of the sweep is not a finite number of 0
        or more, or there is none; something has no effect on predictions; there is neither a run nor predictions.
    """

    command: ClassVar[str] = "evaluate"

    workdir: str | Path | None = dataclasses.field(
        default=None, metadata={"help": "Folder of the run; with --predictions one on such videos.", "path": True}
    )
    predictions: str | None = argument(
        None,
        "Measure samples that are drawn already instead: an .npz file, or a folder of them, of arrays context "
        "[V,K,H,W,C], samples [V,S,N,H,W,C] and future [V,N,H,W,C], uint8.",
        path=True,
    )
    temperatures: Sequence[float | str] | None = argument(None, "A sweep over these instead, for example 0.0,0.5,1.0.")

    def __post_init__(self) -> None:
        PredictorArguments.__post_init__(self)
        if self.predictions is not None:
            self._check_of_predictions()
        elif self.workdir is None:
            raise UserError("--workdir is required, or --predictions")
        if self.metrics is None:
            object.__setattr__(self, "metrics", ("psnr", "ssim") if self.predictions else ("bits_per_pixel",))
        MeasureArguments.__post_init__(self)
        if self.temperatures is not None:
            object.__setattr__(self, "temperatures", _checked_temperatures(self.temperatures))

    @property
    def results_dir(self) -> Path:
        """Of predictions without a run, where they are."""
        if self.output_dir is None and self.workdir is None:
            path = local_path(self.predictions)
            return path if path.is_dir() else path.parent
        return super().results_dir

    @property
    def measurements_dir(self) -> Path:
        """The folder of what is measured of single videos."""
        return self.results_dir / "eval" / "measurements"

    def _takes(self, field: str) -> bool:
        return self.predictions is None or field in _OF_PREDICTIONS

    def _check_of_predictions(self) -> None:
        """Raises `UserError` if something is asked for that only a predictor has."""
        for name in self.given():
            if not self._takes(name):
                raise UserError(
                    f"--{name} has no effect on --predictions, whose samples are drawn already; leave it out"
                )


_OF_PREDICTIONS = {
    "workdir", "output_dir", "predictions", "metrics", "num_videos", "num_samples", "num_frames", "vgg_weights",
    "lpips_network", "protocol", "i3d_path", "fvd_draws", "fvd_context",
}  # fmt: skip


def _described(context: int, frame_shape: tuple[int, int, int]) -> str:
    height, width, channels = frame_shape
    return f"{counted(context, 'frame')} given of {height}x{width}x{channels} each"


def _checked_names(names: Sequence[str]) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in names))
    for name in names:
        if name not in METRICS:
            raise UserError(f"there is no metric {name!r}; --metrics is a list of {', '.join(METRICS)}")
    if not names:
        raise UserError(f"--metrics is empty; choose from {', '.join(METRICS)}")
    return names


def _checked_temperatures(temperatures: Sequence[float | str]) -> list[float]:
    try:
        numbers = sorted({float(temperature) for temperature in temperatures})
    except ValueError:
        numbers = []
    if not numbers or not all(0 <= number < math.inf for number in numbers):
        given = ",".join(map(str, temperatures))
        raise UserError(f"--temperatures={given} must be numbers of 0 or more: 0.0,0.5,1.0")
    return numbers
