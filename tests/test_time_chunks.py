import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from videoflow_tf.time_chunks import TimeChunks, in_time_chunks


class Spy(tfb.Bijector):
    """Turns frames over, and keeps the shapes of what it is given."""

    def __init__(self):
        super().__init__(forward_min_event_ndims=3)
        self.shapes = []

    def _forward(self, x):
        self.shapes.append(tuple(x.shape))
        return tf.reverse(x, axis=[-2])


@pytest.mark.parametrize(("length", "calls"), [(1, 1), (4, 1), (9, 3)])
def test_no_more_frames_together_than_asked_for(length, calls):
    spy = Spy()
    x = np.random.default_rng(0).normal(size=[2, length, 3, 5, 4])
    y = TimeChunks(spy, tf.TensorShape([3, 5, 4]), 4).forward(x)
    np.testing.assert_array_equal(y, x[:, :, :, ::-1])
    assert spy.shapes == [(2, 4, 3, 5, 4)] * calls


@pytest.mark.parametrize("frames", [1, 2, 5, 8])
def test_samples_are_those_of_the_whole(make_model, make_video, frames):
    model = make_model()
    future = model.future(make_video(frames=2), 5, 0.7)
    seed = tf.constant([3, 4])
    chunked = in_time_chunks(future, frames).sample(seed=seed)
    assert chunked.shape == (2, 5, 8, 8, 3)
    np.testing.assert_allclose(chunked, future.sample(seed=seed), rtol=1e-10, atol=1e-10)


def test_several_samples_at_once(make_model, make_video):
    future = make_model().future(make_video(frames=2), 3, 1.0)
    seed = tf.constant([3, 4])
    np.testing.assert_allclose(in_time_chunks(future, 2).sample(2, seed=seed), future.sample(2, seed=seed), rtol=1e-10)
