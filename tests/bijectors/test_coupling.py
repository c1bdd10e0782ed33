"""Affine and additive coupling."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from bijectors import AdditiveCoupling, AffineCoupling


def images(channels: int = 4, dtype: tf.DType = tf.float64) -> tf.Tensor:
    return tf.constant(np.random.default_rng(3).normal(size=[2, 3, 5, channels]), dtype)


def constant_network(*parameters: float):
    """A network that gives the same parameters at every pixel."""
    return lambda x: tf.ones_like(x[..., :1]) * tf.constant(parameters, x.dtype)


def test_first_half_is_untouched(coupling_kind, make_coupling, direction, dtype):
    coupling = make_coupling(coupling_kind, 6, dtype, 0)
    x = images(6, dtype)
    y = getattr(coupling, direction)(x)
    np.testing.assert_array_equal(y[..., :3], x[..., :3])
    assert not np.any(np.isclose(y[..., 3:], x[..., 3:], rtol=0, atol=1e-12).all(axis=(0, 1, 2)))


def test_folded_inverse_folds_the_network_once(coupling_kind):
    folded_for = []

    class Network:
        def __call__(self, x):
            return tf.concat([x] * (2 if coupling_kind is AffineCoupling else 1), axis=-1)

        def fold(self, size):
            folded_for.append(size)
            return self

    coupling = coupling_kind(4, Network(), dtype=tf.float64)
    inverse = coupling.fold_inverse((3, 5))
    for y in (images(), -images()):
        np.testing.assert_allclose(inverse(y), coupling.inverse(y), rtol=1e-12)
    assert folded_for == [(3, 5)]


def test_network_sees_the_first_half_alone(coupling_kind, direction):
    seen = []

    def network(x):
        seen.append(x)
        return tf.zeros([*x.shape[:-1], 4 if coupling_kind is AffineCoupling else 2], x.dtype)

    x = images()
    getattr(coupling_kind(4, network, dtype=tf.float64), direction)(x)
    np.testing.assert_array_equal(seen[0], x[..., :2])


def test_affine_formula():
    coupling = AffineCoupling(4, constant_network(1.0, -2.0, 0.5, -3.0), dtype=tf.float64)
    x = images()
    scale = 1.0 / (1.0 + np.exp(-np.array([2.5, -1.0])))
    y = coupling.forward(x)
    np.testing.assert_allclose(y[..., 2:], (x[..., 2:] + np.array([1.0, -2.0])) * scale)
    np.testing.assert_allclose(coupling.forward_log_det_jacobian(x), [15 * np.log(scale).sum()] * 2)


def test_additive_formula():
    coupling = AdditiveCoupling(4, constant_network(1.0, -2.0), dtype=tf.float64)
    x = images()
    np.testing.assert_allclose(coupling.forward(x)[..., 2:], x[..., 2:] + np.array([1.0, -2.0]))
    np.testing.assert_allclose(coupling.inverse(x)[..., 2:], x[..., 2:] - np.array([1.0, -2.0]))
    np.testing.assert_array_equal(coupling.forward_log_det_jacobian(tf.identity(x)), [0.0, 0.0])
    np.testing.assert_array_equal(coupling.inverse_log_det_jacobian(tf.identity(x)), [0.0, 0.0])


def test_log_det_stays_exact_where_the_scale_underflows():
    coupling = AffineCoupling(2, constant_network(0.0, -122.0))
    x = images(2, tf.float32)
    assert tf.sigmoid(tf.constant(-120.0)) == 0.0
    np.testing.assert_allclose(coupling.forward_log_det_jacobian(x), [15 * -120.0] * 2, rtol=1e-6)


@pytest.mark.parametrize("extra", [-1, 1])
def test_wrong_number_of_parameters_names_got_and_expected(coupling_kind, direction, extra):
    expected = 4 if coupling_kind is AffineCoupling else 2
    coupling = coupling_kind(4, constant_network(*[0.1] * (expected + extra)), dtype=tf.float64)
    with pytest.raises(ValueError, match=rf"expected .*, {expected}\) from the network, got .*, {expected + extra}\)"):
        getattr(coupling, direction)(images())


def test_parameters_of_another_size_than_the_image_raise(coupling_kind, direction):
    """They would broadcast in the value but count once in the log-det."""
    outputs = 4 if coupling_kind is AffineCoupling else 2
    coupling = coupling_kind(4, lambda x: tf.ones([x.shape[0], 1, 1, outputs], x.dtype), dtype=tf.float64)
    with pytest.raises(ValueError, match="expected.*got"):
        getattr(coupling, direction)(images())


def test_odd_number_of_channels_raises(coupling_kind):
    with pytest.raises(ValueError, match="even.*got 5"):
        coupling_kind(5, constant_network(0.0))


def test_initialize_hands_on_the_first_half(coupling_kind, make_coupling):
    coupling = make_coupling(coupling_kind, 4, tf.float64, 0)
    x = images()
    coupling.initialize(x)
    np.testing.assert_array_equal(coupling.network.initialized_with, x[..., :2])


def test_initialize_without_one_in_the_network_does_nothing(coupling_kind):
    coupling_kind(4, constant_network(0.0), dtype=tf.float64).initialize(images())


def test_network_variables_are_the_couplings(coupling_kind, make_coupling):
    coupling = make_coupling(coupling_kind, 4, tf.float64, 0)
    assert {id(v) for v in coupling.trainable_variables} == {id(v) for v in coupling.network.trainable_variables}
