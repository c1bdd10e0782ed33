import shutil

import numpy as np
import pytest

from tests.training.stored import stored_values
from videoflow_tf import VideoFlow
from videoflow_tf import workdir as workdir_lib
from videoflow_tf.errors import UserError
from videoflow_tf.training import checkpoints
from videoflow_tf.training.optimizer import make_optimizer


def test_workdirs_that_are_none(tmp_path, micro_config):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UserError, match="is a file"):
        workdir_lib.read_config(file)
    with pytest.raises(UserError, match="not a run of this program"):
        workdir_lib.read_config(tmp_path)
    with pytest.raises(UserError, match="is not a workdir"):
        checkpoints.load_workdir(tmp_path / "missing")
    with pytest.raises(UserError, match="is not a workdir"):
        checkpoints.load_workdir(file)
    workdir_lib.write_config(tmp_path / "young", micro_config)
    with pytest.raises(UserError, match="has no checkpoint yet"):
        checkpoints.load_workdir(tmp_path / "young")
    (tmp_path / "young" / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json: the configuration is not JSON"):
        checkpoints.load_workdir(tmp_path / "young")


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
    prior = [f"{layer}/{name}" for layer in ("own", "encoder/last") for name in conv]
    prior += [f"encoder/blocks/0/0/{layer}/{name}" for layer in ("conv", "last") for name in conv]
    prior += [
        f"encoder/blocks/0/0/activation/{name}/{i}" for name in ("biases", "kernels", "log_scales") for i in (0, 1)
    ]
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
    with pytest.raises(UserError, match="cannot read the checkpoint .*ckpt-6") as caught:
        checkpoints.load_workdir(workdir)
    assert "\n" not in str(caught.value)
