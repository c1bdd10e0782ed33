"""Where files may be, files that appear whole or not at all, one writer at a time, and JSON."""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import hashlib
import itertools
import json
import os
import re
import socket
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from videoflow_tf.errors import UserError, one_line

LOCK = ".lock"
# What NumPy raises for a file of arrays that is damaged, or none.
ARRAY_ERRORS = (
    ValueError,
    OSError,
    EOFError,
    KeyError,
    MemoryError,
    OverflowError,
    RuntimeError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
# What Python raises for text that is no JSON, or whose numbers or brackets are beyond all measure.
JSON_ERRORS = (ValueError, RecursionError)


def local_path(path: str | Path) -> Path:
    """`path` on this machine, with the user's home in place of `~`.

    Raises:
      UserError: it is an address, such as gs://bucket/run.
    """
    # A `Path` has one slash where the text had two.
    if re.match(r"\w[\w+.-]+:/", str(path)):
        raise UserError(f"{path} is an address; files are read and written on this machine alone: name a local path")
    return Path(path).expanduser()


def reason_of(error: Exception) -> str:
    """Why a file could not be written or read, in the system's words, of an `OSError` or TensorFlow's own error."""
    if not isinstance(error, OSError):  # "{{node ...}} FILE; No space left on device [Op:SaveV2]".
        return one_line(error.message.split("; ")[-1].split(" [")[0])
    # Of an array of which a part alone was written NumPy says how much, and not why.
    full = not error.errno and re.fullmatch(r"\d+ requested and \d+ written", str(error))
    return os.strerror(errno.ENOSPC) if full else one_line(error.strerror or str(error))


def shipped(name: str) -> Path:
    """A folder that comes with the package: within it where it is installed, beside it in the repository."""
    package = Path(__file__).parent
    return package / name if (package / name).is_dir() else package.parent / name


def check_writable(folder: str | Path) -> None:
    """Raises `UserError` unless files can be made in `folder`, or `folder` itself; leaves no trace."""
    folder = Path(folder).absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise UserError(f"cannot write to {folder}: {there} is a file; name a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"cannot write to {folder}: {there} is read-only for this user; name another folder")


def now() -> str:
    """The time here, such as 2026-11-25 22:07:45+00:00."""
    return datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")


@contextlib.contextmanager
def sole_user(folder: str | Path, doing: str) -> Iterator[None]:
    """Keeps other processes out of `folder`, made if missing, as long as this one is `doing` something there.

    The system lets go of the lock however its holder ends, so that none is ever stale; the file tells who has it. Where
    the file system has no locks, a line on stderr says so.

    Raises:
      UserError: another process has the lock, or the folder cannot be written.
    """
    path = Path(folder) / LOCK
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(path.open("a+", encoding="utf-8"))
            if not _lock(file, path, doing):
                file.seek(0)
                who = file.read() or "another process"
                raise UserError(f"{folder} is in use: {who}; wait for it to end, or stop it")
            stack.callback(path.unlink, missing_ok=True)
            file.truncate(0)
            file.write(f"{doing}, process {os.getpid()} on {socket.gethostname()}, since {now()}")
            file.flush()
        except OSError as error:
            raise UserError(f"cannot write to {folder}: {error.strerror}") from error
        yield


def _lock(file: IO[str], path: Path, doing: str) -> bool:
    """Whether the lock could be taken, or there is none to take."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file.fileno()), path.stat())  # Or its holder has removed it this moment.
    except (BlockingIOError, FileNotFoundError):
        return False
    except OSError as error:  # As on some network file systems.
        print(
            f"warning: {path.parent} is on a file system without locks ({error.strerror}): nothing here keeps a second "
            f"process from {doing} there at the same time",
            file=sys.stderr,
            flush=True,
        )
        return True


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Gives a temporary path beside `path` to write to, and renames it to `path` if all went well.

    The temporary name ends as `path` does, so that writers that go by the suffix work. Nothing is left of a file where
    it did not go well; what a killed process leaves is overwritten by the next.

    Raises:
      UserError: the file cannot be written: the disk is full, the folder read-only.
    """
    path = Path(path)
    temporary = path.with_name(f".tmp-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        reason = reason_of(error)
        cure = "; make room there and start again" if reason == os.strerror(errno.ENOSPC) else ""
        raise UserError(f"cannot write {path}: {reason}{cure}") from error
    finally:
        if temporary.is_file():
            temporary.unlink()  # What was written of it would keep the disk full.


def write_text(path: str | Path, text: str) -> Path:
    """Writes `text` in UTF-8, names of files that are not as escapes, and gives the path."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
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
    except JSON_ERRORS as error:
        raise UserError(f"{path} is not JSON ({error}); make it again, or remove it") from None


def own_stem(stem: str | Path, is_same: Callable[[Any], bool], mark: str = "") -> str:
    """What the names of a result's files begin with, where its values are in a .json: no result replaces another.

    Args:
      stem: the path, without suffixes.
      is_same: whether the values in a .json of that name are of the same result, which is then written again; what it
        raises of values of another form means that they are not.
      mark: what tells the result from most others of its name, such as the training step.

    Returns:
      `stem`; where another result is, or what is none, with the mark; where there is one, too, with a number.
    """

    def is_taken(path: Path) -> bool:
        try:
            return path.exists() and not is_same(read_json(path))
        except (ValueError, LookupError, TypeError, AttributeError):
            return True

    marked = f"{stem}_{mark}" if mark else str(stem)
    names = itertools.chain([str(stem), marked], (f"{marked}_result-{number}" for number in itertools.count(2)))
    return next(name for name in names if not is_taken(Path(f"{name}.json")))


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file, or of the files in a folder and below and their names; its first 16 hexadecimal digits."""
    path = Path(path)
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(os.fsencode(file.relative_to(path)))
        with open(file, "rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]
