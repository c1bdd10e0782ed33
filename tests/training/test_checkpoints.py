import shutil

import numpy as np
import pytest
import tensorflow as tf

from videoflow_tf import workdir as workdir_lib
from videoflow_tf.errors import UserError
from videoflow_tf.training import checkpoints


def test_atomic_path_keeps_the_old_file_when_writing_fails(tmp_path):
    path = tmp_path / "folder" / "file.txt"
    with checkpoints.atomic_path(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(RuntimeError), checkpoints.atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"


def test_config_is_written_and_read(tmp_path, micro_config):
    assert workdir_lib.read_config(tmp_path / "new") is None
    assert workdir_lib.read_config(tmp_path) is None
    workdir_lib.write_config(tmp_path / "new", micro_config)
    assert workdir_lib.read_config(tmp_path / "new") == micro_config


def test_a_kill_while_the_first_config_is_written_leaves_a_usable_folder(tmp_path):
    (tmp_path / ".tmp-config.json").write_text('{"dep')
    assert workdir_lib.read_config(tmp_path) is None


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


def test_another_configuration_is_named_field_by_field(micro_config):
    other = micro_config.replace(depth=2, seed=7, train_steps=99)
    with pytest.raises(UserError, match=r"depth \(1 there, 2 now\), seed \(0 there, 7 now\)") as caught:
        workdir_lib.check_same_run(micro_config, other, "W")
    assert "train_steps" not in str(caught.value)
    workdir_lib.check_same_run(micro_config, micro_config.replace(train_steps=99, eval_every=1), "W")


def test_load_workdir_gives_the_moving_average(micro_run):
    _, model = checkpoints.load_workdir(micro_run)
    path, step = workdir_lib.latest_checkpoint(micro_run)
    assert step == int(model.step.numpy()) == 6
    reader = tf.train.load_checkpoint(path)
    stored = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map() if "/.ATTRIBUTES/" in name}
    averages = [value for name, value in stored.items() if name.startswith("optimizer/")]
    own = [value for name, value in stored.items() if name.startswith(("flow/", "priors/"))]
    for variable in model.trainable_variables:
        assert any(np.array_equal(variable.numpy(), value) for value in averages)
    moved = [not any(np.array_equal(v.numpy(), value) for value in own) for v in model.trainable_variables]
    assert sum(moved) > len(moved) / 2  # Not the weights themselves.


def test_damaged_checkpoint_is_one_line(micro_run, tmp_path):
    workdir = shutil.copytree(micro_run, tmp_path / "run")
    for path in (workdir / "checkpoints").glob("ckpt-6.data*"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match="cannot read the checkpoint .*ckpt-6") as caught:
        checkpoints.load_workdir(workdir)
    assert "\n" not in str(caught.value)
