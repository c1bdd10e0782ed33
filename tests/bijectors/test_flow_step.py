"""A step of the flow, and a level."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tensorflow_probability import bijectors as tfb

from bijectors import ActNorm, AffineCoupling, FlowStep, InvertibleConv1x1, Squeeze, flow_level


def images(channels: int = 4, dtype: tf.DType = tf.float64) -> tf.Tensor:
    """Eight images whose channels have means and standard deviations of their own."""
    values = np.random.default_rng(3).normal(size=[8, 4, 6, channels])
    return tf.constant(values * np.arange(1, channels + 1) + 10.0 * np.arange(channels), dtype)


def test_equals_the_chain_of_its_parts(coupling_kind, make_flow_step, move_weights, direction):
    step = make_flow_step(coupling_kind, 4, tf.float64, 0)
    move_weights(step)
    chain = tfb.Chain([step.coupling, step.conv, step.actnorm])
    x = tf.constant(np.random.default_rng(3).normal(size=[2, 3, 4, 6, 4]))
    fresh = tf.identity(x)
    np.testing.assert_allclose(getattr(step, direction)(x), getattr(chain, direction)(fresh), rtol=1e-10, atol=1e-10)
    name = f"{direction}_log_det_jacobian"
    log_det = getattr(step, name)(x, event_ndims=4)
    np.testing.assert_allclose(log_det, getattr(chain, name)(fresh, event_ndims=4), rtol=1e-11)


def test_variables_are_those_of_the_parts(make_flow_step):
    step = make_flow_step(AffineCoupling, 4, tf.float64, 0)
    parts = (step.actnorm, step.conv, step.coupling)
    assert {id(v) for v in step.variables} == {id(v) for part in parts for v in part.variables}


def test_initialize_normalizes_what_the_convolution_sees(coupling_kind, make_flow_step, dtype):
    step = make_flow_step(coupling_kind, 4, dtype, 0)
    x = images(dtype=dtype)
    step.initialize(x)
    seen = step.actnorm.forward(tf.identity(x)).numpy().reshape(-1, 4)
    np.testing.assert_allclose(seen.mean(axis=0), np.zeros(4), atol=1e-4)
    np.testing.assert_allclose(seen.std(axis=0), np.ones(4), atol=1e-4)


def test_initialize_hands_on_what_each_part_sees(coupling_kind, make_flow_step):
    step = make_flow_step(coupling_kind, 4, tf.float64, 0)
    x = images()
    y = step.initialize(x)
    mixed = step.conv.forward(step.actnorm.forward(tf.identity(x)))
    np.testing.assert_allclose(step.coupling.network.initialized_with, mixed[..., :2], atol=1e-11)
    np.testing.assert_allclose(y, step.forward(tf.identity(x)), atol=1e-11)


def test_initialize_forgets_results_of_the_old_weights(make_flow_step):
    step = make_flow_step(AffineCoupling, 4, tf.float64, 0)
    x = images()
    before = step.forward(x)
    y = step.initialize(x)
    assert not np.allclose(y, before)
    np.testing.assert_allclose(y, step.forward(tf.identity(x)), atol=1e-11)


def test_parts_of_different_sizes_raise(make_coupling):
    with pytest.raises(ValueError, match=r"number of channels.*4, 6"):
        FlowStep(ActNorm(4), InvertibleConv1x1(6), make_coupling(AffineCoupling, 4, tf.float32, 0))


def test_level_is_squeeze_then_steps(make_level, move_weights):
    level = make_level(tf.float64, 0)
    move_weights(level)
    *steps, squeeze = level.bijectors
    assert [step.name for step in steps] == ["step_1", "step_0"]
    x = images(2)
    expected, log_det = squeeze.forward(tf.identity(x)), 0.0
    for step in reversed(steps):
        log_det += step.forward_log_det_jacobian(expected)
        expected = step.forward(expected)
    assert expected.shape == [8, 2, 3, 8]
    np.testing.assert_allclose(level.forward(x), expected, atol=1e-11)
    np.testing.assert_allclose(level.forward_log_det_jacobian(x), log_det, rtol=1e-11)


def test_level_routes_keyword_arguments_by_name(make_level):
    level = make_level(tf.float64, 0)
    level.forward(images(2), step_1={"seed": 5})
    step_1, step_0, _ = level.bijectors
    assert step_0.coupling.network.calls == [{"seed": None}]
    assert step_1.coupling.network.calls == [{"seed": 5}]


def test_level_without_steps_is_the_squeeze():
    x = images(2)
    np.testing.assert_array_equal(
        flow_level(Squeeze(2, dtype=tf.float64), []).forward(x), Squeeze(2, dtype=tf.float64).forward(x)
    )


def test_keras_model_finds_and_trains_the_variables(make_level):
    class Flow(tf_keras.Model):
        """A flow under a standard normal."""

        def __init__(self, level):
            super().__init__()
            self.level = level

        def call(self, x):
            z = self.level.forward(x)
            return 0.5 * tf.reduce_sum(z**2, axis=[1, 2, 3]) - self.level.forward_log_det_jacobian(x)

    model = Flow(make_level(tf.float32, 0))
    assert {id(v) for v in model.trainable_variables} == {id(v) for v in model.level.trainable_variables}
    x = images(2, tf.float32)
    model.compile(tf_keras.optimizers.Adam(1e-2), loss=lambda _, loss: tf.reduce_mean(loss))
    before = [v.numpy() for v in model.trainable_variables]
    history = model.fit(x, tf.zeros([8]), batch_size=8, epochs=5, verbose=0).history["loss"]
    assert history[-1] < history[0]
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert not np.array_equal(variable, old), variable.name
