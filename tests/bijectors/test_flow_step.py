"""A step of the flow, alone and in a Chain."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from bijectors import ActNorm, AffineCoupling, FlowStep, InvertibleConv1x1
from tests.bijectors.conftest import chain, coupling, flow_step, perturb


def images(channels: int = 4, dtype: tf.DType = tf.float64) -> tf.Tensor:
    """Eight images whose channels have means and standard deviations of their own."""
    values = np.random.default_rng(3).normal(size=[8, 4, 6, channels])
    return tf.constant(values * np.arange(1, channels + 1) + 10.0 * np.arange(channels), dtype)


def test_equals_the_chain_of_its_parts(coupling_kind, direction):
    step = flow_step(coupling_kind)
    perturb(step)
    parts = tfb.Chain([step.coupling, step.conv, step.actnorm])
    assert {id(v) for v in step.variables} == {id(v) for v in parts.variables}
    x = tf.constant(np.random.default_rng(3).normal(size=[2, 3, 4, 6, 4]))
    for name, options in ((direction, {}), (f"{direction}_log_det_jacobian", {"event_ndims": 4})):
        value, expected = (getattr(bijector, name)(tf.identity(x), **options) for bijector in (step, parts))
        np.testing.assert_allclose(value, expected, rtol=1e-10, atol=1e-10)


def test_initialize_hands_on_what_each_part_sees(coupling_kind, dtype):
    step, x = flow_step(coupling_kind, dtype=dtype), images(dtype=dtype)
    before = step.forward(x)
    y = step.initialize(x)
    normalized = step.actnorm.forward(tf.identity(x))
    np.testing.assert_allclose(np.mean(normalized, axis=(0, 1, 2)), np.zeros(4), atol=1e-4)
    np.testing.assert_allclose(np.std(normalized, axis=(0, 1, 2)), np.ones(4), atol=1e-4)
    tolerance = 1e-4 if dtype == tf.float32 else 1e-11
    mixed = step.conv.forward(normalized)
    np.testing.assert_allclose(step.coupling.network.initialized_with, mixed[..., :2], atol=tolerance)
    np.testing.assert_allclose(y, step.forward(tf.identity(x)), atol=tolerance)
    assert not np.allclose(y, before)  # Results of the old weights are forgotten.


def test_parts_of_different_sizes_raise():
    with pytest.raises(ValueError, match=r"number of channels.*4, 6"):
        FlowStep(ActNorm(4), InvertibleConv1x1(6), coupling(AffineCoupling, dtype=tf.float32))


@pytest.mark.parametrize("recompute", ["coupling", "step"])
@pytest.mark.parametrize("how", ["eager", "graph", "xla"])
def test_recomputed_activations_give_the_same_gradients(coupling_kind, recompute, how):
    def gradients(step, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y, log_det = step.forward_and_log_det(x)
            loss = tf.reduce_sum(y**2) + tf.reduce_sum(log_det)
        return tape.gradient(loss, [x, *step.trainable_variables])

    def evaluated(**kwargs):
        step = flow_step(coupling_kind, **kwargs)
        perturb(step)
        function = lambda x: gradients(step, x)  # noqa: E731
        return (function if how == "eager" else tf.function(function, jit_compile=how == "xla"))(images())

    for actual, expected in zip(evaluated(recompute=recompute), evaluated(), strict=True):
        assert np.any(expected)
        np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("recompute, passes", [("", 1), ("coupling", 2), ("step", 2)])
def test_recomputed_activations_take_a_second_forward_pass(recompute, passes):
    step = flow_step(AffineCoupling, recompute=recompute)
    with tf.GradientTape() as tape:
        y, _ = step.forward_and_log_det(images(), seed=11)
    tape.gradient(y, step.trainable_variables)
    assert step.coupling.network.calls == passes * [{"seed": 11}]


def test_chain_is_its_parts_one_after_the_other():
    steps = chain()
    perturb(steps)
    step_1, step_0, squeeze = steps.bijectors
    assert [step_1.name, step_0.name] == ["step_1", "step_0"]
    expected, log_det = images(2), 0.0
    for part in (squeeze, step_0, step_1):
        expected, part_log_det = part.forward_and_log_det(expected)
        log_det += part_log_det
    assert expected.shape == [8, 2, 3, 8]
    np.testing.assert_allclose(steps.forward(images(2)), expected, atol=1e-11)
    np.testing.assert_allclose(steps.forward_log_det_jacobian(images(2)), log_det, rtol=1e-11)
    back = tf.identity(expected)
    for part in steps.bijectors:
        back = part.apply_inverse(part.fold_inverse((2, 3)), back)
    np.testing.assert_allclose(steps.inverse(tf.identity(expected)), back, rtol=1e-9, atol=1e-9)


def test_chain_hands_keyword_arguments_on_by_name():
    steps = chain()
    steps.forward(images(2), step_1={"seed": 5})
    step_1, step_0, _ = steps.bijectors
    assert step_0.coupling.network.calls == [{"seed": None}]
    assert step_1.coupling.network.calls == [{"seed": 5}]
