"""What a full training run costs on accelerators: python benchmarks/scale.py --preset=bair --share=0.3.

Computed from the operations of the model (flops.py), the peak rates that makers state, and the share of the peak that
is reached. With --memory=FILE, of `run.py --what=memory`, it says what batch fits; with --pipeline=FILE, of
`input_pipeline.py`, how many cores of the machine that was measured deliver the clips.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any, NamedTuple

import flops
from work import CONFIGS

from videoflow_tf.config import PRESETS, VideoFlowConfig, choices_of
from videoflow_tf.errors import UserError
from videoflow_tf.files import read_json
from videoflow_tf.units import counted


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
    return config.batch_size * flops.training_flops(config, config.num_train_frames, config.num_unscored)


def step_seconds(config: VideoFlowConfig, device: Device, share: float) -> float:
    """Of one device's share of a training step."""
    return step_flops(config) / (device.teraflops * 1e12 * share)


def hours(config: VideoFlowConfig, device: Device, count: int, share: float) -> float:
    """Of all the clips that one device sees in a run, batch_size x train_steps, on `count` devices."""
    return step_seconds(config, device, share) * config.train_steps / count / 3600


def table(config: VideoFlowConfig, share: float, clips_per_core: float | None = None) -> list[str]:
    """Markdown: a line for each kind of device; with the cores of the host, where it is known what one delivers."""
    columns = ["device", "format", "peak TFLOP/s", "ms a step", "clips a second", *(f"hours on {n}" for n in _COUNTS)]
    if clips_per_core is not None:
        columns += [f"cores for {n}" for n in _COUNTS]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for device in _DEVICES:
        seconds = step_seconds(config, device, share)
        rate = config.batch_size / seconds
        cells = [
            device.name,
            device.number_format,
            f"{device.teraflops:g}",
            f"{1e3 * seconds:.0f}",
            f"{rate:.0f}",
            *(f"{hours(config, device, count, share):.1f}" for count in _COUNTS),
        ]
        if clips_per_core is not None:
            cells += [str(math.ceil(count * rate / clips_per_core)) for count in _COUNTS]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def clips_per_core(config: VideoFlowConfig, path: Path) -> tuple[float, str]:
    """What each core of the measured host delivers in a second; and that in words."""
    measured, clip = _read(path), [config.num_train_frames, *config.frame_shape]
    if measured.get("clip") != clip or config.dataset not in measured["clips_per_second"]:
        what = f"clips of {config.dataset}, {' x '.join(map(str, clip))}"
        raise UserError(f"{path} is not about {what}: measure them with input_pipeline.py --preset=NAME --data_dir=D")
    rate, by_core = (measured[kind][config.dataset] for kind in ("clips_per_second", "clips_per_core_second"))
    host = f"{measured['cores']} cores, {measured['cpu']}, load {measured['load']:g}"
    return by_core, f"a core delivers {by_core:.0f} clips a second of its time ({host}: {rate:.0f} in all)"


def memory_table(config: VideoFlowConfig, path: Path) -> list[str]:
    """Markdown: the clips that fit into each kind of device, by what the gradient computes again."""
    memory = _read(path)
    if memory.get("config") not in CONFIGS or CONFIGS[memory["config"]] != config:
        raise UserError(f"{path} is not about this preset's model: measure it with run.py --what=memory")
    # A GPU's memory where there was one, else the process's.
    kind = "gpu_gib" if "train_recompute_none_gpu_gib" in memory else "gib"
    modes = [mode for mode in choices_of("recompute") if f"train_recompute_{mode}_mib_per_clip" in memory]
    per_clip = {mode: memory[f"train_recompute_{mode}_mib_per_clip"] for mode in modes}
    if not all(mib > 0 for mib in per_clip.values()):
        raise UserError(f"{path} has no growth with the batch: measure it with a larger --more_clips")
    batch = memory["train_batch_size"]
    fixed = {mode: 1024 * memory[f"train_recompute_{mode}_{kind}"] - batch * per_clip[mode] for mode in modes}
    lines = ["| recompute | a clip | all else | " + " | ".join(f"{gib:g} GiB" for gib in _sizes()) + " |"]
    lines.append("|---" * (3 + len(_sizes())) + "|")
    for mode in modes:
        fitting = [int(max(0.0, 0.9 * 1024 * gib - fixed[mode]) / per_clip[mode]) for gib in _sizes()]
        cells = " | ".join(map(str, fitting))
        lines.append(f"| `{mode}` | {per_clip[mode]:.0f} MiB | {fixed[mode] / 1024:.1f} GiB | {cells} |")
    return lines


def _sizes() -> list[float]:
    return sorted({device.gib for device in _DEVICES})


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(read_json(path))
    except (OSError, TypeError, ValueError) as error:
        raise UserError(f"{path} is no file that a benchmark wrote: {error}") from None


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="bair")
    parser.add_argument("--share", type=float, required=True, help="of the peak rate that is reached: above 0, to 1")
    parser.add_argument("--memory", type=Path, metavar="FILE", help="what run.py measured: the batch that fits")
    parser.add_argument("--pipeline", type=Path, metavar="FILE", help="what input_pipeline.py measured: cores of hosts")
    options = parser.parse_args(argv)
    share, config = options.share, PRESETS[options.preset]
    if not 0 < share <= 1:
        raise UserError(f"the share of the peak must be above 0 and at most 1, got {share:g}")
    by_core, delivered = (None, None) if options.pipeline is None else clips_per_core(config, options.pipeline)
    print(
        f"{options.preset}: {step_flops(config) / 1e12:.2f} TFLOP a step of {counted(config.batch_size, 'clip')} of "
        f"{config.num_train_frames} frames, {step_flops(config) * config.train_steps / 1e18:.2f} EFLOP in "
        f"{config.train_steps:,} steps. At {100 * share:.0f} % of the peak:\n"
    )
    print(*table(config, share, by_core), sep="\n")
    if delivered is not None:
        print(f"\nCores of the host: {delivered}.")
    if options.memory is not None:
        print(
            "\nThe largest batch, in clips, by the device's memory, a tenth of it left free:\n",
            *memory_table(config, options.memory),
            sep="\n",
        )


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
