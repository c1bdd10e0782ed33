import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.checks import refused
from videoflow_tf import data
from videoflow_tf.data import pipeline
from videoflow_tf.data.prepare_videos import prepare
from videoflow_tf.errors import UserError
from videoflow_tf.media import strips
from videoflow_tf.predictors.future_sampler import FutureSampler
from videoflow_tf.predictors.video_flow import VideoFlowPredictor
from videoflow_tf.studies.arguments import SampleArguments
from videoflow_tf.studies.samples import sample_futures, save_futures, similarity
from videoflow_tf.training.checkpoints import load_workdir
from videoflow_tf.workdir import run_config, write_config


def sample(model, **arguments):
    return sample_futures(VideoFlowPredictor(model), SampleArguments("", **arguments))


@pytest.mark.slow
def test_videos_prepared_in_several_lengths(output, error, workdir, tmp_path):
    """To know their lengths TensorFlow reads them, before which it has to be told how to use the cores."""
    (tmp_path / "videos").mkdir()
    for i in range(4):
        video = np.random.default_rng(i).integers(0, 256, [6 + i, 16, 16, 3], np.uint8)
        np.save(tmp_path / "videos" / f"{i}.npy", video)
    prepare(tmp_path / "videos", tmp_path, "mine", frame_size=16)
    write_config(workdir, run_config(workdir).replace(dataset="tfds:mine"))
    run = [f"--workdir={workdir}", f"--data_dir={tmp_path}", "--num_frames=2"]
    assert output("sample", *run, "--pictures=png").splitlines()[-1].endswith(".json")
    assert output("fooling_study", "build", *run, "--num_videos=1", "--same_videos").endswith(".html\n")
    assert "take 2: split test has 1 video of 3 frames" in error("fooling_study", "build", *run, "--num_videos=1")


def test_writes_pictures_and_samples(output, workdir):
    arguments = ["--num_frames=6", "--temperature=0.5", "--num_samples=2", "--num_videos=2", "--seed=5"]
    printed = output("sample", f"--workdir={workdir}", *arguments)
    stem = "step-0000006_test-2x2x6_temperature-0.5_seed-5"
    expected = [f"{stem}_video-{i}.{kind}" for i in range(2) for kind in ("gif", "mp4", "png")]
    assert sorted(path.name for path in (workdir / "samples").iterdir()) == sorted(
        [*expected, f"{stem}.json", f"{stem}.npz"]
    )
    assert all(str(workdir / "samples" / name) in printed for name in expected)
    arrays = np.load(workdir / "samples" / f"{stem}.npz")
    assert arrays["context"].shape == (2, 1, 16, 16, 3)
    assert arrays["samples"].shape == (2, 2, 6, 16, 16, 3)
    assert arrays["future"].shape == (2, 6, 16, 16, 3)
    assert arrays["context"].dtype == arrays["samples"].dtype == arrays["future"].dtype == np.uint8
    assert (arrays["temperature"], arrays["seed"]) == (0.5, 5)
    with Image.open(workdir / "samples" / f"{stem}_video-0.gif") as gif:
        assert gif.n_frames == 7


def test_from_python(workdir):
    """The public function gives the files that it writes; as the command's, each is a function of its arguments."""
    import videoflow_tf

    paths = videoflow_tf.sample(workdir, num_samples=2, num_frames=3, temperature=1.0, seed=4, pictures=["png"])
    stem = "step-0000006_test-1x2x3_temperature-1_seed-4"
    assert paths == [workdir / "samples" / f"{stem}{end}" for end in ("_video-0.png", ".npz", ".json")]
    _, model = load_workdir(workdir)
    expected = sample(model, num_samples=2, num_frames=3, temperature=1.0, seed=4).samples
    np.testing.assert_array_equal(np.load(paths[1])["samples"], expected)
    protocol = json.loads(paths[2].read_text())["protocol"]
    assert [len(protocol.pop(name)) for name in ("identity", "videos_digest")] == [16, 16]
    assert protocol == {
        "dataset": "shapes",
        "split": "test",
        "videos": 1,
        "samples": 2,
        "context": 1,
        "frames": 3,
        "temperature": 1.0,
        "seed": 4,
        "step": 6,
    }


