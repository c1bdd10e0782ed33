"""Files that appear whole or not at all, and JSON."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Gives a temporary path beside `path` to write to, and renames it to `path` if all went well.

    The temporary name ends as `path` does, so that writers that go by the suffix work; a leftover of a killed
    process is overwritten by the next.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{path.name}")
    yield temporary
    os.replace(temporary, path)


def write_json(path: str | Path, value: Any) -> Path:
    """Writes `value`, indented for people to read, and gives the path."""
    path = Path(path)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n")
    return path
