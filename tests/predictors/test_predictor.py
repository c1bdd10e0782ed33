"""Anybody's model, named on the command line: evaluated, sampled, shown in a study."""

import json
import shutil

import numpy as np
import pytest

from tests.checks import refused
from videoflow_tf import evaluate, sample
from videoflow_tf.arguments import PredictorArguments
from videoflow_tf.comparison.arguments import CompareArguments
from videoflow_tf.files import read_json
from videoflow_tf.predictors.by_name import make_predictor
from videoflow_tf.predictors.future_sampler import FutureSampler
from videoflow_tf.predictors.predictor import NotFiniteError, Predictor
from videoflow_tf.studies.fooling_clips import build_study

MODULE = """
import numpy as np
from videoflow_tf.predictors.predictor import Predictor

class Snow(Predictor):
    identity = {"snow": 1}

    def predict_frames(self, context, num_frames, temperature, seeds):
        draw = lambda seed: np.random.default_rng([*seed.tolist(), 1]).integers(0, 255 * temperature + 1, shape)
        shape = [num_frames, *context.shape[1:]]
        return np.stack([draw(np.abs(seed)) for seed in seeds]).astype(np.uint8)

class Half(Snow):
    likelihood = "exact"

    def frame_bits_per_pixel(self, videos, seeds):
        return np.full([len(videos), videos.shape[1] - self.config.num_context], 0.5)

def make_snow(config, data_dir):
    return Snow(config)

def make_nothing(config, data_dir):
    return "snow"

constant = 3
"""


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    """The current folder has the module."""
    (tmp_path / "snow_model.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    yield tmp_path


def test_by_command(command, micro_run, in_folder, tmp_path):
    """Without a checkpoint: of the run, its configuration is all that is needed."""
    (tmp_path / "run").mkdir()
    shutil.copy(micro_run / "config.json", tmp_path / "run")
    how = ["--predictor=snow_model:make_snow", "--num_videos=2", "--num_samples=3"]
    done = command("evaluate", f"--workdir={tmp_path / 'run'}", "--metrics=psnr", *how, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "run" / "eval").glob("*.json")
    assert path.name == "metrics_predictor-snow-model-make-snow_num_videos-2_num_samples-3.json"
    psnr = read_json(path)["psnr"]
    assert psnr["protocol"]["predictor"] == "snow_model:make_snow" and "step" not in psnr["protocol"]
    assert psnr["argv"][0] == "launch/evaluate.py" and "--predictor=snow_model:make_snow" in psnr["argv"]
    assert 3 < psnr["mean"]["mean"] < 20


def test_likelihood_samples_and_study(micro_run, in_folder):
    workdir = shutil.copytree(micro_run, in_folder / "run")
    result = evaluate(workdir, predictor="snow_model:Half", num_videos=3)
    assert result.metrics["bits_per_pixel"]["mean"] == 0.5
    assert result.metrics["protocol"]["likelihood"] == "exact"
    paths = sample(workdir, predictor="snow_model:make_snow", num_frames=3, pictures=["png"])
    assert all(path.name.startswith("snow-model-make-snow_test-1x3x3") for path in paths)
    study = build_study(workdir, predictor="copy_last", num_videos=2, num_frames=3)
    assert study.name.startswith("fooling_study_predictor-copy-last")
    protocol = json.loads(study.read_text().split('"protocol": ')[1].split("}")[0] + "}")
    assert protocol["predictor"] == "copy_last"


class Wrong(Predictor):
    identity: dict = {}  # noqa: RUF012

    def __init__(self, frames):
        self._frames = frames

    def predict_frames(self, context, num_frames, temperature, seeds):
        if self._frames is None:
            raise NotFiniteError
        return self._frames


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (
            np.zeros([2, 3, 8, 8, 3]),
            r"Wrong.predict_frames gives float64 \[2, 3, 8, 8, 3\]; it must be uint8 \[2, 3, 8",
        ),
        (np.zeros([3, 2, 8, 8, 3], np.uint8), r"gives uint8 \[3, 2, 8, 8, 3\]; it must be uint8 \[2, 3, 8, 8, 3\]"),
        (None, "4 of 4 samples of video 0 at temperature 1 are not finite"),
    ],
)
def test_frames_that_are_none(frames, message):
    with refused(message):
        FutureSampler(Wrong(frames))(np.zeros([1, 8, 8, 3], np.uint8), 3, 1.0, 0, 0, 2)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("snow_model:make_rain", "--predictor=snow_model:make_rain: .*make_rain.*package.module:function"),
        ("rain_model:make", "No module named 'rain_model'"),
        (":make", "must be package.module:function"),
        ("snow_model:constant", "is not a function or class"),
        ("snow_model:make_nothing", "gives a str: it must be an object of a subclass of .*Predictor"),
    ],
)
def test_wrong_names(in_folder, micro_config, name, message):
    with refused(message):
        make_predictor(name, micro_config, None)


def test_mistakes_are_found_before_anything_is_loaded():
    with refused("there is no predictor 'copy': copy_last, linear, or package.module:function"):
        PredictorArguments("w", predictor="copy")
    for name in ("./mine.py:make", "../mine:make", ".mine:make", "/models/mine:make", ":make"):
        with refused(f"there is no predictor '{name}': '.*' is not the name of a module; give package.module:function"):
            PredictorArguments("w", predictor=name)
        with refused("is not the name of a module"):
            CompareArguments(workdirs=["w"], predictors=[name], output_dir="o")
    with refused("--checkpoint=best is about the run's own model, not copy_last"):
        PredictorArguments("w", predictor="copy_last", checkpoint="best")


def test_no_likelihood_is_one_line(micro_run, in_folder):
    with refused("Snow has no likelihood; leave bits_per_pixel out of the metrics"):
        evaluate(micro_run, predictor="snow_model:make_snow", output_dir=in_folder / "out")
