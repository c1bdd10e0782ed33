"""Over random shapes, scales and dtypes: what holds for every bijector."""

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from bijectors import Squeeze
from tests.bijectors.conftest import CASES

# Always the same examples, in no given time: these tests must not fail by chance.
few = settings(max_examples=25, deadline=None, derandomize=True)
dtypes = st.sampled_from([tf.float32, tf.float64])
sizes, magnitudes, seeds = st.integers(1, 3), st.integers(-2, 2), st.integers(0, 9)
shapes = st.lists(st.integers(0, 3), max_size=2)  # Of the leading dimensions, also none and empty ones.


@few
@given(
    st.sampled_from(CASES), dtypes, shapes, st.integers(1, 3), st.integers(1, 3), st.integers(-2, 2), st.integers(0, 9)
)
def test_round_trips_and_log_dets(case, dtype, leading, height, width, magnitude, seed):
    """Both ways, with an error that is small beside the values."""
    bijector = case.build(dtype, seed)
    if 0 in leading and case.num_networks:
        return  # TensorFlow has no convolution of an empty batch.
    shape = [*leading, 2 * height, 2 * width, case.channels]
    values = 10.0**magnitude * np.random.default_rng(seed).normal(size=shape)
    x = tf.constant(values, dtype)
    y = bijector.forward(x)
    back = bijector.inverse(tf.identity(y))
    assert y.dtype == back.dtype == dtype and back.shape == x.shape
    epsilon = np.finfo(dtype.as_numpy_dtype).eps
    np.testing.assert_allclose(back, x, atol=3e3 * epsilon * max(1.0, 10.0**magnitude), rtol=3e3 * epsilon)
    forward = bijector.forward_log_det_jacobian(tf.identity(x), event_ndims=3)
    inverse = bijector.inverse_log_det_jacobian(tf.identity(y), event_ndims=3)
    assert np.broadcast_shapes(forward.shape, tuple(leading)) == tuple(leading)
    np.testing.assert_allclose(inverse, -forward, rtol=3e3 * epsilon, atol=3e3 * epsilon * y.shape.num_elements())


@few
@given(dtypes, shapes, st.integers(1, 4), st.integers(1, 4), st.integers(1, 5))
def test_squeeze_loses_nothing(dtype, leading, height, width, channels):
    squeeze = Squeeze(channels, dtype)
    shape = [*leading, 2 * height, 2 * width, channels]
    x = np.arange(np.prod(shape), dtype=dtype.as_numpy_dtype).reshape(shape)
    y = squeeze.forward(x).numpy()
    assert y.shape == (*leading, height, width, 4 * channels) == tuple(squeeze.forward_event_shape(shape))
    np.testing.assert_array_equal(np.sort(y, axis=None), np.sort(x, axis=None))
    np.testing.assert_array_equal(squeeze.inverse(y.copy()), x)
