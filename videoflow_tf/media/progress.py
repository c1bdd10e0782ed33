"""Progress bars."""

from __future__ import annotations

import sys
from typing import Any

import tf_keras


def progress_bar(target: int, **kwargs: Any) -> tf_keras.utils.Progbar:
    """Keras' progress bar, seldom redrawn where the output is a file and every redraw stays."""
    return tf_keras.utils.Progbar(target, interval=0.1 if sys.stdout.isatty() else 30.0, **kwargs)
