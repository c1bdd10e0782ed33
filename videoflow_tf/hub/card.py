"""The model card: README.md beside the weights, with what a reader on the hub needs to know."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from videoflow_tf.arguments import LICENCE
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.files import read_json
from videoflow_tf.metrics.results import summary
from videoflow_tf.protocol import Protocol
from videoflow_tf.registry import METRICS
from videoflow_tf.report.commands import train_command
from videoflow_tf.units import counted
from videoflow_tf.workdir import began_with

_CARD = """\
---
license: {licence_tag}
library_name: videoflow-tf
tags:
- video-prediction
- normalizing-flow
- tensorflow
---

# VideoFlow: {dataset}, {height}x{width}

A conditional normalizing flow that predicts video with an exact likelihood (Kumar et al., ICLR 2020,
[arXiv 1903.01434](https://arxiv.org/abs/1903.01434)), for the package videoflow-tf.

- Frames: {height} x {width} pixels, {channels}, {bits} a component; {given}.
- Size: {parameters:,} parameters: {levels} of {depth}, {coupling} couplings, {encoder} latent prior.
- Data: `{dataset}`, the train split, in clips of {clip} frames.
- Training: {step} of {batch}, rate {rate:g}. Repeated by

      {command}

## Use

```python
from videoflow_tf import VideoFlow

model = VideoFlow.from_pretrained("FOLDER")  # This folder, or "user/model" on the hub
model.predict_frames(context, num_frames=20, temperature=0.5)  # uint8 [B, {context}, {frame}] -> uint8 [B, 20, {frame}]
model.bits_per_pixel(video)  # uint8 [B, T, {frame}] -> float32 [B]
```

The folder is a workdir, too: `launch/evaluate.py --workdir=FOLDER --output_dir=RESULTS`. A new run begins with its
weights by the command above and `--workdir=NEW --init_from=FOLDER`.

## Figures

{figures}

## Limits and licence

It continues videos like those it was trained on; of others its likelihoods and samples say little. {licence}, but for
what the licence of the data asks for.
"""


def model_card(
    config: VideoFlowConfig, step: int, parameters: int, workdir: str | Path | None = None, licence: str = LICENCE
) -> str:
    """The text of the card.

    Args:
      config: of the model.
      step: training steps.
      parameters: how many numbers are trained.
      workdir: of its run: results there, measured at the same step, are its figures.
      licence: of the weights, an SPDX identifier.

    Raises:
      UserError: the licence is no such identifier.
    """
    if not re.fullmatch(r"[A-Za-z0-9.+-]+", licence):
        raise UserError(f"licence={licence!r} must be an SPDX identifier, for example MIT or CC-BY-4.0")
    height, width, channels = config.frame_shape
    frames = f"{counted(config.num_context, 'frame')} given"
    figures = () if workdir is None else _figures(Path(workdir), step)
    lines = [f"- {line}" for line in dict.fromkeys(figures)]  # A sweep has what was measured by itself, too.
    return _CARD.format(
        dataset=config.dataset,
        height=height,
        width=width,
        frame=f"{height}, {width}, {channels}",
        context=config.num_context,
        channels=counted(channels, "channel"),
        bits=counted(config.n_bits, "bit"),
        given=frames if config.conditional else "single frames, none given",
        parameters=parameters,
        levels=counted(config.levels, "level"),
        depth=counted(config.depth, "step"),
        coupling=config.coupling,
        encoder=config.latent_encoder if config.conditional else "learned",
        clip=config.num_train_frames,
        step=counted(step, "step"),
        batch=counted(config.batch_size, "clip"),
        rate=config.learning_rate,
        command=train_command(config, "WORKDIR", None if workdir is None else began_with(workdir)),
        figures="\n".join(lines) or "None measured yet: `launch/evaluate.py --workdir=FOLDER --output_dir=RESULTS`.",
        licence=licence,
        licence_tag=licence.lower(),  # As the hub has it.
    )


def _figures(workdir: Path, step: int) -> Iterator[str]:
    """A line for every metric in the files of results that was measured on the run's model at that step, and how."""
    for path in sorted((workdir / "eval").glob("*.json")):
        with contextlib.suppress(UserError, KeyError, TypeError, ValueError, AttributeError):  # No file of metrics.
            result = read_json(path)
            for metrics in result.get("results", [result]):
                for name in METRICS:
                    if name in metrics and _is_of(protocol := Protocol.of_metric(metrics, name), step):
                        (line,) = summary([name], [metrics])
                        yield f"{line}; {_how(protocol)}"


def _how(protocol: Protocol) -> str:
    """What the line of a metric does not say of its protocol."""
    scored = f"{protocol.scored} scored" if protocol.scored else f"{protocol.num_predicted} predicted"
    how = {"seed": protocol.seed, "clips": protocol.clips, "protocol": protocol.name, **protocol.settings}
    settings = (f"{name}={value}" for name, value in how.items() if value is not None)
    return ", ".join([f"{counted(protocol.context, 'frame')} given, {scored}", *settings])


def _is_of(protocol: Protocol, step: int) -> bool:
    return protocol.predictor is None and protocol.step == step
