"""One table of named bijectors drives the generic tests; every test gets fresh instances from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from bijectors import ActNorm, AdditiveCoupling, AffineCoupling, Coupling, FlowStep, InvertibleConv1x1, Squeeze


class CountingNetwork(tf.Module):
    """A small coupling network [N, H, W, in] -> [N, H, W, out] that records every forward pass (at trace time in a
    graph)."""

    def __init__(self, in_channels: int, out_channels: int, seed: int, dtype: tf.DType) -> None:
        super().__init__()
        rng = np.random.default_rng(seed)
        self.first = tf.Variable(rng.normal(size=[3, 3, in_channels, 5]) * 0.3, dtype=dtype)
        self.second = tf.Variable(rng.normal(size=[1, 1, 5, out_channels]) * 0.25, dtype=dtype)
        self._calls: list[dict[str, Any]] = []  # Private, so that copies of the module share it.
        self.initialized_with: tf.Tensor | None = None

    @property
    def calls(self) -> list[dict[str, Any]]:
        return self._calls

    def initialize(self, x: tf.Tensor) -> None:
        self.initialized_with = x

    def fold(self, size: tuple[int, int]) -> tuple[tf.Tensor, tuple[tf.Tensor]]:
        return tf.convert_to_tensor(self.first), (2.0 * self.second,)

    def apply(self, weights: tuple[tf.Tensor, tuple[tf.Tensor]], x: tf.Tensor, seed: Any = None) -> tf.Tensor:
        self.calls.append({"seed": seed})
        first, (second,) = weights
        return tf.nn.conv2d(tf.tanh(tf.nn.conv2d(x, first, 1, "SAME")), second, 1, "SAME")

    def __call__(self, x: tf.Tensor, seed: Any = None) -> tf.Tensor:
        return self.apply(self.fold(tuple(x.shape[1:3])), x, seed)


class Scaling(Coupling):
    """A coupling from elsewhere: y2 = x2 * exp(tanh(network(x1)))."""

    parameters_per_channel = 1

    def transform(self, second, parameters):
        log_scale = tf.tanh(parameters)
        return second * tf.exp(log_scale), tf.reduce_sum(log_scale, axis=[1, 2, 3])

    def transform_back(self, second, parameters):
        log_scale = tf.tanh(parameters)
        return second * tf.exp(-log_scale), -tf.reduce_sum(log_scale, axis=[1, 2, 3])


@dataclasses.dataclass(frozen=True)
class Case:
    """A named bijector: `build(dtype, seed)` gives it with weights moved off their initial values."""

    name: str
    channels: int
    constructor: Callable[[tf.DType, int], tfb.Bijector]
    squeezes: bool = False
    learned: bool = True
    num_networks: int = 0

    def build(self, dtype: tf.DType = tf.float64, seed: int = 0) -> tfb.Bijector:
        bijector = self.constructor(dtype, seed)
        perturb(bijector, seed)
        return bijector

    def event_shape(self, direction: str) -> list[int]:
        """[H, W, C] of what `forward` or `inverse` takes; H and W differ, so that none stands for both."""
        if direction == "inverse" and self.squeezes:
            return [1, 2, 4 * self.channels]
        return [2, 4, self.channels]

    def sample(self, direction: str, *leading: int, dtype: tf.DType = tf.float64) -> tf.Tensor:
        """An input [*leading, H, W, C] of `forward` or `inverse`."""
        values = np.random.default_rng(7).normal(size=[*leading, *self.event_shape(direction)])
        return tf.constant(values, dtype)


def perturb(bijector: tfb.Bijector, seed: int = 0) -> None:
    """Moves every trainable variable, hidden triangles of the 1x1 convolution included, by N(0, 0.3)."""
    rng = np.random.default_rng([seed, 1])
    for variable in bijector.trainable_variables:
        variable.assign_add(tf.constant(0.3 * rng.normal(size=variable.shape), variable.dtype))


def coupling(
    kind: type, channels: int = 4, dtype: tf.DType = tf.float64, seed: int = 0, recompute: bool = False
) -> Coupling:
    network = CountingNetwork(channels // 2, kind.parameters_per_channel * channels // 2, seed, dtype)
    return kind(channels, network, dtype=dtype, recompute=recompute)


def flow_step(
    kind: type, channels: int = 4, dtype: tf.DType = tf.float64, seed: int = 0, number: int = 0, recompute: str = ""
) -> FlowStep:
    parts = ActNorm(channels, dtype=dtype), InvertibleConv1x1(channels, seed=seed, dtype=dtype)
    last = coupling(kind, channels, dtype, seed, recompute == "coupling")
    return FlowStep(*parts, last, name=f"step_{number}", recompute=recompute == "step")


def chain(dtype: tf.DType = tf.float64, seed: int = 0) -> tfb.Chain:
    """Squeeze, then two steps."""
    steps = [flow_step(AffineCoupling, 8, dtype, 2 * seed + i, number=i) for i in range(2)]
    return tfb.Chain([*reversed(steps), Squeeze(2, dtype=dtype)])


CASES = [
    Case("actnorm", 3, lambda dtype, seed: ActNorm(3, dtype=dtype)),
    Case("invertible_conv", 5, lambda dtype, seed: InvertibleConv1x1(5, seed=seed, dtype=dtype)),
    Case("affine_coupling", 4, lambda dtype, seed: coupling(AffineCoupling, 4, dtype, seed), num_networks=1),
    Case("additive_coupling", 4, lambda dtype, seed: coupling(AdditiveCoupling, 4, dtype, seed), num_networks=1),
    Case("scaling_coupling", 4, lambda dtype, seed: coupling(Scaling, 4, dtype, seed), num_networks=1),
    Case("squeeze", 3, lambda dtype, seed: Squeeze(3, dtype=dtype), squeezes=True, learned=False),
    Case("flow_step_affine", 4, lambda dtype, seed: flow_step(AffineCoupling, 4, dtype, seed), num_networks=1),
    Case("flow_step_additive", 4, lambda dtype, seed: flow_step(AdditiveCoupling, 4, dtype, seed), num_networks=1),
    Case("chain", 2, chain, squeezes=True, num_networks=2),
]


def _case_fixture(cases: list[Case]):
    return pytest.fixture(params=cases, ids=lambda case: case.name)(lambda request: request.param)


case = _case_fixture(CASES)
layer_case = _case_fixture([case for case in CASES if case.name != "chain"])
learned_case = _case_fixture([case for case in CASES if case.learned])
network_case = _case_fixture([case for case in CASES if case.num_networks])


@pytest.fixture(params=["forward", "inverse"])
def direction(request) -> str:
    return request.param


@pytest.fixture(params=[tf.float32, tf.float64], ids=lambda dtype: dtype.name)
def dtype(request) -> tf.DType:
    return request.param


@pytest.fixture(params=[AffineCoupling, AdditiveCoupling], ids=lambda kind: kind.__name__)
def coupling_kind(request) -> type:
    return request.param
