import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent.parent


def _metrics(workdir: Path) -> dict:
    """Of the only result of the kind."""
    (path,) = (workdir / "eval").glob("metrics*.json")
    return json.loads(path.read_text())


def test_writes_metrics_and_protocol(output, workdir):
    printed = output("evaluate", f"--workdir={workdir}", "--num_videos=5", "--batch_size=2", "--seed=3")
    metrics = _metrics(workdir)
    bits = metrics["bits_per_pixel"]
    protocol = metrics["protocol"]
    assert [len(protocol.pop(name)) for name in ("identity", "videos_digest")] == [16, 16]
    assert protocol == {
        "dataset": "shapes",
        "split": "test",
        "videos": 5,
        "context": 1,
        "frames": 5,
        "scored": 4,
        "seed": 3,
        "likelihood": "bound",
        "n_bits": 8,
        "dequantization_samples": 1,
        "pixel_scaling": "exact",
        "step": 6,
    }
    np.testing.assert_allclose(bits["mean"], np.mean(bits["per_video"]))
    np.testing.assert_allclose(bits["mean"], np.mean(bits["per_frame"]))
    np.testing.assert_allclose(bits["standard_error"], np.std(bits["per_video"], ddof=1) / np.sqrt(5))
    assert len(bits["per_frame"]) == 4 and len(bits["per_video"]) == 5
    assert (
        f"bits_per_pixel: {bits['mean']:.4f} +- {bits['standard_error']:.4f} per colour component (5 test videos)"
        in printed
    )


def test_metrics_on_samples_stand_beside_the_likelihood(output, workdir):
    arguments = ["--num_samples=3", "--num_frames=6", "--num_videos=2", "--dequantization_samples=3"]
    output("evaluate", f"--workdir={workdir}", *arguments)
    before = _metrics(workdir)
    assert before["bits_per_pixel"]["importance_weighted"]["mean"] < before["bits_per_pixel"]["mean"]
    printed = output("evaluate", f"--workdir={workdir}", "--metrics=psnr,diversity", *arguments)
    after = _metrics(workdir)
    assert {name: after[name] for name in before} == before
    assert len(after["psnr"]["best"]["per_frame"]) == len(after["diversity"]["per_frame"]) == 6
    assert after["psnr"]["protocol"]["frames"] == 7 and after["psnr"]["protocol"]["temperature"] == 0.5
    assert all(f"{kind} {after['psnr'][kind]['mean']:.4f}" in printed for kind in ("best", "mean", "worst"))
    with Image.open(next((workdir / "eval").glob("metrics*.png"))) as picture:
        assert picture.width > 1500  # Three panels.


def test_temperature_sweep(output, workdir):
    arguments = ["--metrics=psnr,diversity", "--temperatures=0.5,0.0", "--num_samples=2", "--num_videos=2"]
    printed = output("evaluate", f"--workdir={workdir}", *arguments)
    (path,) = (workdir / "eval").glob("temperature_sweep*_temperatures-0,0.5.json")
    results = json.loads(path.read_text())["results"]
    assert [result["temperature"] for result in results] == [0.0, 0.5]
    assert [result["psnr"]["protocol"]["temperature"] for result in results] == [0.0, 0.5]
    assert results[0]["diversity"]["mean"] == 0 < results[1]["diversity"]["mean"]
    mean = results[1]["diversity"]["mean"]
    assert f"diversity: {mean:.4f} " in printed and "(2 test videos, 2 samples each, temperature 0.5)" in printed
    with Image.open(path.with_suffix(".png")) as picture:
        assert picture.width > 1000  # Two panels.
    assert not list((workdir / "eval").glob("metrics*"))


@pytest.mark.slow
def test_killed_and_started_again_gives_the_same(workdir, tmp_path):
    other = shutil.copytree(workdir, tmp_path / "undisturbed")
    metrics = "--metrics=bits_per_pixel,psnr,ssim,diversity"
    arguments = [metrics, "--num_samples=4", "--temperature=0.5", "--batch_size=3"]

    def start(folder: Path) -> subprocess.Popen:
        line = [sys.executable, "launch/evaluate.py", f"--workdir={folder}", "--num_videos=40", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(line, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    killed, measured = start(workdir), workdir / "eval" / "measurements"
    deadline = time.monotonic() + 120
    while len(list(measured.glob("ssim-*"))) < 3:
        assert killed.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert not list((workdir / "eval").glob("metrics*"))
    assert len(list(measured.glob("diversity-*"))) < 40
    for folder in (workdir, other):
        process = start(folder)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
    results = _metrics(workdir), _metrics(other)
    for result in results:
        for metric in ("bits_per_pixel", "psnr", "ssim", "diversity"):
            del result[metric]["argv"]  # Names the folder.
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metrics=psnr,mse"], "error: there is no metric 'mse'; --metrics is a list of bits_per_pixel, psnr"),
        (["--metrics=vgg_cosine"], "error: VGG16 needs --vgg_weights: download https://"),
        (["--metrics=psnr,fvd", "--i3d_path=nowhere"], "error: FVD finds no SavedModel in --i3d_path=nowhere"),
        (["--metrics=psnr", "--temperatures=0,warm"], "error: --temperatures=0,warm must be numbers"),
        (["--temperatures=0,1"], "error: --temperatures is about samples, bits_per_pixel is not"),
        (["--metrics=diversity", "--num_samples=1"], "error: diversity compares samples with each other"),
        (["--num_frames=0", "--metrics=psnr"], "error: flag --num_frames=0"),
    ],
)
def test_refuses_before_anything_is_sampled(error, micro_run, arguments, message):
    assert error("evaluate", f"--workdir={micro_run}", *arguments).startswith(message)
    assert not (micro_run / "eval").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--self_check"], "FVD needs the network I3D: run launch/prepare_i3d.py once"),
        (["--metrics=psnr,lpips"], "LPIPS needs its networks: run launch/prepare_lpips.py once"),
    ],
)
def test_networks_that_are_not_prepared(error, micro_run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert error("evaluate", f"--workdir={micro_run}", *arguments) == f"error: {message}\n"
    assert not (micro_run / "eval").exists()
