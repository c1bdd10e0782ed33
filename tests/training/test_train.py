import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from tests.checks import ROOT, refused, run_python
from tests.conftest import OWN_CHOICES, write_flags
from tests.training.stored import stored_curve, stored_values
from videoflow_tf import VideoFlow, data
from videoflow_tf.training import export
from videoflow_tf.training import train as training
from videoflow_tf.training.checkpoints import load_workdir
from videoflow_tf.training.validation import _validation_batches, draw_samples
from videoflow_tf.workdir import latest_checkpoint, read_config, saved_checkpoints


def files(folder, but=""):
    """Every file with the nanosecond it was written in, but for a folder's."""
    paths = (path for path in folder.rglob("*") if path.is_file() and but not in path.parts)
    return {path: path.stat().st_mtime_ns for path in paths}


def test_a_finished_run_has_everything(micro_run, micro_config):
    assert read_config(micro_run) == micro_config
    kept = sorted(path.stem for path in (micro_run / "checkpoints").glob("*.index"))
    assert kept == ["ckpt-2", "ckpt-4", "ckpt-6"]
    assert len(list((micro_run / "samples").glob("*.gif"))) == len(list((micro_run / "samples").glob("*.png"))) == 4
    assert (micro_run / "export" / "saved_model.pb").is_file()
    assert not list(micro_run.rglob(".tmp-*"))


def test_tensorboard_has_the_curves(micro_config, micro_run, tmp_path):
    workdir = shutil.copytree(micro_run, tmp_path / "run")
    training.train(micro_config.replace(train_steps=11), workdir, None)

    assert list(stored_curve(workdir, "train", "bits_per_pixel")) == [10]
    assert stored_curve(workdir, "train", "gradient_norm")[10] > 0
    assert stored_curve(workdir, "train", "skipped_steps") == {10: 0}
    texts = stored_curve(workdir, "train", "configuration")
    assert sorted(texts) == [0, 6] and b"| train_steps | 11 |" in texts[6].item()
    np.testing.assert_allclose(stored_curve(workdir, "train", "learning_rate")[10], 1e-3 * 10 / 50, rtol=1e-5)
    validation = stored_curve(workdir, "validation", "bits_per_pixel")
    assert sorted(validation) == [4, 6, 8, 11]
    config, model = load_workdir(workdir)
    model.compile()
    videos = data.eval_videos(config, None, "validation", num_videos=config.eval_videos)
    bits = model.evaluate(videos.map(lambda element: element["video"]).batch(config.batch_size), verbose=0)
    assert validation[11] == pytest.approx(bits, rel=1e-5)
    assert validation[11] != pytest.approx(validation[8], rel=1e-5)
    pictures = stored_curve(workdir, "validation", "samples")
    assert sorted(pictures) == [4, 6, 8, 11]
    assert int(pictures[11][0]) < 400  # Pixels: TensorBoard shows it as it is.
    # The longer run goes on from the shorter one, and exports anew.
    assert read_config(workdir).train_steps == 11
    assert latest_checkpoint(workdir)[1] == 11
    assert export.is_exported(workdir)


def test_a_finished_run_started_again_is_left_alone(micro_run, micro_config, tmp_path, capsys):
    workdir = shutil.copytree(micro_run, tmp_path / "run")
    before, rest = files(workdir), files(workdir, but="export")
    training.train(micro_config, workdir, None)
    assert files(workdir) == before
    assert "finished: 6 steps of 6" in capsys.readouterr().out
    shutil.rmtree(workdir / "export")
    training.train(micro_config, workdir, None)
    assert export.is_exported(workdir)
    assert files(workdir, but="export") == rest


@pytest.mark.parametrize(
    ("changes", "strategy", "message"),
    [
        ({"depth": 2}, "one_device", r"depth \(1 there, 2 now\)"),
        ({"dataset": "bair"}, "one_device", "dataset"),
        ({}, "two", "unknown strategy 'two'; one of: one_device,"),
        ({}, "multi_worker", "TF_CONFIG"),
    ],
)
def test_refusals_leave_the_workdir_as_it_was(micro_run, micro_config, changes, strategy, message, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    before = files(micro_run)
    with refused(message):
        training.train(micro_config.replace(**changes), micro_run, None, strategy)
    assert files(micro_run) == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("worker", "Expecting value: line 1"),
        ("5", "int"),
        ("{}", "No such job"),
        ('{"task": {"type": "worker", "index": 0}}', "No such job in cluster: 'worker'"),
        ('{"cluster": {"worker": ["localhost:1"]}}', "No such job in cluster: None"),
        ('{"cluster": {"worker": ["localhost:1"]}, "task": {"type": "worker"}}', "No task with index None"),
        ('{"cluster": {"worker": ["localhost:1"]}, "task": {"type": "worker", "index": 1}}', "No task with index 1"),
        ('{"cluster": {"worker": "localhost:1"}, "task": {"type": "worker", "index": 0}}', "must be a list"),
        ('{"cluster": {"all": ["localhost:1"]}, "task": {"type": "all", "index": 0}}', "Disallowed task type"),
    ],
)
def test_machines_that_are_not_listed(monkeypatch, text, message):
    monkeypatch.setenv("TF_CONFIG", text)
    with refused(f"^TF_CONFIG must be JSON that lists the machines .* as BUILD.md shows it: .*{message}"):
        training.make_strategy("multi_worker")


