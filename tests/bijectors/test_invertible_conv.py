"""Invertible 1x1 convolution in PLU form."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from bijectors import InvertibleConv1x1
from tests.bijectors.conftest import perturb


@pytest.mark.parametrize("num_channels", [1, 2, 12, 48])
def test_starts_as_a_rotation(num_channels, dtype):
    conv = InvertibleConv1x1(num_channels, dtype=dtype)
    matrix = conv.matrix().numpy()
    tolerance = 1e-5 if dtype == tf.float32 else 1e-12
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(num_channels), atol=tolerance)
    np.testing.assert_allclose(abs(np.linalg.det(matrix)), 1.0, atol=10 * tolerance)
    np.testing.assert_allclose(conv.log_det_per_pixel(), 0.0, atol=10 * tolerance)


@pytest.mark.parametrize("num_channels", [1, 2, 12])
def test_multiplies_every_pixel_by_the_matrix(num_channels):
    conv = InvertibleConv1x1(num_channels, seed=4, dtype=tf.float64)
    perturb(conv)
    matrix = conv.matrix().numpy()
    assert not np.allclose(matrix @ matrix.T, np.eye(num_channels))
    x = np.random.default_rng(3).normal(size=[2, 3, 4, num_channels])
    np.testing.assert_allclose(conv.forward(tf.constant(x)), x @ matrix, atol=1e-12)
    np.testing.assert_allclose(conv.inverse(tf.constant(x)), x @ np.linalg.inv(matrix), atol=1e-10)
    np.testing.assert_allclose(conv.inverse_matrix() @ matrix, np.eye(num_channels), atol=1e-10)
    np.testing.assert_allclose(conv.log_det_per_pixel(), np.linalg.slogdet(matrix).logabsdet, atol=1e-11)


def test_tests_cover_a_true_permutation_and_both_signs():
    conv = InvertibleConv1x1(5, seed=0)  # The generic tests' layer.
    assert not np.array_equal(conv.permutation, np.transpose(conv.permutation))
    assert set(conv.sign_s.numpy()) == {-1.0, 1.0}


def test_seed_decides_the_rotation_and_a_generator_gives_layer_after_layer_another_one():
    generator = np.random.default_rng(1)
    one, same, first, second, other = (
        InvertibleConv1x1(6, seed=seed).matrix() for seed in (1, 1, generator, generator, 2)
    )
    np.testing.assert_array_equal(one, same)
    np.testing.assert_array_equal(one, first)
    assert not np.allclose(one, other) and not np.allclose(first, second)


def test_permutation_and_signs_are_fixed():
    conv = InvertibleConv1x1(4)
    names = {variable.name.split(":")[0] for variable in conv.trainable_variables}
    assert names == {"lower", "upper", "log_s"}
    assert len(conv.variables) == 5


def test_other_triangles_have_no_effect_and_no_gradient():
    conv = InvertibleConv1x1(4, dtype=tf.float64)
    matrix = conv.matrix().numpy()
    conv.lower.assign_add(np.triu(np.full([4, 4], 9.0)))
    conv.upper.assign_add(np.tril(np.full([4, 4], 9.0)))
    np.testing.assert_array_equal(conv.matrix(), matrix)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(conv.matrix() ** 2) + tf.reduce_sum(conv.inverse_matrix())
    lower, upper = tape.gradient(loss, [conv.lower, conv.upper])
    np.testing.assert_array_equal(np.triu(lower), np.zeros([4, 4]))
    np.testing.assert_array_equal(np.tril(upper), np.zeros([4, 4]))
    assert np.any(lower) and np.any(upper)


def test_no_inverse_or_determinant_of_a_full_matrix(direction):
    conv = InvertibleConv1x1(4)

    @tf.function
    def function(x):
        return getattr(conv, direction)(x), getattr(conv, f"{direction}_log_det_jacobian")(x)

    graph = function.get_concrete_function(tf.TensorSpec([2, 4, 4, 4])).graph
    types = {operation.type for operation in graph.get_operations()}
    assert "MatMul" in types
    assert not types & {"MatrixInverse", "MatrixDeterminant", "LogMatrixDeterminant", "MatrixSolve", "Qr", "Lu", "Svd"}


def test_round_trip_of_many_channels_in_float32():
    conv = InvertibleConv1x1(48)
    x = tf.random.stateless_normal([2, 4, 4, 48], seed=[1, 2])
    np.testing.assert_allclose(conv.inverse(tf.identity(conv.forward(x))), x, atol=1e-4)
