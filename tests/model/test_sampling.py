import numpy as np
import pytest
import tensorflow as tf


def test_temperature_zero_has_one_outcome(make_model, make_video):
    model, context = make_model("float32"), make_video(2, 2)
    first = model.predict_frames(context, 4, temperature=0.0, seed=1)
    np.testing.assert_array_equal(model.predict_frames(context, 4, temperature=0.0, seed=2), first)
    np.testing.assert_array_equal(model.predict_frames(context, 4, temperature=0.0), first)
    assert not np.array_equal(model.predict_frames(context, 4, temperature=1.0, seed=1), first)


def test_with_a_seed_of_its_own_a_sample_depends_on_nothing_else(make_model, make_video):
    model, context = make_model(), make_video(3, 2)
    seeds = tf.constant([[1, 2], [3, 4], [1, 2]])
    together = model.predict_frames(context, 3, seed=seeds).numpy()
    for i in range(3):
        alone = model.predict_frames(context[i : i + 1], 3, seed=seeds[i : i + 1])
        np.testing.assert_array_equal(alone[0], together[i])
    same_context = model.predict_frames(np.repeat(context[:1], 3, axis=0), 3, seed=seeds).numpy()
    np.testing.assert_array_equal(same_context[0], same_context[2])
    assert not np.array_equal(same_context[0], same_context[1])


@pytest.mark.parametrize("latent_encoder", ["conv3d", "conv_lstm"])
def test_a_hundred_frames_from_three(make_model, make_video, latent_encoder):
    # Of random models moved by 0.01 one in two grows beyond all bounds within a hundred frames.
    model = make_model("float32", moved=0.005, latent_encoder=latent_encoder, num_past_latents=3, num_context=3)
    frames = model.predict_frames(make_video(1, 3), 100, temperature=0.5, seed=1)
    assert frames.shape == [1, 100, 8, 8, 3]
    assert np.ptp(frames[:, -1]) > 0
