"""Runs that are taken up again: after a signal, a full disk, with other values, from an earlier checkpoint."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tests.checks import ROOT, mounted, refused
from tests.conftest import TINY
from tests.data.test_tfds_videos import write
from tests.training.stored import stored_curve
from videoflow_tf import VideoFlow, evaluate, load_workdir, sample
from videoflow_tf.files import read_json, sole_user, write_json
from videoflow_tf.training import callbacks, export
from videoflow_tf.training.checkpoints import Checkpoints
from videoflow_tf.training.export import export_workdir
from videoflow_tf.training.optimizer import make_optimizer
from videoflow_tf.training.signals import StopOnSignal, Stopped
from videoflow_tf.training.train import _batch_size, train
from videoflow_tf.workdir import latest_checkpoint, read_config, read_history, saved_checkpoints, write_start

_FRAMES = {"num_context": 1, "num_train_frames": 2, "num_eval_frames": 2, "eval_videos": 1}
_PRIOR = {"latent_encoder": "pointwise", "latent_skip": False, "num_past_latents": 1}
CONFIG = TINY.replace(**_FRAMES, **_PRIOR, levels=1, batch_size=1, init_batch_size=2, ema_decay=0.5)


def fake_export(workdir):
    write_json(workdir / "export" / "description.json", {"step": latest_checkpoint(workdir)[1]})


@pytest.fixture(autouse=True)
def no_export(monkeypatch):
    """Training ends without most of the time that it takes here."""
    monkeypatch.setattr(export, "export_workdir", fake_export)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A run of six steps, validated at 4 and 6."""
    workdir = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "export_workdir", lambda workdir: None)
        train(CONFIG, workdir)
    export_workdir(workdir)
    return workdir


@pytest.fixture
def workdir(finished, tmp_path) -> Path:
    return shutil.copytree(finished, tmp_path / "run")


def times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def steps(workdir):
    return [step for path, step in saved_checkpoints(workdir) if Path(path).parent.name != "best"]


# --- Checkpoints ---


def test_a_damaged_newest_checkpoint_costs_the_steps_after_the_one_before(workdir, capsys):
    folder = workdir / "checkpoints"
    shutil.rmtree(folder / "best")
    (folder / "checkpoint").unlink()
    damaged = (folder / "ckpt-6.data-00000-of-00001").read_bytes()[:-100]
    (folder / "ckpt-6.data-00000-of-00001").write_bytes(damaged)
    train(CONFIG, workdir)
    printed = capsys.readouterr()
    assert f"{folder}/ckpt-6 is damaged and not used" in printed.err
    assert "Steps 5 to 6 of 6" in printed.out and "set aside" in printed.out
    assert steps(workdir) == [6, 4, 2]  # Nothing rotated away.
    (aside,) = folder.glob("set-aside-*")
    assert (aside / "ckpt-6.data-00000-of-00001").read_bytes() == damaged
    assert int(load_workdir(workdir)[1].step) == 6 and export.is_exported(workdir)


def test_the_newest_and_the_best_checkpoints_are_kept(tmp_path, monkeypatch, capsys):
    bits = iter([5.0, 4.0, np.nan, 6.0, 4.0])
    monkeypatch.setattr(VideoFlow, "evaluate", lambda *_, **__: {"bits_per_pixel": next(bits)})
    config = CONFIG.replace(train_steps=20, eval_every=3, checkpoint_every=2, keep_checkpoints=2, stop_after=3)
    train(config, tmp_path)
    assert read_json(tmp_path / "validation.json") == {"3": 5.0, "6": 4.0, "9": None, "12": 6.0, "15": 4.0}
    assert saved_checkpoints(tmp_path) == [
        (str(tmp_path / "checkpoints" / name), step)
        for name, step in (("ckpt-15", 15), ("ckpt-14", 14), ("best/ckpt-6", 6))
    ]
    assert "The best of the last" not in capsys.readouterr().out
    assert int(load_workdir(tmp_path, "best")[1].step) == 6 and int(load_workdir(tmp_path)[1].step) == 15
    before = times(tmp_path)
    train(config, tmp_path)
    assert "is finished: no evaluation was better than that of step 6 in the last 3" in capsys.readouterr().out
    assert times(tmp_path) == before


