"""What a run holds in its newest checkpoint and in its curves, read by TensorFlow and TensorBoard alone."""

from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from videoflow_tf import VideoFlow
from videoflow_tf.training.optimizer import make_optimizer
from videoflow_tf.workdir import latest_checkpoint, read_config

_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"


def stored_values(workdir: Path) -> dict[str, np.ndarray]:
    """All values by their keys, after making sure that they are those of the model and its optimizer, none missing."""
    reader = tf.train.load_checkpoint(latest_checkpoint(workdir)[0])
    keys = [key for key in reader.get_variable_to_shape_map() if key.endswith(_SUFFIX)]
    values = {key.removesuffix(_SUFFIX): reader.get_tensor(key) for key in keys}
    del values["save_counter"]

    model = VideoFlow(read_config(workdir))
    optimizer = make_optimizer(model.config)
    optimizer.build(model.trainable_variables)
    weights = {
        "levels": [v for level in model.levels for v in level.flow.variables],
        "priors": [v for level in model.levels for v in level.prior.variables],
        "step": [model.step],
    }
    if model.config.dequantization == "variational":
        weights["noise_flow"] = list(model.dequantizer.variables)
    metrics = [v for metric in model.metrics for v in metric.variables]
    assert sum(len(part) for part in weights.values()) == len(model.variables) - len(metrics)
    expected = weights | {"optimizer": [*optimizer.variables, optimizer._current_learning_rate]}
    assert {key.split("/")[0] for key in values} == set(expected)
    for part, variables in expected.items():
        shapes = [value.shape for key, value in values.items() if key.split("/")[0] == part]
        assert sorted(shapes) == sorted(tuple(v.shape) for v in variables), part
    return values


def stored_curve(workdir: Path, part: str, tag: str) -> dict[int, np.ndarray]:
    """Values of a curve of TensorBoard by their steps."""
    found = {}
    for path in sorted((workdir / "tensorboard" / part).iterdir()):
        events = EventAccumulator(str(path), size_guidance={"tensors": 0}).Reload()
        if tag in events.Tags()["tensors"]:
            found.update({event.step: tf.make_ndarray(event.tensor_proto) for event in events.Tensors(tag)})
    return found
