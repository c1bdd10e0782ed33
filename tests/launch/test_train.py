import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def test_trains_and_goes_on_without_a_configuration(command, output, micro_flags, tmp_path):
    workdir = f"--workdir={tmp_path / 'run'}"
    done = command("train", f"--flagfile={micro_flags}", workdir, "--train_steps=2")
    assert (done.returncode, done.stderr) == (0, "")
    for text in ("bits_per_pixel", "frames_per_second", "Step 2: ", "Exported to"):
        assert text in done.stdout
    assert "Steps 3 to 3 of 3" in output("train", workdir, "--train_steps=3")
    assert output("train", workdir).strip().endswith("is finished: 3 steps of 3")


def test_another_configuration_is_refused(error, micro_run):
    line = error("train", f"--workdir={micro_run}", "--depth=3")
    assert line.startswith("error: the run in") and "depth (1 there, 3 now)" in line


def test_no_tpu_is_one_line(error, micro_flags, tmp_path):
    line = error("train", f"--flagfile={micro_flags}", f"--workdir={tmp_path / 'run'}", "--strategy=tpu")
    assert line.startswith("error: no TPU")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_ctrl_c_is_one_line(workdir):
    process = subprocess.Popen(
        [sys.executable, "launch/train.py", f"--workdir={workdir}", "--train_steps=100000"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run as a background job, Ctrl-C is ignored from the start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 200
    while not (workdir / "checkpoints" / "ckpt-20.index").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip() == "interrupted"
