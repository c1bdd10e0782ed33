"""Samples that somebody else drew, by a few lines of code."""

import shutil
import zipfile

import numpy as np
import psutil
import pytest

from tests.checks import refused
from tests.videos import write_bomb
from videoflow_tf import evaluate, sample
from videoflow_tf.files import read_json
from videoflow_tf.predictors.predictions import Predictions


def arrays(videos=2, samples=3, frames=4, size=(12, 16, 3), seed=0):
    rng = np.random.default_rng(seed)
    draw = lambda *shape: rng.integers(0, 256, [*shape, *size], dtype=np.uint8)  # noqa: E731
    return {"context": draw(videos, 2), "samples": draw(videos, samples, frames), "future": draw(videos, frames)}


@pytest.fixture
def theirs(tmp_path):
    np.savez(tmp_path / "theirs.npz", **arrays())
    return tmp_path / "theirs.npz"


def test_are_measured_without_a_model(command, theirs, tmp_path):
    done = command("evaluate", f"--predictions={theirs}", "--metrics=psnr,ssim,diversity")
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "eval").glob("*.json")
    assert path.name.startswith("metrics_predictions-theirs.npz-")
    result = read_json(path)
    protocol = result["psnr"]["protocol"]
    assert (protocol["videos"], protocol["samples"], protocol["context"], protocol["frames"]) == (2, 3, 2, 6)
    assert protocol["predictor"].startswith("theirs.npz-") and "dataset" not in protocol
    given = arrays()
    mse = ((given["samples"] - given["future"][:, None].astype(float)) ** 2).mean(axis=(3, 4, 5))
    expected = (20 * np.log10(255) - 10 * np.log10(mse)).mean(axis=2).max(axis=1)
    np.testing.assert_allclose(result["psnr"]["best"]["per_video"], expected, rtol=1e-5)
    assert result["psnr"]["unit"] == "dB"


def test_a_folder_of_them_is_one_after_the_other(theirs, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    np.savez_compressed(folder / "b.npz", **arrays(videos=1, seed=1))
    shutil.copy(theirs, folder / "a.npz")
    predictions = Predictions(folder)
    assert (predictions.num_videos, predictions.num_samples, predictions.num_frames) == (3, 3, 4)
    clips = list(predictions)
    np.testing.assert_array_equal(clips[1].samples, arrays()["samples"][1])
    np.testing.assert_array_equal(clips[2].real, arrays(videos=1, seed=1)["future"][0])
    whole = evaluate(predictions=folder, metrics=["psnr"]).metrics["psnr"]["mean"]["per_video"]
    assert len(whole) == 3
    part = evaluate(predictions=folder, metrics=["psnr"], num_videos=1, num_frames=2).metrics["psnr"]
    assert part["protocol"]["videos"] == 1 and part["protocol"]["frames"] == 4


def test_samples_of_ours_are_measured_as_the_model_is(micro_run, tmp_path):
    """The file that sample.py writes gives the numbers that evaluate.py does."""
    how = {"num_videos": 2, "num_samples": 3, "seed": 4, "temperature": 0.7}
    paths = sample(micro_run, output_dir=tmp_path, num_frames=4, pictures=[], **how)
    (file,) = [path for path in paths if path.suffix == ".npz"]
    ours = evaluate(micro_run, output_dir=tmp_path, metrics=["psnr", "ssim", "legal_futures"], **how).metrics
    again = evaluate(
        micro_run, output_dir=tmp_path, predictions=file, metrics=["psnr", "ssim", "legal_futures"]
    ).metrics
    for name in ("psnr", "ssim", "legal_futures"):
        of_file, of_model = again[name], ours[name]
        assert of_file["protocol"].items() >= {"temperature": 0.7, "seed": 4, "samples": 3}.items()
        for numbers in (of_file, of_model):
            del numbers["protocol"], numbers["argv"]
        assert of_file == of_model


def test_what_does_not_fit_into_memory_is_refused_before_it_is_read(tmp_path):
    """Whatever the file's own size is; a header that goes on and on is not read to its end."""
    frame = (12, 16, 3)
    write_bomb(tmp_path / "a.npz", context=(9, 2, *frame), samples=(9, 10**9, 4, *frame), future=(9, 4, *frame))
    with refused(r"^.*a.npz does not fit into memory: it takes 19311.9 GiB or more, .*; write fewer videos to a file"):
        evaluate(predictions=tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", **arrays(), temperature=np.zeros(3))
    write_bomb(tmp_path / "c.npz", **{name: array.shape for name, array in arrays().items()}, seed=(10**12,))
    for name, words in (("b.npz", r"temperature in .* is float64 \[3\]"), ("c.npz", r"seed in .* uint8 \[10+\]")):
        with refused(f"{words}; it must be one number"):
            evaluate(predictions=tmp_path / name)
    with zipfile.ZipFile(tmp_path / "d.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("context.npy", np.lib.format.magic(2, 0) + (2**27).to_bytes(4, "little") + bytes(2**27))
    before = psutil.Process().memory_info().rss
    with refused("d.npz cannot be read as .npz: EOF: reading array header"):
        evaluate(predictions=tmp_path / "d.npz")
    assert psutil.Process().memory_info().rss < before + 2**26
    assert not (tmp_path / "eval").exists()


def _save(folder, **changes):
    path = folder / "wrong.npz"
    np.savez(path, **{name: array for name, array in (arrays() | changes).items() if array is not None})
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": arrays()["samples"] / 255}, "samples in .*wrong.npz is float64; it must be uint8, 0 to 255"),
        ({"future": np.full([2, 4, 12, 16, 3], np.nan)}, "future in .*wrong.npz is float64; it must be uint8"),
        ({"future": None}, "has no array 'future', it has context, samples; it needs, uint8: context"),
        (
            {"samples": arrays()["samples"][:, 0]},
            r"samples in .* is \[2, 4, 12, 16, 3\]; it must be \[videos, samples, N",
        ),
        ({"future": arrays(frames=3)["future"]}, "samples of 4 frames and a future of 3"),
        ({"context": arrays(videos=1)["context"]}, "do not agree in videos"),
        ({"context": arrays(size=(16, 12, 3))["context"]}, "do not agree in videos, height"),
        ({"context": arrays(size=(12, 16, 4))["context"]}, "with C of 1 or 3"),
        ({"samples": arrays(samples=0)["samples"]}, "samples in .* it must be"),
        ({"context": np.array([[{}]])}, "context in .* is object; it must be uint8"),
        ({"temperature": np.nan}, "temperature in .*wrong.npz is nan; it must be finite, and a temperature 0 or more"),
        ({"temperature": -0.5}, "temperature in .*wrong.npz is -0.5; it must be finite"),
        ({"temperature": [0.5, 1.0]}, r"temperature in .*wrong.npz is float64 \[2\]; it must be one number"),
        ({"seed": "five"}, "seed in .*wrong.npz is <U4 .*; it must be one number"),
    ],
)
def test_a_mistake_in_a_file_is_one_line(tmp_path, changes, message):
    with refused(message):
        evaluate(predictions=_save(tmp_path, **changes))
    assert not (tmp_path / "eval").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_samples": 4}, "has 3 samples of each video, 4 were asked for by --num_samples"),
        ({"num_videos": 3}, "has 2 videos, 3 were asked for"),
        ({"num_frames": 5}, "has 4 frames after the context, 5 were asked for"),
        ({"metrics": ["bits_per_pixel"]}, "samples alone have no likelihood"),
        ({"metrics": ["legal_futures"]}, "legal_futures needs the dataset shapes: give --workdir"),
        ({"temperature": 1.0}, "--temperature has no effect on --predictions"),
        ({"predictor": "linear"}, "--predictor has no effect on --predictions"),
    ],
)
def test_mistakes(theirs, arguments, message):
    with refused(message):
        evaluate(predictions=theirs, **arguments)


