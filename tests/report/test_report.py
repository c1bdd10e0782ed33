import dataclasses
import html
import json
import re
import shlex
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.chromium import Chromium, find_chromium
from videoflow_tf.config import PARTS, VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.media import strips
from videoflow_tf.metrics.arguments import EvaluateArguments
from videoflow_tf.report import html as pages
from videoflow_tf.report import report_page
from videoflow_tf.report.commands import result_commands, train_command
from videoflow_tf.report.curves import read_scalars
from videoflow_tf.studies.arguments import SampleArguments, StudyArguments
from videoflow_tf.workdir import read_config, write_start


@pytest.fixture(scope="module")
def run(micro_run, tmp_path_factory):
    """A run with a result and its picture."""
    workdir = shutil.copytree(micro_run, tmp_path_factory.mktemp("runs") / "a <run>")
    (workdir / "eval").mkdir(exist_ok=True)
    result = {"bits_per_pixel": {"mean": 1.23456789, "per_video": [0.5] * 40}, "protocol": {"split": "test", "seed": 7}}
    (workdir / "eval" / "metrics.json").write_text(json.dumps(result))
    with tf.summary.create_file_writer(str(workdir / "tensorboard" / "train")).as_default(10):
        tf.summary.scalar("gradient_norm", 2.0)
    strips.save_png(workdir / "eval" / "metrics.png", np.zeros([4, 4, 3], np.uint8))
    strips.save_mp4(workdir / "samples" / "moving.mp4", np.zeros([3, 16, 900, 3], np.uint8))
    return workdir


@pytest.fixture(scope="module")
def page(run):
    return report_page(run)


def test_page_holds_everything_and_needs_no_network(run, page):
    for text in (
        "1.2346",
        "40 values",
        "Bits per pixel",
        "Gradient norm",
        "Condition number, level 0",
        "VideoFlow: a &lt;run&gt;",
    ):
        assert text in page
    assert "a <run>" not in page
    drawn = [*(run / "samples").glob("*.png"), *(run / "samples").glob("*.gif"), run / "eval" / "metrics.png"]
    last = [path for path in drawn if "step-0000006" in path.name]
    assert last and all(f'alt="{path.name}"' in page for path in [*last, run / "eval" / "metrics.png"])
    # Bits per pixel; the norm of the gradient; the reconstruction error; a condition number for each of two levels.
    assert page.count("<svg") == 5
    for attribute in ('src="http', 'href="http', "url(http", 'src="/'):
        assert attribute not in page


def test_commands_repeat_the_run(page):
    config = VideoFlowConfig.preset("demo").replace(depth=1, ema_decay=0.5)
    command = train_command(config, "runs/x")
    assert command == "python launch/train.py --workdir=runs/x --preset=demo --depth=1 --ema_decay=0.5"
    assert "launch/train.py" in page


def test_commands_are_what_was_typed(run, tmp_path):
    workdir = shutil.copytree(run, tmp_path / "run")
    config = read_config(workdir)
    (workdir / "history.json").unlink()
    typed = [["launch/train.py", "--flagfile=my flags", "--workdir=w"], ["launch/train.py", "--workdir=w"]]
    for before, step, argv in ((None, 0, typed[0]), (config, 4, typed[1]), (config, 5, typed[1]), (config, 5, None)):
        write_start(workdir, before, config, step, argv=argv)
    expected = "python launch/train.py '--flagfile=my flags' --workdir=w\npython launch/train.py --workdir=w\n"
    page = html.unescape(report_page(workdir))
    assert f"<pre>{expected}"[:-1] in page and "--preset" not in page
    # Started from Python, or before this was kept: from the configuration.
    (workdir / "history.json").unlink()
    assert html.unescape(report_page(workdir)).count("python launch/train.py --workdir=") == 1
    write_start(workdir, config, config, 4, argv=typed[1])
    assert f"{train_command(config, str(workdir))}\npython launch/train.py --workdir=w" in html.unescape(
        report_page(workdir)
    )


def test_command_of_a_bair_run_has_its_data():
    config = VideoFlowConfig.preset("bair").replace(latent_dilations=(1, 2), conditional=False, num_context=0)
    command = train_command(config, "w")
    assert "--latent_dilations=1,2" in command and "--conditional=false" in command and "--data_dir=DATA_DIR" in command


