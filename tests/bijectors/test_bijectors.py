"""What holds for every bijector of the package, in both directions."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tests.bijectors.conftest import perturb
from tests.checks import assert_all_close

OTHER = {"forward": "inverse", "inverse": "forward"}
TOLERANCE = {tf.float32: 1e-4, tf.float64: 1e-11}


def transform(bijector: tfb.Bijector, direction: str, x: tf.Tensor, event_ndims: int = 3) -> list[tf.Tensor]:
    """Value and log-det on a fresh tensor, so that nothing comes from the cache."""
    x = tf.identity(x)
    value = getattr(bijector, direction)(x)
    return [value, getattr(bijector, f"{direction}_log_det_jacobian")(x, event_ndims=event_ndims)]


def with_gradients(bijector: tfb.Bijector, direction: str, x: tf.Tensor) -> list[tf.Tensor]:
    """Value, log-det, and the gradients of a function of both."""
    with tf.GradientTape() as tape:
        value, log_det = transform(bijector, direction, x)
        loss = tf.reduce_sum(value**2) + tf.reduce_sum(log_det)
    return [value, log_det, *tape.gradient(loss, bijector.trainable_variables)]


def close(actual, expected, tolerance: float = 1e-11) -> None:
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def jacobian(function, x: tf.Tensor) -> np.ndarray:
    """d function(x) / dx as [B, D, B, D]."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    size = int(np.prod(x.shape[1:]))
    return tape.jacobian(y, x).numpy().reshape(x.shape[0], size, x.shape[0], size)


def test_round_trip(case, direction, dtype):
    bijector, back = case.build(dtype), OTHER[direction]
    x = case.sample(direction, 3, dtype=dtype)
    there, log_det = transform(bijector, direction, x)
    again, log_det_back = transform(bijector, back, there)
    assert list(there.shape) == [3, *case.event_shape(back)]
    assert there.dtype == again.dtype == log_det.dtype == log_det_back.dtype == dtype
    close(again, x, TOLERANCE[dtype])
    close(log_det_back, -log_det, 10 * TOLERANCE[dtype])


def test_log_det_is_that_of_the_jacobian(case, direction):
    bijector = case.build()
    x = case.sample(direction, 2)
    _, log_det = transform(bijector, direction, x)
    full = jacobian(lambda x: transform(bijector, direction, x)[0], x)
    np.testing.assert_array_equal(full[0, :, 1], 0.0, err_msg="an image depends on another of its batch")
    blocks = np.stack([full[i, :, i] for i in range(2)])
    close(log_det, np.linalg.slogdet(blocks).logabsdet, 1e-9)


