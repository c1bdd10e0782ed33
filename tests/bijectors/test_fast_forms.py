"""Every fast form against its plain one, in value and gradient; and the settings of TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from bijectors import fast_forms
from tests.checks import assert_all_close

# --- Forms ---


class Pair(NamedTuple):
    """A fast and a plain function of the same float64 tensors.

    `unknown`: the dimensions of the first of them that need not be known when tracing.
    """

    fast: Callable[..., tf.Tensor]
    plain: Callable[..., tf.Tensor]
    shapes: list[tuple[int, ...]]
    unknown: tuple[int, ...]


def sliced(start: int, stop: int | None, axis: int) -> Pair:
    forms = (fast_forms.slice_axis, fast_forms.plain_slice_axis)
    return Pair(*(lambda x, form=form: form(x, start, stop, axis) for form in forms), [(5, 5, 2)], (0, 1))


def mixed(*shapes: tuple[int, ...]) -> Pair:
    return Pair(fast_forms.mix_channels, fast_forms.plain_mix_channels, [(2, 3, 4, 5), *shapes], (0, 1, 2))


def convolved(dilation: int, *size: int) -> Pair:
    forms = (fast_forms.conv2d, fast_forms.plain_conv2d)
    functions = (lambda x, kernel, form=form: form(x, kernel, dilation) for form in forms)
    return Pair(*functions, [(2, *size, 3), (3, 3, 3, 2)], (0,))


def causal(taps: int, given: int, steps: int, channels: tuple[int, int], dilation: int) -> Pair:
    """`given` steps, all that there are if no more than `steps`."""

    def fast(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        kernel = fast_forms.join_taps(kernel, from_the_first=given == steps)
        return fast_forms.causal_conv(x, kernel, taps, steps, dilation)

    def plain(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        return fast_forms.plain_causal_conv(x, kernel, steps, dilation)

    return Pair(fast, plain, [(given, 2, 7, 6, channels[0]), (taps, 3, 3, *channels)], (1,))


RANGES = [(0, None), (0, 5), (2, None), (1, 4), (0, -1), (-2, None), (1, -1), (-3, -1), (3, 3), (2, 9)]
PAIRS = {
    **{f"slice_{start}_{stop}_of_{axis}": sliced(start, stop, axis) for start, stop in RANGES for axis in (0, 1)},
    "mix_channels": mixed((5, 6)),
    "mix_channels_with_offset": mixed((5, 6), (6,)),
    **{f"conv2d_{d}_{h}x{w}": convolved(d, h, w) for d in (2, 3, 4) for h, w in ((9, 9), (10, 13), (12, 12))},
    **{
        f"causal_{taps}_{steps}_of_{given}_{c}_to_{d}_{dilation}": causal(taps, given, steps, (c, d), dilation)
        for taps, given, steps in ((1, 3, 2), (2, 1, 1), (2, 3, 3), (2, 3, 2), (2, 3, 1))
        for c, d in ((2, 3), (3, 2))
        for dilation in (1, 2)
    },
}


def value_and_gradients(function: Callable[..., tf.Tensor], inputs: list[tf.Tensor]) -> list[tf.Tensor]:
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        y = function(*inputs)
        loss = tf.reduce_sum(tf.sin(y))
    return [y, *tape.gradient(loss, inputs)]


@pytest.mark.parametrize("name", PAIRS)
def test_a_fast_form_is_its_plain_one(name):
    pair, rng = PAIRS[name], np.random.default_rng(0)
    inputs = [rng.normal(size=shape) for shape in pair.shapes]
    # On the CPU, convolutions that are dilated, or in three dimensions, have a gradient under XLA alone.
    xla = name.startswith(("conv2d", "causal"))
    expected = tf.function(lambda *x: value_and_gradients(pair.plain, x), jit_compile=xla, autograph=False)(*inputs)
    for unknown in ((), pair.unknown):
        shape = [None if i in unknown else size for i, size in enumerate(pair.shapes[0])]
        signature = [tf.TensorSpec(s, tf.float64) for s in (shape, *pair.shapes[1:])]
        fast = tf.function(lambda *x: value_and_gradients(pair.fast, x), input_signature=signature, autograph=False)
        found = fast(*inputs)
        assert_all_close(found, expected, rtol=1e-11, atol=1e-11)
        traced = fast.get_concrete_function().output_shapes[0]
        assert traced[-1] == found[0].shape[-1] and (unknown or traced == found[0].shape)  # Nothing known is lost.


def test_all_of_a_tensor_is_the_tensor():
    x = tf.zeros([3, 2])
    assert all(fast_forms.slice_axis(x, *all_of_it) is x for all_of_it in ((0,), (0, 3), (-3,)))
    assert fast_forms.last_of(x, 3) is x and fast_forms.last_of(x, 4) is x
    np.testing.assert_array_equal(fast_forms.last_of(tf.range(5), 2), [3, 4])


def test_sizes_are_numbers_where_they_are_known():
    @tf.function(input_signature=[tf.TensorSpec([None, 3, 2])])
    def leading(x):
        found = fast_forms.sizes(x, 2)
        assert tf.is_tensor(found[0]) and found[1] == 3
        assert fast_forms.sizes(x, 3, start=1) == [3, 2]
        return found[0]

    assert leading(tf.zeros([4, 3, 2])) == 4
    assert fast_forms.sizes(tf.zeros([4, 3, 2]), 2) == [4, 3]


# --- Cores ---


@pytest.fixture
def settings(monkeypatch):
    """What is set, on a pretended machine of two cores without a GPU."""
    found = {}
    for kind in ("intra", "inter"):
        name = f"set_{kind}_op_parallelism_threads"
        monkeypatch.setattr(tf.config.threading, name, lambda number, kind=kind: found.update({kind: number}))
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [])
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    return found


@pytest.mark.parametrize("jit_compile", [None, False])
def test_on_two_cores_an_operation_keeps_to_one(settings, jit_compile):
    fast_forms.one_core_an_operation(jit_compile)
    assert settings == {"intra": 1, "inter": 2}


@pytest.mark.parametrize("reason", ["xla", "one core", "more cores", "gpu", "chosen"])
def test_otherwise_the_setting_stays(settings, monkeypatch, reason):
    if reason in ("one core", "more cores"):
        cores = {0} if reason == "one core" else {0, 1, 2}
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: cores, raising=False)
    elif reason == "gpu":
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["GPU:0"])
    elif reason == "chosen":
        monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "2")
    fast_forms.one_core_an_operation(jit_compile=reason == "xla")
    assert settings == {}


@pytest.fixture
def options(monkeypatch):
    """The options of the optimiser of graphs that are set, on a pretended machine without a GPU."""
    found = {}
    monkeypatch.setattr(tf.config.optimizer, "set_experimental_options", found.update)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [])
    return found


def test_a_model_as_large_as_the_papers_does_without_the_optimizer_of_graphs(options, settings):
    fast_forms.set_up_cpu(depth=24, width=512)
    assert options == {"disable_meta_optimizer": True}
    assert settings == {"intra": 1, "inter": 2}


@pytest.mark.parametrize("reason", ["xla", "gpu", "narrow", "shallow"])
def test_otherwise_graphs_are_optimized(options, monkeypatch, reason):
    if reason == "gpu":
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["GPU:0"])
    depth, width = 8 if reason == "shallow" else 24, 64 if reason == "narrow" else 512
    fast_forms.skip_graph_optimizer(depth, width, jit_compile=reason == "xla")
    assert options == {}


@pytest.mark.parametrize("devices, chunks", [(["CPU"], 10), (["CPU", "CPU"], 10), (["CPU", "GPU"], 1)])
def test_a_pipeline_has_chunks_on_a_cpu_alone(monkeypatch, devices, chunks):
    found = [tf.config.LogicalDevice(name=f"/device:{kind}:{i}", device_type=kind) for i, kind in enumerate(devices)]
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda: found)
    assert fast_forms.pipeline_chunks() == chunks
