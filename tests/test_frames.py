"""A run of grey frames that are wider than high, through everything that is done with a run."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.checks import refused
from videoflow_tf import data
from videoflow_tf.media import strips
from videoflow_tf.media.video_files import read_video
from videoflow_tf.metrics.evaluate import evaluate
from videoflow_tf.report.page import report_page
from videoflow_tf.studies.anomaly_files import detect
from videoflow_tf.studies.fooling_clips import build_study
from videoflow_tf.studies.interpolation import interpolate_videos
from videoflow_tf.studies.samples import sample
from videoflow_tf.training.checkpoints import load_workdir

SHAPE = (16, 24, 1)


@pytest.fixture(scope="module")
def workdir(own_choices_run, tmp_path_factory):
    return shutil.copytree(own_choices_run, tmp_path_factory.mktemp("copies") / "run")


def is_grey(picture):
    return (picture[..., :1] == picture).all(axis=-1)


def test_latents_decode_to_the_frames(own_choices_run):
    config, model = load_workdir(own_choices_run)
    assert config.frame_shape == SHAPE
    video = next(iter(data.eval_videos(config, None, "test")))["video"][None]
    latents = model.encode(video)
    assert (
        [z.shape[2:] for z in latents] == [config.latent_shape(level) for level in range(2)] == [(8, 12, 2), (4, 6, 8)]
    )
    decoded = np.floor((model.decode(latents) + 0.5) * 32)
    np.testing.assert_array_equal(decoded, video // 8)  # 5 bits are kept.


def test_metrics(workdir):
    names = ["bits_per_pixel", "psnr", "ssim", "diversity", "legal_futures"]
    result = evaluate(workdir, metrics=names, num_videos=2, num_samples=2, dequantization_samples=2).metrics
    assert set(names) < set(result)


def test_samples_and_their_pictures(workdir):
    paths = {path.suffix: path for path in sample(workdir, num_samples=2, num_frames=3)}
    arrays = np.load(paths[".npz"])
    assert (arrays["context"].shape, arrays["samples"].shape) == ((1, 1, *SHAPE), (1, 2, 3, *SHAPE))
    picture = np.asarray(Image.open(paths[".png"]))
    # 24 pixels become 120, 16 become 80; between blue borders stands the first frame, in grey.
    blue = np.argwhere((picture == strips.CONTEXT).all(axis=-1))
    top, left = blue.min(axis=0) + 4
    frame = picture[top : top + 80, left : left + 120]
    assert is_grey(frame).all() and (picture[top + 80, left : left + 120] == strips.CONTEXT).all()
    np.testing.assert_array_equal(frame[::5, ::5, :1], arrays["context"][0, 0])
    with Image.open(paths[".gif"]) as gif:
        assert gif.n_frames == 4
    assert read_video(paths[".mp4"], (8, 8, 3), 9).frames.shape == (4, 8, 8, 3)
    grids = sample(workdir, num_samples=2, num_frames=3, num_videos=2, grid=True, pictures=["png"])
    assert len(grids) == 3


@pytest.mark.slow
def test_studies(workdir, tmp_path):
    config, _ = load_workdir(workdir)
    video = next(iter(data.eval_videos(config, None, "test", num_frames=6)))["video"].numpy()
    strips.save_gif(tmp_path / "clip.gif", np.repeat(video, 3, axis=-1))
    scores = []
    for source in ({"video": 0}, {"video_file": str(tmp_path / "clip.gif")}):
        picture, numbers = detect(workdir, max_frames=6, **source)
        assert is_grey(np.asarray(Image.open(picture).convert("RGB"))[80:150, 300:900]).all()  # No false colours.
        scores.append(json.loads(numbers.read_text())["bits_per_pixel"])
    np.testing.assert_allclose(*scores, rtol=0.02)
    detect(workdir, num_videos=1)
    interpolate_videos(workdir, steps=3)
    page = build_study(workdir, num_videos=1, num_frames=2).read_text(encoding="utf-8")
    assert '"height": 16, "width": 24' in page
    assert "16 x 24 grey pixels" in report_page(workdir) and "--frame_size=16x24 --channels=1" in report_page(workdir)


RESIZE, CONVERT = "resize the video or choose another frame_size", "convert its colours or choose other channels"


@pytest.mark.parametrize(
    ("shape", "remedy"),
    [((24, 16, 1), RESIZE), ((16, 16, 1), RESIZE), ((16, 24, 3), CONVERT), ((16, 16, 3), f"{RESIZE}; {CONVERT}")],
)
def test_other_frames_are_refused_with_what_helps(make_model, make_video, shape, remedy):
    model = make_model(frame_size="16x24", channels=1)
    with refused(rf"expected frames of 16x24 with 1 channel, got \({', '.join(map(str, shape))}\); {remedy}$"):
        model.bits_per_pixel(make_video(1, 4, shape))
