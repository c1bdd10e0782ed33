import json

import numpy as np
from PIL import Image

from videoflow_tf.metrics.metric import curve_statistics
from videoflow_tf.metrics.results import summary, write_metrics, write_sweep


def _likelihood(step: int) -> dict:
    protocol = {"split": "test", "videos": 2, "context": 1, "frames": 4, "step": step}
    return {"bits_per_pixel": curve_statistics(np.random.default_rng(0).normal(2, 0.1, (2, 3))), "protocol": protocol}


def _fvd(step: int) -> dict:
    protocol = {"split": "test", "videos": 2, "samples": 3, "context": 1, "frames": 9, "step": step}
    return {"fvd": {"mean": 100.0, "standard_deviation": 5.0, "per_draw": [95.0, 105.0], "protocol": protocol}}


def _read(folder) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def test_metrics_of_the_same_step_are_kept(tmp_path):
    write_metrics(tmp_path, _likelihood(5), step=5)
    assert _read(tmp_path) == _likelihood(5)
    write_metrics(tmp_path, _fvd(5), step=5)
    assert _read(tmp_path) == _likelihood(5) | _fvd(5)


def test_metrics_of_another_step_are_dropped(tmp_path):
    write_metrics(tmp_path, _likelihood(5) | _fvd(5), step=5)
    write_metrics(tmp_path, _fvd(6), step=6)
    assert _read(tmp_path) == _fvd(6)
    write_metrics(tmp_path, _likelihood(7), step=7)
    assert _read(tmp_path) == _likelihood(7)


def test_there_are_curves_only_of_what_has_frames(tmp_path):
    assert write_metrics(tmp_path, _fvd(5), step=5) == [tmp_path / "metrics.json"]
    assert write_metrics(tmp_path, _likelihood(5), step=5) == [tmp_path / "metrics.json", tmp_path / "curves.png"]


def test_sweep_of_fvd_with_and_without_spread(tmp_path):
    one_draw = _fvd(5)
    one_draw["fvd"]["standard_deviation"] = None
    for results in ([_fvd(5), _fvd(5)], [one_draw]):
        json_path, picture_path = write_sweep(tmp_path, [{"temperature": 0.5, **result} for result in results])
        assert json.loads(json_path.read_text())["results"][0]["fvd"] == results[0]["fvd"]
        with Image.open(picture_path) as picture:
            # The band or the line is drawn in blue: some pixels have colour.
            pixels = np.asarray(picture.convert("RGB")).astype(int)
        assert (pixels.max(axis=-1) - pixels.min(axis=-1) > 50).sum() > 10


def test_summary_lines():
    measured = [_likelihood(5) | _fvd(5)]
    lines = list(summary(["bits_per_pixel", "fvd"], [], measured))
    bits = measured[0]["bits_per_pixel"]
    assert lines == [
        f"bits_per_pixel: {bits['mean']:.4f} +- {bits['standard_error']:.4f} (2 test videos)",
        "fvd: 100.0000 +- 5.0000 (2 test videos)",
    ]
    assert list(summary(["fvd"], [0.5], [_fvd(5)])) == ["fvd at temperature 0.5: 100.0000 +- 5.0000 (2 test videos)"]
