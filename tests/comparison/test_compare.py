import csv
import json
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tests.checks import refused
from tests.chromium import Chromium, find_chromium
from videoflow_tf import data, evaluate
from videoflow_tf.comparison import table
from videoflow_tf.comparison.arguments import CompareArguments
from videoflow_tf.comparison.compare import _with_counts, _with_metrics, compare
from videoflow_tf.comparison.contenders import contenders
from videoflow_tf.comparison.figure import save_figure
from videoflow_tf.comparison.page import comparison_page
from videoflow_tf.files import read_json
from videoflow_tf.metrics.fvd import FVD
from videoflow_tf.metrics.lpips import LPIPS
from videoflow_tf.metrics.results import Results
from videoflow_tf.predictors.floors import CopyLast
from videoflow_tf.predictors.video_flow import VideoFlowPredictor
from videoflow_tf.registry import PREDICTORS
from videoflow_tf.workdir import read_config, write_config

HOW = {"metrics": ["bits_per_pixel", "psnr", "ssim", "legal_futures"], "num_videos": 3, "num_samples": 2}


def theirs(config, path, videos=3, **changes):
    """Somebody else's file: the last frame given, over and over."""
    elements = list(data.eval_videos(config, None, "test", num_videos=videos).as_numpy_iterator())
    clips = np.stack([element["video"] for element in elements])
    context, future = clips[:, : config.num_context], clips[:, config.num_context :]
    samples = np.repeat(np.repeat(context[:, None, -1:], 2, axis=1), future.shape[1], axis=2)
    np.savez(path, **{"context": context, "samples": samples, "future": future} | changes)
    return path


@pytest.fixture
def copies(monkeypatch):
    """In the place of the model of every run, one that copies the last frame."""
    of_run = lambda workdir, checkpoint: CopyLast(read_config(workdir), None)  # noqa: E731
    monkeypatch.setattr(VideoFlowPredictor, "of_run", of_run)


