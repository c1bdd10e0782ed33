"""Writes the training step and the sampler of a model as StableHLO portable artifacts: see `stablehlo.py`.

A folder holds, for `train` and `sample` each, NAME.mlirbc (the artifact), NAME.npz (values of inputs) and, with all
inputs saved, NAME_expected.npz (the outputs that TensorFlow computes from them); and manifest.json, which lists inputs
and outputs in order. Inputs are the arguments, then the captured variables; outputs are the results, then the variables
that the function assigns, for each of which `feeds` names the input it is the next value of.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import auto_control_deps_utils
from work import Work, compiled_sampler, compiled_training_step, make_model, random_clips

from videoflow_tf import VideoFlow, VideoFlowConfig

# Inputs of at most so many elements are always saved: all but the kernels of convolutions, whose values may be drawn.
_SMALL = 4096


def export(
    config: VideoFlowConfig, batch_size: int, num_frames: int, num_drawn: int, out: Path, save_all: bool
) -> None:
    """Writes the folder `out`.

    Args:
      batch_size, num_frames: clips of a training step and their length.
      num_drawn: frames that the sampler draws after one context.
      save_all: save every input and what comes out, not only the small inputs.
    """
    model = make_model(config)
    _move_variables(model)
    clips = random_clips(config, batch_size, num_frames)
    context = clips[:1, : max(1, config.num_context)]
    sampler = compiled_sampler(model, num_drawn, jit_compile=True)
    step = compiled_training_step(model, jit_compile=True)
    out.mkdir(parents=True, exist_ok=True)
    # The sampler first: a training step changes the variables of both.
    functions = {
        "sample": _export(model, sampler, (context, tf.constant([0, 1])), out / "sample", save_all),
        "train": _export(model, step, (clips,), out / "train", save_all),
    }
    manifest = {
        "config": dataclasses.asdict(config),
        "train_clips": [batch_size, num_frames],
        "frames_drawn": num_drawn,
        "gflop": {
            "train": Work(config, batch_size, num_frames).training_gflop(),
            "sample": Work(config, 1, num_drawn).sampling_gflop(),
        },
        "functions": functions,
    }
    (out / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _move_variables(model: VideoFlow) -> None:
    """Moves weights off the zeros that they start from, so that no output is one for that reason alone."""
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign_add(0.01 * rng.standard_normal(variable.shape, np.float32))


def _export(
    model: VideoFlow,
    function: tf.types.experimental.PolymorphicFunction,
    arguments: tuple[tf.Tensor, ...],
    stem: Path,
    save_all: bool,
) -> dict[str, Any]:
    """Writes the files of one function; its entry in the manifest."""
    concrete = function.get_concrete_function(*arguments)
    artifact = function.experimental_get_compiler_ir(*arguments)(stage="stablehlo_serialized")
    stem.with_suffix(".mlirbc").write_bytes(artifact)

    # The graph lists the variables it reads; the moments are only handed to an op that updates them in place.
    variables = {v.handle.ref(): v for v in (*concrete.graph.variables, *model.optimizer.variables)}
    inputs = [*arguments, *(variables.get(tensor.ref(), tensor) for tensor in concrete.captured_inputs)]
    values = [tensor.numpy() for tensor in inputs]
    saved = {str(i): value for i, value in enumerate(values) if save_all or value.size <= _SMALL}
    np.savez(stem.with_suffix(".npz"), **saved)

    read_only = auto_control_deps_utils.get_read_only_resource_input_indices_graph(concrete.graph)
    assigned = [i for i, t in enumerate(inputs) if isinstance(t, tf.Variable) and i not in read_only]
    num_results = len(tf.nest.flatten(concrete.structured_outputs))
    if save_all:
        outputs = [*tf.nest.flatten(function(*arguments)), *(inputs[i] for i in assigned)]
        np.savez(stem.with_name(f"{stem.name}_expected.npz"), **{str(i): t.numpy() for i, t in enumerate(outputs)})
    return {
        "inputs": [_described(tensor, value) for tensor, value in zip(inputs, values, strict=True)],
        "num_outputs": num_results + len(assigned),
        "feeds": {num_results + k: i for k, i in enumerate(assigned)},
    }


def _described(tensor: tf.Tensor | tf.Variable, value: np.ndarray) -> dict[str, Any]:
    """Shape and dtype, and mean and standard deviation to draw a like value from."""
    return {
        "name": tensor.name if isinstance(tensor, tf.Variable) else "argument",
        "shape": list(value.shape),
        "dtype": str(value.dtype),
        "mean": float(value.mean()),
        "stddev": float(value.std()),
    }