def test_a_run_beyond_the_steps_asked_for_is_left_alone(workdir, capsys):
    before = times(workdir)
    train(CONFIG.replace(train_steps=5), workdir)
    assert "is finished: it is at step 6, beyond the 5 asked for" in capsys.readouterr().out
    assert times(workdir) == before and read_config(workdir).train_steps == 6


def test_every_command_takes_the_checkpoint_asked_for(workdir):
    assert json.loads(sample(workdir, num_frames=2, checkpoint=2)[-1].read_text())["protocol"]["step"] == 2
    results = evaluate(workdir, num_videos=1, checkpoint="4")
    assert read_json(results.paths[0])["protocol"]["step"] == 4
    export_workdir(workdir, checkpoint="2")
    assert read_json(workdir / "export" / "description.json")["step"] == 2
    with refused("has no checkpoint '3'"):
        evaluate(workdir, checkpoint="3")


# --- Going on with other values ---


def test_an_earlier_checkpoint_goes_on_with_another_rate(workdir):
    changed = CONFIG.replace(learning_rate=1e-5)
    before = times(workdir)
    with refused(r"learning_rate \(0.001 there, 1e-05 now\); .* or name in --allow_changes what may change"):
        train(changed, workdir, checkpoint=2)
    assert times(workdir) == before
    first = load_workdir(workdir)[1].trainable_variables
    train(changed, workdir, checkpoint=2, allow_changes=["learning_rate"])
    assert read_config(workdir) == changed and steps(workdir) == [6, 4, 2]
    first_start, entry = read_history(workdir)
    assert "changes" not in first_start
    assert entry["step"] == 2 and entry["changes"] == {"learning_rate": [0.001, 1e-05]} and entry["time"][:2] == "20"
    (aside,) = (workdir / "checkpoints").glob("set-aside-*")
    assert {path.name for path in aside.glob("*.index")} == {"ckpt-4.index", "ckpt-6.index"}
    assert (aside / "export").is_dir() and export.is_exported(workdir)
    second = load_workdir(workdir)[1].trainable_variables
    assert any(not np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_what_weights_mean_cannot_change(workdir):
    for changes in ({"depth": 2}, {"coupling": "additive"}):
        with refused(f"--allow_changes={next(iter(changes))} cannot be"):
            train(CONFIG.replace(**changes), workdir, allow_changes=[*changes])
    with refused("ema_decay stays as it is"):
        train(CONFIG.replace(ema_decay=0.0), workdir, allow_changes=["ema_decay"])
    with refused("unknown configuration field 'learning_rat'; did you mean learning_rate?"):
        train(CONFIG, workdir, allow_changes=["learning_rat"])


def test_history_grows(tmp_path):
    configs = [None, *(CONFIG.replace(train_steps=steps) for steps in (1, 1, 2, 3))]
    for step, (before, after) in enumerate(itertools.pairwise(configs)):
        write_start(tmp_path, before, after, step, argv=["a b", str(step)])
    starts = read_history(tmp_path)
    assert [start["step"] for start in starts] == [0, 1, 2, 3]
    assert [start.get("changes") for start in starts] == [None, None, {"train_steps": [1, 2]}, {"train_steps": [2, 3]}]
    assert starts[3]["argv"] == ["a b", "3"] and starts[3]["time"][:2] == "20"
    assert read_config(tmp_path) == configs[-1]


@pytest.mark.slow
def test_on_another_number_of_devices_the_batch_stays(tmp_path, monkeypatch, capsys):
    """As if there had been three devices, each with two clips."""
    six = CONFIG.replace(batch_size=6, train_steps=2, eval_every=2)
    train(six, tmp_path / "six")
    config = six.replace(batch_size=2)
    write_start(tmp_path / "run", None, config, 0, global_batch=6)
    train(config, tmp_path / "run")
    assert "The batch stays 6 clips: 6 on each device, not 2" in capsys.readouterr().out
    assert read_config(tmp_path / "run") == config and read_history(tmp_path / "run")[-1]["global_batch"] == 6
    one, other = (load_workdir(tmp_path / name)[1].trainable_variables for name in ("six", "run"))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    longer = config.replace(train_steps=3)
    write_start(tmp_path / "run", config, config, 2, global_batch=7)
    with monkeypatch.context() as patch:
        patch.setattr(type(tf.distribute.get_strategy()), "num_replicas_in_sync", 2)
        with refused("has batches of 7 clips, which 2 devices cannot share equally; .*--batch_size=N on each"):
            train(longer, tmp_path / "run")
    assert _batch_size(longer, tmp_path / "run", 2, may_change=True) == 2


# --- Signals ---


def send_at(monkeypatch, number, where, name, count):
    """Sends a signal to this process in the call of that number, from 1, of a function or method."""
    original, calls = getattr(where, name), []

    def call(*arguments, **named):
        calls.append(None)
        if len(calls) == count:
            os.kill(os.getpid(), number)
        return original(*arguments, **named)

    monkeypatch.setattr(where, name, call)


@pytest.fixture
def heeds_ctrl_c():
    """Tests that are started in the background may ignore it from the start."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.mark.usefixtures("heeds_ctrl_c")
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_signal_saves_the_step_under_way(tmp_path, monkeypatch, capsys, number):
    handlers = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    send_at(monkeypatch, number, callbacks.ShowProgress, "on_train_batch_end", 3)
    with pytest.raises(SystemExit if number == signal.SIGTERM else KeyboardInterrupt) as caught:
        train(CONFIG, tmp_path)
    assert number == signal.SIGINT or caught.value.code == 0
    message = f"Stopped; started again in {tmp_path}, training goes on from step 3, which is saved"
    assert capsys.readouterr().out.splitlines()[-1] == message
    assert steps(tmp_path) == [3, 2, 0] and not (tmp_path / "export").exists()
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == handlers
    train(CONFIG, tmp_path)
    assert "Steps 4 to 4 of 6" in capsys.readouterr().out


def test_a_checkpoint_under_way_at_a_signal_leaves_nothing_nor_does_one_that_was_killed(workdir, monkeypatch):
    folder = workdir / "checkpoints"

    def save(self, *_, **__):
        (folder / "ckpt-9_temp").mkdir()
        raise Stopped

    (folder / "ckpt-5_temp").mkdir()
    _, model = load_workdir(workdir)
    model.compile(optimizer=make_optimizer(CONFIG))
    model.optimizer.build(model.trainable_variables)
    saver = Checkpoints(model, model.optimizer, workdir)
    monkeypatch.setattr(tf.train.CheckpointManager, "save", save)
    with pytest.raises(Stopped):
        saver.save()
    assert not list(folder.glob("*_temp")) and steps(workdir) == [6, 4, 2]


@pytest.mark.slow
def test_a_validation_that_was_cut_short_is_made_up(tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        send_at(patch, signal.SIGTERM, VideoFlow, "predict_frames", 1)
        with pytest.raises(SystemExit):
            train(CONFIG, tmp_path)
    assert steps(tmp_path)[0] == 4 and read_json(tmp_path / "validation.json") == {}
    assert not (tmp_path / "samples").exists()
    train(CONFIG, tmp_path)
    printed = capsys.readouterr().out
    assert printed.index("Step 4: ") < printed.index("Steps 5 to 6 of 6")
    assert sorted(stored_curve(tmp_path, "validation", "samples")) == [4, 6]
    assert {path.name[:12] for path in (tmp_path / "samples").iterdir()} == {"step-0000004", "step-0000006"}
    # The same of the last step, where nothing is left to train.
    record = read_json(tmp_path / "validation.json")
    (tmp_path / "validation.json").write_text(json.dumps({"4": record["4"]}))
    shutil.rmtree(tmp_path / "samples")
    train(CONFIG, tmp_path)
    assert read_json(tmp_path / "validation.json") == pytest.approx(record)
    assert len(list((tmp_path / "samples").glob("step-0000006*"))) == 2


def test_a_signal_before_the_first_step_ends_at_once(tmp_path, monkeypatch, capsys):
    send_at(monkeypatch, signal.SIGTERM, VideoFlow, "initialize", 1)
    with pytest.raises(SystemExit) as caught:
        train(CONFIG, tmp_path)
    assert caught.value.code == 0 and not (tmp_path / "checkpoints").exists()
    assert "training goes on from the beginning" in capsys.readouterr().out
    assert not (tmp_path / ".lock").exists()


@pytest.mark.slow
def test_a_signal_in_the_export_leaves_none_and_it_is_made_up(workdir, monkeypatch, capsys):
    monkeypatch.setattr(export, "export_workdir", export_workdir)
    shutil.rmtree(workdir / "export")
    with monkeypatch.context() as patch:
        send_at(patch, signal.SIGTERM, export, "write_json", 1)
        with pytest.raises(SystemExit) as caught:
            train(CONFIG, workdir)
    assert caught.value.code == 0 and not list(workdir.glob("*export*"))
    assert "training goes on from step 6, which is saved" in capsys.readouterr().out
    train(CONFIG, workdir)
    assert export.is_exported(workdir)


# As an operation of TensorFlow that takes minutes: Python calls no handler before it is over.
_LONG_STEP = """
import hashlib, sys
from videoflow_tf.training import signals
signals._SECONDS_TO_STOP = 0.5
with signals.StopOnSignal(sys.argv[1]) as stop:
    stop.has_work = True
    print("in the step", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
"""


def test_a_step_that_takes_too_long_after_sigterm_is_given_up(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "ckpt-4.index").touch()
    process = subprocess.Popen(
        [sys.executable, "-c", _LONG_STEP, tmp_path],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "in the step\n"
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, errors) == (0, "")
    assert output.strip() == f"Stopped; started again in {tmp_path}, training goes on from step 4, which is saved"


def test_a_signal_in_an_import_ends_at_once(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught, StopOnSignal(tmp_path):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Stopped:
            raise ImportError("initialization failed") from None
    assert caught.value.code == 0 and "training goes on from the beginning" in capsys.readouterr().out


# --- Where nothing can be written ---


def test_two_trainers_do_not_share_a_workdir(workdir):
    before = times(workdir)
    with sole_user(workdir, "training"):
        with refused(f"{workdir} is in use: training, process {os.getpid()} on .* since .*; wait for it to end"):
            train(CONFIG.replace(train_steps=9), workdir)
    assert times(workdir) == before


def test_a_full_disk_leaves_what_was_saved_and_the_run_goes_on_when_there_is_room(tmp_path):
    config = CONFIG.replace(train_steps=8, checkpoint_every=1, keep_checkpoints=8)
    with mounted(tmp_path / "small", "size=600k"):
        workdir = tmp_path / "small" / "run"
        with refused("cannot write the checkpoint .*No space left on device; .*make room and go on from there"):
            train(config, workdir)
        last = steps(workdir)[0]
        assert 0 < last < 8 and not list((workdir / "checkpoints").glob("*_temp"))
        subprocess.run(["mount", "-o", "remount,size=100m", tmp_path / "small"], check=True)
        train(config, workdir)
        assert steps(workdir) == [8, 7, 6, 5, 4, 3, 2, 1] and export.is_exported(workdir)


def test_a_full_disk_leaves_the_export_before(workdir):
    def files(folder):
        return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    with mounted(workdir.parent / "small", "size=3m"):
        folder = shutil.copytree(workdir / "export", workdir.parent / "small" / "export").parent
        before = files(folder)
        (folder / "full").write_bytes(bytes(100_000))
        free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
        (folder / "full").write_bytes(bytes(free - 100_000))
        with refused("cannot write .*export: .*No space left on device"):
            export_workdir(workdir, folder)
        (folder / "full").unlink()
        assert files(folder) == before


def test_a_full_disk_in_an_evaluation_or_a_sample_leaves_nothing_half_written(finished, tmp_path):
    folder, calls = (
        tmp_path / "small",
        (
            lambda: evaluate(finished, output_dir=folder, num_videos=2).paths,
            lambda: sample(finished, output_dir=folder, num_frames=2, pictures=["png", "gif"]),
        ),
    )
    with mounted(folder, "size=4k"):
        for call in calls:
            with refused(f"cannot write {folder}/.*: No space left on device"):
                call()
        left = [path for path in folder.rglob("*") if path.is_file()]
        assert not any(path.name.startswith(".") for path in left) and {path.suffix for path in left} <= {".npz"}
        subprocess.run(["mount", "-o", "remount,size=10m", folder], check=True)
        assert all(path.exists() for call in calls for path in call())


def test_a_read_only_workdir_is_said_before_the_work_and_can_be_read(finished, tmp_path, monkeypatch):
    with mounted(tmp_path / "fixed", "size=20m"):
        workdir = shutil.copytree(finished, tmp_path / "fixed" / "run")
        subprocess.run(["mount", "-o", "remount,ro", tmp_path / "fixed"], check=True)
        with monkeypatch.context() as patch:
            patch.setattr(VideoFlow, "__init__", None)
            calls = [
                lambda: train(CONFIG.replace(train_steps=9), workdir),
                lambda: evaluate(workdir),
                lambda: sample(workdir),
                lambda: export_workdir(workdir),
            ]
            for call in calls:
                with refused(f"cannot write to {workdir}.* is read-only for this user; name another folder"):
                    call()
        assert all(path.exists() for path in sample(workdir, output_dir=tmp_path / "out", num_frames=2))


# --- Where the data goes ---


def flip_bytes(path):
    content = bytearray(path.read_bytes())
    for i in range(200, len(content), 97):
        content[i] ^= 255
    path.write_bytes(content)


_UNREADABLE = "m-train.tfrecord.* cannot be read any more: No such file or directory; bring it back"
_DAMAGED = "m-train.tfrecord.* is damaged: bring back a whole copy of it, or remove .*/m/1.0.0 and prepare"
GONE = {
    "deleted": (lambda path: path.unlink(), _UNREADABLE),
    "cut short": (lambda path: path.write_bytes(b""), _DAMAGED),
    "damaged": (flip_bytes, _DAMAGED),
}


@pytest.mark.parametrize("fault", GONE)
def test_a_dataset_that_goes_is_one_line_and_the_run_goes_on_when_it_is_back(tmp_path, monkeypatch, fault):
    video = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)
    write(tmp_path, "m", {"v": tfds.features.Video(shape=video.shape)}, train=[{"v": video}] * 9)
    (shard,) = tmp_path.rglob("*tfrecord*")
    content = shard.read_bytes()
    change, words = GONE[fault]
    shown = callbacks.ShowProgress.on_train_batch_end

    def lose(self, batch, logs):
        if batch == 2:
            change(shard)
        shown(self, batch, logs)

    config = CONFIG.replace(dataset="tfds:m", train_steps=3000, eval_every=3000, checkpoint_every=1)
    with monkeypatch.context() as patch, refused(f"{words}.*; then start again, and training goes on from its last"):
        patch.setattr(callbacks.ShowProgress, "on_train_batch_end", lose)
        train(config, tmp_path / "run", str(tmp_path))
    if fault != "deleted":
        return
    shard.write_bytes(content)
    last = latest_checkpoint(tmp_path / "run")[1]
    train(config.replace(train_steps=last + 1), tmp_path / "run", str(tmp_path))
    assert latest_checkpoint(tmp_path / "run")[1] == last + 1


def test_addresses_are_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for call in (lambda: train(CONFIG, "gs://bucket/run"), lambda: load_workdir("gs://bucket/run")):
        with refused("gs://bucket/run is an address"):
            call()
    assert not list(tmp_path.iterdir())
