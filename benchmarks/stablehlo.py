"""The training step and the sampler where there is JAX but no TensorFlow.

python benchmarks/stablehlo.py --config=L --out=DIR    needs TensorFlow: writes both as StableHLO
PYTHONPATH=. python benchmarks/stablehlo.py --run=DIR  needs JAX alone: compiles and times them on its first device
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from videoflow_tf.files import write_json


def run(folder: Path, repeats: int, json_file: Path | None) -> None:
    """Prints what every function of the folder takes on JAX's first device."""
    import jax

    # Steps and seeds are 64-bit integers.
    jax.config.update("jax_enable_x64", True)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    device = jax.devices()[0]
    found: dict[str, Any] = {"device": device.device_kind, "platform": device.platform, "jax": jax.__version__}
    for name, function in manifest["functions"].items():
        figures = _run_function(folder / name, function, device, repeats)
        figures["gflops_per_second"] = manifest["gflop"][name] / figures["median_seconds"]
        found |= {f"{name}_{key}": value for key, value in figures.items()}
    for key, value in found.items():
        print(f"{key:<36} {value:.6g}" if isinstance(value, float) else f"{key:<36} {value}")
    if json_file is not None:
        write_json(json_file, found)


def _run_function(stem: Path, function: dict[str, Any], device: Any, repeats: int) -> dict[str, Any]:
    import jax

    start = time.perf_counter()
    executable = _compiled(stem.with_suffix(".mlirbc").read_bytes(), device)
    figures: dict[str, Any] = {"compile_seconds": time.perf_counter() - start}

    inputs = [jax.device_put(value, device) for value in input_values(stem, function["inputs"])]
    seconds = []
    # The first call, which also loads kernels, is not timed.
    for call in range(1 + repeats):
        start = time.perf_counter()
        results = executable.execute_sharded(inputs).disassemble_into_single_device_arrays()
        outputs = jax.block_until_ready([shards[0] for shards in results])
        seconds.append(time.perf_counter() - start)
        if call == 0:
            figures |= _difference(stem, outputs)
        for output, fed in function["feeds"].items():
            inputs[fed] = outputs[int(output)]
    figures["median_seconds"] = statistics.median(seconds[1:])
    figures["min_seconds"], figures["max_seconds"] = min(seconds[1:]), max(seconds[1:])

    planned = executable.get_compiled_memory_stats()
    figures["temporary_gib"] = planned.temp_size_in_bytes / 2**30
    # Of the process so far; the CPU does not say.
    statistics_of_device = device.memory_stats()
    if statistics_of_device:
        figures["peak_gib_so_far"] = statistics_of_device["peak_bytes_in_use"] / 2**30
    return figures


def _compiled(artifact: bytes, device: Any) -> Any:
    from jax.extend import mlir
    from jax.interpreters.mlir import make_ir_context

    # JAX itself only calls what it has traced; the client below it takes any module.
    with make_ir_context():
        module = str(mlir.deserialize_portable_artifact(artifact))
        # What TensorFlow writes for a copy is no operation of StableHLO, and a GPU's compiler refuses it.
        module = re.sub(r"mhlo\.copy (%\S+) : (\S+)", r"stablehlo.convert \1 : (\2) -> \2", module)
        return device.client.compile_and_load(module, [device])


def input_values(stem: Path, inputs: list[dict[str, Any]]) -> list[np.ndarray]:
    """Saved values; where none is saved, a draw with the mean and standard deviation of the true one."""
    rng = np.random.default_rng(0)
    with np.load(stem.with_suffix(".npz")) as saved:
        return [
            saved[str(index)]
            if str(index) in saved
            else (entry["mean"] + entry["stddev"] * rng.standard_normal(entry["shape"])).astype(entry["dtype"])
            for index, entry in enumerate(inputs)
        ]


def _difference(stem: Path, outputs: list[Any]) -> dict[str, float]:
    """The greatest difference from TensorFlow's outputs, in units of each output's greatest value."""
    expected = stem.with_name(f"{stem.name}_expected.npz")
    if not expected.exists():
        return {}
    worst = 0.0
    with np.load(expected) as values:
        for index, output in enumerate(outputs):
            wanted = values[str(index)].astype(np.float64)
            scale = max(np.abs(wanted).max(), 1e-30)
            worst = max(worst, float(np.abs(np.asarray(output) - wanted).max() / scale))
    return {"greatest_difference": worst}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=Path, metavar="DIR", help="write the artifacts here")
    what.add_argument("--run", type=Path, metavar="DIR", help="time the artifacts here")
    parser.add_argument("--config", default="L", help="with --out: size of the model, as in run.py")
    parser.add_argument("--batch_size", type=int, default=2, help="with --out: clips of a training step")
    parser.add_argument("--num_frames", type=int, default=4, help="with --out: frames of a training clip")
    parser.add_argument("--num_drawn", type=int, default=20, help="with --out: frames to draw")
    parser.add_argument("--save_all", action="store_true", help="with --out: save all inputs, and the outputs")
    parser.add_argument("--repeats", type=int, default=20, help="with --run: timed calls")
    parser.add_argument("--json", type=Path, metavar="FILE", help="with --run: write the figures here too")
    args = parser.parse_args()
    if args.run is not None and not (args.run / "manifest.json").is_file():
        parser.error(f"--run={args.run}: no manifest.json there; write one with --out")
    return args


def main() -> None:
    args = _arguments()
    if args.run is not None:
        run(args.run, args.repeats, args.json)
        return
    # Here, not above: --run does without TensorFlow.
    from work import CONFIGS

    from videoflow_tf.errors import UserError

    try:
        if args.config not in CONFIGS:
            raise UserError(f"--config must be one of {', '.join(CONFIGS)}, got {args.config}")
        from stablehlo_export import export

        export(CONFIGS[args.config], args.batch_size, args.num_frames, args.num_drawn, args.out, args.save_all)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
