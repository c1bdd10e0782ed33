import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.checks import ROOT
from tests.data.test_tfds_videos import contents
from tests.data.test_video_folder import save


def test_prepares_and_says_how_to_train(output, error, tmp_path):
    folder = save(tmp_path / "videos", 5, 5, 1, 6)
    (folder / "notes.txt").write_text("not a video")
    arguments = [f"--input={folder}", f"--data_dir={tmp_path / 'data'}", "--name=mine", "--frame_size=8"]
    first, heading, notes, short, how = output("prepare_videos", *arguments).splitlines()
    assert first.startswith("train 1 video (") and heading.startswith("Left out")
    assert notes.split()[0] == "notes.txt" and "1 frame, fewer than the 2" in short
    assert how == f"Train on it: --dataset=tfds:mine --data_dir={tmp_path / 'data'}"
    assert output("prepare_videos", *arguments).startswith("mine is prepared already.")
    assert "is another dataset" in error("prepare_videos", *arguments, "--fit=pad")


@pytest.mark.slow
def test_killed_at_any_moment_it_gives_the_same_dataset(output, tmp_path):
    folder = save(tmp_path / "videos", *range(50, 450))

    def arguments(data_dir):
        return [f"--input={folder}", f"--data_dir={data_dir}", "--name=mine", "--frame_size=8"]

    output("prepare_videos", *arguments(tmp_path / "whole"))
    folder_of_set = tmp_path / "killed" / "mine"

    def decoded(count):
        return lambda: sum(1 for _ in folder_of_set.glob("incomplete.decoded/*")) >= count

    def writing():
        return any(path.stat().st_size for path in folder_of_set.glob("incomplete.writing.*/**/*tfrecord*"))

    moments = [*map(decoded, sorted(np.random.default_rng(0).integers(1, 800, 4))), writing]
    for moment in moments:
        process = subprocess.Popen(
            [sys.executable, "launch/prepare_videos.py", *arguments(tmp_path / "killed")],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None and not moment():
            time.sleep(0.002)
        assert process.poll() is None, "finished before the kill"
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (folder_of_set / "1.0.0").exists()
    output("prepare_videos", *arguments(tmp_path / "killed"))
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
