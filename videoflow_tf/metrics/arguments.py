"""What to measure, checked without TensorFlow: a misspelt name need not wait for its import."""

from __future__ import annotations

import math
from collections.abc import Sequence

from videoflow_tf.errors import UserError
from videoflow_tf.registry import METRICS


def checked_names(names: Sequence[str]) -> list[str]:
    """Names of metrics, each once; raises `UserError` if there are none, or no metric has one of them."""
    names = list(dict.fromkeys(name.strip() for name in names))
    for name in names:
        if name not in METRICS:
            raise UserError(f"there is no metric {name!r}; --metrics is a list of {', '.join(METRICS)}")
    if not names:
        raise UserError(f"--metrics is empty; choose from {', '.join(METRICS)}")
    return names


def checked_temperatures(temperatures: Sequence[float | str] | None) -> list[float]:
    """The temperatures of a sweep, ascending, each once; none without a sweep.

    Raises:
      UserError: one is not a finite number of 0 or more, or the sweep has none.
    """
    if temperatures is None:
        return []
    try:
        numbers = sorted({float(temperature) for temperature in temperatures})
    except ValueError:
        numbers = []
    if not numbers or not all(0 <= number < math.inf for number in numbers):
        given = ",".join(map(str, temperatures))
        raise UserError(f"--temperatures={given} must be numbers of 0 or more: 0.0,0.5,1.0")
    return numbers
