"""Random draws: literal bits, the algorithm named everywhere, and each sample drawn from its own seed."""

import ast
import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tests.checks import ROOT, refused
from videoflow_tf import seeds
from videoflow_tf.config import MAX_SEED, VideoFlowConfig
from videoflow_tf.metrics.arguments import EvaluateArguments
from videoflow_tf.studies.arguments import AnomalyArguments, SampleArguments, StudyArguments

ARGUMENTS = (EvaluateArguments, SampleArguments, AnomalyArguments, StudyArguments)

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


KINDS = {
    "small": [
        7,
        (0, 7),
        [0, 7],
        np.array([0, 7]),
        np.uint8([0, 7]),
        tf.constant([0, 7]),
        tf.constant([0, 7], tf.int64),
    ],
    "negative": [-7, (0, -7), np.int64(-7), tf.constant([0, -7], tf.int64), (tf.constant(0), -7)],
    "many": [[[1, 2], [3, 4]], np.array([[1, 2], [3, 4]]), tf.constant([[1, 2], [3, 4]], tf.uint32)],
    "large": [(2**40, 1), np.array([2**40, 1]), tf.constant([2**40, 1], tf.int64)],
}


@pytest.mark.parametrize("kind", KINDS)
def test_equal_numbers_are_one_seed_of_whatever_kind(kind):
    """And traced as a tensor of which nothing is known."""
    first, *others = (seeds.as_seed(seed) for seed in KINDS[kind])
    assert first.dtype == tf.int32
    if kind in ("small", "negative"):  # As ever.
        assert first.numpy().tolist() == [0, 7 if kind == "small" else -7]
    tensor = next(seed for seed in KINDS[kind] if tf.is_tensor(seed))
    traced = tf.function(seeds.as_seed, input_signature=[tf.TensorSpec(tensor.shape, tensor.dtype)], autograph=False)
    for other in [*others, traced(tensor)]:
        np.testing.assert_array_equal(other, first)


def test_every_whole_number_and_every_pair_has_a_stream_of_its_own():
    edges = [2**n + d for n in (0, 31, 32, 33, 62, 63, 64, 65, 512) for d in (-1, 0, 1)]
    alone = {n for edge in edges for n in (edge, -edge)}
    some = [0, 1, -1, 2**31 - 1, -(2**31), 2**31, 2**32, 2**63 - 1, 2**63, 2**64, 2**512]
    for different in (alone, [(a, b) for a in some for b in some]):
        assert len({tuple(seeds.as_seed(seed).numpy().tolist()) for seed in different}) == len(different)


WRONG = [(1, 2, 3), [1], 0.5, (0, 0.5), "seed", [[1, 2, 3]], tf.constant([1.0, 2.0]), np.zeros([2, 2, 2], int)]


@pytest.mark.parametrize("seed", WRONG, ids=str)
def test_what_is_no_seed(seed):
    with refused("a seed is a whole number, two of them"):
        seeds.as_seed(seed)


def test_a_traced_tensor_that_is_no_seed():
    for spec in (tf.TensorSpec([3], tf.int32), tf.TensorSpec([2], tf.float32), tf.TensorSpec(None, tf.int32)):
        with refused("a seed is a whole number, two of them"):
            tf.function(seeds.as_seed, input_signature=[spec], autograph=False).get_concrete_function()


def test_commands_take_the_same_range():
    fields = [f for kind in ARGUMENTS for f in dataclasses.fields(kind) if f.name == "seed"]
    assert len(fields) == 4
    for field in fields:
        assert (field.metadata["lower_bound"], field.metadata["upper_bound"]) == (0, MAX_SEED)
    seed = next(f for f in dataclasses.fields(VideoFlowConfig) if f.name == "seed")
    assert (seed.metadata["least"], seed.metadata["most"]) == (0, MAX_SEED)


def test_parts_of_a_joint_distribution(make_model, make_video):
    """TFP gives them whole numbers of 512 bits."""
    model = make_model("float32")
    future = model.future(make_video(1, 2), 1)
    joint = tfd.JointDistributionSequential([future, future], batch_ndims=0)
    for seed in (7, (7, 8)):
        first, again, other = (joint.sample(seed=s) for s in (seed, seed, 9))
        if seed != 7:  # A lone number is, to TFP's joint distributions, a stateful seed.
            np.testing.assert_array_equal(first[0], again[0])
        assert not np.allclose(first[0], first[1]) and not np.allclose(first[0], other[0])
    draw = future.sample(seed=2**511 + 3)
    np.testing.assert_array_equal(draw, future.sample(seed=2**511 + 3))
    assert not np.allclose(draw, future.sample(seed=3))


def test_seeds_for_another_number_of_samples(make_model, make_video):
    model, video = make_model("float32"), make_video(2)
    for call in (
        lambda seed: model.predict_frames(video[:, :2], 2, seed=seed),
        lambda seed: model.bits_per_pixel(video, seed=seed),
    ):
        with refused("one for each sample, got 3"):
            call([[0, 1], [0, 2], [0, 3]])


def test_no_seed():
    assert seeds.split_seed(None, 2) == [None, None]
    assert not np.array_equal(seeds.as_seed(None), seeds.as_seed(None))
