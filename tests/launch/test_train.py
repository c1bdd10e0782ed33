import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_trains_and_goes_on_without_a_configuration(command, micro_flags, tmp_path):
    workdir = f"--workdir={tmp_path / 'run'}"
    done = command("train", f"--flagfile={micro_flags}", workdir, "--train_steps=2")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "bits_per_pixel" in done.stdout and "frames_per_second" in done.stdout
    assert "Step 2: " in done.stdout and "Exported to" in done.stdout
    done = command("train", workdir, "--train_steps=3")
    assert done.returncode == 0, done.stderr
    assert "Steps 3 to 3 of 3" in done.stdout
    done = command("train", workdir)
    assert done.stdout.strip().endswith("is finished: 3 steps of 3")


def test_another_configuration_is_refused(command, micro_run):
    done = command("train", f"--workdir={micro_run}", "--depth=3")
    assert done.returncode == 2
    assert done.stderr.startswith("error: the run in") and "depth (1 there, 3 now)" in done.stderr


def test_no_tpu_is_one_line(command, micro_flags, tmp_path):
    done = command("train", f"--flagfile={micro_flags}", f"--workdir={tmp_path / 'run'}", "--strategy=tpu")
    assert done.returncode == 2
    assert done.stderr.startswith("error: no TPU") and done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_ctrl_c_is_one_line(micro_run, tmp_path):
    workdir = shutil.copytree(micro_run, tmp_path / "run")
    process = subprocess.Popen(
        [sys.executable, "launch/train.py", f"--workdir={workdir}", "--train_steps=100000"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
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
