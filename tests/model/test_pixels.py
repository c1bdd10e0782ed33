import numpy as np
import pytest
import tensorflow as tf

from videoflow_tf import VideoFlowConfig
from videoflow_tf.model import pixels

ALL_VALUES = tf.constant(np.arange(256, dtype=np.uint8))


@pytest.mark.parametrize("n_bits", [8, 5, 1])
def test_exact_scaling_fills_the_unit_interval_without_gap_or_overlap(n_bits):
    config = VideoFlowConfig(n_bits=n_bits)
    low = pixels.from_uint8(ALL_VALUES, tf.zeros([256]), config, tf.float64).numpy()
    high = pixels.from_uint8(ALL_VALUES, tf.ones([256]), config, tf.float64).numpy()
    bins = 2**n_bits
    expected = np.arange(256) // (256 // bins) / bins - 0.5
    np.testing.assert_array_equal(low, expected)
    np.testing.assert_array_equal(high, expected + 1 / bins)
    assert low.min() == -0.5 and high.max() == 0.5


def test_official_scaling_stretches_the_values_to_both_ends():
    config = VideoFlowConfig(n_bits=3, pixel_scaling="official")
    values = tf.constant([0, 31, 32, 255], tf.uint8)
    x = pixels.from_uint8(values, tf.fill([4], 0.5), config, tf.float64)
    np.testing.assert_allclose(x, np.array([0, 0, 1 / 7, 1]) - 0.5 + 0.5 / 8, atol=1e-15)


@pytest.mark.parametrize("noise", [0.0, 0.3, 1 - 2**-10])
def test_eight_bit_pixels_come_back(noise):
    x = pixels.from_uint8(ALL_VALUES, tf.fill([256], noise), VideoFlowConfig(), tf.float32)
    np.testing.assert_array_equal(pixels.to_uint8(x, VideoFlowConfig()), ALL_VALUES)


def test_to_uint8_floors_and_clips():
    x = tf.constant([-7.0, -0.5, -0.5 + 1.99 / 256, 0.0, 0.5 - 1e-4, 0.5, 9.0])
    np.testing.assert_array_equal(pixels.to_uint8(x, VideoFlowConfig()), [0, 0, 1, 128, 255, 255, 255])


@pytest.mark.parametrize("noise", [0.0, 0.6, 1 - 2**-10])
@pytest.mark.parametrize("n_bits", [1, 3, 5, 7])
def test_fewer_bits_are_levels_from_black_to_white_without_the_noise(n_bits, noise):
    config, bins = VideoFlowConfig(n_bits=n_bits), 2**n_bits
    x = pixels.from_uint8(ALL_VALUES, tf.fill([256], noise), config, tf.float32)
    found = pixels.to_uint8(x, config).numpy()
    np.testing.assert_array_equal(found, np.rint((np.arange(256) * bins // 256) * 255 / (bins - 1)))
    assert found.min() == 0 and found.max() == 255 and len(np.unique(found)) == bins
    again = pixels.from_uint8(tf.constant(found), tf.fill([256], noise), config, tf.float32)
    np.testing.assert_array_equal(again, x)


def test_fewer_bits_with_official_scaling_show_the_noise():
    config = VideoFlowConfig(n_bits=3, pixel_scaling="official")
    np.testing.assert_array_equal(pixels.to_uint8(tf.constant([-0.5, 3.99 / 256 - 0.5, 0.5]), config), [0, 3, 255])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_to_uint8_refuses_what_is_not_finite(bad):
    with pytest.raises(tf.errors.InvalidArgumentError, match="weights have probably diverged"):
        pixels.to_uint8(tf.constant([0.0, bad]), VideoFlowConfig())


def test_noise_is_a_function_of_the_seed():
    first, again, other = (pixels.dequantization_noise((1000,), seed).numpy() for seed in ((1, 2), (1, 2), (1, 3)))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.min() >= 0 and first.max() < 1 and abs(first.mean() - 0.5) < 0.05
