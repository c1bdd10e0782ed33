"""The wheel: what is in it, what it asks for, and that it works where there is nothing else."""

import email
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import videoflow_tf
from tests.checks import ROOT, run_python
from tests.conftest import TINY, write_flags

PARTS = {"bijectors": "bijectors", "videoflow_tf": "videoflow_tf"} | {
    name: f"videoflow_tf/{name}" for name in ("launch", "pretrained")
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of this tree."""
    folder = tmp_path_factory.mktemp("dist")
    run_python("-m", "hatchling", "build", "--target", "wheel", "--directory", folder, check=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_has_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    listed = subprocess.run(["git", "ls-files", "--", *PARTS], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a clone: what belongs to it is not known")
    tracked = (name.partition("/") for name in listed.stdout.splitlines())
    assert {f"{PARTS[folder]}/{rest}" for folder, _, rest in tracked} <= found
    ours = tuple(f"{part}/" for part in PARTS.values())
    assert all(name.startswith(ours) and "__pycache__" not in name for name in found)
    assert {
        "videoflow_tf/py.typed",
        "videoflow_tf/studies/fooling_page.html",
        "videoflow_tf/launch/cli.py",
        "videoflow_tf/launch/bair.flags",
        "videoflow_tf/pretrained/shapes_two_frames/config.json",
        "videoflow_tf/pretrained/shapes_two_frames/model.safetensors",
    } <= found


def test_the_lock_has_a_version_in_the_range_of_everything_that_is_asked_for(wheel):
    with zipfile.ZipFile(wheel) as archive:
        metadata = email.message_from_bytes(archive.read(f"{wheel.name.rpartition('-py3')[0]}.dist-info/METADATA"))
    lock = (ROOT / "requirements.txt").read_text()
    pins = {name.lower().replace("_", "-"): pin for name, pin in re.findall(r"(?m)^([\w.-]+)==(\S+)", lock)}
    asked = [Requirement(text) for text in metadata.get_all("Requires-Dist")]
    assert len(asked) > 15 and "-e ." in lock.splitlines()
    for requirement in asked:
        assert pins[requirement.name.lower().replace("_", "-")] in requirement.specifier, requirement
    assert (metadata["License-Expression"], metadata["Version"]) == ("Apache-2.0", videoflow_tf.__version__)


@pytest.mark.parametrize(("version", "taken"), [((3, 10), False), ((3, 11), True), ((3, 13), True), ((3, 14), False)])
def test_setting_up_takes_the_pythons_that_the_package_asks_for(tmp_path, version, taken):
    for name in ("Makefile", "pyproject.toml", "requirements.txt"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    python = tmp_path / "python3"  # Of that version, as far as is asked, and makes no environment.
    check = f"import sys; sys.version_info = {version}; exec(sys.argv[1])"
    python.write_text(f'''#!/bin/sh
case "$1" in
  -c) exec {sys.executable} -c "{check}" "$2";;
  --version) echo Python {version[0]}.{version[1]}.0;;
  *) echo no environment >&2; exit 1;;
esac
''')
    python.chmod(0o755)
    done = subprocess.run(["make", "-C", tmp_path, f"BASE_PYTHON={python}", "setup"], capture_output=True, text=True)
    first = done.stderr.splitlines()[0]
    refusal = f"error: {python} is Python {version[0]}.{version[1]}.0; install Python 3.11, 3.12 or 3.13"
    assert first == ("no environment" if taken else refusal)
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert (".".join(map(str, version)) in SpecifierSet(asked)) == taken


@pytest.mark.parametrize(
    ("words", "status", "expected"),
    [
        ([], 0, r"(?s)videoflow COMMAND .*\n  evaluate +Measures a trained model\n.*\n  train +Trains a model\n$"),
        (["--help"], 0, r"(?s)videoflow COMMAND .*\n  sample +Draws futures of test videos\n"),
        (["trian", "--x"], 2, "^error: there is no command 'trian'; did you mean train\\?\n$"),
        (["x"], 2, "^error: there is no command 'x'; videoflow --help lists them\n$"),
        (["sample", "--help"], 0, "^Draws futures of test videos"),
        (["sample", "--sed=1"], 2, "^error: Unknown command line flag 'sed'. Did you mean: seed"),
        # Found by their names, and by paths that are not there.
        (["train", "--flagfile=demo.flags"], 2, "^error: --workdir is required\n$"),
        (["train", "--workdir=w", "--flagfile", "shapes.flags", "--depth=0"], 2, "^error: depth must be at least 1"),
        (["train", "--workdir=w", "-flagfile=launch/bair.flags", "--depth=0"], 2, "^error: depth must be at least 1"),
        (["train", "--workdir=w", "--flagfile=none.flags"], 2, "^error: Unable to open flagfile: .* 'none.flags'\n$"),
    ],
)
def test_videoflow_runs_the_programs_of_launch_from_any_folder(tmp_path, words, status, expected):
    done = run_python("-c", "from videoflow_tf.commands import main; main()", *words, cwd=tmp_path)
    assert (done.returncode, bool(done.stderr)) == (status, status != 0)
    assert re.search(expected, done.stdout + done.stderr)
    assert not list(tmp_path.iterdir())


def test_a_flagfile_that_is_there_goes_before_one_that_comes_with_the_package(tmp_path):
    (tmp_path / "demo.flags").write_text("--preset=demo\n--depth=0\n")
    done = run_python(ROOT / "launch/train.py", "--flagfile=demo.flags", f"--workdir={tmp_path / 'w'}", cwd=tmp_path)
    assert done.stderr.startswith("error: depth must be at least 1, got 0")


@pytest.mark.slow
def test_the_wheel_works_away_from_the_repository_with_what_it_asks_for(wheel, tmp_path):
    """An empty environment: no extras, and nothing of the tests."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    folder = tmp_path / "elsewhere"
    folder.mkdir()

    def run(*words: object, status: int = 0) -> subprocess.CompletedProcess:
        line = [str(word) for word in words]
        done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, timeout=1200)
        assert done.returncode == status, done.stderr
        return done

    run(sys.executable, "-m", "uv", "venv", "--python", sys.executable, tmp_path / "venv")
    scripts = tmp_path / "venv/bin"
    run(sys.executable, "-m", "uv", "pip", "install", "--python", scripts / "python", wheel)

    flags = write_flags(TINY, tmp_path / "tiny.flags")
    run(scripts / "videoflow", "train", "--flagfile=demo.flags", f"--flagfile={flags}", "--workdir=run")
    assert (folder / "run/export/saved_model.pb").is_file()
    printed = run(scripts / "videoflow", "sample", "--workdir=run", "--num_frames=2", "--num_samples=1").stdout.split()
    assert {Path(word).suffix for word in printed if (folder / word).is_file()} == {".gif", ".png", ".npz", ".json"}
    run(scripts / "videoflow", "export", "--workdir=run", "--format=hub")
    page = run(scripts / "videoflow", "report", "--workdir=run").stdout.strip()
    assert "videoflow sample --workdir=run" in (folder / page).read_text()
    run(scripts / "videoflow", "sample", "--workdir=shapes_two_frames", "--output_dir=drawn", "--num_samples=1")

    # What needs an extra says so.
    for words in (["--pictures=mp4"], [f"--video_file={scripts / 'python'}"]):
        done = run(scripts / "videoflow", "sample", "--workdir=run", "--num_frames=2", *words, status=2)
        assert done.stderr == "error: the package av is not installed: pip install 'videoflow-tf[video]'\n"
    done = run(scripts / "videoflow", "prepare_bair", "--data_dir=data", status=2)
    assert done.stderr.startswith("error: the package tensorflow_datasets is not installed: pip install 'videoflow-tf[")

    # The lines of README.md.
    examples = re.findall(r"(?s)```python\n(.*?)```", (ROOT / "README.md").read_text())
    run(scripts / "python", "-c", next(lines for lines in examples if "sample.gif" in lines))
    assert (folder / "sample.gif").stat().st_size > 1000
