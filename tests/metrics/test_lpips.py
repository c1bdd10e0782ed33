import numpy as np
import pytest
import tensorflow as tf

from tests.checks import refused
from tests.conftest import TINY
from tests.metrics.numpy_layers import conv, max_pool
from videoflow_tf.metrics import lpips_networks, network_files
from videoflow_tf.metrics.lpips import LPIPS
from videoflow_tf.metrics.lpips_networks import LPIPSNetwork
from videoflow_tf.metrics.metric import Clips
from videoflow_tf.metrics.published_networks import Archive

# In AlexNet: size of the window, strides, padding.
ALEXNET = [(11, 4, 2), (5, 1, 2), (3, 1, 1), (3, 1, 1), (3, 1, 1)]
VGG16 = [2, 2, 3, 3, 3]

needs_weights = pytest.mark.skipif(
    not network_files.is_prepared(network_files.prepared_folder("lpips")),
    reason="launch/prepare_lpips.py was not run",
)


def _random_arrays(network: str) -> dict[str, np.ndarray]:
    """Named as in the archive; every layer two or three channels wide."""
    rng, arrays, channels = np.random.default_rng(0), {}, 3
    name, sizes = ("AlexNet_0", [size for size, *_ in ALEXNET]) if network == "alex" else ("VGG16_0", [3] * sum(VGG16))
    for i, size in enumerate(sizes):
        width = 2 + i % 2
        kernel = rng.normal(size=[size, size, channels, width]) * np.sqrt(2 / (size**2 * channels))
        arrays[f"{name}/Conv_{i}/kernel"] = kernel.astype(np.float32)
        arrays[f"{name}/Conv_{i}/bias"] = rng.normal(size=width).astype(np.float32)
        channels = width
    for i, last in enumerate(range(5) if network == "alex" else np.cumsum(VGG16) - 1):
        head = rng.uniform(size=[1, 1, 2 + last % 2, 1])
        arrays[f"NetLinLayer_{i}/Conv_0/kernel"] = head.astype(np.float32)
    return arrays


