from pathlib import Path

import pytest

from tests.checks import refused
from videoflow_tf import workdir
from videoflow_tf.errors import UserError
from videoflow_tf.workdir import check_same_run, find_run, read_config, run_config, write_config


def test_config_is_written_and_read(tmp_path, micro_config):
    assert read_config(tmp_path / "new") is None
    assert read_config(tmp_path) is None
    write_config(tmp_path / "new", micro_config)
    assert read_config(tmp_path / "new") == micro_config


def test_a_kill_while_the_first_config_is_written_leaves_a_usable_folder(tmp_path):
    (tmp_path / ".tmp-config.json").write_text('{"dep')
    assert read_config(tmp_path) is None


def test_another_configuration_is_named_field_by_field(micro_config):
    other = micro_config.replace(depth=2, seed=7, train_steps=99)
    with pytest.raises(UserError, match=r"depth \(1 there, 2 now\), seed \(0 there, 7 now\)") as caught:
        check_same_run(micro_config, other, "W")
    assert "train_steps" not in str(caught.value)
    check_same_run(micro_config, micro_config.replace(train_steps=99, eval_every=1), "W")


def test_a_trained_model_by_its_name_is_no_runs_place(tmp_path, micro_config, monkeypatch):
    """A run of that name goes before it, whole or not; a folder with what was made of the model does not."""
    monkeypatch.setattr(workdir, "PRETRAINED", tmp_path / "pretrained")
    write_config(tmp_path / "pretrained/shapes", micro_config)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert find_run("shapes") == tmp_path / "pretrained/shapes"
    (tmp_path / "here/shapes/samples").mkdir(parents=True)
    assert run_config("shapes") == micro_config
    (tmp_path / "here/shapes/checkpoints").mkdir()
    with refused("workdir shapes has files in it but no config.json"):
        run_config("shapes")
    write_config("shapes", micro_config.replace(depth=2))
    assert run_config("shapes").depth == 2
    assert find_run("other") == Path("other")
