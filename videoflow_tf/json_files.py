"""Results as JSON files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from videoflow_tf.checkpoints import atomic_path


def write_json(path: str | Path, value: Any) -> Path:
    """Writes `value`, indented for people to read, and gives the path."""
    path = Path(path)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n")
    return path