def test_a_port_that_is_taken(command, monkeypatch, tmp_path):
    with socket.create_server(("localhost", 0)) as taken:
        where = {"cluster": {"worker": [f"localhost:{taken.getsockname()[1]}"]}, "task": {"type": "worker", "index": 0}}
        monkeypatch.setenv("TF_CONFIG", json.dumps(where))
        done = command("train", "--preset=demo", f"--workdir={tmp_path / 'run'}", "--strategy=multi_worker")
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 2 and last.startswith("error: TF_CONFIG must be") and "each with a free port" in last
    assert not (tmp_path / "run").exists()


def test_steps_after_the_end_of_the_rate_are_refused(micro_config, tmp_path):
    config = micro_config.replace(decay_from=2, decay_until=6, train_steps=8)
    with refused("train_steps=8 is after decay_until=6, where the rate is 0: give --decay_until=8, too$"):
        training.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_missing_dataset_writes_nothing(micro_config, tmp_path):
    config = micro_config.replace(dataset="bair", frame_size=64)
    with refused("no prepared BAIR dataset"):
        training.train(config, tmp_path / "run", str(tmp_path / "no_data"))
    assert not (tmp_path / "run").exists()


def test_divergence_stops_with_the_step_and_leaves_a_good_checkpoint(micro_config, tmp_path, capfd):
    rates = {"learning_rate": 1e30, "warmup_steps": 0}
    config = micro_config.replace(**rates, checkpoint_every=1, eval_every=100, train_steps=100)
    with refused(r"diverged: the gradient is \w+ at step 2\d, as at the 19 before; .* with a lower --learning_rate"):
        training.train(config, tmp_path / "run", None)
    assert capfd.readouterr().out.endswith("\n")  # The message does not stand behind the progress bar.
    values = stored_values(tmp_path / "run")
    assert all(np.isfinite(value).all() for value in values.values())
    assert not (tmp_path / "run" / "export").exists()


def test_tf32_is_for_steps_of_training_alone(micro_run, micro_config, tmp_path, monkeypatch):
    enabled, seen = tf.config.experimental.tensor_float_32_execution_enabled, []
    monkeypatch.setattr(VideoFlow, "initialize", lambda *_, **__: seen.append(("initialize", enabled())))
    monkeypatch.setattr(VideoFlow, "fit", lambda *_, **__: seen.append(("fit", enabled())))
    monkeypatch.setattr(training.Validator, "validate", lambda *_: seen.append(("validate", enabled())))
    monkeypatch.setattr(export, "is_exported", lambda _: True)
    tf.config.experimental.enable_tensor_float_32_execution(True)
    training.train(micro_config.replace(train_steps=1), tmp_path / "run")
    assert seen == [("initialize", False), ("fit", True), ("validate", False)]
    tf.config.experimental.enable_tensor_float_32_execution(True)
    load_workdir(micro_run)
    assert not enabled()


@pytest.mark.slow
def test_two_replicas_train_as_one_device_does_on_the_joined_batch(micro_config, tmp_path):
    """In processes of their own: logical devices must be there before TensorFlow starts."""
    script = """
import sys
import tensorflow as tf
import tf_keras
from videoflow_tf.training import train as training
from videoflow_tf.config import VideoFlowConfig
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
workdir, replicas = sys.argv[1], int(sys.argv[2])
config = VideoFlowConfig.from_json(sys.stdin.read()).replace(
    batch_size=4 // replicas, clip_norm=1.0, train_steps=10)
if replicas > 1:
    training.make_strategy = lambda name: tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
training.train(config, workdir, None)
"""
    for replicas in ("1", "2"):
        run_python("-c", script, tmp_path / replicas, replicas, input=micro_config.to_json(), check=True)
    for tag in ("bits_per_pixel", "gradient_norm"):
        one, two = (stored_curve(tmp_path / name, "train", tag) for name in ("1", "2"))
        assert list(one) == list(two) == [10]
        np.testing.assert_allclose(two[10], one[10], rtol=1e-3)
    one, two = (stored_values(tmp_path / name) for name in ("1", "2"))
    assert one.keys() == two.keys()
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=1e-3, atol=1e-5, err_msg=name)


# --- Kills ---

_PATIENCE = 1200.0  # Seconds: others may keep the machine busy.
_SECONDS_TO_SAVE = 30.0  # What cluster managers give.


