import tempfile

import numpy as np
import pytest

from tests.checks import refused
from tests.conftest import TINY
from videoflow_tf import data
from videoflow_tf.errors import UserError
from videoflow_tf.metrics.evaluate import measure_videos
from videoflow_tf.metrics.likelihood import BitsPerPixel, importance_weighted_bits
from videoflow_tf.metrics.measurements import Measurements
from videoflow_tf.predictors.predictor import Predictor
from videoflow_tf.predictors.video_flow import VideoFlowPredictor
from videoflow_tf.protocol import Protocol
from videoflow_tf.training.checkpoints import load_workdir


@pytest.fixture(scope="module")
def model(micro_run):
    return load_workdir(micro_run)[1]


def _bits(model, num_videos: int, seed: int = 0, dequantization_samples: int = 1, batch_size: int = 16, folder=None):
    """Measured anew, unless a folder of measurements is given."""
    metric, predictor = BitsPerPixel(model.config, draws=dequantization_samples), VideoFlowPredictor(model)
    protocol = Protocol.of(predictor, split="test", videos=num_videos, frames=model.config.num_eval_frames, seed=seed)
    with tempfile.TemporaryDirectory() as empty:
        measurements = Measurements(folder or empty, predictor.identity)
        return measure_videos(metric, predictor, protocol, measurements, batch_size)["bits_per_pixel"]


def test_a_videos_result_depends_on_seed_and_index_alone(model):
    whole = _bits(model, num_videos=5, batch_size=5)["per_video"]
    np.testing.assert_allclose(_bits(model, num_videos=5, batch_size=2)["per_video"], whole, rtol=1e-5)
    np.testing.assert_allclose(_bits(model, num_videos=3, batch_size=1)["per_video"], whole[:3], rtol=1e-5)
    assert not np.allclose(_bits(model, num_videos=5, batch_size=5, seed=1)["per_video"], whole, rtol=1e-5)


def test_agrees_with_the_model_on_its_own(model):
    """`model.bits_per_pixel` of the same videos; other noise, so only nearly the same."""
    elements = data.eval_videos(model.config, None, "test", num_videos=8).as_numpy_iterator()
    expected = model.bits_per_pixel(np.stack([e["video"] for e in elements])).numpy().mean()
    np.testing.assert_allclose(_bits(model, num_videos=8)["mean"], expected, rtol=0.02)


def test_one_video_has_no_standard_error(model):
    assert _bits(model, num_videos=1)["standard_error"] is None


def test_importance_weighted_bound_is_the_mean_probability():
    """On probabilities that float64 holds: -log2 of their mean, over frames x components."""
    log2_probabilities = np.array([[-10.0, -12.0, -11.0], [-3.0, -3.0, -3.0]])  # Two videos, three draws.
    bits = np.repeat(-log2_probabilities[:, :, None] / 12, 2, axis=2)  # Two frames of 6 components.
    expected = -np.log2((2.0**log2_probabilities).mean(axis=1)) / 12
    np.testing.assert_allclose(importance_weighted_bits(bits, 6), expected, rtol=1e-12)


def test_importance_weighted_bound_of_real_sizes():
    """Log-probabilities of -10^5 nats and more underflow by themselves; their differences decide."""
    bits = np.array([[[2.0], [2.0 + 1 / 12288]]])  # Probabilities that differ by a factor of 2.
    expected = (2 * 12288 - np.log2((1 + 0.5) / 2)) / 12288
    np.testing.assert_allclose(importance_weighted_bits(bits, 12288), [expected], rtol=1e-12)


def test_several_draws(model):
    one = _bits(model, num_videos=4)
    eight = _bits(model, num_videos=4, dequantization_samples=8)
    bound = eight["importance_weighted"]
    assert "importance_weighted" not in one
    assert (np.array(bound["per_video"]) < eight["per_video"]).all()  # Jensen: for every video.
    assert bound["mean"] < one["mean"]
    np.testing.assert_allclose(eight["mean"], one["mean"], rtol=0.02)
    np.testing.assert_allclose(bound["standard_error"], np.std(bound["per_video"], ddof=1) / 2)


def test_not_finite(micro_run):
    _, model = load_workdir(micro_run)
    variable = model.trainable_variables[0]
    variable.assign(variable * np.nan)
    with pytest.raises(
        UserError, match="VideoFlowPredictor.frame_bits_per_pixel gives bits per pixel of video 0 that are not finite"
    ):
        _bits(model, num_videos=2)


class Wrong(Predictor):
    likelihood = "exact"
    identity: dict = {}  # noqa: RUF012

    def __init__(self, bits):
        super().__init__(TINY)  # Two frames given.
        self._bits = bits

    def predict_frames(self, context, num_frames, temperature, seeds):
        raise AssertionError

    def frame_bits_per_pixel(self, videos, seeds):
        return self._bits


@pytest.mark.parametrize(
    ("bits", "message"),
    [
        (np.ones([3, 5]), r"gives float64 \[3, 5\]; it must be float \[3, 3\]: videos, scored frames"),
        (np.ones([3]), r"gives float64 \[3\]; it must be float \[3, 3\]"),
        (1.5, r"gives float64 \[\]; it must be float \[3, 3\]"),
        (None, r"gives object \[\]; it must be float \[3, 3\]"),
        (np.array([[1, 1, 1], [1, np.nan, 1], [1, 1, 1]]), "gives bits per pixel of video 8 that are not finite"),
        (np.full([3, 3], np.inf), "gives bits per pixel of video 7 that are not finite: evaluate another run if"),
    ],
)
def test_bits_that_are_none(make_video, bits, message):
    with refused(f"^Wrong.frame_bits_per_pixel {message}"):
        BitsPerPixel(TINY, "exact").measure(Wrong(bits), make_video(3, 5), [7, 8, 9], 0)


@pytest.mark.parametrize("changes", [{}, {"score_context": True}, {"conditional": False}], ids=str)
def test_frames_that_are_scored(make_model, make_video, changes):
    """The context too, where the configuration has it scored."""
    predictor = VideoFlowPredictor(make_model("float32", **changes))
    bits = BitsPerPixel(predictor.config, draws=2).measure(predictor, make_video(1, 3), [0], 0)
    assert bits.shape == (1, 2, 3 if changes else 1)


def test_goes_on_from_kept_measurements(model, tmp_path):
    how = {"num_videos": 5, "dequantization_samples": 2, "folder": tmp_path}
    whole = _bits(model, **how, batch_size=2)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 5
    kept = files[0].read_bytes(), files[0].stat().st_mtime_ns
    for lost in files[3:]:
        lost.unlink()
    assert _bits(model, **how, batch_size=2) == whole
    assert (files[0].read_bytes(), files[0].stat().st_mtime_ns) == kept
    # Under another protocol nothing is taken over.
    assert _bits(model, **how, seed=1) != whole
    assert len(list(tmp_path.iterdir())) == 10
