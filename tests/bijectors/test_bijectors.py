"""What holds for every bijector of the package, in both directions."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

OTHER = {"forward": "inverse", "inverse": "forward"}
TOLERANCE = {tf.float32: 1e-4, tf.float64: 1e-11}


def transform(
    bijector: tfb.Bijector, direction: str, x: tf.Tensor, event_ndims: int = 3
) -> tuple[tf.Tensor, tf.Tensor]:
    """Value and log-det on a fresh tensor, so that nothing comes from the cache."""
    x = tf.identity(x)
    value = getattr(bijector, direction)(x)
    return value, getattr(bijector, f"{direction}_log_det_jacobian")(x, event_ndims=event_ndims)


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
    bijector = case.build(dtype)
    back = OTHER[direction]
    x = case.sample(direction, 3, dtype=dtype)
    there, _ = transform(bijector, direction, x)
    again, _ = transform(bijector, back, there)
    assert list(there.shape) == [3, *case.event_shape(back)]
    assert there.dtype == again.dtype == dtype
    close(again, x, TOLERANCE[dtype])


def test_log_det_is_that_of_the_jacobian(case, direction):
    bijector = case.build()
    x = case.sample(direction, 2)
    _, log_det = transform(bijector, direction, x)
    full = jacobian(lambda x: transform(bijector, direction, x)[0], x)
    np.testing.assert_array_equal(full[0, :, 1], 0.0, err_msg="an image depends on another of its batch")
    blocks = np.stack([full[i, :, i] for i in range(2)])
    close(log_det, np.linalg.slogdet(blocks).logabsdet, 1e-9)


def test_log_dets_of_the_two_directions_cancel(case, dtype):
    bijector = case.build(dtype)
    y, forward_log_det = transform(bijector, "forward", case.sample("forward", 3, dtype=dtype))
    _, inverse_log_det = transform(bijector, "inverse", y)
    assert forward_log_det.dtype == inverse_log_det.dtype == dtype
    close(inverse_log_det, -forward_log_det, 10 * TOLERANCE[dtype])


def test_float32_agrees_with_float64(case, direction):
    x = case.sample(direction, 2)
    single = transform(case.build(tf.float32), direction, tf.cast(x, tf.float32))
    double = transform(case.build(tf.float64), direction, x)
    for low, high in zip(single, double, strict=True):
        close(low, high, 1e-4)


@pytest.mark.parametrize("leading", [(), (1,), (3,), (2, 3), (2, 1, 3)], ids=str)
def test_leading_dimensions(case, direction, leading):
    bijector = case.build()
    x = case.sample(direction, *leading)
    value, log_det = transform(bijector, direction, x)
    assert list(log_det.shape) == list(leading)
    flat_value, flat_log_det = transform(bijector, direction, tf.reshape(x, [-1, *x.shape[-3:]]))
    close(value, tf.reshape(flat_value, [*leading, *flat_value.shape[1:]]))
    close(log_det, tf.reshape(flat_log_det, leading))


def test_log_det_of_a_clip_sums_over_time(case, direction):
    bijector = case.build()
    clips = case.sample(direction, 2, 3)
    _, per_frame = transform(bijector, direction, clips)
    _, per_clip = transform(bijector, direction, clips, event_ndims=4)
    assert per_clip.shape == [2]
    close(per_clip, np.sum(per_frame, axis=1))


@pytest.mark.parametrize("num_leading", [1, 2])
@pytest.mark.parametrize("known_size", [True, False], ids=["known_size", "unknown_size"])
def test_graph_with_unknown_sizes(case, direction, num_leading, known_size):
    bijector = case.build()
    event_shape = case.event_shape(direction)
    image = event_shape if known_size else [None, None, event_shape[-1]]
    spec = tf.TensorSpec([None] * num_leading + image, tf.float64)
    function = tf.function(lambda x: transform(bijector, direction, x), input_signature=[spec])
    for leading in ((2, 3)[:num_leading], (3, 1)[:num_leading]):
        x = case.sample(direction, *leading)
        for actual, expected in zip(function(x), transform(bijector, direction, x), strict=True):
            assert actual.shape == expected.shape
            close(actual, expected)


def test_static_shapes_survive_in_a_graph(case, direction):
    bijector = case.build()
    spec = tf.TensorSpec([None, 3, *case.event_shape(direction)], tf.float64)
    function = tf.function(lambda x: transform(bijector, direction, x), input_signature=[spec])
    value, log_det = function.get_concrete_function().structured_outputs
    assert value.shape.as_list() == [None, 3, *case.event_shape(OTHER[direction])]
    assert log_det.shape.as_list() == [None, 3]


def test_xla(case, direction):
    bijector = case.build()
    x = case.sample(direction, 2, 3)
    compiled = tf.function(lambda x: transform(bijector, direction, x), jit_compile=True)
    for actual, expected in zip(compiled(x), transform(bijector, direction, x), strict=True):
        close(actual, expected, 1e-10)


@pytest.mark.parametrize("leading", [(), (3,), (2, 3)], ids=str)
def test_value_and_log_det_together(layer_case, direction, leading, dtype):
    bijector = layer_case.build(dtype)
    x = layer_case.sample(direction, *leading, dtype=dtype)
    together = getattr(bijector, f"{direction}_and_log_det")
    for actual, expected in zip(together(x), transform(bijector, direction, x), strict=True):
        assert actual.shape == expected.shape
        np.testing.assert_array_equal(actual, expected)


def test_value_and_log_det_together_do_not_come_from_the_cache(learned_layer_case, direction, move_weights):
    bijector = learned_layer_case.build()
    x = learned_layer_case.sample(direction, 2)
    together = getattr(bijector, f"{direction}_and_log_det")
    before = together(x)
    move_weights(bijector, seed=5)
    after = together(x)
    assert not np.allclose(before[0], after[0])
    for actual, expected in zip(after, transform(bijector, direction, x), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_value_and_log_det_together_check_their_input(layer_case, direction):
    bijector = layer_case.build()
    together = getattr(bijector, f"{direction}_and_log_det")
    x = layer_case.sample(direction, 2)
    with pytest.raises(ValueError, match="expected.*got"):
        together(tf.concat([x, x], axis=-1))
    with pytest.raises(ValueError, match="float64.*float32"):
        together(tf.cast(x, tf.float32))


def test_folded_inverse(layer_case):
    bijector = layer_case.build()
    y = layer_case.sample("inverse", 3)
    weights = bijector.fold_inverse(tuple(y.shape[1:3]))
    assert all(tf.is_tensor(part) for part in tf.nest.flatten(weights))
    for images in (y, -y[:1]):
        close(bijector.apply_inverse(weights, images), bijector.inverse(images))


@pytest.mark.parametrize("jit_compile", [None, True], ids=["graph", "xla"])
def test_folded_weights_are_arguments_of_a_graph(layer_case, jit_compile):
    """One trace, batches of any size, and the weights that it is given."""
    one, other = layer_case.build(seed=0), layer_case.build(seed=1)
    y = layer_case.sample("inverse", 3)
    size = tuple(y.shape[1:3])
    weights = one.fold_inverse(size)
    specs = tf.nest.map_structure(tf.TensorSpec.from_tensor, weights)
    images = tf.TensorSpec([None, *y.shape[1:]], y.dtype)
    function = tf.function(one.apply_inverse, input_signature=[specs, images], jit_compile=jit_compile)
    for given in (y, -y[:1]):
        close(function(weights, given), one.inverse(given))
        if weights:
            close(function(other.fold_inverse(size), given), other.inverse(given))


def test_gradients_under_xla(learned_case, direction):
    bijector = learned_case.build()
    x = learned_case.sample(direction, 2)

    def gradients(x):
        with tf.GradientTape() as tape:
            value, log_det = transform(bijector, direction, x)
            loss = tf.reduce_sum(value**2) + tf.reduce_sum(log_det)
        return tape.gradient(loss, bijector.trainable_variables)

    for compiled, expected in zip(tf.function(gradients, jit_compile=True)(x), gradients(x), strict=True):
        close(compiled, expected, 1e-6)


def test_every_trainable_variable_has_a_gradient(learned_case, direction):
    bijector = learned_case.build()
    x = learned_case.sample(direction, 2)
    with tf.GradientTape() as tape:
        value, log_det = transform(bijector, direction, x)
        loss = tf.reduce_sum(value**2) + tf.reduce_sum(log_det)
    variables = bijector.trainable_variables
    assert variables
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        assert gradient is not None, variable.name
        assert np.isfinite(gradient).all() and np.any(gradient), variable.name


def test_layers_of_equal_sizes_do_not_share_results(learned_case, direction):
    one, other = learned_case.build(seed=0), learned_case.build(seed=1)
    log_det_method = f"{direction}_log_det_jacobian"
    x = learned_case.sample(direction, 2)  # The same tensor for both: a shared cache entry would show.
    values = [getattr(bijector, direction)(x) for bijector in (one, other)]
    log_dets = [getattr(bijector, log_det_method)(x) for bijector in (one, other)]
    assert not np.allclose(values[0], values[1])
    for bijector, value, log_det in zip((one, other), values, log_dets, strict=True):
        fresh_value, fresh_log_det = transform(bijector, direction, x)
        close(value, fresh_value)
        close(log_det, fresh_log_det)


def test_a_fresh_tensor_sees_changed_weights(learned_case, direction, move_weights):
    bijector = learned_case.build(seed=0)
    x = learned_case.sample(direction, 2)
    before, _ = transform(bijector, direction, x)
    move_weights(bijector, seed=5)
    after = transform(bijector, direction, x)
    assert not np.allclose(before, after[0])
    other = learned_case.build(seed=0)
    move_weights(other, seed=5)
    for actual, expected in zip(after, transform(other, direction, x), strict=True):
        close(actual, expected)


def test_graph_reads_weights_at_run_time(learned_case, direction, move_weights):
    bijector = learned_case.build()
    x = learned_case.sample(direction, 2)
    function = tf.function(lambda x: transform(bijector, direction, x))
    function(x)
    move_weights(bijector, seed=5)
    for actual, expected in zip(function(x), transform(bijector, direction, x), strict=True):
        close(actual, expected)


def test_checkpoint_restores_into_a_layer_of_another_seed(learned_case, tmp_path):
    saved, restored = learned_case.build(seed=0), learned_case.build(seed=1)
    path = tf.train.Checkpoint(bijector=saved).write(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(bijector=restored).read(path).assert_consumed()
    x = learned_case.sample("forward", 2)
    for actual, expected in zip(transform(restored, "forward", x), transform(saved, "forward", x), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_event_shapes(case):
    bijector = case.build()
    x_shape, y_shape = [5, *case.event_shape("forward")], [5, *case.event_shape("inverse")]
    assert bijector.forward_event_shape(x_shape).as_list() == y_shape
    assert bijector.inverse_event_shape(y_shape).as_list() == x_shape
    np.testing.assert_array_equal(bijector.forward_event_shape_tensor(x_shape), y_shape)
    np.testing.assert_array_equal(bijector.inverse_event_shape_tensor(y_shape), x_shape)
    unknown = bijector.forward_event_shape([None, None, None, case.channels]).as_list()
    assert unknown == [None, None, None, y_shape[-1]]


@pytest.mark.parametrize("method", ["value", "log_det"])
def test_wrong_number_of_channels_names_got_and_expected(case, direction, method):
    bijector = case.build()
    name = direction if method == "value" else f"{direction}_log_det_jacobian"
    *leading, channels = [2, *case.event_shape(direction)]
    wrong = tf.zeros([*leading, channels + 1], tf.float64)
    with pytest.raises(ValueError, match=rf"expected.*\b{channels}\b.*got.*\b{channels + 1}\b"):
        getattr(bijector, name)(wrong)


def test_too_few_dimensions_names_got_and_expected(case, direction):
    bijector = case.build()
    channels = case.event_shape(direction)[-1]
    with pytest.raises(ValueError, match=rf"expected.*H, W, {channels}.*got \(4, {channels}\)"):
        getattr(bijector, direction)(tf.zeros([4, channels], tf.float64))


def test_unknown_rank_raises(case, direction):
    bijector = case.build()
    function = tf.function(getattr(bijector, direction), input_signature=[tf.TensorSpec(None, tf.float64)])
    with pytest.raises(ValueError, match="expected.*got <unknown>"):
        function.get_concrete_function()


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
