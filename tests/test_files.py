import contextlib
import errno
import fcntl
import math
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.checks import ROOT, mounted, refused
from videoflow_tf.files import (
    atomic_path,
    check_writable,
    file_digest,
    local_path,
    read_json,
    sole_user,
    write_json,
    write_text,
)
from videoflow_tf.media import charts, strips
from videoflow_tf.metrics import measurements


def test_json_is_read_as_written(tmp_path):
    value = {"a": [1, 2.5, None], "b": {"c": "ä"}}
    path = write_json(tmp_path / "folder" / "x.json", value)
    assert read_json(path) == value
    assert path.read_text(encoding="utf-8").endswith("}\n")


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_one_line_and_leaves_the_old_file(tmp_path, number):
    path = write_json(tmp_path / "x.json", {"mean": 1.0})
    with refused("x.json is not written: a number in it is not finite"):
        write_json(path, {"mean": [number]})
    assert read_json(path) == {"mean": 1.0}
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.json"]


def test_a_file_that_is_not_json(tmp_path):
    (tmp_path / "x.json").write_text("{")
    with refused("x.json is not JSON .*; make it again, or remove it"):
        read_json(tmp_path / "x.json")
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none.json")


def test_names_that_are_not_utf_8_are_written_as_escapes(tmp_path):
    assert write_text(tmp_path / "x", "clip \udcff \u00e9").read_text(encoding="utf-8") == "clip \\udcff \u00e9"
    folder = tmp_path / "\udcff"
    write_text(folder / "\udcfe", "")
    assert file_digest(folder) != file_digest(folder / "\udcfe")


def test_a_writer_that_fails_leaves_the_old_file(tmp_path):
    (tmp_path / "x").write_text("old")
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "x") as path:
        path.write_text("new")
        raise RuntimeError
    assert (tmp_path / "x").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_the_home_is_expanded_and_an_address_refused(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert local_path("~/runs/y") == local_path(Path("~/runs/y")) == Path("/home/me/runs/y")
    assert local_path("runs/a: b.mov") == Path("runs/a: b.mov")
    for address in ("gs://bucket/run", "ram://run", "https://x.org/a", Path("gs://bucket/run")):
        with refused(f"{address} is an address; .*name a local path"):
            local_path(address)


def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path):
    with mounted(tmp_path / "small", "size=64k"):
        path = write_text(tmp_path / "small" / "x", "old")
        with refused("cannot write .*/x: No space left on device; make room there and start again$"):
            write_text(path, "new" * 100_000)
        assert path.read_text() == "old" and list(path.parent.iterdir()) == [path]


def test_where_nothing_can_be_written_is_said_before(tmp_path):
    (tmp_path / "file").write_text("")
    with refused("cannot write to .*/file/run: .*/file is a file; name a folder"):
        check_writable(tmp_path / "file" / "run")
    check_writable(tmp_path / "new" / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    with mounted(tmp_path / "fixed", "ro"):
        with refused("cannot write to .*/run: .*/fixed is read-only"):
            check_writable(tmp_path / "fixed" / "run")
        with refused("cannot write to .*/run: Read-only file system"), sole_user(tmp_path / "fixed" / "run", "a test"):
            pass


_HOLD = """
import sys, time
from videoflow_tf.files import sole_user
with sole_user(sys.argv[1], "training"):
    print("held", flush=True)
    time.sleep(100)
"""


@contextlib.contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen]:
    """A process that has the lock of a folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, folder], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_a_lock_names_its_holder_and_is_free_when_that_is_gone(tmp_path):
    with holder(tmp_path) as process:
        who = rf"training, process {process.pid} on {re.escape(socket.gethostname())}, since 20\d\d-\d\d-\d\d \d\d:.*"
        with refused(f"{tmp_path} is in use: {who}; wait for it to end, or stop it"), sole_user(tmp_path, "a test"):
            pass
    assert "training" in (tmp_path / ".lock").read_text()  # A kill leaves the file, and that does not matter.
    with sole_user(tmp_path, "a test"):
        assert (tmp_path / ".lock").read_text().startswith(f"a test, process {os.getpid()} ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_locks_is_said_and_used(tmp_path, monkeypatch, capsys, number):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with sole_user(tmp_path, "training"):
        assert (tmp_path / ".lock").read_text().startswith(f"training, process {os.getpid()} ")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {tmp_path} is on a file system without locks ({os.strerror(number)}): ")
    assert not list(tmp_path.iterdir())


def test_other_errors_of_a_writer_are_one_line_too(tmp_path):
    with refused("cannot write .*/x: Input/output error"), atomic_path(tmp_path / "x"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


NOISE = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)
WRITERS = {
    "x.json": lambda path: write_json(path, NOISE[0].tolist()),
    "x.npz": lambda path: measurements.save(path, NOISE),
    "x.png": lambda path: strips.save_png(path, NOISE[0]),
    "x.gif": lambda path: strips.save_gif(path, NOISE),
    "x.mp4": lambda path: strips.save_mp4(path, NOISE),
    "x.svg": lambda path: charts.save_chart(path, charts.line_chart({"": charts.Curve([1, 2], [3, 4])}, "x", "y")),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_disk_without_room_leaves_what_every_writer_wrote_before(tmp_path, name):
    """As if there were room for two kilobytes."""
    (tmp_path / name).write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, limits[1]))
    try:
        with refused(f"cannot write .*{name}: "):
            WRITERS[name](tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / name).read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == [name]
