import numpy as np
import pytest

from tests.conftest import TINY
from tests.data.test_video_folder import save
from videoflow_tf import data
from videoflow_tf.predictors.by_name import make_predictor
from videoflow_tf.predictors.floors import CopyLast, Linear, laplace_bits
from videoflow_tf.registry import PREDICTORS

SEEDS = np.zeros([3, 2], np.int32)


def test_laplace_masses_add_up():
    for width in (0.3, 2.0, 30.0):
        masses = 2 ** -laplace_bits(16, width)
        np.testing.assert_allclose(masses.sum(axis=1), 1.0, rtol=1e-12)
        assert width > 1 or (masses.argmax(axis=1) == np.arange(16)).all()  # Wider ones pile up at the ends.


def test_laplace_has_the_entropy_of_the_distribution():
    before = np.full(200_000, 120)
    after = np.rint(before + np.random.default_rng(0).laplace(0, 4.0, before.shape)).astype(int)
    bits = {width: laplace_bits(256, width)[before, after].mean() for width in (3.0, 4.0, 5.0)}
    assert min(bits, key=bits.get) == 4.0
    assert bits[4.0] == pytest.approx(np.log2(2 * np.e * 4.0), abs=0.02)


def test_guesses():
    context = np.zeros([2, 2, 2, 1], np.uint8)
    context[0, 0, 0], context[1, 0, 0], context[0, 1, 1], context[1, 1, 1] = 100, 160, 90, 40
    copied, continued = (kind(TINY, None).predict_frames(context, 3, 1.0, SEEDS) for kind in (CopyLast, Linear))
    assert copied.shape == (3, 3, 2, 2, 1) and copied.dtype == continued.dtype == np.uint8
    np.testing.assert_array_equal(copied, np.broadcast_to(context[1], copied.shape))
    assert continued[2, :, 0, 0, 0].tolist() == [220, 255, 255] and continued[2, :, 1, 1, 0].tolist() == [0, 0, 0]
    assert continued[2, :, 0, 1, 0].tolist() == [0, 0, 0]
    alone = Linear(TINY, None).predict_frames(context[1:], 3, 1.0, SEEDS)
    np.testing.assert_array_equal(alone, copied)


@pytest.mark.parametrize("n_bits", [5, 8])
def test_bits_are_those_of_the_guess(n_bits):
    config = TINY.replace(n_bits=n_bits)
    video = np.random.default_rng(1).integers(0, 256, [2, 4, 8, 8, 3], dtype=np.uint8)
    floor = Linear(config, None)
    bits = floor.frame_bits_per_pixel(video, SEEDS[:2])
    assert bits.shape == (2, 2)
    levels = video.astype(int) >> (8 - n_bits)
    guess = np.clip(2 * levels[:, 1] - levels[:, 0], 0, 2**n_bits - 1)
    expected = laplace_bits(2**n_bits, floor.width)[guess, levels[:, 2]].mean(axis=(1, 2, 3))
    np.testing.assert_allclose(bits[:, 0], expected)


def test_width_is_fitted_on_the_training_split(tmp_path):
    """Noise around a still picture: the error of a copy is the difference of two draws."""
    rng = np.random.default_rng(0)
    folder = save(tmp_path / "noise", *[6] * 12)
    for path in folder.iterdir():
        np.save(path, np.rint(rng.laplace(120, 5, np.load(path).shape)).astype(np.uint8))
    floor = CopyLast(TINY.replace(dataset="videos"), str(folder))
    assert 6 < floor.width < 9  # The mean absolute difference of two such draws is 7.5.
    still = save(tmp_path / "still", *[6] * 12)
    for path in still.iterdir():
        np.save(path, np.repeat(np.load(path)[:1], 6, axis=0))
    assert CopyLast(TINY.replace(dataset="videos"), str(still)).width == pytest.approx(1e-3)


@pytest.mark.parametrize("name", PREDICTORS)
def test_every_floor_by_its_name(name):
    video = next(iter(data.eval_videos(TINY, None, "test", num_videos=1)))["video"].numpy()
    floor = make_predictor(name, TINY, None)
    assert floor.identity == {"floor": type(floor).__name__, "width": floor.width} and floor.step is None
    assert 0 < floor.frame_bits_per_pixel(video[None], SEEDS[:1]).mean() < 8
