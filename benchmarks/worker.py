"""One measurement in a process of its own, started by `run.py`: `python worker.py TASK WORK`.

The last line of its output is a JSON object.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from work import Work, compiled_sampler, compiled_training_step, make_model, random_clips, sampling_task, training_task


def imports(work: Work) -> dict[str, Any]:
    """Everything that the other tasks import, and nothing done with it."""
    del work
    import tensorflow as tf

    import videoflow_tf.model.video_flow
    import videoflow_tf.training.optimizer  # noqa: F401

    tf.config.list_physical_devices()
    return {"imported_at": time.time()}


def train(work: Work) -> dict[str, Any]:
    """Three steps: the third finds all memory of a step allocated before."""
    return _timed(training_task, work, 3)


def sample(work: Work) -> dict[str, Any]:
    return _timed(sampling_task, work, 1)


def trace(work: Work) -> dict[str, Any]:
    """Size of the graphs of a training step and of the sampler, and how long they take to trace."""
    import tensorflow as tf

    model = make_model(work.config)
    clips = random_clips(work.config, work.batch_size, work.num_frames)
    context = clips[:, : max(1, work.config.num_context)]
    seed = tf.constant([0, 1], tf.int32)
    found = {}
    for name, function, arguments in (
        ("train", compiled_training_step(model, work.jit_compile), (clips,)),
        ("sample", compiled_sampler(model, work.num_frames, work.jit_compile), (context, seed)),
    ):
        start = time.perf_counter()
        graph = function.get_concrete_function(*arguments).graph
        found[f"{name}_trace_seconds"] = time.perf_counter() - start
        definition = graph.as_graph_def()
        found[f"{name}_ops"] = len(definition.node) + sum(len(f.node_def) for f in definition.library.function)
        found[f"{name}_functions"] = len(definition.library.function)
    return found


def _timed(make: Callable[[Work], Callable[[], Any]], work: Work, calls: int) -> dict[str, Any]:
    imported = imports(work)
    from bijectors import fast_forms

    fast_forms.set_up_cpu(work.config.depth, work.config.coupling_width, work.jit_compile)
    task = make(work)
    built_at = time.time()
    task()
    first_done_at = time.time()
    for _ in range(calls - 1):
        task()
    return {**imported, "built_at": built_at, "first_done_at": first_done_at}


def _peak_memory() -> dict[str, float]:
    """GiB: of the process, and where there is one of the first GPU."""
    import resource

    import tensorflow as tf

    unit = 1 if sys.platform == "darwin" else 1024  # Bytes there, KiB elsewhere.
    found = {"peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30}
    if tf.config.list_logical_devices("GPU"):
        found["gpu_peak_gib"] = tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**30
    return found


_TASKS = {task.__name__: task for task in (imports, train, sample, trace)}

if __name__ == "__main__":
    result = _TASKS[sys.argv[1]](Work.from_json(sys.argv[2]))
    print(json.dumps({**result, **_peak_memory()}))
