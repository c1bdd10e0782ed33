import numpy as np
import pytest

from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.metrics.metric import Clips
from videoflow_tf.metrics.similarity import PSNR, SSIM


def _clips(samples: int = 3, frames: int = 4, size: int = 16, seed: int = 0):
    rng = np.random.default_rng(seed)
    real = rng.integers(0, 256, (frames, size, size, 3), dtype=np.uint8)
    others = rng.integers(0, 256, (samples, frames, size, size, 3), dtype=np.uint8)
    return real[:0], real, others


def test_psnr_of_a_known_difference():
    context, real, samples = _clips()
    real = np.full_like(real, 100)
    samples[:] = 100
    samples[1] += 10  # Mean squared error 100.
    got = PSNR(3).measure(context, real, samples)
    assert got.shape == (3, 4)
    np.testing.assert_allclose(got[1], 10 * np.log10(255**2 / 100), rtol=1e-5)


def test_psnr_of_equal_frames_is_that_of_the_least_difference():
    context, real, samples = _clips(samples=2)
    samples[0] = real
    samples[1] = real
    samples[1, :, 0, 0, 0] ^= 1
    equal, least = PSNR(2).measure(context, real, samples)
    np.testing.assert_allclose(equal, 10 * np.log10(255**2 * 16 * 16 * 3), rtol=1e-6)
    np.testing.assert_allclose(equal, least, rtol=1e-4)


def test_ssim_of_equal_and_of_flat_frames():
    context, real, samples = _clips(samples=2)
    samples[0] = real
    equal, other = SSIM(2).measure(context, real, samples)
    np.testing.assert_allclose(equal, 1, atol=1e-6)
    assert (other < 0.5).all()
    # Without structure only the luminance term is left: (2ab + c) / (a^2 + b^2 + c), c = (0.01 * 255)^2.
    got = SSIM(1).measure(context, np.full_like(real, 50), np.full_like(samples[:1], 150))
    c = 2.55**2
    np.testing.assert_allclose(got, (2 * 50 * 150 + c) / (50**2 + 150**2 + c), rtol=1e-4)


def test_ssim_refuses_frames_smaller_than_its_window():
    with pytest.raises(UserError, match="at least 11 pixels"):
        SSIM(1).check(Clips.of(VideoFlowConfig.preset("demo").replace(frame_size=8), 4, 2))


def test_best_and_worst_are_chosen_by_the_mean_over_frames():
    # One video, three samples: the third has the best single frame, the first the best mean.
    values = np.array([[[5.0, 5.0], [1.0, 2.0], [9.0, 0.0]]])
    result = PSNR(3).summarize(values)
    assert result["best"]["per_frame"] == [5.0, 5.0]
    assert result["worst"]["per_frame"] == [1.0, 2.0]
    np.testing.assert_allclose(result["mean"]["per_frame"], [5.0, 7 / 3])
    assert result["best"]["standard_error"] is None


def test_statistics_over_videos():
    values = np.random.default_rng(0).normal(size=(6, 5, 4))
    result = PSNR(5).summarize(values)
    for kind, of_samples in (("best", np.max), ("mean", np.mean), ("worst", np.min)):
        per_video = of_samples(values.mean(axis=2), axis=1)
        np.testing.assert_allclose(result[kind]["per_video"], per_video)
        np.testing.assert_allclose(result[kind]["mean"], per_video.mean())
        np.testing.assert_allclose(result[kind]["standard_error"], per_video.std(ddof=1) / np.sqrt(6))
    assert result["best"]["mean"] > result["mean"]["mean"] > result["worst"]["mean"]
    expected = values.mean(axis=1).std(axis=0, ddof=1) / np.sqrt(6)
    np.testing.assert_allclose(result["mean"]["per_frame_standard_error"], expected)
