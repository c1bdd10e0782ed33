import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.checks import refused
from tests.training.stored import stored_values
from videoflow_tf import VideoFlow, evaluate, sample, train
from videoflow_tf import workdir as workdir_lib
from videoflow_tf.studies.anomaly_files import detect
from videoflow_tf.studies.fooling_clips import build_study
from videoflow_tf.studies.interpolation import interpolate_videos
from videoflow_tf.training import checkpoints
from videoflow_tf.training.export import export_workdir
from videoflow_tf.training.optimizer import make_optimizer


def test_workdirs_that_are_none(tmp_path, micro_config):
    file, young = tmp_path / "file", tmp_path / "young"
    file.write_text("")
    with refused("is a file"):
        workdir_lib.read_config(file)
    with refused("not a run of this program"):
        workdir_lib.read_config(tmp_path)
    for path in (tmp_path / "missing", file):
        with refused("is not a workdir"):
            checkpoints.load_workdir(path)
    workdir_lib.write_config(young, micro_config)
    with refused("has no checkpoint yet"):
        checkpoints.load_workdir(young)
    (young / "config.json").write_text("{")
    with refused(r"config\.json: the configuration is not JSON"):
        checkpoints.load_workdir(young)


def test_load_workdir_gives_the_moving_average(micro_run):
    config, averaged = checkpoints.load_workdir(micro_run)
    path, step = workdir_lib.latest_checkpoint(micro_run)
    own, optimizer = VideoFlow(config), make_optimizer(config)
    optimizer.build(own.trainable_variables)
    checkpoints.Checkpoints(own, optimizer, micro_run).restore(path)
    assert step == int(averaged.step.numpy()) == int(own.step.numpy()) == 6

    stored = stored_values(micro_run)
    weights = [value for key, value in stored.items() if key.startswith(("levels/", "priors/"))]
    averages = [value for key, value in stored.items() if key.startswith("optimizer/")]
    moved = []
    for a, b in zip(averaged.trainable_variables, own.trainable_variables, strict=True):
        assert any(np.array_equal(a, value) for value in averages)
        assert any(np.array_equal(b, value) for value in weights)
        moved.append(not np.array_equal(a, b))
    assert sum(moved) > len(moved) / 2


def test_the_keys_of_a_checkpoint_stay_what_they_are(micro_run):
    """Under another key a weight of a run that is there already would not be found."""
    conv = ["bias", "kernel", "log_scale"]
    step = ["actnorm/bias", "actnorm/log_scale"]
    step += [f"conv/{name}" for name in ("log_s", "lower", "permutation", "sign_s", "upper")]
    layers = ["block/activation/convs/0", "block/activation/convs/1", "block/conv", "last"]
    step += [f"coupling/network/{layer}/{name}" for layer in layers for name in conv]
    layers = ["own", "encoder/last", "encoder/blocks/0/0/conv", "encoder/blocks/0/0/last"]
    prior = [f"{layer}/{name}" for layer in layers for name in conv]
    names = ("biases", "kernels", "log_scales")
    prior += [f"encoder/blocks/0/0/activation/{name}/{i}" for name in names for i in (0, 1)]
    expected = [f"levels/{i}/_bijectors_trackable/0/{key}" for i in (0, 1) for key in step]
    expected += [f"priors/{i}/{key}" for i in (0, 1) for key in prior]
    stored = stored_values(micro_run)
    assert sorted(key for key in stored if not key.startswith("optimizer/")) == sorted([*expected, "step"])
    # The optimizer numbers the average of every weight, then two moments of each.
    model = checkpoints.load_workdir(micro_run)[1]
    flows, priors = [level.flow for level in model.levels], [level.prior for level in model.levels]
    weights = [v for part in (*flows, *priors) for v in part.trainable_variables]
    numbered = [*weights, *(v for v in weights for _ in range(2))]
    for number, variable in enumerate(numbered, start=1):
        assert stored[f"optimizer/_variables/{number}"].shape == variable.shape, number


# --- Which checkpoint is taken ---


@pytest.fixture
def workdir(micro_config, tmp_path):
    """With a configuration and checkpoints of steps 2, 4 and 6, which hold the step and no model."""
    workdir, step = tmp_path / "run", tf.Variable(0)
    workdir_lib.write_config(workdir, micro_config)
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(step=step), str(workdir / "checkpoints"), 3)
    for number in (2, 4, 6):
        step.assign(number)
        manager.save(number)
    return workdir


def change_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "data cut short": ("data-00000-of-00001", lambda path: path.write_bytes(path.read_bytes()[:-1])),
    "data changed": ("data-00000-of-00001", change_byte),
    "data missing": ("data-00000-of-00001", lambda path: path.unlink()),
    "index cut short": ("index", lambda path: path.write_bytes(path.read_bytes()[:-1])),
    "index changed": ("index", change_byte),
    "index empty": ("index", lambda path: path.write_bytes(b"")),
}


