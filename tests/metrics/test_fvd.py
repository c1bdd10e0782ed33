import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.checks import refused
from tests.conftest import TINY
from videoflow_tf import data
from videoflow_tf.errors import UserError
from videoflow_tf.metrics import measurements
from videoflow_tf.metrics.fvd import FVD, frechet_distance, self_check
from videoflow_tf.metrics.i3d import I3D
from videoflow_tf.metrics.metric import Clips
from videoflow_tf.training.checkpoints import load_workdir

CONFIG = TINY.replace(frame_size=64, num_past_latents=1, num_context=1)


def _with_moments(mean, covariance_root, count: int, seed: int) -> np.ndarray:
    """Vectors [count, d] whose sample mean and unbiased covariance R R^T are exactly as given."""
    dimensions = len(mean)
    noise = np.random.default_rng(seed).normal(size=(count, dimensions))
    basis, _ = np.linalg.qr(noise - noise.mean(axis=0))  # Orthonormal columns, each of mean zero.
    return mean + np.sqrt(count - 1) * basis @ covariance_root.T


def _rotation(dimensions: int, seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(dimensions, dimensions)))[0]


def test_frechet_distance_of_gaussians_in_one_dimension():
    first = _with_moments(np.array([1.0]), np.array([[2.0]]), 50, 0)
    second = _with_moments(np.array([4.0]), np.array([[7.0]]), 80, 1)
    np.testing.assert_allclose(frechet_distance(first, second), (1 - 4) ** 2 + (2 - 7) ** 2, rtol=1e-10)


@pytest.mark.parametrize("spread", [0, 3, 8])
def test_frechet_distance_of_commuting_covariances(spread):
    """|m1 - m2|^2 + sum (s1 - s2)^2, with standard deviations over many orders of magnitude."""
    dimensions, rotation = 12, _rotation(12, 0)
    rng = np.random.default_rng(1)
    deviations = 10.0 ** rng.uniform(-spread, spread / 2, (2, dimensions))
    means = rng.normal(size=(2, dimensions))
    clips = [_with_moments(m, rotation * s, 40, i) for i, (m, s) in enumerate(zip(means, deviations, strict=True))]
    expected = ((means[0] - means[1]) ** 2).sum() + ((deviations[0] - deviations[1]) ** 2).sum()
    np.testing.assert_allclose(frechet_distance(*clips), expected, rtol=1e-9)


def test_frechet_distance_of_any_covariances():
    """tr((S1 S2)^(1/2)) from the eigenvalues of the product."""
    rng = np.random.default_rng(2)
    roots, means = rng.normal(size=(2, 6, 6)), rng.normal(size=(2, 6))
    covariances = [root @ root.T for root in roots]
    eigenvalues = np.linalg.eigvals(covariances[0] @ covariances[1]).real
    expected = ((means[0] - means[1]) ** 2).sum() + sum(np.trace(c) for c in covariances)
    expected -= 2 * np.sqrt(eigenvalues).sum()
    got = frechet_distance(*(_with_moments(m, r, 30, i) for i, (m, r) in enumerate(zip(means, roots, strict=True))))
    np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_frechet_distance_with_fewer_vectors_than_dimensions():
    """Singular covariances: of rank one along known directions at a known angle."""
    first, second = np.zeros((2, 100)), np.zeros((2, 100))
    first[:, 0] = [-1, 1]  # Variance 2 along the first axis.
    second[:, 0], second[:, 1] = [-3, 3], [-4, 4]  # Variance 50 along (3, 4)/5.
    np.testing.assert_allclose(frechet_distance(first, second), 2 + 50 - 2 * np.sqrt(2 * 50) * 3 / 5, rtol=1e-12)


def test_frechet_distance_of_a_set_with_itself_is_zero():
    vectors = np.random.default_rng(3).normal(size=(10, 400))
    np.testing.assert_allclose(frechet_distance(vectors, vectors[::-1]), 0, atol=1e-9)


