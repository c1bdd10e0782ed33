import numpy as np
import pytest
import tensorflow as tf

from bijectors.fast_forms import sizes, slice_axis

RANGES = [(0, None), (0, 5), (2, None), (1, 4), (0, -1), (-2, None), (1, -1), (-3, -1), (3, 3), (2, 9)]


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("start, stop", RANGES)
@pytest.mark.parametrize("static", [True, False])
def test_between_is_a_slice_in_value_and_gradient(axis, start, stop, static):
    x = np.random.default_rng(0).normal(size=(5, 5, 2))
    index = (slice(None),) * axis + (slice(start, stop),)
    weights = np.random.default_rng(1).normal(size=x[index].shape)

    @tf.function(input_signature=[tf.TensorSpec([5, 5, 2] if static else [None, None, 2], tf.float64)])
    def value_and_gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = slice_axis(x, start, stop, axis)
            assert y.shape[-1] == 2  # Nothing known is lost.
            loss = tf.reduce_sum(y * weights)
        return y, tape.gradient(loss, x)

    y, gradient = value_and_gradient(x)
    np.testing.assert_array_equal(y, x[index])
    expected = np.zeros_like(x)
    expected[index] = weights
    np.testing.assert_array_equal(gradient, expected)


def test_all_of_a_tensor_is_the_tensor():
    x = tf.zeros([3, 2])
    assert slice_axis(x, 0) is x and slice_axis(x, 0, 3) is x and slice_axis(x, -3) is x


def test_sizes_are_numbers_where_they_are_known():
    @tf.function(input_signature=[tf.TensorSpec([None, 3, 2])])
    def leading(x):
        found = sizes(x, 2)
        assert tf.is_tensor(found[0]) and found[1] == 3
        return found[0]

    assert leading(tf.zeros([4, 3, 2])) == 4
    assert sizes(tf.zeros([4, 3, 2]), 2) == [4, 3]
