"""The fused Adam gives Keras' numbers; the learning rate follows its schedule."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.training.optimizer import Adam, LearningRate, make_optimizer


def weights_after(optimizer, steps=30):
    variables = [tf.Variable([1.0, 2.0, 3.0]), tf.Variable([[1.0, -2.0]])]
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
    for fused, plain in zip(
        weights_after(Adam(**rate, **arguments)),
        weights_after(tf_keras.optimizers.Adam(**rate, **arguments)),
        strict=True,
    ):
        np.testing.assert_allclose(fused, plain, rtol=1e-5)


def test_the_update_compiles_and_takes_one_op_a_variable():
    optimizer = make_optimizer(VideoFlowConfig.preset("demo"))
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
