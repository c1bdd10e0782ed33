import json
from pathlib import Path

import pytest
import timing
import worker
from work import CONFIGS, Work

from tests.checks import run_python


def measured(tmp_path: Path, *arguments: str) -> dict:
    """What the command wrote, which is also what it printed."""
    file = tmp_path / "figures.json"
    done = run_python("benchmarks/run.py", "--config=XS", f"--json={file}", *arguments)
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text())
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(found)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    return found


@pytest.mark.slow
def test_train(tmp_path):
    found = measured(tmp_path, "--what=train", "--repeats=3", "--matmul_sizes", "128", "256", "--batch_size=1")
    seconds = found["train_seconds"]
    assert 0 < seconds["min"] <= seconds["lower_quartile"] <= seconds["median"] <= seconds["max"]
    assert found["gflops_per_second"] == pytest.approx(found["gflop"] / seconds["median"])
    assert found["fraction_of_peak"] == pytest.approx(found["gflops_per_second"] / found["matmul_gflops_per_second"])
    assert 0 < found["fraction_of_peak"] < 1
    assert found["scored_frames_per_second"] == pytest.approx(1 / seconds["median"])
    assert found["ratio_plain_tfp"] == pytest.approx(found["plain_tfp_seconds"]["median"] / seconds["median"])


@pytest.mark.slow
def test_sample(tmp_path):
    arguments = ["--what=sample", "--repeats=2", "--matmul_sizes", "128", "--batch_size=3", "--num_frames=2"]
    found = measured(tmp_path, *arguments)
    assert found["seconds_per_clip"] == pytest.approx(found["sample_seconds"]["median"] / 3)
    assert found["sampled_frames_per_second"] == pytest.approx(2 / found["seconds_per_clip"])
    assert found["gflop"] == Work(CONFIGS["XS"], 3, 2).sampling_gflop() > 0


@pytest.mark.slow
def test_deeper_models_have_larger_graphs():
    shallow, deep = (worker.trace(Work(CONFIGS["XS"].replace(depth=depth), 2, 4)) for depth in (1, 2))
    for task in ("train", "sample"):
        assert shallow[f"{task}_trace_seconds"] > 0
        assert shallow[f"{task}_ops"] < deep[f"{task}_ops"]


@pytest.mark.slow
def test_startup(tmp_path):
    found = measured(tmp_path, "--what=startup", "--repeats=1", "--depth=1")
    for result in ("first_step", "first_sample"):
        stages = found[f"{result}_of_which_imports"], found[f"{result}_of_which_model"]
        assert min(stages) > 0
        assert sum(stages) < found[f"{result}_seconds"]["median"]


@pytest.mark.slow
def test_memory(tmp_path):
    found = measured(tmp_path, "--what=memory", "--recompute=step", "--depth=1")
    assert found["imports_peak_gib"] > 0.1
    assert 0 < found["train_recompute_step_gib"] < 2
    assert 0 < found["sample_gib"] < 2


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--config=XS", "--what=train", "--num_frames=3"], "--num_frames=3"),
        (["--config=XS", "--what=train", "--repeats=0"], "--repeats"),
        (["--config=XS", "--what=sample", "--depth=0"], "depth"),
        (["--config=XS", "--what=sample", "--json=nowhere/file.json"], "nowhere"),
        (["--config=XL", "--what=sample"], "XL"),
    ],
)
def test_mistakes_are_one_line(arguments, named):
    done = run_python("benchmarks/run.py", *arguments)
    assert done.returncode == 2
    assert named in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_tasks_take_turns():
    calls = []
    tasks = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    seconds = timing.interleaved(tasks, repeats=2)
    assert calls == ["a", "b"] + ["a", "a", "b", "b"] * 2  # Timed: the second of a turn.
    assert {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2}


def test_machine_rate_is_that_of_the_best_size():
    seconds = {"train": [1.0], "matmul_100": [2e-3, 1e-3, 4e-3], "matmul_200": [4e-3]}
    assert timing.matmul_gflops_per_second(seconds) == pytest.approx(timing.PRODUCTS * 2 * 200**3 / 4e-3 / 1e9)


def test_work_survives_json():
    work = Work(CONFIGS["M"], 3, 13, jit_compile=True)
    assert Work.from_json(work.to_json()) == work