@pytest.fixture(scope="module")
def compared(command, micro_run, micro_config, tmp_path_factory):
    """The folder that the command has written to, and what it has printed."""
    folder = tmp_path_factory.mktemp("compared")
    runs = [shutil.copytree(micro_run, folder / name) for name in ("run", "other/run")]
    file = theirs(micro_config, folder / "theirs.npz")
    flags = [f"--{name}={','.join(value) if isinstance(value, list) else value}" for name, value in HOW.items()]
    sources = [f"--workdirs={runs[0]},{runs[1]}", f"--predictions={file}", f"--output_dir={folder / 'out'}"]
    done = command("compare", *sources, *flags, "--shown_videos=2", "--shown_samples=1")
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_rows_and_files(compared):
    folder, printed = compared
    result = read_json(folder / "out" / "compare.json")
    assert [row["model"] for row in result["models"]] == ["copy_last", "linear", "run", "run (2)", "theirs"]
    assert result["protocol"].items() >= {"split": "test", "videos": 3, "samples": 2, "frames": 5, "context": 1}.items()
    copied, _, run, same, file = result["models"]
    assert run["metrics"]["psnr"]["best"] == same["metrics"]["psnr"]["best"]
    assert file["metrics"]["psnr"]["best"] == copied["metrics"]["psnr"]["best"]
    assert "bits_per_pixel" not in file["metrics"] and file["metrics"]["legal_futures"]["mean"] == 0
    assert copied["metrics"]["bits_per_pixel"]["unit"] == "per colour component"
    assert copied["parameters"] == 0 and copied["steps"] is None and run["steps"] == 6 and run["parameters"] > 1000
    assert run["seconds_per_frame"] > 0
    rows = list(csv.DictReader((folder / "out" / "compare.csv").open()))
    bits = "bits_per_pixel (per colour component)"
    assert float(rows[2][bits]) == run["metrics"]["bits_per_pixel"]["mean"]
    assert rows[4][bits] == "" and float(rows[2]["psnr"]) == run["metrics"]["psnr"]["best"]["mean"]
    assert "| Model | Bits per pixel (per colour component) | Best PSNR (dB) |" in printed
    assert "shapes: 3 test videos, 2 samples each, temperature 0.5, 1 frame given, 4 predicted." in printed
    for line in ("copy_last", "run (2)", "theirs"):
        assert f"| {line} | " in printed
    page = (folder / "out" / "compare.html").read_text()
    assert page.count("<img") == 3 and "run (2)" in page and "<script" not in page
    assert {path.name for path in (folder / "out").glob("compare*")} == {
        f"compare{end}" for end in (".json", ".csv", ".md", ".png", ".html", "_video-0.gif", "_video-1.gif")
    }


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")
@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_page_fits_the_screen_and_every_model_moves(compared, tmp_path, width):
    """However long the names of the models are."""
    folder, page = compared[0] / "out", tmp_path / "compare.html"
    result, pictures = read_json(folder / "compare.json"), sorted(folder.glob("*.gif"))
    rows = [row | {"model": f"{row['model']}_{'x' * 60}"} for row in result["models"]]
    protocol = table.Protocol.from_json(result["protocol"])
    page.write_text(comparison_page(rows, protocol, ["a" * 90], folder / "compare.png", pictures), encoding="utf-8")
    with Chromium(tmp_path, width=width) as browser:
        browser.open(page)
        browser.evaluate("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
        browser.wait_for("Array.from(document.images).every(image => image.complete && image.naturalWidth > 0)")
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert browser.evaluate("(window.pictures = Array.from(document.images)).length") == 3
        for image in (0, 1):  # The last is the figure.
            browser.evaluate(f"document.body.replaceChildren(pictures[{image}])")
            first, end = _seen(browser, tmp_path), time.monotonic() + 20
            while _seen(browser, tmp_path) == first:
                assert time.monotonic() < end, f"picture {image} does not move"


def _seen(browser: Chromium, folder: Path) -> bytes:
    browser.screenshot(folder / "seen.png")
    with Image.open(folder / "seen.png") as picture:
        return picture.tobytes()


def test_numbers_are_those_of_evaluate(compared, micro_run, tmp_path):
    row = read_json(compared[0] / "out" / "compare.json")["models"][2]
    alone = evaluate(micro_run, output_dir=tmp_path, **HOW).metrics
    for name in HOW["metrics"]:
        mine, theirs = (dict(numbers[name]) for numbers in (row["metrics"], alone))
        del mine["argv"], theirs["argv"]
        assert mine == theirs


def test_names_of_models_cannot_break_the_figure(tmp_path):
    by_frame = {"mean": 1.0, "standard_error": 0.1, "per_frame": [1.0, 1.0], "per_frame_standard_error": [0.1, 0.1]}
    protocol = {"dataset": None, "split": "$_{$", "videos": 2, "samples": 1, "context": 1, "frames": 3}
    whole = {"mean": 90.0, "standard_deviation": 1.5}
    metrics = {"protocol": protocol, "psnr": by_frame, "fvd": whole}
    rows = [{"model": name, "metrics": metrics, "steps": 3} for name in ("$x_{$", "\udcff", "a")]
    path = save_figure(tmp_path / "a.png", rows, table.Protocol.from_json(protocol))
    assert path.stat().st_size > 1000


def test_names_of_models_cannot_break_the_table():
    rows = [{"model": "a|b <i>", "metrics": {}, "steps": 3}]
    assert "a\\|b <i>" in table.as_markdown(rows, table.Protocol(context=1, frames=2, videos=1, split="test"))
    (_, line) = table.cells(rows)
    assert line == ["a|b <i>", "-", "-", "3"]


def test_equal_draws_have_no_spread():
    equal = 491.8 + np.array([0, 1e-13, 0, -1e-13, 0])
    found = {"mean": equal.mean(), "standard_deviation": equal.std(ddof=1)}
    (_, line) = table.cells([{"model": "a", "metrics": {"fvd": found}}])
    assert found["standard_deviation"] > 0 and line[1] == "491.8\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}0"


def test_debiased_fvd_has_a_column_of_its_own():
    both = {"mean": 90.0, "standard_deviation": 1.5, "debiased": {"mean": 40.0, "standard_deviation": None}}
    rows = [{"model": "a", "metrics": {"fvd": both}}, {"model": "b", "metrics": {}}]
    (titles, *lines) = table.cells(rows)
    assert titles[1:3] == [f"{kind}FVD (squared distance of I3D logits)" for kind in ("", "Debiased ")]
    assert [line[:3] for line in lines] == [["a", "90\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}1.5", "40"], ["b", "-", "-"]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame_size": 32}, r"other is not about the same videos as copy_last: frame_size \(16 there, 32 here\)"),
        ({"shapes_background": "grey"}, "not about the same videos as copy_last: shapes_background"),
        ({"num_context": 2}, r"not about the same videos as copy_last: num_context \(1 there, 2 here\)"),
    ],
)
def test_other_videos_are_refused(copies, micro_run, micro_config, tmp_path, changes, message):
    write_config(tmp_path / "other", micro_config.replace(**changes))
    with refused(message):
        compare(workdirs=[micro_run, tmp_path / "other"], output_dir=tmp_path / "out", num_videos=2)
    assert not (tmp_path / "out" / "compare.json").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"n_bits": 5}, r"n_bits \(8 there, 5 here\)"),
        ({"pixel_scaling": "official"}, r"pixel_scaling \(exact there, official here\)"),
        ({"score_context": True}, r"context frames scored \(0 there, 1 here\)"),
        ({"conditional": False}, r"context frames scored \(0 there, 1 here\)"),
    ],
)
def test_bits_of_another_kind_are_refused(copies, micro_config, tmp_path, monkeypatch, changes, told):
    monkeypatch.setattr(CopyLast, "num_scored", VideoFlowPredictor.num_scored)
    write_config(tmp_path / "run", micro_config)
    write_config(tmp_path / "other", micro_config.replace(**changes))
    how = {"workdirs": [tmp_path / "run", tmp_path / "other"], "predictors": [], "num_videos": 2}
    with refused(f"bits per pixel of other and run do not compare: {told}; leave one out of --workdirs"):
        compare(**how, metrics=["bits_per_pixel"], output_dir=tmp_path / "out")
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_floors_do_not_score_the_context(micro_config, tmp_path, monkeypatch):
    """Nor do they know a scale of pixels: their bits are exact whatever the model's."""
    config = micro_config.replace(score_context=True, pixel_scaling="official")
    write_config(tmp_path / "run", config)
    scores = {"likelihood": "bound", "num_scored": VideoFlowPredictor.num_scored}
    scores["frame_bits_per_pixel"] = lambda self, videos, seeds: np.ones(videos.shape[:2])
    scoring = type("Scoring", (CopyLast,), scores)(config)
    monkeypatch.setattr(VideoFlowPredictor, "of_run", lambda workdir, checkpoint: scoring)
    how = {"workdirs": [tmp_path / "run"], "num_videos": 2, "shown_videos": 0}
    with refused(r"of run and linear do not compare: context frames scored \(0 there, 1 here\); leave one out of"):
        compare(**how, output_dir=tmp_path / "out", metrics=["bits_per_pixel"], predictors=["linear"])
    how |= {"num_samples": 1, "num_frames": 1}
    compare(**how, output_dir=tmp_path / "psnr", metrics=["psnr"], predictors=["linear"])
    compare(**how, output_dir=tmp_path / "out", metrics=["bits_per_pixel"], predictors=[])
    (row,) = read_json(tmp_path / "out" / "compare.json")["models"]
    expected = {"frames": 5, "scored": 5, "n_bits": 8, "pixel_scaling": "official"}
    assert row["metrics"]["protocol"].items() >= expected.items()


