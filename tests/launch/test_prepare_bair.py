"""The command that prepares BAIR: from folders and tars, again, after a kill, and on what is not the archive."""

import http.server
import io
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest
import tensorflow as tf

from videoflow_tf.config import PRESETS
from videoflow_tf.data import eval_videos
from videoflow_tf.data import prepare_bair as prepare_lib
from videoflow_tf.data.bair import find_fault, version_dir
from videoflow_tf.errors import UserError
from videoflow_tf.files import sole_user

REPOSITORY = Path(__file__).parents[2]
ARCHIVE = REPOSITORY.parent / "shared" / "bair"

needs_archive = pytest.mark.skipif(not ARCHIVE.is_dir(), reason="needs the sample of the archive in shared/bair")


def videos(data_dir, split):
    return [e["video"].tobytes() for e in eval_videos(PRESETS["bair"], data_dir, split).as_numpy_iterator()]


def make_tar(path, mode="w", prefix=""):
    with tarfile.open(path, mode) as tar:
        tar.add(ARCHIVE / "softmotion30_44k", arcname=f"{prefix}softmotion30_44k")
    return path


@needs_archive
def test_tar_through_the_command(output, tmp_path):
    data_dir = tmp_path / "data"
    archive = make_tar(tmp_path / "bair.tar", prefix="./deep/")
    printed = output("prepare_bair", f"--data_dir={data_dir}", f"--archive={archive}")
    assert printed.splitlines() == ["train: 4 videos, test: 1 video", str(version_dir(data_dir))]
    assert [path.name for path in version_dir(data_dir).parent.iterdir()] == ["2.0.0"]
    assert [path.name for path in data_dir.iterdir()] == ["bair_robot_pushing_small"]

    from_folder = tmp_path / "from_folder"
    prepare_lib.prepare(from_folder, ARCHIVE / "softmotion30_44k")
    assert videos(data_dir, "train") == videos(from_folder, "train")
    assert videos(data_dir, "test") == videos(from_folder, "test")

    shutil.rmtree(from_folder)
    again = output("prepare_bair", f"--data_dir={data_dir}", "--archive=/there/is/no/such/archive")
    assert again.splitlines()[0] == "BAIR is prepared already."


