"""What to compare, checked without TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from videoflow_tf.arguments import DATA_DIR_HELP, LATEST, argument, check_predictor
from videoflow_tf.errors import UserError
from videoflow_tf.files import local_path
from videoflow_tf.metrics.arguments import MeasureArguments
from videoflow_tf.registry import METRICS

DEFAULT_METRICS = ("bits_per_pixel", "psnr", "ssim", "lpips", "fvd", "diversity", "legal_futures")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareArguments(MeasureArguments):
    """Of `compare.compare`.

    Raises:
      UserError: as `MeasureArguments`; a predictor does not exist; no run is given, or nowhere to write to.
    """

    command: ClassVar[str] = "compare"

    metrics: Sequence[str] | None = argument(
        None,
        f"What to measure, comma-separated, of {', '.join(METRICS)}; default: {', '.join(DEFAULT_METRICS)} (bits per "
        "pixel are per colour component); the table says which it lacks, and why.",
    )
    workdirs: Sequence[str] = argument((), "Runs, comma-separated; the first says what the data are.")
    predictors: Sequence[str] = argument(
        ("copy_last", "linear"), "Predictors beside them, as of evaluate.py; the first rows of the table."
    )
    predictions: Sequence[str] = argument((), "Samples that are drawn already beside them, as of evaluate.py.")
    checkpoint: str = argument(LATEST, "Which checkpoint of every run: latest, best, or a step.")
    data_dir: str | None = argument(None, DATA_DIR_HELP, path=True)
    output_dir: str | None = argument(None, "Folder to write to.", path=True)
    shown_videos: int = argument(4, "Videos whose samples are shown.", lower_bound=0)
    shown_samples: int = argument(3, "Samples of each that are shown.", lower_bound=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.workdirs:
            raise UserError("--workdirs is required: runs, comma-separated; the first says what the data are")
        if self.output_dir is None:
            raise UserError("--output_dir is required: the folder to write the table and the page to")
        if self.predictions and self.fvd_clips > 1:
            raise UserError("--fvd_clips is about samples of further clips, which --predictions lack; leave one out")
        for name in self.predictors:
            check_predictor(name)

    @property
    def results_dir(self) -> Path:
        return local_path(self.output_dir)
