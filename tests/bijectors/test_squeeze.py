"""Squeeze in Glow's channel order."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from bijectors import Squeeze
from tests import reference


def test_literal_values():
    # Pixel (y, x) holds [yx, 1yx]: channel 0 is 0..33, channel 1 the same plus 100.
    x = tf.constant([[[10.0 * y + x, 100.0 + 10.0 * y + x] for x in range(4)] for y in range(2)])
    expected = [
        [[0.0, 1.0, 10.0, 11.0, 100.0, 101.0, 110.0, 111.0], [2.0, 3.0, 12.0, 13.0, 102.0, 103.0, 112.0, 113.0]]
    ]
    np.testing.assert_array_equal(Squeeze(2).forward(x), expected)
    np.testing.assert_array_equal(Squeeze(2).inverse(tf.constant(expected)), x)


def test_order_of_any_size():
    x = tf.random.stateless_normal([2, 4, 6, 3], seed=[1, 2])
    y = Squeeze(3).forward(x)
    np.testing.assert_array_equal(y, reference.squeeze(x.numpy()))
    np.testing.assert_array_equal(reference.unsqueeze(y.numpy()), x)


@pytest.mark.parametrize("size", [(3, 4), (4, 3), (1, 1)], ids=str)
def test_odd_size_names_got_and_expected(size):
    with pytest.raises(ValueError, match=rf"expected even H and W, got .*{size[0]}, {size[1]}"):
        Squeeze(3).forward(tf.zeros([2, *size, 3]))


@pytest.mark.parametrize("size", [(3, 4), (4, 3)], ids=str)
def test_odd_size_unknown_to_the_graph_raises_when_run(size):
    """Two images of 3x4 have the values of three of 2x4: nothing may pass for them."""
    squeeze = Squeeze(3)
    function = tf.function(lambda x: squeeze.forward(x), input_signature=[tf.TensorSpec([None, None, None, 3])])
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        function(tf.zeros([2, *size, 3]))
