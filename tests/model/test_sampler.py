import numpy as np
import pytest
import tensorflow as tf

from videoflow_tf.model import sampler as time_chunks
from videoflow_tf.model.sampler import sample_in_chunks

SEED = tf.constant([3, 4])


@pytest.mark.parametrize(("num_frames", "frames_at_once"), [(1, 64), (3, 1), (5, 4)])
def test_samples_are_those_of_the_whole(make_model, make_video, encoder_changes, num_frames, frames_at_once):
    model = make_model(moved=0.02, **encoder_changes)
    future = model.future(make_video(frames=2, size=model.config.frame_size), num_frames, 0.7)
    expected = future.sample(seed=SEED)
    drawn = sample_in_chunks(future, 1, SEED, frames_at_once)
    assert drawn.shape == (1, *expected.shape)
    np.testing.assert_allclose(drawn[0], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("seeds", [SEED, tf.constant([[0, n] for n in range(6)])], ids=["one", "one_each"])
def test_several_samples_at_once(make_model, make_video, seeds):
    future = make_model().future(make_video(frames=2), 3, 1.0)
    np.testing.assert_allclose(sample_in_chunks(future, 3, seeds, 6), future.sample(3, seed=seeds), rtol=1e-10)


def test_number_of_frames_known_at_run_time(make_model, make_video):
    """As in exported models: neither the batch nor the number of frames is known when the graph is built."""
    model, video = make_model(), make_video(frames=2)

    @tf.function(input_signature=[tf.TensorSpec([None, 2, 8, 8, 3], tf.uint8), tf.TensorSpec([], tf.int32)])
    def draw(context, num_frames):
        return sample_in_chunks(model.future(context, num_frames, 0.7), 1, SEED)

    for num_frames in (1, 5, 7):
        expected = model.future(video, num_frames, 0.7).sample(seed=SEED)
        np.testing.assert_allclose(draw(video, num_frames)[0], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("num_frames", "frames_at_once", "most"), [(1, 64, 1), (40, 64, 32), (20, 7, 3), (9, 1, 1), (20, None, 2)]
)
def test_no_more_frames_together_than_asked_for(make_model, make_video, monkeypatch, num_frames, frames_at_once, most):
    """A batch of two, so half as many frames of each; without a number, a tenth of the frames."""
    together = []

    def spy(level, size):
        del size

        def inverse(images):
            together.append(len(images))
            return level.inverse(images)

        return inverse

    monkeypatch.setattr(time_chunks, "fold_level_inverse", spy)
    future = make_model(moved=0.005).future(make_video(frames=2), num_frames, 0.5)
    drawn = sample_in_chunks(future, 1, SEED, frames_at_once)
    assert drawn.shape[2] == num_frames
    chunks = -(-num_frames // most)
    even = -(-num_frames // chunks)
    assert even <= most and together == [2 * even] * 2 * chunks
