import shutil

import numpy as np
from PIL import Image

from videoflow_tf.checkpoints import load_workdir
from videoflow_tf.sampling import sample_futures


def test_writes_pictures_and_samples(command, micro_run, tmp_path):
    workdir = shutil.copytree(micro_run, tmp_path / "run")
    shutil.rmtree(workdir / "samples")
    arguments = ["--num_frames=6", "--temperature=0.5", "--num_samples=2", "--num_videos=2", "--seed=5"]
    done = command("sample", f"--workdir={workdir}", *arguments)
    assert done.returncode == 0, done.stderr
    stem = "step-0000006_temperature-0.5_seed-5"
    expected = [f"{stem}_video-{i}.{kind}" for i in range(2) for kind in ("gif", "png")]
    assert sorted(path.name for path in (workdir / "samples").iterdir()) == sorted([*expected, f"{stem}.npz"])
    assert all(str(workdir / "samples" / name) in done.stdout for name in expected)
    arrays = np.load(workdir / "samples" / f"{stem}.npz")
    assert arrays["context"].shape == (2, 1, 16, 16, 3)
    assert arrays["samples"].shape == (2, 2, 6, 16, 16, 3)
    assert arrays["context"].dtype == arrays["samples"].dtype == np.uint8
    assert (arrays["temperature"], arrays["seed"]) == (0.5, 5)
    with Image.open(workdir / "samples" / f"{stem}_video-0.gif") as gif:
        assert gif.n_frames == 7


def test_samples_are_a_function_of_seed_and_video(micro_run):
    _, model = load_workdir(micro_run)

    def samples(**kwargs):
        return sample_futures(model, None, num_samples=2, num_frames=2, temperature=1.0, **kwargs).samples

    both = samples(num_videos=2)
    np.testing.assert_array_equal(samples(num_videos=1), both[:1])
    assert (samples(num_videos=2, seed=1) != both).mean() > 0.5
    assert (both[:, 0] != both[:, 1]).mean() > 0.5


def test_real_future_follows_the_context(micro_run):
    from videoflow_tf import data

    config, model = load_workdir(micro_run)
    futures = sample_futures(model, None, num_videos=1, num_samples=1, num_frames=3)
    videos = data.eval_videos(config, None, "test", num_videos=1, num_frames=4)
    video = next(iter(videos))["video"].numpy()
    np.testing.assert_array_equal(np.concatenate([futures.context[0], futures.future[0]]), video)
