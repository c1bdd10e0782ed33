"""How a configuration's fields are declared, and how their values are checked."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any

from videoflow_tf.errors import UserError


def field(
    default: Any,
    help_text: str,
    *,
    least: float = 0,
    most: float = math.inf,
    choices: Iterable[str] | None = None,
    resumable: bool = False,
    read: Callable[[str, Any], Any] | None = None,
) -> Any:
    """A field of the type of its default; `least` and `most` bound a number, `choices` are the values of a string.

    A field of another kind has `read(name, value)`, which gives the value in its one form or raises `UserError`.

    A resumable field says how long a run lasts, how often it reports or how it fits into memory, not what it computes:
    a run may be taken up again with another value.
    """
    metadata = {"help": help_text, "least": least, "most": most, "choices": choices, "resumable": resumable}
    return dataclasses.field(default=default, metadata=metadata | {"read": read})


def checked(declared: dataclasses.Field, value: Any) -> Any:
    """`value` in the type of the field, or a `UserError` with got and expected."""
    name, expected = declared.name, type(declared.default)
    if declared.metadata["read"] is not None:
        value = declared.metadata["read"](name, value)
    elif expected is bool:
        if not isinstance(value, bool):
            raise UserError(f"{name} must be true or false, got {value!r}")
    elif expected is str:
        choices = tuple(declared.metadata["choices"])
        if value not in choices:
            raise UserError(f"{name} must be one of {', '.join(choices)}; got {value!r}")
    elif expected is tuple:
        if not isinstance(value, list | tuple) or not all(type(v) is int and v > 0 for v in value):
            raise UserError(f"{name} must be a list of positive whole numbers, got {value!r}")
        value = tuple(value)
    else:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not (whole or (expected is float and isinstance(value, float))):
            raise UserError(f"{name} must be {'a whole number' if expected is int else 'a number'}, got {value!r}")
        value = expected(value)
        least, most = declared.metadata["least"], declared.metadata["most"]
        if not (math.isfinite(value) and least <= value <= most):
            bound = f"at least {least}" if most == math.inf else f"between {least} and {most}"
            raise UserError(f"{name} must be {bound}, got {value}")
    return value