def test_a_failure_in_the_middle_stands_on_a_line_of_its_own(make_model, monkeypatch, capsys):
    def batches(self, context, num_frames, *_):
        yield [0], np.zeros([1, num_frames, *context.shape[1:]], np.uint8)
        raise UserError("no more")

    monkeypatch.setattr(FutureSampler, "batches", batches)
    with refused("no more"):
        sample(make_model("float32", frame_size=16), num_frames=2, num_samples=3)
    shown = capsys.readouterr().out
    assert "1/3" in shown and shown.endswith("\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_frames": 0}, "frames=0 must be at least 1"),
        ({"num_samples": 0}, "samples=0 must be at least 1"),
        ({"num_videos": 0}, "videos=0 must be at least 1"),
        ({"temperature": -0.5}, "temperature=-0.5 must be"),
        ({"choose": "fvd"}, "--choose=fvd must be one of psnr, ssim"),
    ],
)
def test_mistakes_in_python(micro_run, arguments, message):
    import videoflow_tf

    with pytest.raises(UserError, match=message):
        videoflow_tf.sample(micro_run, **arguments)


def test_samples_are_a_function_of_seed_and_video(micro_run):
    _, model = load_workdir(micro_run)

    def samples(**kwargs):
        return sample(model, num_samples=2, num_frames=2, temperature=1.0, **kwargs).samples

    both = samples(num_videos=2)
    np.testing.assert_array_equal(samples(num_videos=1), both[:1])
    assert (samples(num_videos=2, seed=1) != both).mean() > 0.5
    assert (both[:, 0] != both[:, 1]).mean() > 0.5


def test_real_future_follows_the_context(micro_run):
    config, model = load_workdir(micro_run)
    futures = sample(model, num_videos=1, num_samples=1, num_frames=3)
    videos = data.eval_videos(config, None, "test", num_videos=1, num_frames=4)
    video = next(iter(videos))["video"].numpy()
    np.testing.assert_array_equal(np.concatenate([futures.context[0], futures.future[0]]), video)


def test_best_and_worst_of_the_samples(micro_run, tmp_path):
    _, model = load_workdir(micro_run)
    futures = sample(model, num_videos=2, num_samples=4, num_frames=3, temperature=1.0, choose="psnr")
    futures.samples[1, 2] = futures.future[1]  # Nothing is better than what really came,
    futures.samples[1, 0] = 255 - futures.future[1]  # and nothing worse than its negative.
    values = similarity(futures, "psnr")
    squared_error = ((futures.samples[0, 1].astype(float) - futures.future[0]) ** 2).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(values[0, 1], np.mean(10 * np.log10(255**2 / squared_error)), rtol=1e-5)
    paths = list(save_futures(futures, tmp_path, kinds=("png",)))
    summary = json.loads(paths[-1].read_text())
    assert (summary["psnr"]["best"][1], summary["psnr"]["worst"][1]) == (2, 0)
    np.testing.assert_allclose(summary["psnr"]["per_sample"], values)
    assert summary["protocol"]["samples"] == 4
    height = Image.open(paths[1]).height
    assert height == 3 * (128 + 8 + 4) + 2 * 18 + 8  # Two lines of text; rows: real, best, worst.


def test_choice_needs_the_real_future(micro_run, monkeypatch):
    _, model = load_workdir(micro_run)
    eval_videos = pipeline.eval_videos

    def short(config, data_dir, split, *, num_videos, num_frames):
        if num_frames > 5:
            raise UserError("the videos have 5 frames")
        return eval_videos(config, data_dir, split, num_videos=num_videos, num_frames=num_frames)

    monkeypatch.setattr(pipeline, "eval_videos", short)
    assert sample(model, num_samples=1, num_frames=6).future is None
    with pytest.raises(UserError, match="5 frames"):
        sample(model, num_samples=1, num_frames=6, choose="psnr")


def test_grid_of_all_videos_and_samples(output, workdir):
    arguments = ["--num_videos=3", "--num_samples=2", "--num_frames=4", "--grid", "--pictures=gif"]
    output("sample", f"--workdir={workdir}", *arguments)
    stem = "step-0000006_test-3x2x4_temperature-0.5_seed-0"
    names = sorted(path.name for path in (workdir / "samples").iterdir())
    assert names == [f"{stem}_grid.gif", f"{stem}_grid.json", f"{stem}_grid.npz"]
    with Image.open(workdir / "samples" / f"{stem}_grid.gif") as gif:
        assert gif.n_frames == 5