@pytest.mark.parametrize("list_of_tensorflow", [True, False])
@pytest.mark.parametrize("damage", DAMAGES)
def test_the_newest_whole_checkpoint_is_taken(workdir, damage, list_of_tensorflow, capsys):
    folder = workdir / "checkpoints"
    if not list_of_tensorflow:
        (folder / "checkpoint").unlink()
    assert checkpoints.find_checkpoint(workdir) == (str(folder / "ckpt-6"), 6)
    ending, change = DAMAGES[damage]
    change(folder / f"ckpt-6.{ending}")
    before = contents(workdir)
    assert checkpoints.find_checkpoint(workdir) == (str(folder / "ckpt-4"), 4)
    assert capsys.readouterr().err.startswith(f"{folder / 'ckpt-6'} is damaged and not used: ")
    assert contents(workdir) == before
    with refused("no checkpoint in .* can be used"):
        checkpoints.find_checkpoint(workdir, 6)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_checkpoint_that_is_still_written_is_none(workdir):
    (workdir / "checkpoints" / "ckpt-8.data-00000-of-00001").write_bytes(b"half")
    assert checkpoints.find_checkpoint(workdir)[1] == 6
    young = workdir.parent / "young"
    (young / "checkpoints").mkdir(parents=True)
    (young / "checkpoints" / "ckpt-0.data-00000-of-00001").write_bytes(b"half")
    assert checkpoints.find_checkpoint(young) is None


@pytest.mark.parametrize("damage", [change_byte, lambda path: path.unlink()], ids=["changed", "missing"])
@pytest.mark.parametrize("ending", ["index", "data-*"])
def test_without_a_whole_checkpoint_all_commands_refuse_and_nothing_changes(
    workdir, micro_config, ending, damage, tmp_path
):
    for path in workdir.glob(f"checkpoints/ckpt-*.{ending}"):
        damage(path)
    before = contents(workdir)
    calls = {
        "train": lambda: train(micro_config, workdir),
        "init_from": lambda: train(micro_config, tmp_path / "new", init_from=workdir),
        "load_workdir": lambda: checkpoints.load_workdir(workdir),
        "from_pretrained": lambda: VideoFlow.from_pretrained(workdir),
        "export": lambda: export_workdir(workdir),
        "evaluate": lambda: evaluate(workdir),
        "sample": lambda: sample(workdir),
        "interpolate": lambda: interpolate_videos(workdir),
        "anomaly": lambda: detect(workdir),
        "fooling_study": lambda: build_study(workdir),
    }
    for call in calls.values():
        with refused(f"no checkpoint in {workdir}/checkpoints can be used; bring a whole one back from a copy"):
            call()
        assert contents(workdir) == before
    assert not (tmp_path / "new").exists()


def test_a_checkpoint_is_named_by_its_step_or_best_or_latest(workdir, capsys):
    folder = workdir / "checkpoints"
    with refused(r"has no checkpoint 'best'; give latest, best where there was a validation, or a step of: 2, 4, 6"):
        checkpoints.find_checkpoint(workdir, "best")
    shutil.copytree(folder, folder / "best", ignore=shutil.ignore_patterns("*-2.*", "*-6.*"))
    expected = {"latest": "ckpt-6", "best": "ckpt-4", "2": "ckpt-2", 4: "ckpt-4"}
    for which, name in expected.items():
        assert checkpoints.find_checkpoint(workdir, which) == (str(folder / name), int(name[-1]))
    with refused("has no checkpoint 'lates'"):
        checkpoints.find_checkpoint(workdir, "lates")
    # The best is a copy, too.
    for name in ("ckpt-6", "ckpt-4"):
        change_byte(folder / f"{name}.index")
    for which in ("latest", "best", 4):
        assert checkpoints.find_checkpoint(workdir, which) == (str(folder / "best" / "ckpt-4"), 4)
    assert "ckpt-6 is damaged" in capsys.readouterr().err


def test_checkpoints_from_after_a_step_are_set_aside_whole(workdir):
    (workdir / "export").mkdir()
    folder = workdir / "checkpoints"
    shutil.copytree(folder, folder / "best", ignore=shutil.ignore_patterns("*-2.*", "*-4.*"))
    (folder / "ckpt-4.data-00000-of-00001").unlink()
    before = {path.relative_to(folder): content for path, content in contents(folder).items()}
    checkpoints.set_aside_newer(workdir, 2)
    (aside,) = folder.glob("set-aside-*")
    assert workdir_lib.saved_checkpoints(workdir) == [(str(folder / "ckpt-2"), 2)]
    moved = {path.relative_to(aside): content for path, content in contents(aside).items()}
    names = ["ckpt-4.index", "ckpt-6.data-00000-of-00001", "ckpt-6.index"]
    names += [f"best/{name}" for name in names[1:]]
    assert moved == {Path(name): before[Path(name)] for name in names}
    assert (aside / "export").is_dir() and not (workdir / "export").exists()
    checkpoints.set_aside_newer(workdir, 2)
    assert list(folder.glob("set-aside-*")) == [aside]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"model_checkpoint_path"])
def test_a_damaged_list_of_tensorflow_stops_nothing_and_costs_no_checkpoint(workdir, make_model, content):
    folder = workdir / "checkpoints"
    (folder / "checkpoint").write_bytes(content)
    model = make_model("float32", keep_checkpoints=1)
    saver = checkpoints.Checkpoints(model, make_optimizer(model.config), workdir)
    for step in (8, 9):
        model.step.assign(step)
        saver.save()
    assert [step for _, step in workdir_lib.saved_checkpoints(workdir)] == [9, 6, 4, 2]
