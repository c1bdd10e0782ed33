"""The fused Adam gives Keras' numbers and keeps an average; the learning rate follows its schedule."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.checks import assert_all_close, refused
from tests.conftest import TINY
from videoflow_tf.training.optimizer import Adam, LearningRate, make_optimizer
from videoflow_tf.training.validation import averaged_weights

START = [1.0, 2.0, 3.0], [[1.0, -2.0]]


def weights_after(optimizer, steps=30):
    variables = [tf.Variable(value) for value in START]
    optimizer.build(variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(variables[0] ** 4) + tf.reduce_sum(tf.sin(variables[1]))
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    for _ in range(steps):
        step()
    return [variable.numpy() for variable in variables]


@pytest.mark.parametrize("arguments", [{}, {"global_clipnorm": 0.5}, {"use_ema": True, "ema_momentum": 0.9}])
def test_fused_adam_equals_keras_adam(arguments):
    rate = {"learning_rate": LearningRate(1e-2, warmup_steps=10)}
    fused, plain = (weights_after(kind(**rate, **arguments)) for kind in (Adam, tf_keras.optimizers.Adam))
    for a, b, start in zip(fused, plain, START, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
        assert np.abs(a - start).min() > 0.1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_gradients_that_are_not_finite_change_neither_weights_nor_moments(bad):
    variables = [tf.Variable(value) for value in START]
    optimizer = Adam(1e-2, global_clipnorm=1.0)
    optimizer.build(variables)

    @tf.function
    def step(factor):
        optimizer.apply_gradients((factor * variable, variable) for variable in variables)

    step(1.0)
    kept = [variable.numpy() for variable in optimizer.variables if variable.shape.rank]
    weights = [variable.numpy() for variable in variables]
    step(bad)
    assert_all_close([variable for variable in optimizer.variables if variable.shape.rank], kept, atol=0)
    assert_all_close(variables, weights, atol=0)
    step(1.0)
    assert all(np.all(a != b.numpy()) for a, b in zip(weights, variables, strict=True))


def test_the_update_compiles_and_takes_one_op_a_variable():
    optimizer = make_optimizer(TINY)
    variables = [tf.Variable(tf.ones([3])) for _ in range(4)]
    optimizer.build(variables)

    @tf.function(jit_compile=True)
    def step():
        optimizer.apply_gradients([(tf.ones([3]), variable) for variable in variables])

    operations = [op.type for op in step.get_concrete_function().graph.get_operations()]
    assert operations.count("ResourceApplyAdam") == len(variables)
    step()
    assert all(np.all(variable.numpy() < 1) for variable in variables)


@pytest.mark.parametrize(("step", "expected"), [(0, 0.1), (9, 1.0), (99, 1.0), (150, 0.5), (200, 0.0), (300, 0.0)])
def test_learning_rate(step, expected):
    rate = LearningRate(1.0, warmup_steps=10, decay_from=100, decay_until=200)
    np.testing.assert_allclose(rate(step), expected, rtol=1e-6)


def test_a_learning_rate_without_warm_up_and_decay_is_constant():
    rate = LearningRate(2.0, warmup_steps=0)
    assert [float(rate(step)) for step in (0, 10**6)] == [2.0, 2.0]


def test_average_starts_from_the_weights_at_build_and_is_swapped_in_and_out():
    variable = tf.Variable([1.0])
    adam = make_optimizer(TINY.replace(ema_decay=0.75, learning_rate=0.5))
    adam.build([variable])
    adam.apply_gradients([(tf.constant([3.0]), variable)])
    stepped = variable.numpy()
    np.testing.assert_allclose(stepped, [0.5], rtol=1e-5)  # Adam's first step is the learning rate.

    class Model:
        trainable_variables = (variable,)

    adam.finalize_variable_values([variable])  # As Keras does after `fit`.
    np.testing.assert_array_equal(variable.numpy(), stepped)
    with averaged_weights(Model(), adam):
        np.testing.assert_allclose(variable.numpy(), [0.75 * 1.0 + 0.25 * 0.5], rtol=1e-5)
    np.testing.assert_array_equal(variable.numpy(), stepped)


def test_decay_of_the_squared_gradients_is_the_configurations():
    config = TINY.replace(adam_beta2=0.9)
    expected = weights_after(tf_keras.optimizers.Adam(LearningRate(config.learning_rate, 0), beta_2=0.9))
    assert_all_close(weights_after(make_optimizer(config)), expected)


def test_gradients_are_clipped_by_global_norm_if_at_all():
    assert make_optimizer(TINY.replace(clip_norm=2.0)).global_clipnorm == 2.0
    assert make_optimizer(TINY).global_clipnorm is None


def set_by_schedule(model):
    return tf_keras.callbacks.LearningRateScheduler(lambda epoch: 1e-9), {}


def set_on_plateau(model):
    return tf_keras.callbacks.ReduceLROnPlateau("bits_per_pixel", patience=1, min_delta=1e9), {"epochs": 3}


@pytest.mark.parametrize("setter", [set_by_schedule, pytest.param(set_on_plateau, marks=pytest.mark.slow)])
def test_callbacks_that_set_the_rate_do_or_are_refused(make_model, make_video, setter):
    for rate in (None, 1e-3):
        model = make_model("float32")
        model.compile(make_optimizer(model.config, learning_rate=rate))
        callback, how = setter(model)
        if rate is None:
            with refused(r"follows a schedule and cannot be set; .*make_optimizer\(config, learning_rate=x\)"):
                model.fit(make_video(), batch_size=2, verbose=0, callbacks=[callback], **how)
        else:
            model.fit(make_video(), batch_size=2, verbose=0, callbacks=[callback], **how)
            assert float(model.optimizer.learning_rate) < 2e-4


def test_the_rate_of_a_schedule_is_read_and_not_set():
    variable, adam = tf.Variable([1.0]), make_optimizer(TINY.replace(learning_rate=0.5, warmup_steps=2))
    adam.build([variable])
    adam.apply_gradients([(tf.constant([3.0]), variable)])
    adam.apply_gradients([(tf.constant([3.0]), variable)])
    assert float(adam.learning_rate) == float(adam.lr) == 0.5
    number = make_optimizer(TINY, learning_rate=1.0)
    number.learning_rate = 0.25
    assert float(number.learning_rate) == 0.25
    for optimizer, name, value in (
        (adam, "lr", 1.0),
        (adam, "learning_rate", 1.0),
        (number, "lr", LearningRate(1.0, 0)),
    ):
        with refused("follows a schedule"):
            setattr(optimizer, name, value)
    with refused("follows a schedule"):
        tf_keras.backend.set_value(adam.learning_rate, 1.0)
