import re

import numpy as np
import pytest
from PIL import Image

from tests.conftest import TINY
from tests.data.test_video_folder import save
from tests.videos import mixed_folder
from videoflow_tf.data.inspection import inspect, laplace_bits


def test_laplace_masses_add_up_and_find_the_width():
    rng = np.random.default_rng(0)
    for width in (0.3, 2.0, 30.0):
        for before in (0, 3, 15):
            one = np.zeros([16, 16, 16])
            one[np.arange(16), before, np.arange(16)] = 1  # One transition each, from `before` to every level.
            masses = [2 ** -laplace_bits(transition, width) for transition in one]
            np.testing.assert_allclose(sum(masses), 1.0, rtol=1e-12)
            assert np.argmax(masses) == before or width > 20
    before = rng.integers(60, 190, 200_000)
    after = np.rint(before + rng.laplace(0, 4.0, before.shape)).astype(int)
    transitions = np.bincount(before * 256 + after, minlength=256**2).reshape(256, 256)
    bits = {width: laplace_bits(transitions, width) for width in (3.0, 4.0, 5.0)}
    assert min(bits, key=bits.get) == 4.0
    assert bits[4.0] == pytest.approx(np.log2(2 * np.e * 4.0), abs=0.02)  # The entropy of the distribution.


def test_all_there_is_to_say_of_a_folder(tmp_path):
    wrong = mixed_folder(tmp_path / "videos")
    config = TINY.replace(dataset="videos", frame_size=16)
    lines = list(inspect(config, tmp_path / "videos", tmp_path / "sheet.png"))
    text = "\n".join(lines)
    for name, reason in wrong.items():
        assert re.search(rf"  {name} .*{reason}", text)
    assert re.search(r"train: 4 to 24 frames|train: 7 to 24 frames|train: 24 to 24 frames", text)
    assert "sizes: 64x96 (" in text and "96x64 (1)" in text and "16x16 (1)" in text
    assert re.search(r"frames a second: 25 \(\d+\), unknown \(\d+\)", text) or "unknown" in text
    assert re.search(r"train, \d+ videos of 4 frames: \d+% without colour; motion \d+\.\d\d levels", text)
    assert len(re.findall(r"Laplace error of width \S+: \d\.\d{4} bits per pixel", text)) == 3
    with Image.open(lines[-1]) as picture:
        assert picture.width > 4 * 128 and picture.height > 12 * 128


def test_still_videos_cost_next_to_nothing_and_noise_eight_bits(tmp_path):
    for name, moving in (("still", False), ("noise", True)):
        folder = save(tmp_path / name, *[6] * 12)
        if not moving:
            for path in folder.iterdir():
                np.save(path, np.repeat(np.load(path)[:1], 6, axis=0))
        lines = list(inspect(TINY.replace(dataset="videos"), folder, tmp_path / "sheet.png"))
        bits = [float(line.rsplit(": ")[1].split()[0]) for line in lines if "bits per pixel" in line]
        assert all(value > 8 if moving else value < 0.001 for value in bits) and len(bits) == 3
