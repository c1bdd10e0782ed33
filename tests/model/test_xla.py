import numpy as np
import pytest
import tensorflow as tf

from tests.checks import assert_all_close, bits_and_gradients
from tests.conftest import ENCODERS
from videoflow_tf.training.optimizer import make_optimizer


@pytest.mark.parametrize(
    "encoder",
    [
        "conv3d_gated_dilated",
        pytest.param("conv2d_first_frame", marks=pytest.mark.slow),
        pytest.param("conv_lstm", marks=pytest.mark.slow),
    ],
)
def test_bits_per_pixel_and_prediction_compile_under_xla(make_model, make_video, encoder):
    changes = ENCODERS[encoder]
    size = changes.get("frame_size", 8)
    model, video = make_model("float32", **changes), make_video(2, 4, size)
    # XLA draws other numbers from the same seed: given noise, and temperature 0.
    given = 2 + model.config.condition_on_first_frame
    noise = tf.constant(np.random.default_rng(1).uniform(size=(2, given + 2, size, size, 3)), tf.float32)
    bits = tf.function(lambda v: model.bits_per_pixel(v, None, noise), jit_compile=True)
    np.testing.assert_allclose(bits(tf.constant(video)), model.bits_per_pixel(video, None, noise), rtol=1e-5)

    @tf.function(jit_compile=True)
    def predict(context, temperature):
        return model.predict_frames(context, 3, temperature, tf.constant([1, 2]), noise[:, :given])

    context = tf.constant(video[:, :2])
    compiled = predict(context, tf.constant(0.0)).numpy().astype(int)
    plain = model.predict_frames(context, 3, 0.0, None, noise[:, :given]).numpy().astype(int)
    assert plain.shape == compiled.shape == (2, 3, size, size, 3)
    assert np.abs(plain - compiled).max() <= 1 and (plain != compiled).mean() < 0.01  # A rounding at a bin's edge.
    drawn = predict(context, tf.constant(0.7))
    np.testing.assert_array_equal(predict(context, tf.constant(0.7)), drawn)
    assert not np.array_equal(drawn, compiled)


@pytest.mark.slow
@pytest.mark.parametrize("latent_encoder", ["conv3d", "conv_lstm"])
def test_the_training_step_compiles_under_xla(make_model, make_video, latent_encoder):
    model = make_model("float32", latent_encoder=latent_encoder, clip_norm=1.0)
    model.compile(optimizer=make_optimizer(model.config))
    model.optimizer.build(model.trainable_variables)
    before = [variable.numpy() for variable in model.trainable_variables]
    logs = tf.function(model.train_step, jit_compile=True)(tf.constant(make_video()))
    assert int(model.step) == 1
    assert all(np.isfinite(value) for value in logs.values())
    assert sum(np.any(a != b) for a, b in zip(before, model.trainable_variables, strict=True)) > len(before) / 2


@pytest.mark.parametrize("latent_encoder", ["conv3d", pytest.param("conv_lstm", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_gradients_under_xla(make_model, make_video, latent_encoder):
    model = make_model(latent_encoder=latent_encoder)
    (bits, plain), (compiled_bits, compiled) = (bits_and_gradients(model, make_video(), xla) for xla in (False, True))
    np.testing.assert_allclose(compiled_bits, bits, rtol=1e-6)
    assert_all_close(compiled, plain, rtol=1e-9, atol=1e-9)
