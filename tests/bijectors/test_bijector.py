"""One evaluation gives value and log-det, whatever asks for them and in whatever order."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from bijectors import ActNorm, AffineCoupling, Bijector, InvertibleConv1x1
from bijectors.bijector import flatten_leading
from tests.bijectors.conftest import chain, coupling, flow_step


def networks(bijector: tfb.Bijector) -> list[tf.Module]:
    """The coupling networks inside."""
    return [module for module in bijector.submodules if hasattr(module, "calls")]


def calls_in(bijector: tfb.Bijector, function, x: tf.Tensor, eager: bool = False) -> list[int]:
    """How often each network is called when `function` runs, or is traced."""
    found = networks(bijector)
    for network in found:
        network.calls.clear()
    results = function(x) if eager else tf.function(function).get_concrete_function(tf.TensorSpec(x.shape, x.dtype))
    assert results is not None
    return [len(network.calls) for network in found]


@pytest.mark.parametrize("wrap", [lambda b: b, lambda b: tfb.Chain([b])], ids=["bare", "in_chain"])
@pytest.mark.parametrize("order", [("value", "log_det"), ("log_det", "value"), ("log_det", "log_det")], ids="-".join)
def test_network_is_called_once(network_case, direction, order, wrap):
    bijector = network_case.build()
    wrapped = wrap(bijector)
    methods = {
        "value": getattr(wrapped, direction),
        "log_det": lambda x: getattr(wrapped, f"{direction}_log_det_jacobian")(x, event_ndims=4),
    }
    x = network_case.sample(direction, 2, 3)
    for eager in (False, True) if order[0] == "value" else (False,):  # Eagerly, only what is kept is in the cache.
        calls = calls_in(bijector, lambda x: [methods[name](x) for name in order], x, eager)
        assert calls == [1] * network_case.num_networks


def test_log_det_of_a_value_just_computed_is_free(network_case):
    bijector = network_case.build()

    def there_and_back(x):
        y = bijector.forward(x)
        return bijector.inverse(y), bijector.inverse_log_det_jacobian(y)

    assert calls_in(bijector, there_and_back, network_case.sample("forward", 2)) == [1] * network_case.num_networks


@pytest.mark.parametrize("method", ["log_prob", "sample_and_log_prob"])
def test_network_is_called_once_in_a_transformed_distribution(network_case, method):
    bijector = network_case.build()
    base = tfd.Sample(tfd.Normal(tf.constant(0.0, tf.float64), 1.0), [3, *network_case.event_shape("inverse")])
    clips = tfd.TransformedDistribution(base, tfb.Invert(bijector))

    def function(x):
        if method == "log_prob":
            return clips.log_prob(x)
        drawn = clips.sample(2, seed=[1, 2])
        return drawn, clips.log_prob(drawn)

    assert calls_in(bijector, function, network_case.sample("forward", 2, 3)) == [1] * network_case.num_networks


def test_seed_reaches_the_network(coupling_kind, direction):
    for bijector in (coupling(coupling_kind), flow_step(coupling_kind)):
        x = tf.zeros([1, 2, 2, 4], tf.float64)
        value = getattr(bijector, direction)(x, seed=11)
        getattr(bijector, f"{direction}_log_det_jacobian")(x, seed=11)
        getattr(bijector, f"{direction}_log_det_jacobian")(x, seed=12)
        getattr(bijector, f"{direction}_and_log_det")(x, seed=13)
        (network,) = networks(bijector)
        assert value.shape == x.shape
        assert [call["seed"] for call in network.calls] == [11, 12, 13]  # One evaluation a seed.


def test_tensor_seed_reaches_every_network_of_a_chain():
    steps, seed = chain(), tf.constant([3, 4])
    seeds = {"step_0": {"seed": seed}, "step_1": {"seed": seed}}
    x = tf.zeros([1, 2, 4, 2], tf.float64)
    calls = calls_in(steps, lambda x: (steps.forward(x, **seeds), steps.forward_log_det_jacobian(x, **seeds)), x)
    assert calls == [1, 1]
    assert all(network.calls[0]["seed"] is seed for network in networks(steps))


class Doubling(Bijector):
    """The least a subclass can be."""

    def _forward_and_log_det(self, x):
        return 2.0 * x, tf.fill(tf.shape(x)[:1], 12.0 * np.log(2.0))

    def _inverse_and_log_det(self, y):
        return y / 2.0, tf.fill(tf.shape(y)[:1], -12.0 * np.log(2.0))


def test_a_subclass_needs_two_methods_only():
    bijector = Doubling(num_channels=3, dtype=tf.float32, name="doubling")
    x = tf.random.stateless_normal([5, 2, 2, 3], seed=[1, 2])
    assert bijector.num_channels == 3
    np.testing.assert_array_equal(bijector.forward(x), 2.0 * x)
    np.testing.assert_array_equal(bijector.inverse(tf.identity(x)), x / 2.0)
    np.testing.assert_allclose(bijector.forward_log_det_jacobian(tf.identity(x)), [12.0 * np.log(2.0)] * 5, rtol=1e-6)
    np.testing.assert_allclose(bijector.inverse_log_det_jacobian(tf.identity(x)), [-12.0 * np.log(2.0)] * 5, rtol=1e-6)
    np.testing.assert_array_equal(bijector.apply_inverse(bijector.fold_inverse((2, 2)), x), x / 2.0)


def test_arrays_are_taken_too():
    x = np.ones([2, 2, 3])
    y, log_det = Doubling(num_channels=3, dtype=tf.float32).forward_and_log_det(x)
    np.testing.assert_array_equal(y, 2.0 * x)
    assert log_det.shape == []


def test_without_channels_or_methods_there_is_no_bijector():
    with pytest.raises(ValueError, match="doubling: expected at least one channel, got 0"):
        Doubling(num_channels=0, dtype=tf.float32)
    with pytest.raises(TypeError, match="abstract"):
        Bijector(num_channels=3, dtype=tf.float32, name="nothing")


@pytest.mark.parametrize("leading", [(), (2,), (2, 3), (2, 3, 4)], ids=str)
def test_flatten_leading(leading):
    x = tf.random.stateless_normal([*leading, 2, 4, 3], seed=[1, 2])
    images, unflatten = flatten_leading(x, 3, "layer")
    np.testing.assert_array_equal(images, np.reshape(x, [-1, 2, 4, 3]))
    np.testing.assert_array_equal(unflatten(images), x)
    np.testing.assert_array_equal(unflatten(images[:, 0, 0, 0]), x[..., 0, 0, 0])


def test_a_copy_has_the_same_variables_and_a_cache_of_its_own(layer_case):
    bijector = layer_case.build()
    copied = bijector.copy()
    assert type(copied) is type(bijector) and copied != bijector and copied.name == bijector.name
    assert [v.ref() for v in copied.variables] == [v.ref() for v in bijector.variables]
    x = layer_case.sample("forward", 2)
    y = bijector.forward(x)
    np.testing.assert_array_equal(copied.forward(x), y)
    for variable in bijector.trainable_variables:
        variable.assign_add(0.1 * tf.ones_like(variable))
    np.testing.assert_array_equal(copied.forward(tf.identity(x)), bijector.forward(tf.identity(x)))
    assert not layer_case.learned or not np.allclose(copied.forward(tf.identity(x)), y)
    with pytest.raises(TypeError, match="got num_channels"):
        bijector.copy(num_channels=7)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_the_cache_lets_go_of_a_graph(direction):
    layers = (coupling(AffineCoupling, 4), InvertibleConv1x1(4, dtype=tf.float64), ActNorm(4, tf.float64))
    for bijector in (*layers, flow_step(AffineCoupling, 4)):

        @tf.function(autograph=False)
        def both(x, bijector=bijector):
            log_det = getattr(bijector, f"{direction}_log_det_jacobian")
            return getattr(bijector, direction)(x), log_det(x, event_ndims=3)

        concrete = both.get_concrete_function(tf.TensorSpec([2, 4, 4, 4], tf.float64))
        graph = weakref.ref(concrete.graph)
        assert graph() is not None
        del concrete, both
        gc.collect()
        assert graph() is None
