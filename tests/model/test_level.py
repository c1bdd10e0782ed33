import numpy as np
import pytest
import tensorflow as tf

from tests.checks import assert_all_close, bits_and_gradients
from tests.conftest import DEEP


@pytest.mark.parametrize("changes", [{}, {"levels": 3}, DEEP | {"moved": 0.02}], ids=["two", "three", "deep"])
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


@pytest.mark.slow
def test_gradients_of_a_deep_model_are_the_same_with_recomputation(make_model, make_video):
    ways = ({}, {"recompute": "step"}, {"recompute": "coupling"})
    models = [make_model(moved=0.02, **DEEP, **changes) for changes in ways]
    expected, *others = (bits_and_gradients(model, make_video())[1] for model in models)
    # All but the top level's Gaussian of a frame without a past, three variables of which no scored frame is.
    assert sum(bool(np.any(g)) for g in expected) == len(models[0].trainable_variables) - 3
    for found in others:
        assert_all_close(found, expected, rtol=1e-6, atol=1e-9)
