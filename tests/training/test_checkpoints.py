import shutil

import numpy as np

from tests.checks import refused
from tests.training.stored import stored_values
from videoflow_tf import VideoFlow
from videoflow_tf import workdir as workdir_lib
from videoflow_tf.training import checkpoints
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


def test_damaged_checkpoint_is_one_line(micro_run, tmp_path):
    workdir = shutil.copytree(micro_run, tmp_path / "run")
    for path in (workdir / "checkpoints").glob("ckpt-6.data*"):
        path.write_bytes(path.read_bytes()[:100])
    with refused("cannot read the checkpoint .*ckpt-6"):
        checkpoints.load_workdir(workdir)
