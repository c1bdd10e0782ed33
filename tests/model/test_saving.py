"""Every way of Keras' to save, load and copy a model gives every bit back, or is refused in one line."""

import copy
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.checks import all_equal, assert_all_close, refused, run_python
from tests.conftest import TINY
from videoflow_tf import VideoFlow
from videoflow_tf.training.optimizer import make_optimizer

KINDS = {
    "float32": ("float32", {}),
    "float64": ("float64", {"latent_encoder": "conv_lstm"}),
    "bfloat16": ("float32", {"precision": "mixed_bfloat16"}),
    "variational": ("float32", {"dequantization": "variational", "dequantization_width": 6}),
}


@pytest.fixture(params=KINDS)
def model(request, make_model):
    dtype, changes = KINDS[request.param]
    model = make_model(dtype, **changes)
    model.step.assign(3)
    return model


@pytest.fixture(scope="module")
def fitted(make_model, make_video):
    """After a step, with the optimizer's moments."""
    model = make_model("float32", warmup_steps=5, clip_norm=1.0, ema_decay=0.5)
    model.compile(make_optimizer(model.config))
    model.fit(make_video(), batch_size=2, verbose=0)
    return model


def assert_same(found: VideoFlow, model: VideoFlow) -> None:
    assert type(found) is VideoFlow and found is not model
    assert found.config == model.config and found.float_dtype == model.float_dtype and found.name == model.name
    assert int(found.step) == int(model.step)
    assert_all_close(found.weights, model.weights)
    assert all(a is not b for a, b in zip(found.weights, model.weights, strict=True))


def fresh(model: VideoFlow) -> VideoFlow:
    """Of the same configuration, with other weights."""
    other = VideoFlow.from_config(model.get_config())
    assert not all_equal(other.weights, model.weights)
    return other


@pytest.mark.parametrize("name", ["a.weights.h5", "a"])
def test_weights(model, tmp_path, name):
    model.save_weights(tmp_path / name)
    other = fresh(model)
    other.load_weights(tmp_path / name)
    assert_same(other, model)
    assert not list(tmp_path.glob(".tmp-*"))


def test_whole_models_and_copies(model, tmp_path):
    model.save(tmp_path / "a.keras")
    other = fresh(model)
    other.load_weights(tmp_path / "a.keras")
    loaded = tf_keras.models.load_model(tmp_path / "a.keras")
    for found in (other, loaded, pickle.loads(pickle.dumps(model)), copy.deepcopy(model), copy.copy(model)):
        assert_same(found, model)


def test_a_clone_has_the_configuration_and_weights_of_its_own(model):
    clone = tf_keras.models.clone_model(model)
    assert clone.config == model.config and clone.float_dtype == model.float_dtype
    assert all_equal(clone.trainable_weights, VideoFlow(model.config, model.float_dtype).trainable_weights)


def test_training_goes_on_from_a_saved_model(fitted, make_video, tmp_path):
    fitted.save(tmp_path / "a.keras")
    loaded = tf_keras.models.load_model(tmp_path / "a.keras")
    assert_same(loaded, fitted)
    assert type(loaded.optimizer) is type(fitted.optimizer)
    assert_all_close(loaded.optimizer.variables, fitted.optimizer.variables)
    for model in (loaded, fitted):
        model.fit(make_video(), batch_size=2, verbose=0, shuffle=False)  # The noise of a video goes by its place.
    # A step moves a weight by up to 1e-3; threads add up in an order of their own.
    assert_all_close(loaded.trainable_weights, fitted.trainable_weights, atol=5e-5)


def test_loaded_in_a_process_that_knows_nothing_of_it(fitted, tmp_path):
    """But the package: Keras imports it by the names in the file."""
    fitted.save(tmp_path / "a.keras")
    program = "import sys, tf_keras; print(type(tf_keras.models.load_model(sys.argv[1]).optimizer).__name__)"
    run = run_python("-c", program, tmp_path / "a.keras")
    assert run.returncode == 0 and run.stdout.split() == ["Adam"], run.stderr