def _reference(network: str, arrays: dict[str, np.ndarray], first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """LPIPS as the package writes it down, in NumPy: frames uint8 [B, H, W, 3] -> float64 [B]."""

    def features(frames: np.ndarray) -> list[np.ndarray]:
        x = (2 * (frames / 255) - 1 - np.array([-0.030, -0.088, -0.188])) / np.array([0.458, 0.448, 0.450])
        found = []
        if network == "alex":
            for i, (_, strides, padding) in enumerate(ALEXNET):
                layer = f"AlexNet_0/Conv_{i}/"
                x = np.maximum(conv(x, arrays[layer + "kernel"], strides, padding) + arrays[layer + "bias"], 0)
                found.append(x)
                x = max_pool(x, (3, 3), (2, 2), 0) if i < 2 else x
            return found
        numbers = iter(range(sum(VGG16)))
        for depth in VGG16:
            for layer in (f"VGG16_0/Conv_{next(numbers)}/" for _ in range(depth)):
                x = np.maximum(conv(x, arrays[layer + "kernel"], 1, 1) + arrays[layer + "bias"], 0)
            found.append(x)
            x = max_pool(x, (2, 2), (2, 2), 0) if len(found) < len(VGG16) else x
        return found

    total = 0
    for i, pair in enumerate(zip(features(first), features(second), strict=True)):
        unit = [f / (np.sqrt((f**2).sum(axis=-1, keepdims=True)) + 1e-10) for f in pair]
        head = arrays[f"NetLinLayer_{i}/Conv_0/kernel"][0, 0]
        total += ((unit[0] - unit[1]) ** 2 @ head).mean(axis=(1, 2, 3))
    return total


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> tuple[dict[str, dict[str, np.ndarray]], str]:
    """Both networks, prepared from an archive of small random weights: these by the network's name, and the cache."""
    arrays, cache = {name: _random_arrays(name) for name in ("alex", "vgg")}, str(tmp_path_factory.mktemp("cache"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", cache)
        patched.setattr(Archive, "read", lambda archive, path, *members: list(arrays.values()))
        lpips_networks.prepare()
    return arrays, cache


@pytest.fixture
def random_networks(prepared, monkeypatch) -> dict[str, dict[str, np.ndarray]]:
    """In the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", prepared[1])
    return prepared[0]


def _frames(height: int, width: int) -> np.ndarray:
    """Four, in colour."""
    i, y, x, c = np.ogrid[:4, :height, :width, :3]
    return ((4 * x * (c + 1) + 2 * y * (3 - c) + 30 * i + x * y // 8 * i) % 256).astype(np.uint8)


@pytest.mark.parametrize("name", ["alex", "vgg"])
@pytest.mark.parametrize("size", [(64, 64), (31, 45)])
def test_the_network_is_the_one_written_down(random_networks, name, size):
    frames = _frames(*size)
    distances = LPIPSNetwork(name).distances(frames[0], frames)
    first = np.repeat(frames[:1], 4, axis=0)
    np.testing.assert_allclose(distances, _reference(name, random_networks[name], first, frames), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["alex", "vgg"])
def test_the_least_size_leaves_something_at_the_end_of_the_network(random_networks, name):
    network = LPIPSNetwork(name)
    least = _frames(network.least_size, network.least_size)
    assert np.isfinite(network.distances(least[0], least)).all()
    smaller = least[:, :-1]
    with pytest.raises((tf.errors.OpError, AssertionError)):
        assert np.isfinite(network.distances(smaller[0], smaller)).all()


def test_many_frames_are_compared_as_few_are(random_networks, monkeypatch):
    frames, network = _frames(40, 40), LPIPSNetwork("alex")
    whole = network.distances(frames[0], frames)
    monkeypatch.setattr(lpips_networks, "_PIXELS_AT_A_TIME", 3 * 40 * 40)
    np.testing.assert_allclose(network.distances(frames[0], frames), whole, rtol=1e-5)


def test_grey_frames_are_those_of_equal_components(random_networks):
    grey, metric = _frames(40, 40)[..., :1], LPIPS(3, LPIPSNetwork("alex"))
    colour = np.repeat(grey, 3, axis=-1)
    measured = [metric.measure(frames[:0], frames[:1], frames[1:, None]) for frames in (grey, colour)]
    assert measured[0].shape == (3, 1)
    np.testing.assert_array_equal(*measured)


def test_the_best_sample_has_the_least_distance(random_networks):
    metric = LPIPS(3, LPIPSNetwork("alex"))
    result = metric.summarize(np.array([[[0.5, 0.5], [0.1, 0.2], [0.9, 0.0]], [[0.3, 0.3], [0.2, 0.2], [0.1, 0.1]]]))
    assert result["best"]["per_video"] == pytest.approx([0.15, 0.1])
    assert result["mean"]["per_video"] == pytest.approx([2.2 / 6, 0.2])
    assert result["worst"]["per_video"] == pytest.approx([0.5, 0.3])


def test_the_protocol_says_which_network(random_networks):
    settings = [LPIPS(1, LPIPSNetwork(name)).settings() for name in ("alex", "vgg")]
    assert [setting["lpips_network"] for setting in settings] == ["alex", "vgg"]
    assert settings[0]["lpips_weights"] == settings[1]["lpips_weights"]  # Those of both networks.


def test_refuses_small_frames_and_networks_that_are_not_there(random_networks, monkeypatch, tmp_path):
    metric = LPIPS(1, LPIPSNetwork("alex"))
    metric.check(Clips.of(TINY.replace(frame_size="32x48"), 4, 2))
    with refused("lpips with --lpips_network=alex needs frames of at least 31 pixels, got 28x48; leave it out"):
        metric.check(Clips.of(TINY.replace(frame_size="28x48"), 4, 2))
    with refused("there is no network 'squeeze'; --lpips_network is one of alex, vgg"):
        LPIPSNetwork("squeeze")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with refused("^LPIPS needs its networks: run launch/prepare_lpips.py once$"):
        LPIPSNetwork("alex")


# Of `_frames`, the first with each of the others, by the code of the package itself (jax 0.10.2).
RECORDED = {
    ("alex", 64, 64): [0.220238, 0.303990, 0.362796],
    ("alex", 31, 45): [0.113512, 0.149093, 0.160149],
    ("vgg", 64, 64): [0.584323, 0.682315, 0.708504],
    ("vgg", 31, 45): [0.475017, 0.600745, 0.652345],
}


@needs_weights
@pytest.mark.parametrize(("name", "height", "width"), RECORDED)
def test_the_distances_are_those_of_the_package(name, height, width):
    frames = _frames(height, width)
    found = LPIPSNetwork(name).distances(frames[0], frames[1:])
    np.testing.assert_allclose(found, RECORDED[name, height, width], atol=1e-4)


@needs_weights
@pytest.mark.parametrize("name", ["alex", "vgg"])
def test_distance_is_zero_of_equal_frames_and_grows_with_noise_and_shift(name):
    network, frame = LPIPSNetwork(name), _frames(64, 64)[1]
    noise = np.random.default_rng(0).normal(size=frame.shape)
    noisy = [np.clip(frame + scale * noise, 0, 255).astype(np.uint8) for scale in (0, 5, 20, 80)]
    shifted = [np.roll(frame, shift, axis=1) for shift in (0, 1, 2, 4)]
    for others in (noisy, shifted):
        distances = network.distances(frame, np.stack(others))
        assert distances[0] == 0 and (np.diff(distances) > 0).all()
