"""Packages of extras that are not installed: one line, before any work."""

import numpy as np
import pytest

from tests.checks import refused, run_python
from tests.conftest import TINY
from videoflow_tf import extras
from videoflow_tf.data import describe_data, prepare_bair, prepare_videos, tfds_videos
from videoflow_tf.media import strips, video_files
from videoflow_tf.studies.arguments import SampleArguments

VIDEO = r"^the package av is not installed: pip install 'videoflow-tf\[video\]'$"
DATASETS = r"^the package tensorflow_datasets is not installed: pip install 'videoflow-tf\[datasets\]'$"
FRAMES = np.zeros([4, 8, 8, 3], np.uint8)


@pytest.mark.parametrize(
    ("message", "use"),
    [
        (VIDEO, lambda folder: video_files.read_video(folder / "a.mp4", (8, 8, 3))),
        (VIDEO, lambda folder: strips.save_mp4(folder / "b.mp4", FRAMES)),
        (VIDEO, lambda folder: SampleArguments("w", pictures=("mp4",))),
        # Not that each of its files is left out.
        (VIDEO, lambda folder: describe_data(TINY.replace(dataset="videos"), str(folder))),
        (VIDEO, lambda folder: describe_data(TINY.replace(dataset="videos", cache_dir=str(folder / "c")), str(folder))),
        (DATASETS, lambda folder: describe_data(TINY.replace(dataset="tfds:mine"), str(folder))),
        (DATASETS, tfds_videos.find_fault),
        (DATASETS, lambda folder: prepare_bair.prepare(folder, None)),
        (DATASETS, lambda folder: prepare_videos.prepare(folder, folder / "data", "mine", 8)),
    ],
)
def test_what_needs_a_package_that_is_missing_says_how_to_install_it(message, use, tmp_path, monkeypatch):
    monkeypatch.setattr(extras, "is_installed", lambda package: False)
    (tmp_path / "a.mp4").write_bytes(b"a video")
    np.save(tmp_path / "a.npy", FRAMES)
    with refused(message):
        use(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", "a.npy"}


def test_samples_are_drawn_without_mp4_where_there_is_no_pyav():
    script = """
import sys
sys.modules["av"] = None
from videoflow_tf.studies.arguments import SampleArguments
print(*SampleArguments("w").pictures, *SampleArguments("w").argv())
"""
    assert run_python("-c", script, check=True).stdout == "gif png launch/sample.py --workdir=w\n"
