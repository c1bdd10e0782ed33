"""Random draws: literal bits, the algorithm named everywhere, and each sample drawn from its own seed."""

import ast

import numpy as np
import pytest
import tensorflow as tf

from tests.checks import ROOT
from videoflow_tf import seeds

SOURCES = [path for folder in ("bijectors", "videoflow_tf", "launch") for path in (ROOT / folder).rglob("*.py")]


def dotted(node):
    """`tf.random.split` of the node of that expression; "" for anything but names and dots."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def unnamed_draws(path):
    """Lines of a file that draw with `tf.random` outside seeds.py, or anywhere without naming the algorithm."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name, keywords = dotted(node.func), {keyword.arg for keyword in node.keywords}
        if name.startswith("tf.random.") and name != "tf.random.set_seed":
            fault = path.name != "seeds.py" or "alg" not in keywords
        else:
            fault = name.endswith("stateless_dropout") and "rng_alg" not in keywords
        if fault:
            found.append((path.name, node.lineno, name))
    return found


def test_every_draw_names_its_algorithm():
    assert [draw for path in SOURCES for draw in unnamed_draws(path)] == []


@pytest.mark.parametrize(
    "line", ["tf.random.split(seed)", "x = tf.random.normal([2])", "tf.nn.experimental.stateless_dropout(x, 0.1, seed)"]
)
def test_a_draw_without_the_name_is_found(tmp_path, line):
    path = tmp_path / "seeds.py"
    path.write_text(f"import tensorflow as tf\n{line}\n")
    assert [line for _, line, _ in unnamed_draws(path)] == [2]


def test_literal_bits_stay():
    """Samples for a seed are compared across machines and years."""
    seed = seeds.as_seed(7)
    assert seed.numpy().tolist() == [0, 7] and seed.dtype == tf.int32
    first, second = (one.numpy().tolist() for one in seeds.split_seed(seed, 2))
    assert first == [1081226029, 1869207185] and second == [-419082159, 2067201768]
    assert seeds.fold_in(seed, 3).numpy().tolist() == [1081226029, 3]
    assert seeds.uniform_int([4], seed, 100).numpy().tolist() == [29, 85, 37, 68]
    np.testing.assert_array_equal(seeds.uniform([2], seed), np.float32([0.8921867609024048, 0.8268605470657349]))
    np.testing.assert_allclose(seeds.standard_normal([2], seed, tf.float32), [-0.42303455, 0.22181381], rtol=1e-6)


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="another device has another default")
def test_naming_the_algorithm_changed_no_bit_on_a_cpu():
    seed = tf.constant([3, 4])
    pairs = [
        (tf.stack(seeds.split_seed(seed, 3)), tf.random.split(seed, 3)),
        (seeds.fold_in(seed, 5), tf.random.fold_in(seed, 5)),
        (seeds.uniform([9], seed), tf.random.stateless_uniform([9], seed)),
        (seeds.uniform_int([9], seed, 50), tf.random.stateless_uniform([9], seed, 0, 50, tf.int32)),
        (seeds.standard_normal([9], seed, tf.float64), tf.random.stateless_normal([9], seed, dtype=tf.float64)),
    ]
    for named, default in pairs:
        np.testing.assert_array_equal(named, default)


def test_a_seed_for_each_sample_draws_it_whatever_comes_with_it():
    both = tf.constant([[1, 2], [3, 4]])
    noise = seeds.standard_normal(tf.constant([2, 5]), both, tf.float32)
    parts = seeds.split_seed(both, 3)
    assert [part.shape for part in parts] == [(2, 2)] * 3
    for i in range(2):
        np.testing.assert_array_equal(noise[i], seeds.standard_normal(tf.constant([5]), both[i], tf.float32))
        np.testing.assert_array_equal([part[i] for part in parts], seeds.split_seed(both[i], 3))


def test_no_seed():
    assert seeds.split_seed(None, 2) == [None, None]
    assert not np.array_equal(seeds.as_seed(None), seeds.as_seed(None))