def test_float32_agrees_with_float64(case, direction):
    x = case.sample(direction, 2)
    single = transform(case.build(tf.float32), direction, tf.cast(x, tf.float32))
    double = transform(case.build(tf.float64), direction, x)
    assert_all_close(single, double, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("leading", [(), (0,), (1,), (3,), (2, 3), (2, 1, 3)], ids=str)
def test_leading_dimensions(case, direction, leading):
    bijector = case.build()
    x = case.sample(direction, *leading)
    value, log_det = transform(bijector, direction, x)
    assert list(log_det.shape) == list(leading)
    flat_value, flat_log_det = transform(bijector, direction, tf.reshape(x, [-1, *x.shape[-3:]]))
    close(value, tf.reshape(flat_value, [*leading, *case.event_shape(OTHER[direction])]))
    close(log_det, tf.reshape(flat_log_det, leading))
    if leading:  # The log-det of a clip sums over time.
        close(transform(bijector, direction, x, event_ndims=4)[1], np.sum(log_det, axis=-1))


@pytest.mark.parametrize("leading", [(None,), (None, None), (None, 3)], ids=str)
@pytest.mark.parametrize("known_size", [True, False], ids=["known_size", "unknown_size"])
def test_graph_with_unknown_sizes(case, direction, leading, known_size):
    bijector = case.build()
    *size, channels = case.event_shape(direction)
    spec = tf.TensorSpec([*leading, *(size if known_size else [None, None]), channels], tf.float64)
    function = tf.function(lambda x: transform(bijector, direction, x), input_signature=[spec])
    for numbers in ((2, 3), (1, 3)):
        x = case.sample(direction, *numbers[: len(leading)])
        assert_all_close(function(x), transform(bijector, direction, x), rtol=1e-11, atol=1e-11)
    value, log_det = function.get_concrete_function().structured_outputs
    assert log_det.shape.as_list() == list(leading)  # Nothing known is lost.
    if known_size:
        assert value.shape.as_list() == [*leading, *case.event_shape(OTHER[direction])]


def test_xla(case, direction):
    bijector = case.build()
    x = case.sample(direction, 2, 3)
    compiled = tf.function(lambda x: with_gradients(bijector, direction, x), jit_compile=True)
    assert_all_close(compiled(x), with_gradients(bijector, direction, x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("leading", [(), (3,), (2, 3)], ids=str)
def test_value_and_log_det_together(layer_case, direction, leading, dtype):
    bijector = layer_case.build(dtype)
    x = layer_case.sample(direction, *leading, dtype=dtype)
    together = getattr(bijector, f"{direction}_and_log_det")
    before = together(x)
    assert_all_close(before, transform(bijector, direction, x))
    perturb(bijector, seed=5)
    after = together(x)  # Not from a cache.
    assert_all_close(after, transform(bijector, direction, x))
    assert np.allclose(before[0], after[0]) != layer_case.learned


@pytest.mark.parametrize("jit_compile", [None, True], ids=["graph", "xla"])
def test_folded_inverse(layer_case, jit_compile):
    """One trace, batches of any size, and the weights that it is given."""
    one, other = layer_case.build(seed=0), layer_case.build(seed=1)
    y = layer_case.sample("inverse", 3)
    size = tuple(y.shape[1:3])
    weights = one.fold_inverse(size)
    assert all(tf.is_tensor(part) for part in tf.nest.flatten(weights))
    specs = tf.nest.map_structure(tf.TensorSpec.from_tensor, weights)
    images = tf.TensorSpec([None, *y.shape[1:]], y.dtype)
    function = tf.function(one.apply_inverse, input_signature=[specs, images], jit_compile=jit_compile)
    for given in (y, -y[:1]):
        close(one.apply_inverse(weights, given), one.inverse(given))
        close(function(weights, given), one.inverse(given))
        if weights:
            close(function(other.fold_inverse(size), given), other.inverse(given))


def test_every_trainable_variable_has_a_gradient(learned_case, direction):
    bijector = learned_case.build()
    _, _, *gradients = with_gradients(bijector, direction, learned_case.sample(direction, 2))
    assert gradients
    for variable, gradient in zip(bijector.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.name
        assert np.isfinite(gradient).all() and np.any(gradient), variable.name


def test_layers_of_equal_sizes_do_not_share_results(learned_case, direction):
    both = learned_case.build(seed=0), learned_case.build(seed=1)
    x = learned_case.sample(direction, 2)  # The same tensor for both: a shared cache entry would show.
    values = [getattr(bijector, direction)(x) for bijector in both]
    log_dets = [getattr(bijector, f"{direction}_log_det_jacobian")(x) for bijector in both]
    assert not np.allclose(*values)
    for bijector, *found in zip(both, values, log_dets, strict=True):
        assert_all_close(found, transform(bijector, direction, x), rtol=1e-11, atol=1e-11)


def test_changed_weights_are_seen_on_a_fresh_tensor_and_in_a_graph(learned_case, direction):
    bijector, other = learned_case.build(), learned_case.build()
    x = learned_case.sample(direction, 2)
    function = tf.function(lambda x: transform(bijector, direction, x))
    before, _ = function(x)
    perturb(bijector, seed=5)
    perturb(other, seed=5)
    after = transform(bijector, direction, x)
    assert not np.allclose(before, after[0])
    for same in (transform(other, direction, x), function(x)):
        assert_all_close(same, after, rtol=1e-11, atol=1e-11)


def test_checkpoint_restores_into_a_layer_of_another_seed(learned_case, tmp_path):
    saved, restored = learned_case.build(seed=0), learned_case.build(seed=1)
    path = tf.train.Checkpoint(bijector=saved).write(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(bijector=restored).read(path).assert_consumed()
    x = learned_case.sample("forward", 2)
    assert_all_close(transform(restored, "forward", x), transform(saved, "forward", x))


def test_event_shapes(case):
    bijector = case.build()
    x_shape, y_shape = [5, *case.event_shape("forward")], [5, *case.event_shape("inverse")]
    assert bijector.forward_event_shape(x_shape).as_list() == y_shape
    assert bijector.inverse_event_shape(y_shape).as_list() == x_shape
    np.testing.assert_array_equal(bijector.forward_event_shape_tensor(x_shape), y_shape)
    np.testing.assert_array_equal(bijector.inverse_event_shape_tensor(y_shape), x_shape)
    unknown = bijector.forward_event_shape([None, None, None, case.channels]).as_list()
    assert unknown == [None, None, None, y_shape[-1]]


@pytest.mark.parametrize("method", ["value", "log_det", "together"])
def test_wrong_input_names_got_and_expected(case, direction, method):
    bijector = case.build()
    if method == "together" and case.name == "chain":
        pytest.skip("TFP's own has no such method")
    names = {"value": "", "log_det": "_log_det_jacobian", "together": "_and_log_det"}
    call = getattr(bijector, direction + names[method])
    *leading, channels = [2, *case.event_shape(direction)]
    with pytest.raises(ValueError, match=rf"expected.*\b{channels}\b.*got.*\b{channels + 1}\b"):
        call(tf.zeros([*leading, channels + 1], tf.float64))
    with pytest.raises(ValueError, match="float64.*float32"):
        call(tf.zeros([*leading, channels]))
    if method != "log_det":
        with pytest.raises(ValueError, match=rf"expected.*H, W, {channels}.*got \(4, {channels}\)"):
            call(tf.zeros([4, channels], tf.float64))
        with pytest.raises(ValueError, match="expected.*got <unknown>"):
            tf.function(call, input_signature=[tf.TensorSpec(None, tf.float64)]).get_concrete_function()


def test_density_of_clips_under_a_transformed_distribution(case):
    bijector = case.build()
    num_frames = 3
    base = tfd.Sample(tfd.Normal(tf.constant(0.5, tf.float64), 1.5), [num_frames, *case.event_shape("inverse")])
    clips = tfd.TransformedDistribution(base, tfb.Invert(bijector))
    x = case.sample("forward", 2, num_frames)
    latents, log_det = transform(bijector, "forward", x, event_ndims=4)
    log_prob = clips.log_prob(x)
    assert log_prob.shape == [2]
    close(log_prob, base.log_prob(latents) + log_det)
    drawn = clips.sample(2, seed=[1, 2])
    assert list(drawn.shape) == [2, num_frames, *case.event_shape("forward")]
    cached = clips.log_prob(drawn)  # Through the cache; below without it.
    close(cached, clips.log_prob(tf.identity(drawn)), 1e-9)
