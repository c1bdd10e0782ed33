"""Affine and additive coupling."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from bijectors import AdditiveCoupling, AffineCoupling, Coupling
from tests.bijectors.conftest import Scaling, coupling


def images(channels: int = 4, dtype: tf.DType = tf.float64) -> tf.Tensor:
    return tf.constant(np.random.default_rng(3).normal(size=[2, 3, 5, channels]), dtype)


def constant_network(*parameters: float):
    """A network that gives the same parameters at every pixel."""
    return lambda x: tf.ones_like(x[..., :1]) * tf.constant(parameters, x.dtype)


def test_first_half_is_untouched(coupling_kind, direction, dtype):
    x = images(6, dtype)
    y = getattr(coupling(coupling_kind, 6, dtype), direction)(x)
    np.testing.assert_array_equal(y[..., :3], x[..., :3])
    assert not np.any(np.isclose(y[..., 3:], x[..., 3:], rtol=0, atol=1e-12).all(axis=(0, 1, 2)))


def test_folded_inverse_folds_the_network_once(coupling_kind, monkeypatch):
    bijector, folded_for = coupling(coupling_kind), []
    fold = bijector.network.fold
    monkeypatch.setattr(bijector.network, "fold", lambda size: folded_for.append(size) or fold(size))
    weights = bijector.fold_inverse((3, 5))
    for y in (images(), -images()):
        bijector.apply_inverse(weights, y)
    assert folded_for == [(3, 5)]


def test_folded_inverse_of_a_network_that_does_not_fold(coupling_kind):
    bijector = coupling_kind(4, constant_network(*[0.5] * 2 * coupling_kind.parameters_per_channel), dtype=tf.float64)
    assert bijector.fold_inverse((3, 5)) == ()
    np.testing.assert_array_equal(bijector.apply_inverse((), images()), bijector.inverse(images()))


def test_network_sees_the_first_half_alone(coupling_kind, direction):
    seen = []

    def network(x):
        seen.append(x)
        return tf.zeros([*x.shape[:-1], 2 * coupling_kind.parameters_per_channel], x.dtype)

    x = images()
    getattr(coupling_kind(4, network, dtype=tf.float64), direction)(x)
    np.testing.assert_array_equal(seen[0], x[..., :2])


def test_affine_formula():
    bijector = AffineCoupling(4, constant_network(1.0, -2.0, 0.5, -3.0), dtype=tf.float64)
    scale = 1.0 / (1.0 + np.exp(-np.array([2.5, -1.0])))
    y, log_det = bijector.forward_and_log_det(images())
    np.testing.assert_allclose(y[..., 2:], (images()[..., 2:] + np.array([1.0, -2.0])) * scale)
    np.testing.assert_allclose(log_det, [15 * np.log(scale).sum()] * 2)


def test_additive_formula():
    bijector, x = AdditiveCoupling(4, constant_network(1.0, -2.0), dtype=tf.float64), images()
    for sign, (y, log_det) in ((1, bijector.forward_and_log_det(x)), (-1, bijector.inverse_and_log_det(x))):
        np.testing.assert_allclose(y[..., 2:], x[..., 2:] + sign * np.array([1.0, -2.0]))
        np.testing.assert_array_equal(log_det, [0.0, 0.0])


def test_log_det_stays_exact_where_the_scale_underflows():
    assert tf.sigmoid(tf.constant(-120.0)) == 0.0
    bijector = AffineCoupling(2, constant_network(0.0, -122.0))
    np.testing.assert_allclose(bijector.forward_log_det_jacobian(images(2, tf.float32)), [-1800.0] * 2, rtol=1e-6)


@pytest.mark.parametrize("extra", [-1, 1])
def test_wrong_number_of_parameters_names_got_and_expected(coupling_kind, direction, extra):
    expected = 2 * coupling_kind.parameters_per_channel
    bijector = coupling_kind(4, constant_network(*[0.1] * (expected + extra)), dtype=tf.float64)
    with pytest.raises(ValueError, match=rf"expected .*, {expected}\) from the network, got .*, {expected + extra}\)"):
        getattr(bijector, direction)(images())


def test_parameters_of_another_size_than_the_image_raise(coupling_kind, direction):
    """They would broadcast in the value but count once in the log-det."""
    outputs = 2 * coupling_kind.parameters_per_channel
    bijector = coupling_kind(4, lambda x: tf.ones([x.shape[0], 1, 1, outputs], x.dtype), dtype=tf.float64)
    with pytest.raises(ValueError, match="expected.*got"):
        getattr(bijector, direction)(images())


def test_odd_number_of_channels_raises(coupling_kind):
    with pytest.raises(ValueError, match="even.*got 5"):
        coupling_kind(5, constant_network(0.0))


def test_initialize_hands_on_the_first_half(coupling_kind):
    bijector, x = coupling(coupling_kind), images()
    bijector.initialize(x)
    np.testing.assert_array_equal(bijector.network.initialized_with, x[..., :2])
    coupling_kind(4, constant_network(0.0)).initialize(x)  # Nothing to do.


def test_network_variables_are_the_couplings(coupling_kind):
    bijector = coupling(coupling_kind)
    assert {id(v) for v in bijector.trainable_variables} == {id(v) for v in bijector.network.trainable_variables}


def test_a_coupling_from_elsewhere_brings_its_transformation():
    y, log_det = Scaling(4, constant_network(1.0, -3.0), tf.float64).forward_and_log_det(images())
    log_scale = np.tanh([1.0, -3.0])
    np.testing.assert_allclose(y, images() * np.exp([0.0, 0.0, *log_scale]))
    np.testing.assert_allclose(log_det, [15 * log_scale.sum()] * 2)


def test_names_are_those_of_the_classes():
    names = {AffineCoupling: "affine_coupling", AdditiveCoupling: "additive_coupling", Scaling: "scaling"}
    for kind, name in names.items():
        assert kind(4, constant_network(0.0)).name == name
        assert kind(4, constant_network(0.0), name="mine").name == "mine"


def test_a_coupling_must_bring_a_transformation_and_its_number_of_parameters():
    class Nothing(Coupling):
        parameters_per_channel = 1

    class Silent(Coupling):
        transform, transform_back = Scaling.transform, Scaling.transform_back

    with pytest.raises(TypeError, match="abstract.*transform"):
        Nothing(4, constant_network(0.0))
    with pytest.raises(AttributeError, match="parameters_per_channel"):
        Silent(4, constant_network(0.0, 0.0), tf.float64).forward(images())
