"""A metric from outside the package: a class, and a line in the registry."""

import shutil

import numpy as np
import pytest

import videoflow_tf
from videoflow_tf.files import read_json
from videoflow_tf.metrics import figures
from videoflow_tf.metrics.arguments import EvaluateArguments
from videoflow_tf.metrics.metric import SampleMetric, curve_statistics
from videoflow_tf.registry import METRICS
from videoflow_tf.report import report_page


class Brightness(SampleMetric):
    """How much brighter the samples are than the real frames."""

    name = "brightness"
    label = "Brightness above the real"
    unit = "of 255"

    def measure(self, context, real, samples):
        return samples.mean(axis=(0, 2, 3, 4)) - real.mean(axis=(1, 2, 3))

    def summarize(self, measurements):
        return curve_statistics(measurements)


@pytest.fixture
def registered():
    METRICS.register("brightness", Brightness)
    yield
    METRICS.unregister("brightness")


def _labels(monkeypatch) -> list[str]:
    """Collects the labels of the axes drawn."""
    labels = []
    finish = figures.finish
    monkeypatch.setattr(figures, "finish", lambda axes, x, y, **how: labels.append(y) or finish(axes, x, y, **how))
    return labels


def test_reaches_the_numbers_the_curves_and_the_report(registered, micro_run, tmp_path, monkeypatch):
    workdir, labels = shutil.copytree(micro_run, tmp_path / "run"), _labels(monkeypatch)
    videoflow_tf.evaluate(workdir, metrics=["psnr", "brightness"], num_videos=2, num_samples=3, temperature=0.5)
    result = read_json(workdir / "eval" / "metrics_num_videos-2_num_samples-3.json")["brightness"]
    assert len(result["per_frame"]) == 4 and result["protocol"]["samples"] == 3
    assert labels == ["PSNR (dB)", "Brightness above the real (of 255)"]
    page = report_page(workdir)
    assert "brightness / mean" in page and 'alt="metrics_num_videos-2_num_samples-3.png"' in page
    assert "launch/evaluate.py --workdir" in page and "--metrics=psnr,brightness" in page

    swept = videoflow_tf.evaluate(workdir, metrics=["brightness"], num_videos=2, num_samples=3, temperatures=[0.5, 1.0])
    assert swept.measured[0]["brightness"] | {"argv": result["argv"]} == result
    assert labels[2:] == ["Brightness above the real (of 255)"]
    assert swept.lines[0].endswith(" (2 test videos, 3 samples each, temperature 0.5)")


def test_is_an_option_of_the_command(registered):
    assert EvaluateArguments("", metrics=["brightness", "psnr", " brightness"]).metrics == ["brightness", "psnr"]


def test_a_measured_metric_that_is_not_registered_keeps_its_curve(tmp_path, monkeypatch):
    labels = _labels(monkeypatch)
    protocol = {"protocol": {"split": "test", "videos": 2, "samples": 3, "context": 1, "frames": 4, "step": 5}}
    curves = curve_statistics(np.array([[1.0, 2.0], [3.0, 5.0]])) | protocol
    figures.save_curves(tmp_path / "curves.png", {"lost": curves, "ssim": curves})
    assert labels == ["SSIM (1: equal)", "lost"]


@pytest.mark.parametrize("missing", ["name", "label", "measure", "summarize"])
def test_an_incomplete_metric_cannot_be_made(missing):
    parts = {name: getattr(Brightness, name) for name in ("name", "label", "measure", "summarize") if name != missing}
    with pytest.raises(TypeError, match=missing):
        type("Incomplete", (SampleMetric,), parts)(1)


def test_every_metric_has_its_name_and_a_label_of_its_own():
    assert {name: METRICS[name].name for name in METRICS} == {name: name for name in METRICS}
    labels = [METRICS[name].axis_label() for name in METRICS]
    assert len(set(labels)) == len(labels)