def test_commands_of_results():
    """Whatever a file holds, and whatever names are: words that a shell takes as they are."""
    sample = SampleArguments("a; touch x", num_videos=2, grid=True, seed=1, pictures=("png", "gif"), data_dir="$(id)\n")
    evaluate = EvaluateArguments("w", metrics=["psnr", "fvd"], fvd_context=False, temperatures=[0.5, 0], i3d_path="I'd")
    result = {"argv": sample.argv(), "psnr": {"argv": evaluate.argv()}, "results": [{"fvd": {"argv": evaluate.argv()}}]}
    first, second, third = (shlex.split(command) for command in result_commands(result))
    shown = ["--num_videos=2", "--seed=1", "--grid=true", "--pictures=png,gif"]
    assert first == ["python", "launch/sample.py", "--workdir=a; touch x", "--data_dir=$(id)\n", *shown]
    options = ["--metrics=psnr,fvd", "--i3d_path=I'd", "--fvd_context=false", "--temperatures=0,0.5"]
    assert second == third == ["python", "launch/evaluate.py", "--workdir=w", *options]
    build = StudyArguments("w", seconds=1.0, frames_per_second=4)
    assert build.argv() == ["launch/fooling_study.py", "build", "--workdir=w", "--seconds=1", "--frames_per_second=4"]
    for argv in (3, [], ["rm"], ["launch/../x.py"], ["launch/a.py; rm"], ["launch/sample.py", 3]):
        assert list(result_commands({"argv": argv})) == []


def test_results_of_several_protocols_are_all_shown(run, tmp_path):
    workdir = shutil.copytree(run, tmp_path / "run")
    for temperature in (0.5, 1.0):
        protocol = {"split": "test", "videos": 9, "samples": 4, "temperature": temperature, "step": 6}
        result = {"diversity": {"mean": 20 + temperature, "standard_error": None, "protocol": protocol}}
        (workdir / "eval" / f"metrics_temperature-{temperature}.json").write_text(json.dumps(result))
    page = report_page(workdir)
    for text in ("20.5000</td>", "21.0000</td>", "9 test videos, 4 samples each, temperature 1</td>"):
        assert text in page


def test_results_and_samples_that_were_put_elsewhere_are_shown(run, tmp_path):
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval" / "metrics.json").write_text(json.dumps({"psnr": {"mean": 23.4567}}))
    strips.save_png(tmp_path / "samples" / "elsewhere.png", np.zeros([4, 4, 3], np.uint8))
    page = report_page(run, tmp_path)
    for text in ("1.2346", "23.457", 'alt="elsewhere.png"', 'alt="metrics.png"'):
        assert page.count(text) == 1


