import collections
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests import reference
from tests.checks import all_equal, assert_all_close, assert_normalized, refused
from videoflow_tf.data import eval_videos, train_clips
from videoflow_tf.model import pixels
from videoflow_tf.training.optimizer import make_optimizer

# --- Initialisation ---


@pytest.mark.parametrize("latent_encoder", ["conv3d", "conv2d"])
def test_initialize_normalizes_the_output_of_every_actnorm(make_model, make_video, monkeypatch, latent_encoder):
    """Those of the literal model, on the frames that the weights are initialised on."""
    outputs = collections.defaultdict(list)

    def spied(function, x, layer):
        outputs[layer].append(function(x, layer))
        return outputs[layer][-1]

    for name in ("actnorm", "edge_conv2d", "edge_conv3d", "activation3d_parts"):
        monkeypatch.setattr(reference, name, functools.partial(spied, getattr(reference, name)))
    changes = {"latent_encoder": latent_encoder, "latent_encoder_depth": 2, "latent_dilations": (1, 2)}
    model = make_model(moved=0.0, frame_size=16, depth=2, **changes)
    video, seed = make_video(6, 4, 16), (1, 2)
    model.initialize(video, seed)
    noise = pixels.dequantization_noise(video.shape, seed)
    reference.frame_log_probs(model, pixels.from_uint8(tf.constant(video), noise, model.config, tf.float64).numpy())
    layers = [m for m in model.submodules if hasattr(m, "log_scale") or hasattr(m, "log_scales")]
    for layer in (layer for layer in layers if not getattr(layer, "starts_at_zero", False)):
        assert outputs[layer]
        frames = outputs[layer] if hasattr(layer, "log_scales") else [[y] for y in outputs[layer]]
        for y in (np.concatenate(parts) for parts in zip(*frames, strict=True)):
            assert_normalized(y, (0, 2, 3) if y.ndim == 5 else (0, 1, 2))  # At every time step.


def test_initialize_depends_on_the_batch_and_the_seed_alone(make_model, make_video):
    def initialized(video, **arguments) -> list[np.ndarray]:
        model = make_model("float32", moved=0.0)
        model.initialize(video, **arguments)
        return [v.numpy() for v in model.variables]

    video = make_video(8)
    first = initialized(video)
    assert all_equal(initialized(video), first)
    assert all_equal(initialized(video, seed=(0, 0)), first)
    assert not all_equal(initialized(video, seed=(5, 6)), first)
    assert not all_equal(initialized(make_video(8, seed=1)), first)


def test_no_call_initializes_again(make_model, make_video):
    model = make_model("float32", moved=0.0)
    model.initialize(make_video(8))
    weights = [v for v in model.variables if not v.name.startswith(("step", "total", "count"))]
    before = [v.numpy() for v in weights]
    model.bits_per_pixel(make_video(seed=1))
    model.predict_frames(make_video(2, 2, seed=1), 2)
    model.compile(optimizer=tf_keras.optimizers.SGD(0.0))
    model.fit(make_video(seed=1), epochs=1, verbose=0)
    model.evaluate(make_video(seed=1), verbose=0)
    assert_all_close(weights, before)


def test_initialisation_is_kept_through_a_checkpoint(make_model, make_video, tmp_path):
    model, other, video = make_model("float32", moved=0.0), make_model("float32"), make_video(8)
    model.initialize(video)
    path = tf.train.Checkpoint(model=model).save(str(tmp_path / "model"))
    tf.train.Checkpoint(model=other).restore(path).assert_consumed()
    assert_all_close(other.variables, model.variables)
    np.testing.assert_array_equal(model.bits_per_pixel(video), other.bits_per_pixel(video))


def test_a_model_is_a_function_of_its_configuration(make_model):
    a, b, other = make_model(moved=0.0), make_model(moved=0.0), make_model(moved=0.0, seed=1)
    assert all_equal(a.variables, b.variables) and not all_equal(a.variables, other.variables)


# --- Training with Keras ---


@pytest.fixture
def make_trained(make_model):
    """A compiled, initialised model on shapes of 8x8, and its data from a step on."""

    def make(**changes):
        changes = {"learning_rate": 3e-3, "num_train_frames": 3, "clip_norm": 100.0} | changes
        model = make_model("float32", moved=0.0, **changes)
        model.compile(optimizer=make_optimizer(model.config))
        model.optimizer.build(model.trainable_variables)
        model.initialize(next(iter(train_clips(model.config, None, batch_size=16))))
        return model

    return make


def test_fit_evaluate_and_predict(make_trained, make_video):
    model, norms = make_trained(), []
    record = lambda batch, logs: norms.append(logs["gradient_norm"])  # noqa: E731
    clips = train_clips(model.config, None, batch_size=4)
    before = model.evaluate(clips.take(2), verbose=0, return_dict=True)["bits_per_pixel"]
    options = {"verbose": 0, "callbacks": [tf_keras.callbacks.LambdaCallback(on_train_batch_end=record)]}
    history = model.fit(clips, steps_per_epoch=20, epochs=3, validation_data=clips.take(2), **options).history
    bits, validation = history["bits_per_pixel"], history["val_bits_per_pixel"]
    assert len(validation) == len(bits) == 3 and bits[2] < bits[1] < bits[0]
    after = model.evaluate(clips.take(2), verbose=0, return_dict=True)["bits_per_pixel"]
    assert after == pytest.approx(validation[-1], rel=1e-6)
    assert after < before - 0.5
    assert len(norms) == 60 and all(np.isfinite(norm) and norm > 0 for norm in norms)
    assert int(model.step) == int(model.optimizer.iterations) == 60
    # Two moments for every weight, and the count of steps.
    assert len(model.optimizer.variables) == 2 * len(model.trainable_variables) + 1
    video = make_video()
    np.testing.assert_allclose(model.predict(video, verbose=0), model.bits_per_pixel(video), rtol=1e-5)
    np.testing.assert_allclose(model(video), model.bits_per_pixel(video))


