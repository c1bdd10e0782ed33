import numpy as np
import pytest

from videoflow_tf.errors import UserError
from videoflow_tf.media import charts, strips
from videoflow_tf.predictors.video_flow import VideoFlowPredictor
from videoflow_tf.studies import anomaly, anomaly_files
from videoflow_tf.studies.arguments import AnomalyArguments


def test_first_place_is_the_true_next_frame(make_model):
    """Of a frame in its own place the score is that of `frame_scores`, but for the noise."""
    from videoflow_tf import data

    model = make_model(frame_size=16, num_context=2)
    result = anomaly.out_of_sequence(model, None, num_videos=3, seed=1)
    bits = result["bits_per_pixel"]
    assert bits["frame"] == list(range(3, 13))
    per_video = np.array(bits["per_video"])
    assert per_video.shape == (3, 10)
    np.testing.assert_allclose(bits["mean"], per_video.mean(axis=0))
    np.testing.assert_allclose(bits["standard_error"], per_video.std(axis=0, ddof=1) / np.sqrt(3))
    videos = data.eval_videos(model.config, None, "test", num_videos=3, num_frames=7)
    for i, element in enumerate(videos.as_numpy_iterator()):
        for place, number in ((0, 2), (4, 6)):
            clip = element["video"][[0, 1, number]]
            np.testing.assert_allclose(per_video[i, place], model.bits_per_pixel(clip[None])[0], rtol=0.02)


def test_one_video_has_no_standard_error(make_model):
    result = anomaly.out_of_sequence(make_model(frame_size=16), None, num_videos=1)
    assert result["bits_per_pixel"]["standard_error"] is None


@pytest.mark.parametrize(
    "changes",
    [
        {"num_context": 1, "num_past_latents": 2},
        {"latent_encoder": "conv2d", "condition_on_first_frame": True, "latent_skip": False},
        {"latent_encoder": "conv_lstm"},
        {"latent_encoder": "pointwise"},
    ],
)
def test_pieces_make_no_difference(make_model, make_video, monkeypatch, changes):
    model, video = make_model(**changes), make_video(batch=1, frames=11)[0]
    whole = anomaly.frame_scores(model, video, seed=2)
    assert whole.shape == (11 - model.config.num_context,)
    monkeypatch.setattr(anomaly, "_FRAMES_AT_ONCE", 3)
    np.testing.assert_allclose(anomaly.frame_scores(model, video, seed=2), whole, rtol=1e-5)
    assert not np.allclose(anomaly.frame_scores(model, video, seed=3), whole, rtol=1e-5)


@pytest.mark.parametrize("name", ["$x_{$", "\udcff", "two\nlines"])
def test_any_name_of_a_file_goes_into_the_figure(make_model, make_video, tmp_path, name):
    file = tmp_path / f"{name}.gif"
    strips.save_gif(file, make_video(batch=1, frames=4, size=16)[0])
    arguments = AnomalyArguments(workdir=tmp_path, video_file=str(file))
    _, chart, _ = anomaly_files._of_video(VideoFlowPredictor(make_model("float32")), arguments)
    assert charts.save_chart(tmp_path / "a.png", chart).is_file()
    assert chart.axes[0].get_title().count("\n") == 1


@pytest.mark.parametrize(("stem", "shown"), [("two_cars (1)", "two_cars (1).gif"), ("x" * 90, "x" * 80)])
def test_the_title_of_a_film_strip_names_the_file(make_model, make_video, tmp_path, stem, shown):
    file = tmp_path / f"{stem}.gif"
    strips.save_gif(file, make_video(1, 3)[0])
    _, chart, _ = anomaly_files._of_video(
        VideoFlowPredictor(make_model("float32")), AnomalyArguments("w", video_file=str(file))
    )
    film, curve = chart.axes
    assert film.get_title() == f"{shown}\nAnomaly score, frames 1 to 2 given (blue)"
    assert len(film.images) == 3 and curve.get_title() == ""


def test_too_short_and_unconditional(make_model, make_video):
    with pytest.raises(UserError, match="has 2 frames; a score needs more than the 2"):
        anomaly.frame_scores(make_model(), make_video(batch=1, frames=2)[0])
    with pytest.raises(UserError, match="every frame by itself"):
        anomaly.frame_scores(make_model(conditional=False, num_context=0), make_video(batch=1, frames=4)[0])


def test_scores_that_are_not_finite_are_one_line(make_model, make_video):
    model = make_model(frame_size=16)
    for variable in model.trainable_variables:
        variable.assign(variable * np.nan)
    with pytest.raises(UserError, match="^the score of frame 3 is not finite"):
        anomaly.frame_scores(model, make_video(batch=1, frames=5, size=16)[0])


@pytest.mark.slow
def test_a_likelihood_that_is_not_finite_is_one_line(make_model):
    model = make_model(frame_size=16)
    for variable in model.trainable_variables:
        variable.assign(variable * np.nan)
    with pytest.raises(UserError, match="^the likelihood of video 0 of split test is not finite"):
        anomaly.out_of_sequence(model, None, num_videos=1)


@pytest.mark.slow
def test_trained_on_shapes_finds_a_swapped_frame(micro_config, tmp_path):
    from videoflow_tf import data
    from videoflow_tf.training import train as training
    from videoflow_tf.training.checkpoints import load_workdir

    config = micro_config.replace(
        coupling="additive", coupling_width=24, latent_encoder_width=16, train_steps=300, checkpoint_every=300,
        eval_every=300, batch_size=8, init_batch_size=32, warmup_steps=20,
    )  # fmt: skip
    training.train(config, tmp_path / "run", None)
    _, model = load_workdir(tmp_path / "run")
    videos = data.eval_videos(config, None, "test", num_videos=16, num_frames=5)
    videos = [element["video"] for element in videos.as_numpy_iterator()]
    higher = []
    for video, other in zip(videos, videos[1:] + videos[:1], strict=True):
        swapped = video.copy()
        swapped[2] = other[4]
        before, after = anomaly.frame_scores(model, video), anomaly.frame_scores(model, swapped)
        higher.append(after[1] > before[1])
    assert np.mean(higher) > 0.8