def _stand_in(path, first_hub_format: bool, scale: float = 1.0) -> str:
    """A SavedModel with I3D's signature whose "logits" are the colour means of the first and the last frame, scaled."""

    def logits(clips):
        return scale * tf.concat([tf.reduce_mean(clips[:, t], axis=[1, 2]) for t in (0, -1)], axis=-1)

    if first_hub_format:  # No tag, and a marker file.
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            clips = tf.compat.v1.placeholder(tf.float32, [None, None, 224, 224, 3])
            signature = tf.compat.v1.saved_model.predict_signature_def({"frames": clips}, {"default": logits(clips)})
            builder = tf.compat.v1.saved_model.Builder(str(path))
            builder.add_meta_graph_and_variables(session, tags=[], signature_def_map={"default": signature})
            builder.save()
        (path / "tfhub_module.pb").write_bytes(b"\x08\x03")
    else:
        module = tf.Module()
        module.f = tf.function(
            lambda frames: {"default": logits(frames)},
            input_signature=[tf.TensorSpec([None, None, 224, 224, 3], tf.float32, name="frames")],
        )
        tf.saved_model.save(module, str(path), signatures={"default": module.f})
    return str(path)


@pytest.fixture(scope="module", params=[False, True], ids=["saved_model", "first_hub_format"])
def i3d(request, tmp_path_factory) -> I3D:
    return I3D(_stand_in(tmp_path_factory.mktemp("i3d") / "model", request.param))


def test_clips_are_scaled_to_minus_one_and_one(i3d):
    clips = np.zeros((10, 9, 16, 16, 3), np.uint8)
    clips[3, 0] = 255
    clips[9, -1, ..., 1] = 51
    logits = i3d.logits(clips)
    expected = np.full((10, 6), -1.0)
    expected[3, :3] = 1
    expected[9, 4] = 2 * 51 / 255 - 1
    np.testing.assert_allclose(logits, expected, atol=1e-3)


def test_grey_clips_are_those_of_equal_components(i3d):
    grey = np.random.default_rng(0).integers(0, 256, (2, 9, 16, 24, 1), dtype=np.uint8)
    np.testing.assert_array_equal(i3d.logits(grey), i3d.logits(np.repeat(grey, 3, axis=-1)))


def test_self_check_on_the_stand_in(i3d):
    np.testing.assert_allclose(self_check(i3d), 6 * 2.0**2, rtol=1e-3)


def test_measures_real_and_every_draw_with_and_without_context(i3d):
    context, real = np.full((1, 8, 8, 3), 255, np.uint8), np.zeros((9, 8, 8, 3), np.uint8)
    samples = np.stack([real + 51, real + 102])
    whole = FVD(2, i3d, True).measure(context, real, samples)
    np.testing.assert_allclose(whole[:, 0], [1, 1, 1], atol=1e-3)
    np.testing.assert_allclose(whole[:, 5], [-1, -0.6, -0.2], atol=1e-3)
    future = FVD(2, i3d, False).measure(context, real, samples)
    np.testing.assert_allclose(future[:, 0], [-1, -0.6, -0.2], atol=1e-3)


def test_summary_over_draws(i3d):
    rng = np.random.default_rng(0)
    measurements = rng.normal(size=(7, 4, 6))
    result = FVD(3, i3d, True).summarize(measurements)
    expected = [frechet_distance(measurements[:, 0], measurements[:, i]) for i in (1, 2, 3)]
    np.testing.assert_allclose(result["per_draw"], expected)
    np.testing.assert_allclose(
        [result["mean"], result["standard_deviation"]], [np.mean(expected), np.std(expected, ddof=1)]
    )
    pooled = np.concatenate([measurements[:, 1], measurements[:, 2], measurements[:, 3]])
    np.testing.assert_allclose(result["pooled"], frechet_distance(measurements[:, 0], pooled))
    assert FVD(1, i3d, True).summarize(measurements[:, :2])["standard_deviation"] is None


def test_refuses_short_clips_and_a_single_video(i3d):
    FVD(1, i3d, True).check(Clips.of(CONFIG, 8, 2))
    with pytest.raises(UserError, match="at least 9 frames, these have 8"):
        FVD(1, i3d, False).check(Clips.of(CONFIG, 8, 2))
    with pytest.raises(UserError, match="num_videos of 2"):
        FVD(1, i3d, True).check(Clips.of(CONFIG, 8, 1))


