"""How published work evaluated on BAIR, by name: `--protocol=NAME`. All of it at 64 x 64 pixels.

What a source leaves open stays at this package's default. Temperatures are 1 where the model in question has none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Paper:
    """A protocol as published.

    Attributes:
      source: where it is said.
      context: frames given.
      arguments: the fields of `MeasureArguments` that it sets.
    """

    source: str
    context: int
    arguments: Mapping[str, Any]
    frame_shape: tuple[int, int, int] = (64, 64, 3)


def _of(source: str, context: int, num_frames: int, num_samples: int, temperature: float = 1.0, **more: Any) -> Paper:
    own = {"num_frames": num_frames, "num_samples": num_samples, "temperature": temperature, "num_videos": 256}
    return Paper(source, context, {"split": "test", **own, **more})


_MCVD = "Voleti et al. 2022, arXiv 2205.09853; github.com/voletiv/mcvd-pytorch, FVD by sample, the mean of 10"
PAPERS: dict[str, Paper] = {
    "videoflow": _of(
        "Kumar et al. 2020, arXiv 1903.01434: FVD of clips of 16 frames, temperature 0.5 for its pictures; their "
        "page: 100 samples; tensor2tensor's next_frame_glow: 3 frames given, best sample by each metric's mean over "
        "frames. Taken from these, not read there: 13 frames predicted, and 0.5 for every metric",
        context=3, num_frames=13, num_samples=100, temperature=0.5,
    ),
    "savp": _of(
        "Lee et al. 2018, arXiv 1804.01523; github.com/alexlee-gk/video_prediction, scripts/evaluate.py: best of 100 "
        "samples for each metric, by its mean over the predicted frames",
        context=2, num_frames=28, num_samples=100,
    ),
    "svg": _of(
        "Denton and Fergus 2018, arXiv 1802.07687; github.com/edenton/svg, generate_svg_lp.py",
        context=2, num_frames=28, num_samples=100,
    ),
    "mcvd": _of(_MCVD, context=1, num_frames=15, num_samples=10, fvd_draws=10),
    "mcvd_2to14": _of(_MCVD, context=2, num_frames=14, num_samples=10, fvd_draws=10),
    "mcvd_2to28": _of(_MCVD, context=2, num_frames=28, num_samples=10, fvd_draws=10),
    "magvit": _of(
        "Yu et al. 2023, arXiv 2212.05199, appendix B.3: first 16 frames of each of 256 videos, 100 samples of each; "
        "its FVD is that of all draws together, its debiased FVD has --fvd_clips=15",
        context=1, num_frames=15, num_samples=100, fvd_draws=100, lpips_network="vgg",
    ),
}  # fmt: skip
