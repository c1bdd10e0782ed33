import numpy as np
import pytest
import tensorflow as tf

from videoflow_tf.networks.conv2d import EdgeConv2D
from videoflow_tf.networks.network import dropout


def test_initial_weights():
    layer = EdgeConv2D(30, 40, np.random.default_rng(0))
    assert layer.kernel.numpy().std() == pytest.approx(0.05, rel=0.03)
    assert not layer.bias.numpy().any() and not layer.log_scale.numpy().any()
    last = EdgeConv2D(3, 4, None)
    np.testing.assert_array_equal(last(tf.ones([1, 4, 4, 3])), np.zeros([1, 4, 4, 4]))


def test_dropout_needs_a_seed_and_follows_it():
    x = tf.ones([1000])
    assert dropout(x, 0.5, None) is x
    assert dropout(x, 0.0, tf.constant([1, 2])) is x
    dropped, again = (dropout(x, 0.25, tf.constant([1, 2])).numpy() for _ in range(2))
    np.testing.assert_array_equal(dropped, again)
    assert set(np.unique(dropped)) == {0.0, np.float32(1 / 0.75)}
    assert (dropped == 0).mean() == pytest.approx(0.25, abs=0.05)
    assert not np.array_equal(dropped, dropout(x, 0.25, tf.constant([1, 3])))
