"""Measures speed, start-up, memory and graph size on this machine: see benchmarks/README.md.

python benchmarks/run.py --config=S --what=train [--json=FILE]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import timing
from work import CONFIGS, Work

from videoflow_tf.config import choices_of
from videoflow_tf.errors import UserError
from videoflow_tf.files import write_json

_HERE = Path(__file__).parent
# Frames of a training clip, and frames to draw, where the command does not say.
_TRAIN_FRAMES, _SAMPLE_FRAMES = 4, 20
_TRAIN_BATCH, _SAMPLE_BATCH = 2, 1

# Fields of the configuration that may be changed from the command line.
_CHANGEABLE = {"depth": int, "recompute": str, "precision": str}


def measure_train(work: Work, args: argparse.Namespace) -> dict[str, Any]:
    """Training steps, those of a flow of plain TFP parts and of our flow alone, and matrix products, in turns."""
    from work import training_task

    from bijectors import fast_forms

    fast_forms.set_up_cpu(work.config.depth, work.config.coupling_width, work.jit_compile)
    tasks = {"train": training_task(work)}
    if args.plain_tfp:
        import plain_tfp

        tasks["plain_tfp"] = plain_tfp.training_task(work)
        tasks["flow_alone"] = training_task(work.without_prior())
    seconds = timing.interleaved(tasks | timing.matmul_tasks(args.matmul_sizes), args.repeats)
    found = _sizes(work) | _rates(seconds, "train", work.training_gflop())
    scored = work.batch_size * (work.num_frames - work.config.num_unscored)
    found["scored_frames_per_second"] = scored / found["train_seconds"]["median"]
    if args.plain_tfp:
        found["plain_tfp_seconds"] = timing.spread(seconds["plain_tfp"])
        found["flow_alone_seconds"] = timing.spread(seconds["flow_alone"])
        found["flow_alone_gflop"] = work.without_prior().training_gflop()
        for ratio, ours in (("ratio_plain_tfp", "train"), ("ratio_plain_tfp_same_work", "flow_alone")):
            found[ratio] = found["plain_tfp_seconds"]["median"] / found[f"{ours}_seconds"]["median"]
    return found


def measure_sample(work: Work, args: argparse.Namespace) -> dict[str, Any]:
    """Calls of the sampler and matrix products, in turns."""
    from work import sampling_task

    from bijectors import fast_forms

    fast_forms.set_up_cpu(work.config.depth, work.config.coupling_width, work.jit_compile)
    tasks = {"sample": sampling_task(work)} | timing.matmul_tasks(args.matmul_sizes)
    seconds = timing.interleaved(tasks, args.repeats)
    found = _sizes(work) | _rates(seconds, "sample", work.sampling_gflop())
    found["seconds_per_clip"] = found["sample_seconds"]["median"] / work.batch_size
    found["sampled_frames_per_second"] = work.num_frames / found["seconds_per_clip"]
    return found


def measure_startup(work: Work, args: argparse.Namespace) -> dict[str, Any]:
    """Wall-clock seconds from the start of a fresh process."""
    found: dict[str, Any] = {}
    for task, result in (("train", "first_step"), ("sample", "first_sample")):
        runs = []
        work = _for_task(work, task, args)
        for _ in range(args.repeats):
            start = time.time()
            marks = _in_new_process(task, work)
            runs.append([marks[name] - start for name in ("imported_at", "built_at", "first_done_at")])
        imported, built, done = (list(column) for column in zip(*runs, strict=True))
        found[f"{result}_seconds"] = timing.spread(done)
        found[f"{result}_of_which_imports"] = statistics.median(imported)
        found[f"{result}_of_which_model"] = statistics.median(built) - statistics.median(imported)
        found |= _sizes(work, f"{task}_")
    return found


def measure_memory(work: Work, args: argparse.Namespace) -> dict[str, Any]:
    """Peak of a fresh process beyond that of one which only imports the same modules, and how it grows with the
    batch: what grows are the activations."""
    imports = _in_new_process("imports", work)["peak_gib"]
    found: dict[str, Any] = {"imports_peak_gib": imports}
    modes = [args.recompute] if args.recompute else choices_of("recompute")
    work = _for_task(work, "train", args)
    for mode in modes:
        mode_work = dataclasses.replace(work, config=work.config.replace(recompute=mode))
        larger = dataclasses.replace(mode_work, batch_size=work.batch_size + args.more_clips)
        peaks, more = _in_new_process("train", mode_work), _in_new_process("train", larger)
        found |= _beyond_imports(peaks, imports, f"train_recompute_{mode}")
        where = "gpu_peak_gib" if "gpu_peak_gib" in peaks else "peak_gib"
        growth = (more[where] - peaks[where]) / args.more_clips
        found[f"train_recompute_{mode}_mib_per_clip"] = 1024 * growth
    found |= _sizes(work, "train_")
    work = _for_task(work, "sample", args)
    found |= _beyond_imports(_in_new_process("sample", work), imports, "sample")
    return found | _sizes(work, "sample_")


def measure_trace(work: Work, args: argparse.Namespace) -> dict[str, Any]:
    """Operations of the graphs, those of the functions they call included, and seconds to trace them."""
    del args
    found = _sizes(work) | _in_new_process("trace", work)
    return {name: value for name, value in found.items() if not name.endswith("peak_gib")}


_MEASURES = {
    "train": measure_train,
    "sample": measure_sample,
    "startup": measure_startup,
    "memory": measure_memory,
    "trace": measure_trace,
}
_REPEATS = {"train": 10, "sample": 10, "startup": 3}


def _rates(seconds: dict[str, list[float]], task: str, gflop: float) -> dict[str, Any]:
    """Time of the task, and its rate beside that of matrix products taken in turns with it."""
    times, peak = timing.spread(seconds[task]), timing.matmul_gflops_per_second(seconds)
    rate = gflop / times["median"]
    return {
        f"{task}_seconds": times,
        "gflop": gflop,
        "gflops_per_second": rate,
        "matmul_gflops_per_second": peak,
        "fraction_of_peak": rate / peak,
    }


def _for_task(work: Work, task: str, args: argparse.Namespace) -> Work:
    """The work of one of two tasks that run in one command: without a flag each has its own default."""
    batch = {"train": _TRAIN_BATCH, "sample": _SAMPLE_BATCH}[task]
    frames = {"train": _TRAIN_FRAMES, "sample": _SAMPLE_FRAMES}[task]
    return dataclasses.replace(work, batch_size=args.batch_size or batch, num_frames=args.num_frames or frames)


def _sizes(work: Work, prefix: str = "") -> dict[str, int]:
    return {f"{prefix}batch_size": work.batch_size, f"{prefix}num_frames": work.num_frames}


def _in_new_process(task: str, work: Work) -> dict[str, Any]:
    """The result of `worker.py`; this process imports no TensorFlow, whose memory a child would be charged with."""
    root = str(_HERE.parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}
    command = [sys.executable, str(_HERE / "worker.py"), task, work.to_json()]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{task} ended with status {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def _beyond_imports(peaks: dict[str, float], imports: float, name: str) -> dict[str, float]:
    found = {f"{name}_gib": peaks["peak_gib"] - imports}
    if "gpu_peak_gib" in peaks:
        found[f"{name}_gpu_gib"] = peaks["gpu_peak_gib"]
    return found


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", choices=CONFIGS, required=True, help="size of the model")
    parser.add_argument("--what", choices=_MEASURES, required=True)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    parser.add_argument("--num_frames", type=int, help="of a training clip, context included; or frames to draw")
    parser.add_argument("--batch_size", type=int, help="clips at a time")
    parser.add_argument("--jit_compile", action=argparse.BooleanOptionalAction, default=False, help="with XLA")
    parser.add_argument("--repeats", type=int, help=f"timed calls or processes; default {_REPEATS}")
    parser.add_argument(
        "--plain_tfp", action=argparse.BooleanOptionalAction, default=True, help="train: time plain TFP parts too"
    )
    parser.add_argument("--more_clips", type=int, default=16, help="memory: clips that the second batch has more")
    parser.add_argument("--matmul_sizes", type=int, nargs="+", default=[1024, 2048, 4096], metavar="N")
    for name, kind in _CHANGEABLE.items():
        parser.add_argument(f"--{name}", type=kind, choices=choices_of(name), help="other than the config's")
    args = parser.parse_args(argv)
    for name in ("num_frames", "batch_size", "repeats", "more_clips"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise UserError(f"--{name} must be at least 1, got {getattr(args, name)}")
    args.repeats = args.repeats or _REPEATS.get(args.what, 1)
    return args


def _work(args: argparse.Namespace) -> Work:
    changes = {name: getattr(args, name) for name in _CHANGEABLE if getattr(args, name) is not None}
    work = Work(CONFIGS[args.config].replace(**changes), 1, 1, args.jit_compile)
    work = _for_task(work, "sample" if args.what == "sample" else "train", args)
    trains = args.what != "sample"
    given = work.config.num_unscored
    if trains and work.num_frames <= given:
        raise UserError(f"--num_frames={work.num_frames} leaves nothing to score after {given} given")
    return work


def _table(found: dict[str, Any]) -> str:
    def text(value: Any) -> str:
        if isinstance(value, dict):
            return "  ".join(f"{name} {text(part)}" for name, part in value.items())
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    width = max(map(len, found))
    return "\n".join(f"{name:<{width}}  {text(value)}" for name, value in found.items())


def main(argv: list[str]) -> None:
    args = _arguments(argv)
    work = _work(args)
    if args.json is not None and not args.json.parent.is_dir():
        raise UserError(f"--json={args.json}: there is no folder {args.json.parent}")
    found = {
        "config": args.config,
        "what": args.what,
        "jit_compile": work.jit_compile,
        **{name: getattr(work.config, name) for name in _CHANGEABLE},
        "repeats": args.repeats,
        **timing.machine(),
    }
    found |= _MEASURES[args.what](work, args)
    print(_table(found))
    if args.json is not None:
        write_json(args.json, found)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
