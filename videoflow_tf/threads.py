"""TensorFlow's threads on small machines."""

from __future__ import annotations

import os

import tensorflow as tf

# Set by whoever wants to decide for themselves.
_CHOSEN = "TF_NUM_INTRAOP_THREADS"


def one_core_an_operation(jit_compile: bool | None = None) -> None:
    """On a CPU of two cores, lets an operation run on one of them: to call before TensorFlow first computes.

    Training and sampling have two operations to run most of the time (the gradients of a convolution's input and
    kernel; a level's prior and the flow below it). To divide each over both cores costs more in waking threads than it
    gains: steps and samples of small models take a quarter longer, those of large ones no less time
    (benchmarks/README.md). Likelihoods and metrics alone, a chain of large operations, are better off without. Not for
    XLA, to which all is one operation, nor where the environment variable TF_NUM_INTRAOP_THREADS is set.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if cores == 2 and not jit_compile and _CHOSEN not in os.environ and not tf.config.list_physical_devices("GPU"):
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(2)
