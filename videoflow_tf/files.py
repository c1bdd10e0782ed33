"""Files that appear whole or not at all, and JSON."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from videoflow_tf.errors import UserError


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


def write_text(path: str | Path, text: str) -> Path:
    """Writes `text` in UTF-8, and gives the path."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def write_json(path: str | Path, value: Any) -> Path:
    """Writes `value`, indented for people to read, and gives the path.

    Raises:
      UserError: a number in `value` is not finite. JSON has no NaN, and no result of this package may hold one.
    """
    try:
        text = json.dumps(value, indent=2, allow_nan=False)
    except ValueError as error:
        raise UserError(
            f"{path} is not written: a number in it is not finite; the training has probably diverged"
        ) from error
    return write_text(path, text + "\n")


def read_json(path: str | Path) -> Any:
    """What a JSON file holds.

    Raises:
      OSError: there is no such file, or it cannot be read.
      UserError: it is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}); make it again, or remove it") from None