@needs_archive
def test_no_bar_names_temporary_files(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    prepare_lib.prepare(tmp_path, ARCHIVE)
    shown = capfd.readouterr().err
    assert "Preparing BAIR" in shown and "incomplete" not in shown and str(tmp_path) not in shown


@pytest.mark.slow
@needs_archive
def test_killed_run_starts_again(tmp_path):
    archive = tmp_path / "archive"  # The sample ten times over, so that the run lasts long enough to be killed in it.
    for path in (ARCHIVE / "softmotion30_44k").glob("*/*.tfrecords"):
        (archive / path.parent.name).mkdir(parents=True, exist_ok=True)
        for copy in range(10):
            (archive / path.parent.name / f"{copy}_{path.name}").symlink_to(path)
    process = subprocess.Popen(
        [sys.executable, "launch/prepare_bair.py", f"--data_dir={tmp_path}", f"--archive={archive}"],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    parent = version_dir(tmp_path).parent
    while process.poll() is None and not list(parent.glob("incomplete.*/*/incomplete.*")):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert list(parent.glob("incomplete.*")) and "half prepared" in find_fault(tmp_path)
    assert prepare_lib.prepare(tmp_path, archive) == {"train": 40, "test": 10}
    assert [path.name for path in parent.iterdir()] == ["2.0.0"]


@needs_archive
def test_damaged_dataset_is_prepared_anew(tmp_path):
    prepare_lib.prepare(tmp_path, ARCHIVE)
    next(version_dir(tmp_path).glob("*train*")).unlink()
    assert prepare_lib.prepare(tmp_path, ARCHIVE) == {"train": 4, "test": 1}
    assert find_fault(tmp_path) is None


@needs_archive
def test_one_run_at_a_time(tmp_path):
    parent = version_dir(tmp_path).parent
    parent.mkdir(parents=True)
    with sole_user(parent, "preparing BAIR"), pytest.raises(UserError, match="is in use: preparing BAIR, process"):
        prepare_lib.prepare(tmp_path, ARCHIVE)


def record(features):
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def write_records(folder, train, test):
    for split, records in (("train", train), ("test", test)):
        (folder / "softmotion30_44k" / split).mkdir(parents=True)
        with tf.io.TFRecordWriter(str(folder / "softmotion30_44k" / split / "a.tfrecords")) as writer:
            for serialized in records:
                writer.write(serialized)
    return folder


def truncated_tar(tmp_path):
    whole = make_tar(tmp_path / "whole.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: len(whole) * 2 // 3])
    return tmp_path / "cut.tar"


def truncated_gzip(tmp_path):
    whole = make_tar(tmp_path / "whole.tar.gz", "w:gz").read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(whole[: len(whole) * 2 // 3])
    return tmp_path / "cut.tar.gz"


def truncated_record(tmp_path):
    shutil.copytree(ARCHIVE / "softmotion30_44k", tmp_path / "cut" / "softmotion30_44k", copy_function=shutil.copyfile)
    path = tmp_path / "cut" / "softmotion30_44k" / "test" / "traj_0_to_255.tfrecords"
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(whole[:-1000])
    return tmp_path / "cut"


def other_tar(tmp_path):
    with tarfile.open(tmp_path / "other.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("softmotion30_44k/train/readme.txt"), io.BytesIO())
    return tmp_path / "other.tar"


def no_tar(tmp_path):
    (tmp_path / "page.tar").write_text("<html>404</html>" * 100)
    return tmp_path / "page.tar"


def empty_folders(tmp_path):
    for split in ("train", "test"):
        (tmp_path / "empty" / "softmotion30_44k" / split).mkdir(parents=True)
    return tmp_path / "empty"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(truncated_tar, "cut.tar is not a whole tar archive", marks=needs_archive),
        pytest.param(truncated_gzip, "cut.tar.gz is not a whole tar archive", marks=needs_archive),
        pytest.param(truncated_record, "test/traj_0_to_255.tfrecords is damaged", marks=needs_archive),
        (other_tar, "other.tar holds no softmotion30_44k/train"),
        (no_tar, "page.tar is not a whole tar archive"),
        (empty_folders, "empty holds no softmotion30_44k/train"),
        (lambda tmp: tmp / "nowhere.tar", "there is no archive .*nowhere.tar"),
        (lambda tmp: write_records(tmp / "a", [], []), "softmotion30_44k/train hold no videos"),
        (lambda tmp: write_records(tmp / "b", [record({})], []), "train/a.tfrecords is damaged or not a BAIR file"),
        (lambda tmp: write_records(tmp / "c", [b"\xff\xff"], []), "train/a.tfrecords is damaged or not a BAIR file"),
    ],
)
def test_bad_archives(tmp_path, make, words):
    archive, data_dir = make(tmp_path), tmp_path / "data"
    with pytest.raises(UserError, match=words) as caught:
        prepare_lib.prepare(data_dir, archive)
    assert "\n" not in str(caught.value)
    assert not any(path.is_file() for path in data_dir.rglob("*"))
    assert not list(data_dir.rglob("incomplete.*"))
    assert find_fault(data_dir) == f"there is no prepared BAIR dataset in {data_dir}"


@needs_archive
def test_mistakes_through_the_command(error, tmp_path):
    (tmp_path / "file").write_text("")
    for options, words in (
        ([f"--data_dir={tmp_path}/file", f"--archive={ARCHIVE}"], f"cannot prepare BAIR in {tmp_path}/file: "),
        ([f"--data_dir={tmp_path}/data", f"--archive={tmp_path}/none.tar"], f"there is no archive {tmp_path}/none.tar"),
        ([], "--data_dir"),
    ):
        assert words in error("prepare_bair", *options)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.fixture
def server():
    """A web server that has nothing: every address is answered with status 404."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(404)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as it:
        threading.Thread(target=it.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{it.server_port}"
        it.shutdown()


def test_failed_download_says_how_to_go_on(tmp_path, monkeypatch, server):
    monkeypatch.setattr(prepare_lib, "URL", f"{server}/bair.tar")
    with pytest.raises(UserError, match="the download failed .*curl -C - -O http.*--archive") as caught:
        prepare_lib.prepare(tmp_path, None)
    assert "\n" not in str(caught.value)
    assert "no prepared BAIR dataset" in find_fault(tmp_path)


def test_a_tar_cannot_write_outside_its_folder(tmp_path):
    """Absolute names, names that go up, links and devices: only plain files are unpacked, by their last name alone."""
    into, secret = tmp_path / "into", tmp_path / "secret"
    into.mkdir()
    secret.write_text("mine")
    hostile = {
        f"{tmp_path}/softmotion30_44k/train/absolute.tfrecords": None,
        "../../softmotion30_44k/train/up.tfrecords": None,
        "softmotion30_44k/train/link.tfrecords": tarfile.SYMTYPE,
        "softmotion30_44k/train/hard.tfrecords": tarfile.LNKTYPE,
        "softmotion30_44k/train/pipe.tfrecords": tarfile.FIFOTYPE,
        "softmotion30_44k/train/../../../secret": None,
    }
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for name, kind in hostile.items():
            member = tarfile.TarInfo(name)
            if kind is None:
                member.size = 5
            else:
                member.type, member.linkname = kind, str(secret)
            tar.addfile(member, io.BytesIO(b"other"))
    with tarfile.open(tmp_path / "x.tar") as tar:
        for record in prepare_lib._tar_records(tar, tmp_path / "x.tar"):
            record.put(into)
    assert sorted(path.name for path in into.iterdir()) == ["absolute.tfrecords", "up.tfrecords"]
    assert secret.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["into", "secret", "x.tar"]
