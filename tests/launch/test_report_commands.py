"""The report of a run with results."""

import html
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.checks import ROOT
from videoflow_tf.media import strips

# As in the place of Python: what a shell makes of a command, word by word.
_PYTHON = """#!/bin/sh
printf '%s\\0' "$@"
"""


def pasted(commands: str, folder: Path) -> list[list[str]]:
    """The words of the programs that a shell runs, given lines; `folder`: one to work in."""
    (folder / "bin").mkdir()
    (folder / "bin" / "python").write_text(_PYTHON)
    (folder / "bin" / "python").chmod(0o755)
    (folder / "cwd").mkdir()
    found = []
    for line in commands.splitlines():
        how = {"cwd": folder / "cwd", "env": {"PATH": f"{folder / 'bin'}:/usr/bin:/bin"}, "check": True}
        done = subprocess.run(["bash", "-c", line], stdout=subprocess.PIPE, **how)
        found.append(done.stdout.decode().split("\0")[:-1])
    assert not list((folder / "cwd").iterdir())  # No part of a name was run.
    return found


def files_in(workdir: Path) -> dict[str, bytes]:
    paths = [path for name in ("eval", "samples") for path in (workdir / name).iterdir() if path.is_file()]
    return {path.relative_to(workdir).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.slow
def test_commands_of_the_report_give_the_same_files(output, workdir, tmp_path):
    video = tmp_path / "a; touch x.mov"
    strips.save_gif(tmp_path / "clip.gif", np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8))
    (tmp_path / "clip.gif").rename(video)
    few = ["--num_videos=2", "--num_samples=2"]
    for command, *flags in (
        ["evaluate", *few, "--metrics=bits_per_pixel,psnr"],
        ["evaluate", *few, "--metrics=psnr", "--temperatures=0,1"],
        ["sample", *few, "--num_frames=2", "--grid", "--checkpoint=best"],
        ["sample", f"--video_file={video}", "--start=2", "--num_frames=2", "--choose=psnr", "--seed=3"],
        ["anomaly", f"--video_file={video}"],
        ["anomaly", "--num_videos=2", "--split=validation"],
        ["interpolate", f"--video_file={video}", f"--other_file={video}", "--steps=2", "--levels=top"],
    ):
        output(command, f"--workdir={workdir}", *flags)
    output("report", f"--workdir={workdir}")
    text = html.unescape((workdir / "report.html").read_text(encoding="utf-8"))
    commands = pasted(re.search(r"(?s)<h2>Commands to repeat it</h2><pre>(.*?)</pre>", text)[1], tmp_path)
    made = files_in(workdir)
    assert len(commands) == 8 and len(made) == 21
    for path in made:
        (workdir / path).unlink()
    for program, *words in commands:
        if program != "launch/train.py":
            assert (ROOT / program).is_file()
            output(Path(program).stem, *words)
    again = files_in(workdir)
    assert again.keys() == made.keys()
    assert [name for name in made if again[name] != made[name]] == []