def test_wrong_data_are_one_line_and_right_ones_are_taken_after_them(make_trained, make_video):
    model, video = make_trained(), make_video()
    for wrong, message in (
        (video.astype(np.float32), "expected a video of dtype uint8, got float32"),
        (video[:, :, :4], "expected frames of 8x8"),
        ({"clip": video}, "expected clips, or elements with a 'video', got clip"),
    ):
        for call in (model.fit, model.evaluate):
            with refused(message):
                call(wrong, verbose=0)
    with refused("expected callbacks of tf_keras, got EarlyStopping of Keras 3"):
        model.fit(video, callbacks=[keras.callbacks.EarlyStopping()], verbose=0)
    elements = eval_videos(model.config, None, "test", num_videos=2).batch(2)
    clips = np.concatenate([element["video"] for element in elements])
    assert model.evaluate(elements, verbose=0) == pytest.approx(np.mean(model.bits_per_pixel(clips)), rel=1e-5)
    model.fit(video, verbose=0)
    assert int(model.step) == 1


def test_single_batches(make_trained, make_video):
    model, video = make_trained(), make_video()
    before = model.bits_per_pixel(video)
    np.testing.assert_allclose(model.test_on_batch(video), np.mean(before), rtol=1e-5)
    np.testing.assert_allclose(model.predict_on_batch(video), before, rtol=1e-5)
    assert np.isfinite(model.train_on_batch(video, return_dict=True)["bits_per_pixel"])
    assert int(model.step) == 1


def test_every_trainable_variable_gets_a_gradient(make_model, make_video, encoder_changes):
    size = encoder_changes.get("frame_size", 8)
    model = make_model(**encoder_changes, score_context=True)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model.bits_per_pixel(make_video(2, 5, size)))
    variables = model.trainable_variables
    assert len({id(v) for v in variables}) == len(variables)
    # A pointwise encoder whose sigma comes from elsewhere has one of its own all the same, as the official model has.
    unused = encoder_changes.get("pointwise_scale", "level") != "past"
    encoders = [level.prior.encoder for level in model.levels[:-1]]
    exempt = {id(encoder.log_scale) for encoder in encoders if hasattr(encoder, "log_scale") and unused}
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        if id(variable) in exempt:
            continue
        assert gradient is not None, variable.name
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0, variable.name


def test_the_gradient_of_a_training_step_is_that_of_bits_per_pixel(make_model, make_video):
    model, video = make_model("float64"), make_video()
    model.compile(optimizer=tf_keras.optimizers.SGD(0.1))
    noise_seed, _ = tf.unstack(tf.random.split(tf.constant([0, 0], tf.int64), 2))
    noise = pixels.dequantization_noise(video.shape, noise_seed)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model.bits_per_pixel(video, None, noise))
    # Zeros for the top prior of a frame without a past: there is none here.
    gradients = tape.gradient(loss, model.trainable_variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    expected = [v - 0.1 * g for v, g in zip(model.trainable_variables, gradients, strict=True)]
    logs = model.fit(video, batch_size=2, shuffle=False, verbose=0).history
    assert logs["bits_per_pixel"][0] == pytest.approx(float(loss), rel=1e-6)
    assert logs["gradient_norm"][0] == pytest.approx(float(tf.linalg.global_norm(gradients)), rel=1e-6)
    assert_all_close(model.trainable_variables, expected, rtol=1e-5, atol=1e-7)


def test_training_is_a_function_of_seed_and_step_and_goes_on_from_a_checkpoint(make_trained, tmp_path):
    options = {"coupling_dropout": 0.2, "latent_noise": 0.1}

    def fit(model, start: int, steps: int) -> None:
        clips = train_clips(model.config, None, batch_size=2, start_step=start)
        model.fit(clips, steps_per_epoch=steps, verbose=0)

    straight, twin, resumed = (make_trained(**options) for _ in range(3))
    fit(straight, 0, 6)
    fit(twin, 0, 3)
    path = tf.train.Checkpoint(model=twin, optimizer=twin.optimizer).save(str(tmp_path / "model"))
    fit(twin, 3, 3)
    tf.train.Checkpoint(model=resumed, optimizer=resumed.optimizer).restore(path).assert_existing_objects_matched()
    assert int(resumed.step) == 3
    fit(resumed, 3, 3)
    weights = [[v for v in m.variables if not v.name.startswith(("total", "count"))] for m in (straight, twin, resumed)]
    assert_all_close(weights[1], weights[0])
    assert_all_close(weights[2], weights[0])


@pytest.mark.slow
def test_another_seed_trains_another_model(make_model, make_video):
    def trained(seed: int) -> float:
        model = make_model("float32", seed=seed)
        for a, b in zip(model.variables, make_model("float32").variables, strict=True):
            a.assign(b)
        model.compile(optimizer=tf_keras.optimizers.SGD(0.1))
        return model.fit(make_video(), batch_size=2, shuffle=False, verbose=0).history["bits_per_pixel"][0]

    assert trained(0) == trained(0) != trained(1)


def test_pretraining_trains_what_it_uses(make_trained):
    model = make_trained(pretrain_steps=2)
    encoders = [v for level in model.levels for v in level.prior.encoder.trainable_variables]
    before = [v.numpy() for v in encoders]
    clips = train_clips(model.config, None, batch_size=2)
    model.fit(clips, steps_per_epoch=2, verbose=0)
    assert all_equal(encoders, before)
    model.fit(clips, steps_per_epoch=2, verbose=0)
    assert not all_equal(encoders, before)
