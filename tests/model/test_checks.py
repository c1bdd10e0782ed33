"""What a caller gets wrong is said in the same words by eager calls, by traced functions that do not know the values or
shapes before they run, and by an exported model."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.checks import refused
from videoflow_tf.model import checks
from videoflow_tf.training.export import export_model

NUM_FRAMES, TEMPERATURE = "num_frames must be at least 1, got", "temperature must be a finite number from 0 on, got"
# What is changed in a call that is right, and what is said of it.
WRONG_DRAWS = {
    "no frames": ({"num_frames": 0}, NUM_FRAMES, "0"),
    "fewer": ({"num_frames": -2}, NUM_FRAMES, "-2"),
    "negative": ({"temperature": -0.5}, TEMPERATURE, "-0.5"),
    "infinite": ({"temperature": math.inf}, TEMPERATURE, "inf"),
    "nan": ({"temperature": math.nan}, TEMPERATURE, "nan"),
    "empty": ({"context": slice(0)}, "expected at least 1 video, got", "0"),
}
WRONG_VIDEOS = {
    "empty": ((0, 4, 8, 8, 3), "expected at least 1 video, got", "0"),
    "short": ((2, 2, 8, 8, 3), "expected at least 3 frames, got", "2"),
    "small": ((2, 4, 8, 4, 3), "expected frames of 8x8 with 3 channels, got", "8,? 4,? 3"),
    "rank": ((4, 8, 8, 3), r"expected a video .batch, frames, 8, 8, 3., got", "4,? 8,? 8,? 3"),
}


@pytest.fixture(scope="module")
def model(make_model):
    return make_model("float32")


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "export"
    export_model(model, folder)
    return tf.saved_model.load(str(folder)).signatures


def asserted(message: str, got: str):
    """An assertion of the graph with the words of a `UserError`, and nothing else that went wrong first."""
    return pytest.raises(tf.errors.InvalidArgumentError, match=rf"assertion failed: \[{message}\] \[\[?{got}\]?\]")


def traced(function, *specs):
    return tf.function(function, input_signature=specs, autograph=False)


# What is made of latents that are right, and what is said of it.
WRONG_LATENTS = {
    "fewer levels": (lambda z: z[:1], "expected latents of 2 levels, as of `encode`, got 1"),
    "reversed": (
        lambda z: z[::-1],
        r"latents.0. must be float32 \(None, None, 4, 4, 6\), .* got float32 \(2, 3, 2, 2, 24\)",
    ),
    "frames missing": (
        lambda z: [z[0], z[1][:, 1:]],
        r"latents.1. must be float32 \(2, 3, 2, 2, 24\), .* \(2, 2, 2, 2, 24\)",
    ),
    "flat": (lambda z: [z[0][0], z[1][0]], r"latents.0. must be .* got float32 \(3, 4, 4, 6\)"),
    "dtype": (
        lambda z: [tf.cast(z[0], tf.float64), z[1]],
        r"latents.0. must be float32 .* got float64 \(2, 3, 4, 4, 6\)",
    ),
}


@pytest.mark.parametrize("change, message", WRONG_LATENTS.values(), ids=WRONG_LATENTS)
def test_wrong_latents_are_refused(model, change, message):
    latents = [tf.zeros([2, 3, *model.config.latent_shape(i)]) for i in range(2)]
    with refused(message):
        model.decode(change(latents))


def test_a_traced_function_that_does_not_know_the_shape_refuses_wrong_latents(model):
    latents = [tf.zeros([2, 3, *model.config.latent_shape(i)]) for i in range(2)]
    decode = traced(model.decode, [tf.TensorSpec(None)] * 2)
    assert decode(latents).shape == [2, 3, 8, 8, 3]
    for wrong in (latents[::-1], [latents[0][:, :2], latents[1]]):
        with pytest.raises(tf.errors.InvalidArgumentError):
            decode(wrong)


VIDEO = tf.TensorSpec([None, 2, 8, 8, 3], tf.uint8)
NUMBER, FLOAT = tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.float32)


@pytest.fixture(scope="module")
def drawing(model):
    """The ways to a drawn future, eager and traced: functions of context, number of frames and temperature."""
    ways = [
        lambda *args: model.predict_frames(*args, seed=(0, 1)),
        lambda *args: model.future(*args).sample(seed=(0, 1)),
    ]
    return [(way, traced(way, VIDEO, NUMBER, FLOAT)) for way in ways]


@pytest.mark.parametrize("wrong", WRONG_DRAWS)
def test_wrong_draws(drawing, exported, make_video, wrong):
    changes, message, got = WRONG_DRAWS[wrong]
    given = {"context": make_video(2, 2), "num_frames": 2, "temperature": 0.5}
    changes = {name: given[name][value] if name == "context" else value for name, value in changes.items()}
    context, num_frames, temperature = (given | changes).values()
    tensors = tf.constant(context), tf.constant(num_frames), tf.constant(temperature)
    for eager, graph in drawing:
        with refused(f"{message} {got}"):
            eager(context, num_frames, temperature)
        with refused(f"{message} {got}"):
            eager(*tensors)
        with asserted(message, got):
            graph(*tensors)
    with asserted(message, got):
        exported["predict"](**dict(zip(given, tensors, strict=True)), seed=tf.constant([0, 1]))


@pytest.fixture(scope="module")
def graph_bits(model):
    return traced(model.bits_per_pixel, tf.TensorSpec(None, tf.uint8))


@pytest.mark.parametrize("wrong", WRONG_VIDEOS)
def test_wrong_videos(model, exported, graph_bits, wrong):
    shape, message, got = WRONG_VIDEOS[wrong]
    video = np.zeros(shape, np.uint8)
    with refused(rf"{message} .*{got}"):
        model.bits_per_pixel(video)
    with asserted(message, got):
        graph_bits(video)
    if wrong in ("empty", "short"):  # The others do not fit the signature.
        with asserted(message, got):
            exported["bits_per_pixel"](video=tf.constant(video), seed=tf.constant([0, 1]))


def test_what_a_traced_function_knows_is_said_when_it_is_traced(model, make_video):
    for call in (
        lambda: model.future(make_video(2, 2), 0),
        lambda: model.predict_frames(make_video(2, 2), 2, -1.0),
        lambda: model.bits_per_pixel(make_video()[:0]),
        lambda: model.predict_frames(make_video(2, 2).astype(np.float32) / 255, 2),
    ):
        with refused("must be|at least 1 video|dtype uint8, got float32"):
            traced(call)()


def test_the_number_of_frames_given_must_be_known(model):
    with refused("number of frames given must be known"):
        traced(
            lambda v: model.predict_frames(v, 2), tf.TensorSpec([1, None, 8, 8, 3], tf.uint8)
        ).get_concrete_function()


@pytest.mark.parametrize("number", [2.5, "2", True, [2], tf.constant(2.0)], ids=str)
def test_a_number_of_frames_that_is_no_whole_number(number):
    with refused("num_frames must be a whole number"):
        checks.checked_count(number, "num_frames")


@pytest.mark.parametrize("temperature", ["warm", [0.5, 0.5], None])
def test_a_temperature_that_is_no_number(temperature):
    with refused("temperature must be a finite number"):
        checks.checked_temperature(temperature, tf.float32)


def test_whole_numbers_of_all_kinds():
    for number in (3, np.int64(3), np.array(3), tf.constant(3, tf.int64)):
        assert checks.checked_count(number, "num_frames") == 3
    assert checks.checked_temperature(0.7, tf.float64) == 0.7  # Not by way of float32.


def test_continuous_context_on_another_scale(model, make_frames):
    frames = make_frames(2, 2).astype(np.float32)
    model.future(frames, 2)
    graph = traced(lambda v: model.future(v, 2).sample(seed=1), tf.TensorSpec([2, 2, 8, 8, 3], tf.float32))
    message = r"continuous ones in .-0.5, 0.5., got"
    for wrong in (frames + 0.5, 255 * (frames + 0.5), frames * np.nan):
        with refused(message):
            model.future(wrong, 2)
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            graph(wrong)


def test_log_prob_of_what_cannot_be_frames(model, make_video, make_frames):
    future, video = model.future(make_video(2, 2), 2), make_video(2, 2)
    for integers in (video, tf.constant(video), video.astype(np.int64)):
        for density in (future.log_prob, future.prob):
            with refused("expected continuous frames .*got dtype .*dequantize"):
                density(integers)
    one_of_two = np.stack([make_frames(1, 2)[0], video[0] / 255])
    for scaled in (video / 255, video.astype(np.float32), tf.constant(video / 255, tf.float32), one_of_two):
        with refused("expected continuous frames around .*dequantize"):
            future.log_prob(scaled)
    with refused("expected continuous frames around"):
        model.encode(tf.constant(video / 255, model.float_dtype))
    graph = traced(future.log_prob, tf.TensorSpec([2, 2, 8, 8, 3], tf.float32))
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected continuous frames around"):
        graph(video / 255)
    assert np.isfinite(future.log_prob(3 * make_frames(2, 2))).all()  # Real numbers have a density all the same.


def test_noise_of_an_unknown_shape(model, make_video):
    graph = traced(lambda noise: model.bits_per_pixel(make_video(), None, noise), tf.TensorSpec(None, tf.float32))
    for batch in (1, 2):
        assert np.isfinite(graph(np.zeros([batch, 4, 8, 8, 3], np.float32))).all()
    for shape in ((3, 4, 8, 8, 3), (2, 3, 8, 8, 3), (4, 8, 8, 3)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="dequantization_noise must be of shape"):
            graph(np.zeros(shape, np.float32))


def test_callbacks_of_keras_3(model, make_video):
    class Own(keras.callbacks.Callback):
        pass

    for callbacks in (keras.callbacks.EarlyStopping(), [tf_keras.callbacks.Callback(), Own()]):
        with refused("expected callbacks of tf_keras, got (EarlyStopping|Own) of Keras 3: `import tf_keras`"):
            model.fit(make_video(), callbacks=callbacks, verbose=0)
    checks.check_of_keras_2("callbacks", None, tf_keras.callbacks.EarlyStopping(), tf_keras.callbacks.CallbackList())
