"""Activation normalisation."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from bijectors import ActNorm
from bijectors.actnorm import normalizing_statistics


def batch(*leading: int, dtype: tf.DType = tf.float64) -> tf.Tensor:
    """Three channels with means and standard deviations of their own."""
    values = np.random.default_rng(3).normal(size=[*leading, 4, 6, 3])
    return tf.constant(values * [0.1, 1.0, 20.0] + [5.0, 0.0, -300.0], dtype)


def test_starts_as_the_identity():
    actnorm = ActNorm(3, dtype=tf.float64)
    x = batch(2)
    np.testing.assert_array_equal(actnorm.forward(x), x)
    np.testing.assert_array_equal(actnorm.forward_log_det_jacobian(x), [0.0, 0.0])


def test_formula():
    actnorm = ActNorm(2, dtype=tf.float64)
    actnorm.bias.assign([1.0, -1.0])
    actnorm.log_scale.assign([np.log(2.0) / 3.0, np.log(5.0) / 3.0])
    x = tf.constant(np.full([1, 2, 3, 2], 2.0))
    np.testing.assert_allclose(actnorm.forward(x)[0, 0, 0], [6.0, 5.0])
    np.testing.assert_allclose(actnorm.scale(), [2.0, 5.0])
    np.testing.assert_allclose(actnorm.log_det_per_pixel(), np.log(10.0))
    np.testing.assert_allclose(actnorm.forward_log_det_jacobian(x), [2 * 3 * np.log(10.0)])


@pytest.mark.parametrize("leading", [(8,), (4, 2)], ids=str)
def test_initialize_gives_zero_mean_and_unit_variance(leading, dtype):
    actnorm = ActNorm(3, dtype=dtype)
    x = batch(*leading, dtype=dtype)
    actnorm.initialize(x)
    y = actnorm.forward(tf.identity(x)).numpy().reshape(-1, 3)
    np.testing.assert_allclose(y.mean(axis=0), np.zeros(3), atol=1e-4)
    np.testing.assert_allclose(y.std(axis=0), np.ones(3), atol=1e-4)


def test_dead_channel_stays_finite(dtype):
    actnorm = ActNorm(2, dtype=dtype)
    x = np.random.default_rng(3).normal(size=[4, 4, 6, 2])
    x[..., 1] = -0.5
    x = tf.constant(x, dtype)
    actnorm.initialize(x)
    y = actnorm.forward(tf.identity(x))
    assert np.isfinite(y).all()
    assert np.isfinite(actnorm.forward_log_det_jacobian(tf.identity(x))).all()
    np.testing.assert_allclose(y[..., 1], np.zeros([4, 4, 6]), atol=1e-6)
    np.testing.assert_allclose(actnorm.inverse(tf.identity(y)), x, atol=1e-5)


def test_initialize_alone_sets_the_statistics_and_replaces_what_was_there():
    fresh, used = ActNorm(3, dtype=tf.float64), ActNorm(3, dtype=tf.float64)
    other = 7.0 * batch(2) + 3.0
    used.initialize(other)
    for actnorm in (fresh, used):
        actnorm.initialize(batch(4))
    fresh.inverse(fresh.forward(other))
    fresh.forward_log_det_jacobian(tf.identity(other))
    np.testing.assert_array_equal(used.bias, fresh.bias)
    np.testing.assert_array_equal(used.log_scale, fresh.log_scale)


def test_normalizing_statistics_over_chosen_axes():
    x = batch(5, 2) * tf.constant([1.0, 3.0], tf.float64)[:, tf.newaxis, tf.newaxis, tf.newaxis]
    bias, log_scale = normalizing_statistics(x, axes=[0, 2, 3])
    assert bias.shape == log_scale.shape == [2, 3]
    np.testing.assert_allclose(bias, -np.mean(x, axis=(0, 2, 3)))
    np.testing.assert_allclose(np.exp(-3.0 * log_scale), np.std(x, axis=(0, 2, 3)), rtol=1e-4)