def test_a_file_about_other_videos_is_refused(micro_run, micro_config, tmp_path):
    other = theirs(micro_config.replace(shapes_background="grey"), tmp_path / "other.npz")
    with refused("other is not about the same videos as copy_last; compare what is given the same frames"):
        compare(workdirs=[micro_run], predictions=[other], output_dir=tmp_path / "out", predictors=["copy_last"])


def test_a_file_of_another_temperature_is_refused(copies, micro_run, micro_config, tmp_path):
    file = theirs(micro_config, tmp_path / "theirs.npz", temperature=1.0, seed=99)
    with refused("theirs.npz says temperature=1.0 of its samples, not 0.5; compare at --temperature=1.0, or leave it"):
        compare(workdirs=[micro_run], predictions=[file], output_dir=tmp_path / "out", num_videos=2, metrics=["psnr"])
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_what_cannot_be_measured_here_is_told(copies, micro_config, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    write_config(tmp_path / "run", micro_config)
    how = {"workdirs": [tmp_path / "run"], "predictors": [], "num_videos": 2, "shown_videos": 0}
    compare(**how, num_samples=2, output_dir=tmp_path)
    result, page = read_json(tmp_path / "compare.json"), (tmp_path / "compare.html").read_text()
    measured = ["bits_per_pixel", "psnr", "ssim", "diversity", "legal_futures"]
    assert [name for name in result["models"][0]["metrics"] if name != "protocol"] == measured
    assert f"--metrics={','.join(measured)}" in result["argv"]
    lines = [f"Not measured: {reason}." for reason in result["not_measured"]]
    assert lines == [
        "Not measured: LPIPS needs its networks: run launch/prepare_lpips.py once.",
        "Not measured: FVD needs the network I3D: run launch/prepare_i3d.py once.",
    ]
    assert (tmp_path / "compare.md").read_text().endswith(f" |\n\n{lines[0]}\n\n{lines[1]}\n")
    assert all(f"<p>{line}</p>" in page for line in lines)


def test_networks_that_are_there_are_used(copies, micro_config, tmp_path, monkeypatch):
    """Unless a file of somebody's has too few samples."""
    config = micro_config.replace(num_eval_frames=9)
    write_config(tmp_path / "run", config)
    i3d = SimpleNamespace(digest="0", logits=lambda clips: clips.mean(axis=(1, 2, 3)))
    network = SimpleNamespace(name="alex", digest="0", least_size=16)
    network.distances = lambda real, samples: abs(samples.mean(axis=(1, 2, 3)) - real.mean())
    monkeypatch.setattr(FVD, "from_options", lambda options: FVD(options.arguments.fvd_draws, i3d, True))
    monkeypatch.setattr(LPIPS, "from_options", lambda options: LPIPS(options.num_samples, network))
    how = {"workdirs": [tmp_path / "run"], "predictors": [], "num_videos": 2, "shown_videos": 0}
    compare(**how, num_samples=2, output_dir=tmp_path / "out")
    assert read_json(tmp_path / "out" / "compare.json")["not_measured"] == []
    titles = next(csv.reader((tmp_path / "out" / "compare.csv").open()))
    expected = ["psnr", "ssim", "lpips", "fvd", "diversity", "legal_futures"]
    expected += ["seconds_per_frame", "parameters", "steps"]
    assert [title for title in titles if not title.endswith("_error")][2:] == expected
    file = theirs(config, tmp_path / "theirs.npz")
    arguments = CompareArguments(**how, predictions=[file], output_dir="out")
    rivals = list(contenders(arguments))
    arguments, not_measured = _with_metrics(_with_counts(arguments, rivals), rivals)
    assert "lpips" in arguments.metrics and "fvd" not in arguments.metrics
    assert not_measured == [f"{file} has 2 samples of each video, fvd needs 5"]
    with refused("theirs.npz has 2 samples of each video, fvd needs 5; leave it out, or give a smaller --fvd_draws"):
        compare(**how, predictions=[file], output_dir=tmp_path / "fvd", metrics=["fvd"])


def test_what_has_no_bits_has_an_empty_cell(copies, micro_run, micro_config, tmp_path, monkeypatch):
    """Nor does a seed that a file says have to be that of the others."""
    monkeypatch.setattr(PREDICTORS, "_parts", dict(PREDICTORS._parts))
    PREDICTORS.register("silent", type("Silent", (CopyLast,), {"likelihood": None}))
    file = theirs(micro_config, tmp_path / "theirs.npz", temperature=1.0, seed=99)
    how = {"predictors": ["silent"], "predictions": [file], "temperature": 1.0, "num_videos": 2, "shown_videos": 0}
    compare(workdirs=[micro_run], output_dir=tmp_path / "out", metrics=["bits_per_pixel"], **how)
    rows = list(csv.DictReader((tmp_path / "out" / "compare.csv").open()))
    assert [row["model"] for row in rows] == ["silent", micro_run.name, "theirs"]
    assert [row["bits_per_pixel (per colour component)"] == "" for row in rows] == [True, False, True]
    assert "| theirs | - | - | - | - |" in (tmp_path / "out" / "compare.md").read_text()
    assert read_json(tmp_path / "out" / "compare.json")["protocol"].items() >= {"videos": 2, "frames": 5}.items()


def test_every_row_has_a_folder_of_its_own(copies, micro_config, tmp_path):
    """Whatever may not stand in the name of a file, and whether or not a file system tells capitals apart."""
    runs = [tmp_path / name for name in ("run_1", "run-1", "a/demo", "b/demo", "c/Demo", "demo (2)")]
    for run in runs:
        write_config(run, micro_config)
    arguments = CompareArguments(workdirs=[str(run) for run in runs], predictors=["copy_last"], output_dir="out")
    rivals = list(contenders(arguments))
    folder_of = lambda measured: Results([{"folder": measured.output_dir}], [], [])  # noqa: E731
    folders = [rival._measured(folder_of, arguments, ["psnr"])["folder"] for rival in rivals]
    assert len({str(folder).lower() for folder in folders}) == len({rival.name for rival in rivals}) == 7
    assert [rival.name for rival in rivals[:5]] == ["copy_last", "run_1", "run-1", "demo", "demo (2)"]
    assert [folder.name for folder in folders[:5]] == ["copy-last", "run-1", "run-1-2", "demo", "demo-2"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "--workdirs is required"),
        ({"workdirs": ["w"]}, "--output_dir is required"),
        ({"workdirs": ["w"], "output_dir": "o", "predictors": ["x"]}, "there is no predictor 'x': copy_last, linear"),
        ({"workdirs": ["w"], "output_dir": "o", "metrics": ["x"]}, "there is no metric 'x'"),
        ({"workdirs": ["w"], "output_dir": "o", "predictions": ["p"], "fvd_clips": 2}, "which --predictions lack"),
    ],
)
def test_mistakes(arguments, message):
    with refused(message):
        CompareArguments(**arguments)


