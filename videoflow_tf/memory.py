"""How much of the memory may be filled with what is read: a small file can hold any number of frames."""

from __future__ import annotations

import psutil

from videoflow_tf.errors import UserError

_SHARE = 0.5  # Of what is free.


def room() -> float:
    """Bytes that may be filled now."""
    return psutil.virtual_memory().available * _SHARE


def check_fits(what: str, size: int, cure: str) -> None:
    """Raises `UserError`, which begins with `what` and ends with `cure`, unless so many bytes fit into memory."""
    most = room()
    if size > most:
        gib = 2**30
        raise UserError(
            f"{what} does not fit into memory: it takes {size / gib:.1f} GiB or more, half of what is free is "
            f"{most / gib:.1f} GiB; {cure}"
        )
