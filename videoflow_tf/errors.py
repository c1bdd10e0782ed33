"""The one exception that means: the user can mend this."""

import re


class UserError(ValueError):
    """A mistake of the caller's: the message names the thing and the remedy.

    The commands in `launch/` print it as one line and exit with status 2; inside Python it is a
    `ValueError` like any other.
    """


def memory_fault(error: Exception, cure: str) -> str | None:
    """In one line that the memory of the machine or of its device is too small, and the cure; None of another error."""
    # TensorFlow, which is not imported for this, has one class for memory, a full disk and too many open files.
    of_device = type(error).__name__ == "ResourceExhaustedError" and re.search(
        "OOM when|[Oo]ut of memory|allocate", str(error)
    )
    return f"there is not enough memory: {cure}" if of_device or isinstance(error, MemoryError) else None


def one_line(text: str) -> str:
    """`text` as a line that no terminal and no log takes for more: names and metadata of files may hold anything."""
    text = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
