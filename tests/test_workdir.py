import pytest

from videoflow_tf.errors import UserError
from videoflow_tf.workdir import check_same_run, read_config, write_config


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