@pytest.mark.parametrize(("name", "weights_only"), [("a.weights.h5", True), ("a", True), ("a.keras", False)])
def test_keras_callback(fitted, make_video, tmp_path, name, weights_only):
    callback = tf_keras.callbacks.ModelCheckpoint(str(tmp_path / name), save_weights_only=weights_only)
    fitted.fit(make_video(), batch_size=2, verbose=0, callbacks=[callback])
    other = fresh(fitted)
    other.load_weights(tmp_path / name)
    assert_all_close(other.trainable_weights, fitted.trainable_weights)


def test_all_callbacks_of_keras_in_one_fit(make_model, make_video, tmp_path):
    def build():
        model = make_model("float32")
        model.compile(make_optimizer(model.config, learning_rate=1e-3))
        return model

    def fit(model, *more):
        callbacks = [
            tf_keras.callbacks.ModelCheckpoint(str(tmp_path / "best.keras"), "val_bits_per_pixel", save_best_only=True),
            tf_keras.callbacks.EarlyStopping("val_bits_per_pixel", patience=5, restore_best_weights=True),
            tf_keras.callbacks.TensorBoard(str(tmp_path / "logs"), histogram_freq=1),
            tf_keras.callbacks.LearningRateScheduler(lambda epoch: 1e-3 / (epoch + 1)),
            tf_keras.callbacks.BackupAndRestore(str(tmp_path / "backup"), delete_checkpoint=False),
            *more,
        ]
        videos = tf.data.Dataset.from_tensor_slices(make_video(4)).batch(2)
        return model.fit(videos, epochs=3, validation_data=videos, verbose=0, callbacks=callbacks)

    class Interrupt(tf_keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    interrupted = build()
    with pytest.raises(KeyboardInterrupt):
        fit(interrupted, Interrupt())
    model = build()
    history = fit(model)
    assert history.epoch == [2] and int(model.step) == 6  # The first two are those of before.
    np.testing.assert_allclose(history.history["lr"], [1e-3 / 3])
    assert {"bits_per_pixel", "val_bits_per_pixel"} <= history.history.keys()
    assert np.isfinite(history.history["val_bits_per_pixel"]).all()
    assert list((tmp_path / "logs").rglob("events*"))
    best = VideoFlow.load(tmp_path / "best.keras")
    assert best.evaluate(make_video(4), batch_size=2, verbose=0) == pytest.approx(
        model.evaluate(make_video(4), batch_size=2, verbose=0), abs=1e-6
    )


def test_early_stopping_brings_the_best_weights_back(make_model, make_video):
    model = make_model("float32")
    model.compile(tf_keras.optimizers.SGD(1e3))  # Everything gets worse.
    start = model.get_weights()

    class Worse(tf_keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                model.set_weights(start)
            logs["score"] = float(epoch)

    stopping = tf_keras.callbacks.EarlyStopping("score", mode="min", patience=1, restore_best_weights=True)
    history = model.fit(make_video(), batch_size=2, epochs=5, verbose=0, callbacks=[Worse(), stopping])
    assert len(history.epoch) == 2
    assert all_equal(model.get_weights(), start)


@pytest.mark.parametrize("policy", [pytest.param("float64", marks=pytest.mark.slow), "mixed_bfloat16", "mixed_float16"])
def test_global_policies(make_video, tmp_path, policy):
    tf_keras.mixed_precision.set_global_policy(policy)
    try:
        if policy == "mixed_float16":  # Its gradients would have to be scaled.
            with refused("must be float32, float64 or, for faster networks, mixed_bfloat16, got mixed_float16"):
                VideoFlow(TINY)
            return
        model = VideoFlow(TINY)
        model.compile(make_optimizer(model.config))
        model.fit(make_video(), batch_size=2, verbose=0)
        assert int(model.step) == 1
        assert model.float_dtype == (tf.float64 if policy == "float64" else tf.float32)
        assert model.config.precision == ("float32" if policy == "float64" else policy)
        model.save(tmp_path / "model.keras")
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")
    bits = VideoFlow.load(tmp_path / "model.keras").bits_per_pixel(make_video())
    np.testing.assert_array_equal(bits, model.bits_per_pixel(make_video()))


def test_what_would_lose_weights_is_refused(fitted, tmp_path):
    for call in (
        lambda: fitted.save(tmp_path / "folder"),
        lambda: fitted.save(tmp_path / "a.h5"),
        lambda: fitted.save(tmp_path / "a.keras", save_format="h5"),
    ):
        with refused("is saved to a file whose name ends with .keras; its `export` writes a SavedModel; got"):
            call()
    for call in (
        lambda: fitted.save_weights(tmp_path / "a.h5"),
        lambda: fitted.save_weights(tmp_path / "a.keras"),
        lambda: fitted.save_weights(tmp_path / "a", save_format="h5"),
        lambda: fitted.load_weights(tmp_path / "a.h5"),
    ):
        with refused("go to a file whose name ends with .weights.h5"):
            call()
    for model in (fitted, fresh(fitted)):
        with refused("is saved to a file whose name ends with .keras; its `export` writes a SavedModel"):
            tf_keras.models.save_model(model, tmp_path / "folder")
    assert not list(tmp_path.iterdir())


def test_keras_export_writes_the_saved_model_of_the_package(fitted, make_video, tmp_path):
    fitted.export(tmp_path / "export")
    signature = tf.saved_model.load(str(tmp_path / "export")).signatures["bits_per_pixel"]
    found = signature(video=tf.constant(make_video()), seed=tf.constant([0, 1]))["bits_per_pixel"]
    np.testing.assert_allclose(found, fitted.bits_per_pixel(make_video(), seed=[0, 1]), rtol=1e-5)


def test_json_has_the_configuration(fitted, make_model):
    for model in (fitted, make_model("float64")):
        found = tf_keras.models.model_from_json(model.to_json())
        assert type(found) is VideoFlow and found.get_config() == model.get_config()


def test_a_class_of_a_function_is_copied(move_variables):
    class Own(VideoFlow):
        pass

    model = Own(TINY)
    move_variables(model)
    found = copy.deepcopy(model)
    assert type(found) is Own and found is not model
    assert_all_close(found.weights, model.weights)


def test_weights_of_another_model(make_model, tmp_path):
    make_model("float32").save_weights(tmp_path / "a.weights.h5")
    for other in (make_model("float64"), make_model("float32", depth=2), make_model("float32", coupling_width=5)):
        before = [v.numpy() for v in other.weights]
        with refused("not those of this model"):
            other.load_weights(tmp_path / "a.weights.h5")
        assert all_equal(other.weights, before)


def test_names_of_weights_are_paths(model):
    names = [v.name for v in model.weights]
    assert len(set(names)) == len(names)
    assert "level_0/prior/own/kernel:0" in names and "step:0" in names
    assert any(name.startswith("level_1/flow/") and name.endswith("coupling/network/last/kernel:0") for name in names)
    clone = VideoFlow.from_config(model.get_config())
    assert [v.name for v in clone.trainable_weights] == [v.name for v in model.trainable_weights]


def test_summary_lists_the_parts(model):
    lines = []
    model.summary(print_fn=lines.append)
    assert [line.split()[0] for line in lines] == [*model.parts, "trainable"]
    counts = [int(line.split()[1].replace(",", "")) for line in lines]
    assert all(counts[:4]) and counts[-1] == sum(np.size(v) for v in model.trainable_weights)
    assert sum(counts[:-1]) == model.count_params() - 3  # Those of the step and of the mean of the bits.


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "mixed_float16", tf.int32, "complex64"])
def test_a_dtype_that_does_not_do(make_model, dtype):
    with refused("must be float32, float64 or"):
        make_model(dtype)


def test_an_optimizer_of_keras_3(fitted):
    with refused("of tf_keras, got SGD of Keras 3"):
        fitted.compile(keras.optimizers.SGD())
