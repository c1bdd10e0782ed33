import numpy as np
import pytest
import tf_keras

from videoflow_tf.errors import UserError
from videoflow_tf.metrics.arguments import EvaluateArguments
from videoflow_tf.metrics.metric import Clips, MetricOptions
from videoflow_tf.metrics.vgg import VGGFeatures
from videoflow_tf.metrics.vgg_metrics import VGGCosine, VGGDiversity


@pytest.fixture(scope="module")
def options(tmp_path_factory, micro_config) -> MetricOptions:
    """The network with random weights."""
    tf_keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("vgg") / "vgg16.weights.h5"
    tf_keras.applications.VGG16(weights=None, include_top=False).save_weights(path)
    return MetricOptions(Clips.of(micro_config, 2, 1), EvaluateArguments("", vgg_weights=str(path)), 3)


@pytest.fixture(scope="module")
def vgg(options) -> VGGFeatures:
    return options.vgg


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    """uint8 [3, 1, 16, 16, 3]: two equal samples and another."""
    first, other = np.random.default_rng(0).integers(0, 256, (2, 1, 16, 16, 3), dtype=np.uint8)
    return np.stack([first, first, other])


def test_equal_frames_have_similarity_one_and_distance_zero(vgg, samples):
    similarity = VGGCosine(3, vgg).measure(samples[0, :0], samples[0], samples)
    assert similarity.shape == (3, 1)
    np.testing.assert_allclose(similarity[:2], 1, atol=1e-5)
    assert similarity[2, 0] < 0.999
    distance = VGGDiversity(2, vgg).measure(samples[0, :0], samples[0], samples[:2])
    np.testing.assert_allclose(distance, 0, atol=1e-5)


def test_pairwise_distance_is_that_of_all_pairs(vgg, samples):
    # Two of the three pairs differ, and by the same.
    one = 1 - vgg.similarity(samples[0, 0], samples[2:, 0])[0]
    np.testing.assert_allclose(vgg.mean_pairwise_distance(samples[:, 0]), 2 * one / 3, rtol=1e-3)


def test_similarity_is_the_cosine_averaged_over_positions_and_layers(vgg, samples):
    """Against the formula written out, on the network's own features."""
    frames = samples[[0, 2], 0]
    first_and_other = [np.asarray(f) for f in vgg._features(frames)]
    cosines = [(f[0] * f[1]).sum(axis=-1).mean() for f in first_and_other]
    np.testing.assert_allclose(vgg.similarity(frames[0], frames[1:])[0], np.mean(cosines), rtol=1e-4)


def test_the_network_is_read_once_for_both_metrics(options):
    metrics = VGGCosine.from_options(options), VGGDiversity.from_options(options)
    assert metrics[0]._vgg is metrics[1]._vgg is options.vgg
    assert [metric.settings() for metric in metrics] == [{"vgg_weights": options.vgg.digest}] * 2
    assert [metric.num_samples for metric in metrics] == [3, 3]


@pytest.mark.parametrize("given", [None, "missing.h5"])
def test_refuses_without_weights(given):
    with pytest.raises(UserError, match=r"--vgg_weights.*download https://.*notop\.h5") as error:
        VGGFeatures(given)
    assert "\n" not in str(error.value)


def test_refuses_another_file(tmp_path):
    path = tmp_path / "other.h5"
    path.write_text("not weights")
    with pytest.raises(UserError, match=r"is not vgg16_weights.*notop\.h5"):
        VGGFeatures(str(path))


def test_grey_frames_are_those_of_equal_components(vgg, samples):
    grey = samples[..., :1]
    colour = np.repeat(grey, 3, axis=-1)
    for metric in (VGGCosine(3, vgg), VGGDiversity(3, vgg)):
        measured = [metric.measure(frames[0, :0], frames[1], frames) for frames in (grey, colour)]
        np.testing.assert_array_equal(*measured)
