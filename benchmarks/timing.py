"""Timing of tasks side by side, and the rate of the machine they ran on."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np

Task = Callable[[], Any]

# Matrix products that run side by side.
PRODUCTS = 2


def interleaved(tasks: dict[str, Task], repeats: int) -> dict[str, list[float]]:
    """Seconds of every task, `repeats` of each, taken in turns.

    In turns, so that a machine whose speed drifts is slow for all alike. Of two calls in a turn the second is timed: in
    use, training steps and samples follow each other; the first after something else finds caches cold and threads
    asleep. The very first one compiles, too.
    """
    for task in tasks.values():
        task()
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(repeats):
        for name, task in tasks.items():
            task()
            start = time.perf_counter()
            task()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def spread(seconds: list[float]) -> dict[str, float]:
    """Median, quartiles, least and greatest."""
    lower, median, upper = np.quantile(seconds, [0.25, 0.5, 0.75])
    return {
        "median": float(median),
        "lower_quartile": float(lower),
        "upper_quartile": float(upper),
        "min": min(seconds),
        "max": max(seconds),
    }


def matmul_tasks(sizes: list[int]) -> dict[str, Task]:
    """`PRODUCTS` products of float32 matrices [n, n] for every size n, side by side, so that all cores take part
    however TensorFlow divides them among operations."""
    import tensorflow as tf

    # The sums alone come back to the host: nothing else of the products is moved.
    product = tf.function(lambda matrices: tf.add_n([tf.reduce_sum(tf.matmul(a, a)) for a in matrices]))

    def task(size: int) -> Task:
        matrices = [tf.random.stateless_normal([size, size], seed=[i, size]) for i in range(PRODUCTS)]
        return lambda: product(matrices).numpy()

    return {f"matmul_{size}": task(size) for size in sizes}


def matmul_gflops_per_second(seconds: dict[str, list[float]]) -> float:
    """The best over all sizes of the median rate of the tasks of `matmul_tasks`."""
    rates = []
    for name, times in seconds.items():
        if name.startswith("matmul_"):
            size = int(name.removeprefix("matmul_"))
            rates.append(PRODUCTS * 2 * size**3 / statistics.median(times) / 1e9)
    return max(rates)


def machine() -> dict[str, Any]:
    """What the figures were taken on. `load` is the mean number of running processes of the last minute."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
    }


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            return next(line.split(":", 1)[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
