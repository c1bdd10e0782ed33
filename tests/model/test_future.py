"""`VideoFlow.future` as a distribution of TFP: shapes, broadcasting, seeds, and how the levels are nested."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd


def test_shapes_and_types_of_samples(make_model, make_video):
    model = make_model("float32")
    future = model.future(make_video(2, 2), 3)
    distributions = [future, future.distribution, future.distribution.above, future.distribution.above.distribution]
    events = [(3, 8, 8, 3), (3, 4, 4, 12), (3, 4, 4, 6), (3, 2, 2, 24)]
    for distribution, event in zip(distributions, events, strict=True):
        assert distribution.batch_shape == [2] and distribution.event_shape == event
        np.testing.assert_array_equal(distribution.batch_shape_tensor(), [2])
        np.testing.assert_array_equal(distribution.event_shape_tensor(), event)
        for sample_shape, leading in (((), [2]), (3, [3, 2]), ((2, 3), [2, 3, 2])):
            draws = distribution.sample(sample_shape, seed=1)
            assert draws.shape == [*leading, *event] and draws.dtype == tf.float32
            log_prob = distribution.log_prob(tf.identity(draws))
            assert log_prob.shape == leading and np.isfinite(log_prob).all()
        assert not np.allclose(draws[0, 0], draws[0, 1]) and not np.allclose(draws[0, 0], draws[1, 0])


def test_every_level_is_a_transformed_distribution(make_model, make_frames):
    """TFP's own rules for one, from its base and its bijector, give the same densities and the same samples."""
    model, x = make_model(levels=3), tf.constant(make_frames())
    future, value = model.future(x[:, :2], 2), x[:, 2:]
    for level in model.levels:
        assert isinstance(future, tfd.TransformedDistribution)
        assert future.bijector.bijector is level.flow
        plain = tfd.TransformedDistribution(future.distribution, future.bijector)
        np.testing.assert_allclose(future.log_prob(value), plain.log_prob(tf.identity(value)), rtol=1e-10)
        np.testing.assert_allclose(future.sample(3, seed=1), plain.sample(3, seed=1), rtol=1e-9, atol=1e-9)
        if not level.is_top:
            future, value = future.distribution.above, tf.split(level.flow.forward(value), 2, axis=-1)[0]
    assert future.distribution.above is None


def test_sample_dimensions_are_scored_one_by_one_and_one_value_for_every_context(make_model, make_video):
    future = make_model().future(make_video(2, 2), 3)
    for distribution in (future, future.distribution):
        draws = distribution.sample((2, 3), seed=1)
        each = [[distribution.log_prob(draws[i, j]) for j in range(3)] for i in range(2)]
        np.testing.assert_allclose(distribution.log_prob(draws), each, rtol=1e-10)
        value = draws[0, 0, 0]
        expected = distribution.log_prob(tf.stack([value, value]))
        assert not np.isclose(*expected.numpy())
        for one in (value, value[tf.newaxis]):
            np.testing.assert_allclose(distribution.log_prob(one), expected, rtol=1e-10)


def test_many_values_are_scored_for_a_context_batch_of_one(make_model, make_frames):
    model, x = make_model(), make_frames()
    one, twice = (model.future(np.repeat(x[:1, :2], copies, axis=0), 2) for copies in (1, 2))
    np.testing.assert_allclose(one.log_prob(x[:, 2:]), twice.log_prob(x[:, 2:]), rtol=1e-10)


def test_seeds(make_model, make_video):
    model, context = make_model(), make_video(2, 2)
    future = model.future(context, 2)

    def predict(count: int, seed) -> tf.Tensor:
        return model.predict_frames(np.stack([context[0]] * count), 3, seed=seed)

    for draw in (future.sample, future.distribution.sample, predict):
        first, again, other = (draw(2, seed=seed).numpy() for seed in ((1, 2), (1, 2), (1, 3)))
        np.testing.assert_array_equal(first, again)
        assert not np.allclose(first, other) and not np.allclose(first[0], first[1])
        numbers = [draw(2, seed=seed).numpy() for seed in (7, (0, 7), 8, None, None)]
        np.testing.assert_array_equal(*numbers[:2])
        assert not np.allclose(*numbers[1:3]) and not np.allclose(*numbers[3:])


@pytest.mark.parametrize("seeds", [tf.constant([3, 4]), tf.constant([[0, n] for n in range(6)])], ids=["one", "each"])
def test_samples_are_those_of_the_model(make_model, make_video, seeds):
    model, context = make_model(), make_video(2, 2)
    drawn = model.sample_frames(context, 3, 0.7, seeds, copies=3)
    np.testing.assert_allclose(model.future(context, 3, 0.7).sample(3, seed=seeds), drawn, rtol=1e-10)


def test_slices_of_the_batch(make_model, make_video):
    future = make_model().future(make_video(3, 2), 2)
    for distribution in (future, future.distribution):
        draws = distribution.sample(4, seed=1)
        whole = distribution.log_prob(draws).numpy()
        for slices in (0, -1, slice(1, None), slice(None, None, -2), ..., (slice(2), tf.newaxis), (tf.newaxis, 1)):
            part, expected = distribution[slices], np.arange(3)[slices]
            assert part.batch_shape == expected.shape and part.event_shape == distribution.event_shape
            chosen = tf.gather(draws, expected, axis=1)
            np.testing.assert_allclose(part.log_prob(chosen), whole[:, expected], rtol=1e-10)
            assert part.sample(2, seed=1).shape == (2, *expected.shape, *distribution.event_shape)
    np.testing.assert_array_equal(future[:2].sample(2, seed=1), future[:2].sample(2, seed=1))
