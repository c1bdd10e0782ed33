"""A step of the flow, alone and in a Chain."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tensorflow_probability import bijectors as tfb

from bijectors import ActNorm, AffineCoupling, FlowStep, InvertibleConv1x1


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


@pytest.mark.parametrize("recompute", ["coupling", "step"])
@pytest.mark.parametrize("how", ["eager", "graph", "xla"])
def test_recomputed_activations_give_the_same_gradients(coupling_kind, make_flow_step, move_weights, recompute, how):
    def gradients(step, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y, log_det = step.forward_and_log_det(x)
            loss = tf.reduce_sum(y**2) + tf.reduce_sum(log_det)
        return tape.gradient(loss, [x, *step.trainable_variables])

    def evaluated(**kwargs):
        step = make_flow_step(coupling_kind, 4, tf.float64, 0, **kwargs)
        move_weights(step)
        function = lambda x: gradients(step, x)  # noqa: E731
        return (function if how == "eager" else tf.function(function, jit_compile=how == "xla"))(images())

    for actual, expected in zip(evaluated(recompute=recompute), evaluated(), strict=True):
        assert np.any(expected)
        np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("recompute, passes", [("", 1), ("coupling", 2), ("step", 2)])
def test_recomputed_activations_take_a_second_forward_pass(make_flow_step, recompute, passes):
    step = make_flow_step(AffineCoupling, 4, tf.float64, 0, recompute=recompute)
    with tf.GradientTape() as tape:
        y, _ = step.forward_and_log_det(images(), seed=11)
    tape.gradient(y, step.trainable_variables)
    assert step.coupling.network.calls == passes * [{"seed": 11}]


def test_chain_is_its_parts_one_after_the_other(make_chain, move_weights):
    chain = make_chain(tf.float64, 0)
    move_weights(chain)
    step_1, step_0, squeeze = chain.bijectors
    assert [step_1.name, step_0.name] == ["step_1", "step_0"]
    x = images(2)
    expected, log_det = tf.identity(x), 0.0
    for part in (squeeze, step_0, step_1):
        expected, part_log_det = part.forward_and_log_det(expected)
        log_det += part_log_det
    assert expected.shape == [8, 2, 3, 8]
    np.testing.assert_allclose(chain.forward(x), expected, atol=1e-11)
    np.testing.assert_allclose(chain.forward_log_det_jacobian(x), log_det, rtol=1e-11)
    images_back = tf.identity(expected)
    for part in (step_1, step_0, squeeze):
        images_back = part.apply_inverse(part.fold_inverse((2, 3)), images_back)
    np.testing.assert_allclose(chain.inverse(tf.identity(expected)), images_back, rtol=1e-9, atol=1e-9)


def test_chain_hands_keyword_arguments_on_by_name(make_chain):
    chain = make_chain(tf.float64, 0)
    chain.forward(images(2), step_1={"seed": 5})
    step_1, step_0, _ = chain.bijectors
    assert step_0.coupling.network.calls == [{"seed": None}]
    assert step_1.coupling.network.calls == [{"seed": 5}]


def test_keras_model_finds_and_trains_the_variables(make_chain):
    class Flow(tf_keras.Model):
        """A flow under a standard normal."""

        def __init__(self, chain):
            super().__init__()
            self.chain = chain

        def call(self, x):
            z = self.chain.forward(x)
            return 0.5 * tf.reduce_sum(z**2, axis=[1, 2, 3]) - self.chain.forward_log_det_jacobian(x)

    model = Flow(make_chain(tf.float32, 0))
    assert {id(v) for v in model.trainable_variables} == {id(v) for v in model.chain.trainable_variables}
    x = images(2, tf.float32)
    model.compile(tf_keras.optimizers.Adam(1e-2), loss=lambda _, loss: tf.reduce_mean(loss))
    before = [v.numpy() for v in model.trainable_variables]
    history = model.fit(x, tf.zeros([8]), batch_size=8, epochs=5, verbose=0).history["loss"]
    assert history[-1] < history[0]
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert not np.array_equal(variable, old), variable.name
