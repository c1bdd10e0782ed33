import numpy as np
import pytest
import tensorflow as tf

from tests import reference
from videoflow_tf.model.likelihood import frame_log_probs

# So many that steps and branches share their traces.
DEEP = {"depth": 9, "latent_encoder_depth": 9, "moved": 0.02}


@pytest.mark.parametrize("changes", [{}, {"levels": 3}, DEEP], ids=["two_levels", "three_levels", "deep"])
def test_decode_inverts_encode(make_model, changes):
    model, x = make_model(**changes), None
    for level in model.levels:
        height, width, channels = level.image_shape
        x = tf.constant(np.random.default_rng(0).normal(size=(3, height, width, channels)))
        latents, hidden, log_det = level.encode(x)
        assert (hidden is None) == level.is_top and log_det.shape == [3]
        assert latents.shape[1:] == level.prior.latent_shape
        assert level.join(hidden, latents).shape[1:] == level.encoded_shape
        np.testing.assert_allclose(level.decode(latents, hidden), x, atol=1e-10)
        # The TFP bijector of the same layers.
        y = level.flow.forward(tf.identity(x))
        np.testing.assert_allclose(level.join(hidden, latents), y, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(log_det, level.flow.forward_log_det_jacobian(tf.identity(x)), rtol=1e-12)


def test_steps_come_in_their_order(make_model):
    level = make_model(depth=3).levels[0]
    assert [step.name for step in level.steps] == ["step_0", "step_1", "step_2"]
    assert level.flow.bijectors == [*reversed(level.steps), level.squeeze]


def test_a_deep_model_against_the_reference(make_model, make_frames):
    model, x = make_model(**DEEP), make_frames(2, 4)
    np.testing.assert_allclose(
        frame_log_probs(model.levels, tf.constant(x)), reference.frame_log_probs(model, x), rtol=1e-10
    )
    context = tf.constant(x[:, :2])
    whole = model.future(context, 3).sample(seed=(1, 2))
    parts = model.sample_frames(context, 3, seed=(1, 2), frames_at_once=1)[0]
    np.testing.assert_allclose(parts, whole, rtol=1e-9, atol=1e-9)
    clip = np.concatenate([x[:, :2], whole], axis=1)
    np.testing.assert_allclose(
        model.future(context, 3).log_prob(whole), reference.frame_log_probs(model, clip, 2).sum(axis=1), rtol=1e-9
    )


@pytest.mark.parametrize("recompute", ["step", "coupling"])
def test_gradients_of_a_deep_model_are_the_same_with_recomputation(make_model, make_video, recompute):
    def gradients(**changes) -> list[np.ndarray]:
        model = make_model(**DEEP, **changes)

        @tf.function
        def differentiate(video: tf.Tensor) -> list[tf.Tensor]:
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(model.bits_per_pixel(video))
            return tape.gradient(loss, model.trainable_variables, unconnected_gradients="zero")

        return differentiate(make_video())

    expected, found = gradients(), gradients(recompute=recompute)
    # All but the top level's Gaussian of a frame without a past, three variables of which no scored frame is.
    assert sum(not np.any(g) for g in expected) == 3
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)