def start(workdir, micro_flags, *arguments):
    line = [sys.executable, "launch/train.py", f"--flagfile={micro_flags}", f"--workdir={workdir}", "--deterministic"]
    options = {"env": {**os.environ, "PYTHONPATH": str(ROOT)}, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen([*line, *arguments], cwd=ROOT, text=True, **options)


def finish(workdir, micro_flags, *arguments):
    process = start(workdir, micro_flags, *arguments)
    _, errors = process.communicate(timeout=_PATIENCE)
    assert process.returncode == 0, errors


def kill_when(condition, process, number=signal.SIGKILL):
    """A signal as soon as `condition()` holds; true if the process had not finished by itself."""
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None and not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)
    if process.poll() is not None:
        return False
    sent = time.monotonic()
    process.send_signal(number)
    _, errors = process.communicate(timeout=_PATIENCE)
    assert process.returncode == (0 if number == signal.SIGTERM else -number), errors
    assert time.monotonic() - sent < _SECONDS_TO_SAVE
    return True


def assert_same_bits(workdir, other):
    mine, theirs = stored_values(workdir), stored_values(other)
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        assert value.tobytes() == theirs[name].tobytes(), name
    exported = [tf.saved_model.load(str(folder / "export")).weights for folder in (workdir, other)]
    for a, b in zip(*exported, strict=True):
        assert a.numpy().tobytes() == b.numpy().tobytes(), a.name


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, OWN_CHOICES], ids=["official", "own"])
def test_killed_and_resumed_run_gives_the_same_bits(micro_config, changes, tmp_path):
    micro_flags = write_flags(micro_config.replace(**changes), tmp_path / "micro.flags")
    longer = "--train_steps=40"
    finish(tmp_path / "whole", micro_flags, longer)
    workdir = tmp_path / "killed"
    moments = {
        "training": lambda: (workdir / "checkpoints" / "ckpt-6.index").exists(),
        "exporting": lambda: (workdir / ".tmp-export").exists(),
    }
    for name, condition in moments.items():
        assert kill_when(condition, start(workdir, micro_flags, longer)), f"finished before {name}"
        assert not (workdir / "export").exists()
    finish(workdir, micro_flags, longer)
    assert_same_bits(tmp_path / "whole", workdir)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_run_stopped_at_twenty_moments_gives_the_same_bits(micro_flags, tmp_path, number):
    last = 800  # A fast machine goes some twenty steps from one signal to the next.
    longer = [f"--train_steps={last}", "--eval_every=100"]
    began = time.monotonic()
    finish(tmp_path / "whole", micro_flags, *longer)
    duration = time.monotonic() - began
    workdir, rng = tmp_path / "stopped", np.random.default_rng(0)

    def newest():
        return max((step for _, step in saved_checkpoints(workdir)), default=-1)

    def at(seconds):
        end = time.monotonic() + seconds
        return lambda: time.monotonic() > end

    def written(pattern):
        """Of what an earlier process left there may be some already."""
        since = time.time()

        def found():
            with contextlib.suppress(FileNotFoundError):  # It is gone again.
                return any(path.stat().st_mtime > since for path in workdir.glob(pattern))

        return found

    def in_training():
        target = newest() + 3

        def reached():
            if newest() < target:
                return False
            time.sleep(rng.uniform(0, 0.1))
            return True

        return reached

    moments = [functools.partial(written, pattern) for pattern in (".lock", "config.json", "checkpoints/ckpt-0*")]
    if number == signal.SIGKILL:  # SIGTERM is awaited from the time on when there is something to lose.
        moments += [functools.partial(at, seconds) for seconds in rng.uniform(0, duration / 2, 4)]
    moments += [functools.partial(written, pattern) for pattern in ("checkpoints/ckpt-*_temp", "samples/*")]
    ends = []
    for moment in [*moments, *[in_training] * (19 - len(moments))]:
        ends.append(kill_when(moment(), start(workdir, micro_flags, *longer), number))
    assert newest() < last, "the signals came too late to matter"
    ends.append(kill_when(written(".tmp-export"), start(workdir, micro_flags, *longer), number))
    assert len(ends) == 20 and ends.count(True) > 15
    finish(workdir, micro_flags, *longer)
    assert_same_bits(tmp_path / "whole", workdir)
    validated = [json.loads((folder / "validation.json").read_text()) for folder in (workdir, tmp_path / "whole")]
    assert validated[0] == validated[1] and list(validated[0]) == [str(step) for step in range(100, last + 1, 100)]


def test_samples_that_are_not_finite_do_not_end_the_training(micro_run, tmp_path, capsys):
    _, model = load_workdir(micro_run)
    weight = model.trainable_variables[0]
    weight.assign(np.nan * weight)
    assert draw_samples(model, None, tmp_path / "strip", lambda: None) == []
    assert "No samples at temperature 0.5 yet: they are not finite" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("replicas", "share"), [(1, 5), (2, 3), (4, 3), (3, 4)])
def test_replicas_leave_out_no_video_of_the_validation(micro_config, replicas, share):
    config = micro_config.replace(eval_videos=12, batch_size=5)
    batches = _validation_batches(config, None, SimpleNamespace(num_replicas_in_sync=replicas))
    sizes = [len(batch) for batch in batches]
    assert sum(sizes) == 12 and sizes[0] == share * replicas
