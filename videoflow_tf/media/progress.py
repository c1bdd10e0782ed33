"""Progress bars."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import tf_keras

from videoflow_tf.errors import UserError


def progress_bar(target: int, **kwargs: Any) -> tf_keras.utils.Progbar:
    """Keras' progress bar, seldom redrawn where the output is a file and every redraw stays."""
    return tf_keras.utils.Progbar(target, interval=0.1 if sys.stdout.isatty() else 30.0, **kwargs)


@contextlib.contextmanager
def on_own_line() -> Iterator[None]:
    """The message of a `UserError` inside stands on a line of its own, not behind the progress bar."""
    try:
        yield
    except UserError:
        print(flush=True)
        raise