def test_refuses_without_the_network(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with refused("^FVD needs the network I3D: run launch/prepare_i3d.py once$"):
        I3D()
    with refused("^FVD finds no SavedModel in --i3d_path=nowhere: run launch/prepare_i3d.py once and leave it out$"):
        I3D("nowhere")


def test_the_prepared_network_is_found(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = _stand_in(tmp_path / "videoflow_tf" / "i3d_kinetics_400", False)
    assert I3D().digest == I3D(folder).digest


def test_refuses_another_saved_model(tmp_path):
    module = tf.Module()
    module.f = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
    tf.saved_model.save(module, str(tmp_path / "other"), signatures={"default": module.f})
    with pytest.raises(UserError, match="no signature 'default' on"):
        I3D(str(tmp_path / "other"))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "saved_model.pb").write_bytes(b"no")
    with pytest.raises(UserError, match="cannot read the SavedModel"):
        I3D(str(tmp_path / "broken"))


def test_evaluate_measures_fvd(command, micro_run, tmp_path):
    """The whole path: weights, samples of a model, two sets of clips, the distance, the file."""
    workdir, path = shutil.copytree(micro_run, tmp_path / "run"), _stand_in(tmp_path / "i3d", False)
    arguments = [f"--i3d_path={path}", "--num_videos=3", "--num_frames=9", "--temperature=0.5", "--fvd_draws=2"]
    arguments += ["--fvd_clips=2", "--nofvd_context"]
    done = command("evaluate", f"--workdir={workdir}", "--metrics=fvd", *arguments)
    assert done.returncode == 0, done.stderr
    fvd = json.loads(next((workdir / "eval").glob("metrics*.json")).read_text())["fvd"]
    protocol = fvd["protocol"]
    assert (protocol["samples"], protocol["draws"], protocol["context_included"]) == (2, 2, False)
    assert protocol["i3d"] == I3D(path).digest
    kept = np.stack([measurements.load(file) for file in sorted((workdir / "eval" / "measurements").iterdir())])
    assert kept.shape == (6, 3, 6)  # The first clip of each video, measured once, and the second.
    expected = [frechet_distance(kept[:3, 0], kept[:3, i]) for i in (1, 2)]
    np.testing.assert_allclose(fvd["per_draw"], expected)
    # The logits of the real clips are those of the data set's frames after the context.
    config = load_workdir(workdir)[0]
    elements = data.eval_videos(config, None, "test", num_videos=3, num_frames=11).as_numpy_iterator()
    videos = np.stack([element["video"] for element in elements])
    real = np.concatenate([videos[:, 1:10], videos[:, 2:11]])
    np.testing.assert_allclose(kept[:, 0], I3D(path).logits(real), atol=1e-5)
    debiased = fvd["debiased"]
    np.testing.assert_allclose(debiased["per_draw"], [frechet_distance(kept[:, 0], kept[:, i]) for i in (1, 2)])
    assert debiased["protocol"] == protocol | {"clips": 2, "videos_digest": debiased["protocol"]["videos_digest"]}
    assert f"fvd: {fvd['mean']:.4f} +- {fvd['standard_deviation']:.4f}, debiased {debiased['mean']:.4f}" in done.stdout


def test_self_check_command(command, tmp_path):
    """Of the stand-in the distance is 24, times the square of its scale."""
    right, wrong = (_stand_in(tmp_path / name, True, scale) for name, scale in (("right", 2.362), ("wrong", 2.37)))
    done = command("evaluate", "--self_check", f"--i3d_path={right}")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "FVD of all-black and all-white clips: 133.90; the weights of I3D give 133.9\n"
    done = command("evaluate", "--self_check", f"--i3d_path={wrong}")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: FVD of all-black and all-white clips: 134.8")
    assert done.stderr.count("\n") == 1 and f"{wrong} is another network; remove it or leave" in done.stderr