def test_files_that_are_none(theirs, tmp_path):
    theirs.write_bytes(theirs.read_bytes()[:2000])
    (tmp_path / "text.npz").write_text("no")
    (tmp_path / "empty").mkdir()
    for name, message in (
        ("theirs.npz", "cannot be read as .npz: File is not a zip file"),
        ("text.npz", "cannot be read as .npz"),
        ("empty", "has no .npz files"),
        ("nowhere.npz", "there is no file"),
    ):
        with refused(message):
            Predictions(tmp_path / name)
    whole = _save(tmp_path)
    damaged = bytearray(whole.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    whole.write_bytes(damaged)
    with refused("wrong.npz cannot be read as .npz: Bad CRC-32.*write it again"):
        list(Predictions(whole))


def test_neither_run_nor_predictions():
    with refused("--workdir is required, or --predictions"):
        evaluate()


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (arrays(samples=2), r"samples \[2, 2, 4, 12, 16, 3\], \[2, 3, 4, 12, 16, 3\] there"),
        (arrays() | {"context": arrays()["context"][:, :1]}, r"context \[2, 1, 12, 16, 3\], \[2, 2, 12, 16, 3\] there"),
    ],
    ids=["samples", "context"],
)
def test_files_of_other_shapes_in_a_folder(theirs, tmp_path, other, difference):
    np.savez(tmp_path / "z.npz", **other)
    with refused(f"z.npz differs from .*theirs.npz in more than the number of videos: {difference}"):
        Predictions(tmp_path)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"temperature": 0.7, "seed": 5}, "temperature=0.7, seed=5"),
        ({"temperature": 1.0, "seed": 6}, "temperature=1.0, seed=6"),
        ({}, "nothing"),
    ],
)
def test_files_drawn_in_other_ways_in_a_folder(tmp_path, other, says):
    for name, drawn in (("a", {"temperature": 1.0, "seed": 5}), ("b", {"temperature": 1.0, "seed": 5}), ("c", other)):
        np.savez(tmp_path / f"{name}.npz", **arrays(), **drawn)
    with refused(f"c.npz says {says} of its samples, .*a.npz temperature=1.0, seed=5; give each kind a folder of"):
        Predictions(tmp_path)


def test_how_a_file_says_that_it_was_drawn(tmp_path):
    """In any precision, as a number or as an array of one; a temperature in float32 is the number that was meant."""
    drawn = {"temperature": np.array([0.7], np.float32), "seed": np.uint8(5)}
    assert Predictions(_save(tmp_path, **drawn)).drawn_with == {"temperature": 0.7, "seed": 5}
    assert Predictions(_save(tmp_path, temperature=1)).drawn_with == {"temperature": 1}
    assert Predictions(_save(tmp_path)).drawn_with == {}
