"""What a full training run costs on accelerators: python benchmarks/scale.py --preset=bair --share=0.5.

Computed from the operations of the model (flops.py), the peak rates that makers state, and the share of the peak that
is reached: --share, or --train=FILE, what `run.py --what=train --json=FILE` measured on the device in question. With
--memory=FILE, of `run.py --what=memory`, it says what batch fits; with --pipeline=FILE, of `input_pipeline.py`, how
many devices one pipeline feeds.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import flops

from videoflow_tf.config import PRESETS, VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.files import read_json

# As in work.py: read by TensorFlow when it is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


class Device(NamedTuple):
    """An accelerator: dense peak rate, in the number format that training has there, and memory."""

    name: str
    teraflops: float
    number_format: str
    gib: float


# The makers' data sheets: V100 SXM2, A100 SXM4, H100 and H200 SXM5, without sparsity; Cloud TPU, a chip. TensorFlow
# computes float32 convolutions in TF32 where there is such a thing.
_DEVICES = (
    Device("V100", 15.7, "float32", 32),
    Device("A100", 156.0, "TF32", 80),
    Device("A100", 312.0, "bfloat16", 80),
    Device("H100", 494.7, "TF32", 80),
    Device("H100", 989.4, "bfloat16", 80),
    Device("H200", 989.4, "bfloat16", 141),
    Device("TPU v4", 275.0, "bfloat16", 32),
    Device("TPU v5e", 197.0, "bfloat16", 16),
    Device("TPU v5p", 459.0, "bfloat16", 95),
    Device("TPU v6e", 918.0, "bfloat16", 32),
)
_COUNTS = (1, 8)


def step_flops(config: VideoFlowConfig) -> float:
    """Operations of one device's share of a training step, `batch_size` clips."""
    given = 0 if config.score_context or not config.conditional else config.num_context
    return config.batch_size * flops.training_flops(config, config.num_train_frames, given)


def hours(config: VideoFlowConfig, device: Device, count: int, share: float) -> float:
    """Of all the clips that one device sees in a run, batch_size x train_steps, on `count` devices."""
    return step_flops(config) * config.train_steps / (device.teraflops * 1e12 * share * count) / 3600


def table(config: VideoFlowConfig, share: float) -> list[str]:
    """Markdown: a line for each kind of device."""
    columns = ["device", "format", "peak", "a step", "clips a second", *(f"{n} of them" for n in _COUNTS)]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for device in _DEVICES:
        seconds = step_flops(config) / (device.teraflops * 1e12 * share)
        runs = (f"{hours(config, device, count, share):.1f} hours" for count in _COUNTS)
        cells = [
            device.name,
            device.number_format,
            f"{device.teraflops:g} TFLOP/s",
            f"{1e3 * seconds:.0f} ms",
            f"{config.batch_size / seconds:.0f}",
            *runs,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def memory_table(memory: dict[str, Any]) -> list[str]:
    """Markdown: the clips that fit into each kind of device, by what the gradient computes again."""
    modes = [mode for mode in ("none", "coupling", "step") if f"train_recompute_{mode}_mib_per_clip" in memory]
    per_clip = {mode: memory[f"train_recompute_{mode}_mib_per_clip"] for mode in modes}
    batch = memory["train_batch_size"]
    fixed = {mode: 1024 * memory[f"train_recompute_{mode}_gib"] - batch * per_clip[mode] for mode in modes}
    lines = ["| recompute | a clip | all else | " + " | ".join(f"{gib:g} GiB" for gib in _sizes()) + " |"]
    lines.append("|---" * (3 + len(_sizes())) + "|")
    for mode in modes:
        fitting = [int(max(0.0, 0.9 * 1024 * gib - fixed[mode]) / per_clip[mode]) for gib in _sizes()]
        cells = " | ".join(map(str, fitting))
        lines.append(f"| `{mode}` | {per_clip[mode]:.0f} MiB | {fixed[mode] / 1024:.1f} GiB | {cells} |")
    return lines


def _sizes() -> list[float]:
    return sorted({device.gib for device in _DEVICES})


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="bair")
    parser.add_argument("--share", type=float, help="of the peak rate that training reaches, between 0 and 1")
    parser.add_argument("--train", type=Path, metavar="FILE", help="take it from what run.py measured")
    parser.add_argument("--memory", type=Path, metavar="FILE", help="what run.py measured: the batch that fits")
    parser.add_argument("--pipeline", type=Path, metavar="FILE", help="what input_pipeline.py measured")
    options = parser.parse_args(argv)
    if (options.share is None) == (options.train is None):
        raise UserError("give the share of the peak that is reached: --share=0.5, or --train=FILE that has it measured")
    share = options.share if options.train is None else _of(options.train, "fraction_of_peak")
    if not 0 < share <= 1:
        raise UserError(f"the share of the peak must be above 0 and at most 1, got {share:g}")
    config = PRESETS[options.preset]
    print(
        f"{options.preset}: {step_flops(config) / 1e12:.2f} TFLOP a step of {config.batch_size} clips of "
        f"{config.num_train_frames} frames, {step_flops(config) * config.train_steps / 1e18:.2f} EFLOP in "
        f"{config.train_steps:,} steps. At {100 * share:.0f} % of the peak:\n"
    )
    print(*table(config, share), sep="\n")
    if options.memory is not None:
        print("\nThe batch that fits, with a tenth left free:\n", *memory_table(read_json(options.memory)), sep="\n")
    if options.pipeline is not None:
        rate = _of(options.pipeline, "clips_per_second")["prepared set"]
        print(f"\nA pipeline of {rate:.0f} clips a second, as measured on a prepared set, feeds:\n")
        for device in _DEVICES:
            needed = config.batch_size / (step_flops(config) / (device.teraflops * 1e12 * share))
            print(f"- {rate / needed:.0f} x {device.name} ({device.number_format})")


def _of(path: Path, name: str) -> Any:
    values = read_json(path)
    if name not in values:
        raise UserError(f"{path} has no {name}; --help says what it is to be")
    return values[name]


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