def test_argv_repeats_it():
    arguments = CompareArguments(workdirs=["a", "b"], output_dir="out", num_videos=2)
    assert json.dumps(arguments.argv()) == json.dumps(
        [
            "launch/compare.py",
            "--num_videos=2",
            "--workdirs=a,b",
            "--output_dir=out",
        ]
    )


@pytest.mark.slow
def test_models_of_other_lengths_are_compared_on_what_all_have(micro_run, micro_config, tmp_path):
    write_config(tmp_path / "longer", micro_config.replace(num_eval_frames=7))
    # The first run says what the data are: the floor is of it, too.
    shutil.copytree(micro_run / "checkpoints", tmp_path / "longer" / "checkpoints")
    how = {"metrics": ["bits_per_pixel", "psnr"], "num_videos": 2, "num_samples": 2, "shown_videos": 0}
    compare(workdirs=[tmp_path / "longer", micro_run], predictors=["linear"], output_dir=tmp_path / "out", **how)
    rows = read_json(tmp_path / "out" / "compare.json")["models"]
    assert [row["metrics"]["protocol"]["frames"] for row in rows] == [5] * 3
    assert [row["metrics"]["psnr"]["protocol"]["frames"] for row in rows] == [5] * 3
    longer, run = (row["metrics"]["psnr"]["best"] for row in rows[1:])
    assert longer == run