def test_headline_numbers_come_first_and_arrays_are_folded_away(run, tmp_path):
    workdir = shutil.copytree(run, tmp_path / "run")
    (workdir / "validation.json").write_text(json.dumps({"4": 1.5, "6": 1.25, "2": None}))
    protocol = {"split": "test", "videos": 9, "seed": 0, "step": 6}
    bits = {"mean": 1.125, "standard_error": 0.5, "per_video": [0.25, 0.75], "per_frame": [0.1] * 40}
    (workdir / "eval" / "metrics.json").write_text(json.dumps({"bits_per_pixel": bits, "protocol": protocol}))
    part = {"mean": 20.5, "standard_error": None}
    of_other = {**protocol, "samples": 3, "temperature": 0.5, "predictor": "copy_last"}
    other = {"psnr": {"best": part, "mean": part, "worst": part, "protocol": of_other}}
    (workdir / "eval" / "metrics_predictor-copy-last.json").write_text(json.dumps(other))
    (workdir / "eval" / "anomaly.json").write_text(json.dumps({"bits_per_pixel": [1.0, 2.0]}))
    page = report_page(workdir)
    first = page[page.index("<h2>") : page.index("<h3>")]
    assert '<h2>Results</h2><table class="words">' in first and "<details>" not in first
    cells = [html.unescape(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", first)]
    bits_label = "Bits per pixel (per colour component)"
    assert cells == [
        *(bits_label, "1.2500", "validation split, the best of the training: step 6"),
        *(bits_label, "1.1250\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}0.5000", "9 test videos"),
        *("PSNR (dB)", "best 20.5000, mean 20.5000, worst 20.5000"),
        "9 test videos, 3 samples each, temperature 0.5; of copy_last",
    ]
    for text in ("0.25, 0.75", "40 values, in the file"):
        folded = page.rindex("<details>", 0, page.index(text))
        assert "</details>" not in page[folded : page.index(text)]


def test_pictures_are_no_more_than_what_is_shown(run, tmp_path):
    """Of an animation the video, of many videos the first, of earlier steps of the training the first strip."""
    folder = tmp_path / "run" / "samples"
    shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("samples"))
    folder.mkdir()
    for i in range(12):
        for kind in ("png", "gif", "mp4"):
            (folder / f"s_test-12x1x3_video-{i}.{kind}").write_bytes(b"a")
    for kind in ("png", "gif"):
        (folder / f"s_test-12x1x3_grid.{kind}").write_bytes(b"a")
    for step in (2, 4, 6):
        for kind in ("video-0.png", "video-0.gif", "video-1.png", "video-1.gif"):
            (folder / f"step-{step:07d}_{kind}").write_bytes(b"a")
    page = report_page(tmp_path / "run")
    shown = [f"s_test-12x1x3_video-{i}.{kind}" for i in range(4) for kind in ("png", "mp4")]
    of_training = [f"step-{step:07d}_video-0.png" for step in (2, 4)]
    last = [f"step-0000006_video-{i}.{kind}" for i in (0, 1) for kind in ("png", "gif")]
    names = re.findall(r"<figcaption>(.*?)</figcaption>", page)
    assert names == ["metrics.png", "s_test-12x1x3_grid.gif", *shown, *last, *of_training]
    assert f"<p>Pictures of further videos are in {folder}.</p>" in page
    assert page.count("<video") == 4 and page.count("data:video/mp4;base64,") == 4


def test_configuration_stands_by_part(page):
    before, found = -1, []
    for part, names in PARTS.items():
        assert f"<summary>{part.capitalize()}: {len(names)} fields</summary>" in page
        found += names
        places = [page.index(f'<td class="value">{name}</td>') for name in names]
        assert before < min(places)
        before = max(places)
    assert sorted(found) == sorted(field.name for field in dataclasses.fields(VideoFlowConfig))


def test_curves_are_what_was_written(tmp_path):
    """Of a step written twice, as by a resumed run, the later value counts."""
    for values in ({10: 3.0, 20: 2.0}, {20: 1.5, 30: 1.0}):
        with tf.summary.create_file_writer(str(tmp_path)).as_default():
            for step, value in values.items():
                tf.summary.scalar("bits_per_pixel", value, step=step)
            tf.summary.image("picture", np.zeros([1, 4, 4, 3], np.uint8), step=30)
    curves = read_scalars(tmp_path)
    assert curves["bits_per_pixel"][:2] == ([10, 20, 30], [3.0, 1.5, 1.0])
    assert set(curves) == {"bits_per_pixel"}


def test_a_run_just_begun_has_a_page(run, tmp_path):
    shutil.copy(run / "config.json", tmp_path / "config.json")
    page = report_page(tmp_path)
    assert "<h2>Results" not in page and "<h2>Training" not in page and "<h2>Configuration" in page


def test_a_trained_model_has_a_page_by_its_name(tmp_path, monkeypatch):
    """With what commands have put into the folder of its name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shapes_two_frames" / "eval").mkdir(parents=True)
    (tmp_path / "shapes_two_frames" / "eval" / "metrics_mine.json").write_text("{}")
    page = report_page("shapes_two_frames")
    assert "13,000 of 13,000 training steps" in page and "metrics mine" in page


def test_mistakes(run, tmp_path):
    with pytest.raises(UserError, match="is not a workdir"):
        report_page(tmp_path / "none")
    broken = shutil.copytree(run, tmp_path / "broken")
    (broken / "eval" / "metrics.json").write_text("{")
    with pytest.raises(UserError, match=r"metrics.json is not JSON"):
        report_page(broken)


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")
@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_page_fits_the_screen_and_every_picture_loads(page, tmp_path, width):
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    with Chromium(tmp_path, width=width) as browser:
        browser.open(path)
        browser.evaluate("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
        browser.wait_for("Array.from(document.images).every(image => image.complete && image.naturalWidth > 0)")
        browser.wait_for("Array.from(document.querySelectorAll('video')).every(video => video.videoWidth > 0)")
        assert browser.evaluate("document.querySelectorAll('video').length") == 1
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")
@pytest.mark.slow
def test_headlines_are_read_on_a_telephone_without_moving_them(tmp_path):
    value = "16.5906\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}1.0925"
    numbers = f"best {value}, mean {value}, worst {value}"
    row = ("Pairwise RMS pixel difference (of 255)", numbers, "4 test videos, 3 samples each, temperature 0.5")
    table = pages.table([row], ("metric", "mean", "measured on"), "words")
    (tmp_path / "report.html").write_text(pages.page("run", "", {"Results": table}), encoding="utf-8")
    with Chromium(tmp_path, width=390) as browser:
        browser.open(tmp_path / "report.html")
        assert browser.evaluate("(t => t.scrollWidth <= t.clientWidth)(document.querySelector('table'))")
