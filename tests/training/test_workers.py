"""Several machines: worker processes on this one, which find each other by TF_CONFIG."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.checks import ROOT
from tests.conftest import TINY, write_flags
from tests.training.stored import stored_curve, stored_values
from videoflow_tf.data import prepare_videos, train_clips
from videoflow_tf.files import read_json
from videoflow_tf.training import export
from videoflow_tf.training.strategies import make_strategy, shard_data
from videoflow_tf.training.train import train
from videoflow_tf.workdir import latest_checkpoint, read_history

_FRAMES = {"num_context": 1, "num_train_frames": 2, "num_eval_frames": 2, "eval_videos": 4}
_PRIOR = {"latent_encoder": "pointwise", "latent_skip": False, "num_past_latents": 1}
_STEPS = {"train_steps": 20, "checkpoint_every": 5, "eval_every": 10}
CONFIG = TINY.replace(**_FRAMES, **_PRIOR, **_STEPS, levels=1, batch_size=2, init_batch_size=4)
_TWO, _FOUR = CONFIG, CONFIG.replace(batch_size=4)


def _batches_from(folder: Path, shared: Callable[[tf.data.Dataset], Iterable[tf.Tensor]]) -> dict[str, np.ndarray]:
    """Five batches of four clips from each source and two steps on, or what a process gets of them."""
    found = {}
    for dataset, data_dir in (("shapes", None), ("videos", folder / "videos"), ("tfds:mine", folder / "data")):
        for step in (0, 7):
            config = CONFIG.replace(dataset=dataset)
            batches = shared(shard_data(train_clips(config, data_dir, batch_size=4, start_step=step)))
            found[f"{dataset}_{step}"] = np.stack(list(itertools.islice(batches, 5)))
    return found


class Workers:
    """Two processes that train in one workdir, the first of them the chief; with the `with` they end."""

    def __init__(self, *line: object) -> None:
        with socket.socket() as first, socket.socket() as second:  # Of a port that is free now.
            for one in (first, second):
                one.bind(("localhost", 0))
            hosts = [f"localhost:{one.getsockname()[1]}" for one in (first, second)]
        self.processes = []
        for index in range(2):
            where = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CONFIG": json.dumps(where)}
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            self.processes.append(
                subprocess.Popen([sys.executable, *map(str, line)], cwd=ROOT, env=environment, **pipes)
            )

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()

    def signal(self, index: int, number: int, workdir: Path, step: int) -> None:
        """Sends a signal to one of them as soon as that step is saved."""
        deadline = time.monotonic() + 300
        while not (workdir / "checkpoints" / f"ckpt-{step}.index").exists():
            assert time.monotonic() < deadline and all(process.poll() is None for process in self.processes)
            time.sleep(0.01)
        self.processes[index].send_signal(number)

    def end(self, seconds: float = 300) -> list[tuple[int, str, str]]:
        """Status, output and errors of both when they have ended."""
        outputs = [process.communicate(timeout=seconds) for process in self.processes]
        return [(process.returncode, *output) for process, output in zip(self.processes, outputs, strict=True)]


def assert_same_run(workdir: Path, other: Path, rtol: float) -> None:
    """The same losses, and weights; moments, too."""
    for name in ("train", "validation"):
        mine, theirs = (stored_curve(folder, name, "bits_per_pixel") for folder in (workdir, other))
        assert mine.keys() == theirs.keys() == {10, 20}
        np.testing.assert_allclose(list(mine.values()), list(theirs.values()), rtol=rtol)
    mine, theirs = stored_values(workdir), stored_values(other)
    for name, value in mine.items():
        np.testing.assert_allclose(value, theirs[name], rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.slow
def test_two_workers_train_as_one_process_on_the_joined_batch_and_one_of_them_writes(tmp_path, monkeypatch):
    with Workers(__file__, tmp_path / "two") as workers:
        ended = workers.end()
        chief = workers.processes[0].pid
    assert [status for status, _, _ in ended] == [0, 0], ended
    written = {int(path.name.split(".")[5]) for path in (tmp_path / "two").rglob("events.out.tfevents.*")}
    assert written == {chief}
    (start,) = read_history(tmp_path / "two")
    assert start["global_batch"] == 4
    monkeypatch.setattr(export, "export_workdir", lambda workdir: None)
    train(_FOUR, tmp_path / "one")
    assert_same_run(tmp_path / "two", tmp_path / "one", rtol=1e-4)


@pytest.mark.slow
def test_two_workers_share_the_batches_of_one(tmp_path):
    """Of shapes, of a folder and of a prepared set, from the start and in the middle of an epoch."""
    videos = [np.random.default_rng(i).integers(0, 256, (6, 8, 8, 3), np.uint8) for i in range(9)]
    (tmp_path / "videos").mkdir()
    for i, video in enumerate(videos):
        np.save(tmp_path / "videos" / f"{i}.npy", video)
    prepare_videos.prepare(tmp_path / "videos", tmp_path / "data", "mine", frame_size=8)
    with Workers(__file__, tmp_path, "read") as workers:
        ended = workers.end()
    assert [status for status, _, _ in ended] == [0, 0], ended
    first, second = (np.load(tmp_path / f"worker{index}.npz") for index in range(2))
    expected = _batches_from(tmp_path, lambda batches: batches)
    assert first.keys() == second.keys() == expected.keys() and len(expected) == 6
    for name, batches in expected.items():
        np.testing.assert_array_equal(np.concatenate([first[name], second[name]], axis=1), batches)
        assert first[name].shape == (5, 2, 2, 8, 8, 3)
    np.testing.assert_array_equal(expected["videos_0"], expected["tfds:mine_0"])


@pytest.mark.slow
def test_a_worker_that_is_killed_ends_the_others_which_go_on_when_all_are_started_again(tmp_path):
    flags = write_flags(_TWO, tmp_path / "two.flags")
    workdir = tmp_path / "run"
    line = ["launch/train.py", f"--workdir={workdir}", f"--flagfile={flags}", "--strategy=multi_worker"]
    for index, step in ((1, 5), (0, 10)):
        with Workers(*line) as workers:
            workers.signal(index, signal.SIGKILL, workdir, step)
            ended = workers.end(90)
        status, _, errors = ended[1 - index]
        saved = latest_checkpoint(workdir)[1]
        assert ended[index][0] == -signal.SIGKILL and status == 2 and saved < 20, errors
        assert errors.splitlines()[-1] == (
            "error: another machine has ended or cannot be reached; start all of them again: training goes on from "
            f"step {saved}, which is saved"
        )
        assert "Traceback" not in errors
    with Workers(*line) as workers:
        assert [status for status, _, _ in workers.end()] == [0, 0]
    assert export.is_exported(workdir)
    # One process goes on with the batch that there was.
    train(_TWO.replace(train_steps=25), workdir)
    assert read_history(workdir)[-1]["global_batch"] == 4
    train(_FOUR.replace(train_steps=25), tmp_path / "one")
    validated = [read_json(folder / "validation.json") for folder in (workdir, tmp_path / "one")]
    assert validated[0] == pytest.approx(validated[1], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 1])
def test_all_stop_after_the_same_step_when_one_is_asked_to(tmp_path, index):
    flags = write_flags(_TWO, tmp_path / "two.flags")
    workdir = tmp_path / "run"
    line = ["launch/train.py", f"--workdir={workdir}", f"--flagfile={flags}", "--strategy=multi_worker"]
    with Workers(*line, "--train_steps=100000", "--eval_every=50000") as workers:
        workers.signal(index, signal.SIGTERM, workdir, 5)
        ended = workers.end(90)
    saved = latest_checkpoint(workdir)[1]
    for status, output, errors in ended:
        assert status == 0, errors
        assert output.splitlines()[-1].endswith(f"training goes on from step {saved}, which is saved")


def _read(folder: Path) -> None:
    """As a worker."""
    strategy = make_strategy("multi_worker")

    def own(batches: tf.data.Dataset) -> Iterable[tf.Tensor]:
        return (strategy.experimental_local_results(b)[0] for b in strategy.experimental_distribute_dataset(batches))

    np.savez(folder / f"worker{strategy.cluster_resolver.task_id}.npz", **_batches_from(folder, own))


if __name__ == "__main__":
    export.export_workdir = lambda workdir: None  # Training ends without most of the time that it takes here.
    if sys.argv[2:] == ["read"]:
        _read(Path(sys.argv[1]))
    else:
        train(_TWO, sys.argv[1], strategy="multi_worker")
