import re

import numpy as np
from PIL import Image

from tests.conftest import TINY
from tests.data.test_video_folder import save
from tests.videos import mixed_folder
from videoflow_tf.studies.inspection import inspect


def test_all_there_is_to_say_of_a_folder(tmp_path):
    wrong = mixed_folder(tmp_path / "videos")
    config = TINY.replace(dataset="videos", frame_size=16)
    lines = list(inspect(config, tmp_path / "videos", tmp_path / "sheets"))
    text = "\n".join(lines)
    for name, reason in wrong.items():
        assert re.search(rf"  {name} .*{reason}", text)
    assert re.search(r"train, frames a video: (4|7|24) to 24, median", text)
    assert "sizes: 64x96 (" in text and "96x64 (1)" in text and "16x16 (1)" in text
    assert re.search(r"frames a second: 25 \(\d+\), unknown \(\d+\)", text) or "unknown" in text
    assert re.search(r"train, \d+ videos of 4 frames: \d+% without colour; motion \d+\.\d\d levels", text)
    assert len(re.findall(r"Laplace error of width \S+: \d\.\d{4} bits per pixel", text)) == 6
    assert len(list((tmp_path / "sheets").iterdir())) == 1
    with Image.open(lines[-1]) as picture:
        assert picture.width > 4 * 128 and picture.height > 12 * 128


def test_still_videos_cost_next_to_nothing_and_noise_eight_bits(tmp_path):
    for name, moving in (("still", False), ("noise", True)):
        folder = save(tmp_path / name, *[6] * 12)
        if not moving:
            for path in folder.iterdir():
                np.save(path, np.repeat(np.load(path)[:1], 6, axis=0))
        lines = list(inspect(TINY.replace(dataset="videos"), folder, tmp_path / "sheets"))
        bits = [float(line.rsplit(": ")[1].split()[0]) for line in lines if "bits per pixel" in line]
        assert all(value > 8 if moving else value < 0.001 for value in bits) and len(bits) == 6
    assert len(list((tmp_path / "sheets").iterdir())) == 2  # No dataset's sheet replaces another's.
