"""No result replaces another, whatever it differs in; the same command gives the same files."""

import functools
import re
import shutil

import numpy as np
import pytest

from videoflow_tf import evaluate, sample
from videoflow_tf.comparison.compare import compare
from videoflow_tf.files import read_json
from videoflow_tf.studies.anomaly_files import detect
from videoflow_tf.studies.fooling_clips import build_study
from videoflow_tf.studies.interpolation import interpolate_videos
from videoflow_tf.workdir import run_config, write_config

RESULTS = {
    "evaluate": functools.partial(evaluate, num_videos=1),
    "sweep": functools.partial(evaluate, metrics=["psnr"], temperatures=[0.5], num_videos=1, num_samples=1),
    "sample": functools.partial(sample, num_frames=1, num_samples=1, pictures=["png"], grid=True),
    "anomaly": functools.partial(detect, video=0, max_frames=3),
    "out_of_sequence": functools.partial(detect, num_videos=1),
    "interpolate": functools.partial(interpolate_videos, steps=2, num_frames=2),
    "fooling_study": functools.partial(build_study, num_videos=1, num_frames=1, same_videos=True),
}


@pytest.fixture(scope="module")
def run(micro_run, tmp_path_factory):
    """A run on folders of videos, a and b, and a copy of a."""
    folder = tmp_path_factory.mktemp("stay")
    for seed, name in enumerate("ab"):
        for split in ("train", "test"):
            video = np.random.default_rng(seed).integers(0, 256, [12, 16, 16, 3], np.uint8)
            (folder / name / split).mkdir(parents=True)
            np.save(folder / name / split / "video.npy", video)
    shutil.copytree(folder / "a", folder / "copy")
    for name in ("run", "earlier"):
        shutil.copytree(micro_run, folder / name)
        write_config(folder / name, run_config(micro_run).replace(dataset="videos"))
    for file in (folder / "earlier" / "checkpoints").rglob("ckpt-6*"):
        file.unlink()
    return folder


@pytest.fixture
def made(tmp_path):
    """What is in the results' folder, but for measurements; what was there before is there yet."""
    before = {}

    def look() -> set[str]:
        there = [path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != "measurements"]
        files = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in there}
        assert before.items() <= files.items()
        new = set(files) - set(before)
        before.update(files)
        return new

    return look


def _without_step(file: str) -> str:
    return re.sub(r"_?step-\d{7}", "", file)


# Their names are made as those of the others.
_SLOW = ("sweep", "anomaly", "out_of_sequence", "interpolate", "fooling_study")


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in _SLOW else n for n in RESULTS])
def test_of_other_data_or_another_step(run, tmp_path, made, name):
    make = functools.partial(RESULTS[name], output_dir=tmp_path)
    make(run / "earlier", data_dir=run / "a")
    first = made()
    make(run / "earlier", data_dir=run / "a")
    assert first and not made()
    make(run / "run", data_dir=run / "a")
    later = made()
    assert {_without_step(file) for file in later} == {_without_step(file) for file in first}
    assert all("step-0000006" in file for file in later)
    make(run / "run", data_dir=run / "b")
    assert {file.replace("_result-2", "") for file in made()} == later
    make(run / "run", data_dir=run / "b", checkpoint=6)
    assert not made()


def test_of_the_same_data_in_another_place(run, tmp_path):
    for data_dir in ("a", "copy"):
        (path, _) = evaluate(run / "run", data_dir=run / data_dir, output_dir=tmp_path, num_videos=1).paths
        assert read_json(path)["protocol"]["data_dir"] == str(run / data_dir)
    assert len(list((tmp_path / "eval").glob("*.json"))) == 1


@pytest.mark.slow
def test_comparisons(run, tmp_path):
    how = {"metrics": ["psnr"], "num_samples": 1, "num_videos": 1, "output_dir": tmp_path, "predictors": ["copy_last"]}
    names = []
    for workdir, data_dir in (("run", "a"), ("run", "a"), ("run", "b"), ("earlier", "a"), ("run", "b")):
        paths = compare(workdirs=[run / workdir], data_dir=run / data_dir, **how)
        names.append(paths[0].name)
        assert {path.name.split(".")[0].removesuffix("_video-0") for path in paths} == {paths[0].stem}
    second, third = "compare_result-2.json", "compare_result-3.json"
    assert names == ["compare.json", "compare.json", second, third, second]