def write_clip(config, folder, length):
    """A GIF and what it shows, uint8 [length, H, W, 3]: no two frames alike, and no more colours than a GIF has."""
    video = 51 * np.random.default_rng(0).integers(0, 6, [length, *config.frame_shape], dtype=np.uint8)
    strips.save_gif(folder / "my clip.gif", video)
    return folder / "my clip.gif", video


def test_context_of_a_file_is_continued_like_that_of_the_dataset(output, workdir, tmp_path):
    config, model = load_workdir(workdir)
    file, video = write_clip(config, tmp_path, 8)
    arguments = ["--num_frames=3", "--temperature=0.5", "--pictures=png"]
    printed = output("sample", f"--workdir={workdir}", f"--video_file={file}", *arguments)
    (path,) = (workdir / "samples").glob("*.npz")
    assert re.fullmatch(r"step-0000006_my-clip\.gif-[0-9a-f]{8}-from-1-1x3x3_temperature-0\.5_seed-0", path.stem)
    stem = path.with_suffix("")
    assert printed.splitlines()[-3:] == [f"{stem}{end}" for end in ("_video-0.png", ".npz", ".json")]
    assert "Data:" not in printed
    arrays = np.load(f"{stem}.npz")
    np.testing.assert_array_equal(arrays["context"][0], video[:1])
    np.testing.assert_array_equal(arrays["future"][0], video[1:4])
    futures = model.predict_frames(arrays["context"][0][None], 3, 0.5, seed=1)
    assert arrays["samples"].shape == (1, 3, *futures.shape[1:]) and arrays["samples"].dtype == np.uint8
    protocol = json.loads(Path(f"{stem}.json").read_text())["protocol"]
    assert {name: protocol.get(name) for name in ("dataset", "split", "video_file", "start", "videos")} == {
        "dataset": None, "split": None, "video_file": str(file), "start": 1, "videos": 1,
    }  # fmt: skip
    assert Image.open(f"{stem}_video-0.png").height == 4 * (128 + 8 + 4) + 2 * 18 + 8  # The real one and three samples.


@pytest.mark.slow
def test_context_from_any_frame_of_a_file(workdir, tmp_path):
    config, model = load_workdir(workdir)
    file, video = write_clip(config, tmp_path, 8)
    futures = sample(model, video_file=str(file), start=5, num_frames=3)
    np.testing.assert_array_equal(futures.context[0], video[4:5])
    np.testing.assert_array_equal(futures.future[0], video[5:8])
    assert sample(model, video_file=str(file), start=6, num_frames=3).future is None
    strip, *_ = save_futures(sample(model, video_file=str(file), start=6, num_frames=3), tmp_path, kinds=("png",))
    assert Image.open(strip).height == 3 * (128 + 8 + 4) + 2 * 18 + 8
    with pytest.raises(UserError, match="my clip.gif has 8 frames, of which 1 are needed from number 9 on"):
        sample(model, video_file=str(file), start=9, num_frames=3)
    with pytest.raises(UserError, match="my clip.gif has 8 frames, of which 4 are needed from number 6 on"):
        sample(model, video_file=str(file), start=6, num_frames=3, choose="psnr")


def test_the_same_frames_give_the_same_samples_from_a_file(micro_run, tmp_path):
    """Pictures keep every bit: a folder of them is no video, but one is the context of this model."""
    config, model = load_workdir(micro_run)
    video = next(iter(data.eval_videos(config, None, "test", num_videos=1)))["video"].numpy()
    strips.save_png(tmp_path / "frame.png", video[0])
    futures = sample(model, video_file=str(tmp_path / "frame.png"), num_frames=3)
    np.testing.assert_array_equal(futures.context[0], video[:1])
    np.testing.assert_array_equal(futures.samples, sample(model, num_frames=3).samples)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--grid", "--choose=ssim"], "leave out --choose or --grid"),
        (["--pictures=jpg"], "list of gif, mp4 and png"),
        (["--start=2"], "--start is about the frames of a --video_file"),
        (["--video_file=a.gif", "--num_videos=2"], "--video_file is a single video: leave out --num_videos=2"),
        (["--video_file=none.gif"], "there is no file none.gif"),
    ],
)
def test_mistakes(error, micro_run, arguments, message):
    assert message in error("sample", f"--workdir={micro_run}", *arguments)
