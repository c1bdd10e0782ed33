import math

import pytest

from tests.checks import refused
from videoflow_tf.files import atomic_path, read_json, write_json


def test_json_is_read_as_written(tmp_path):
    value = {"a": [1, 2.5, None], "b": {"c": "ä"}}
    path = write_json(tmp_path / "folder" / "x.json", value)
    assert read_json(path) == value
    assert path.read_text(encoding="utf-8").endswith("}\n")


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_one_line_and_leaves_the_old_file(tmp_path, number):
    path = write_json(tmp_path / "x.json", {"mean": 1.0})
    with refused("x.json is not written: a number in it is not finite"):
        write_json(path, {"mean": [number]})
    assert read_json(path) == {"mean": 1.0}
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.json"]


def test_a_file_that_is_not_json(tmp_path):
    (tmp_path / "x.json").write_text("{")
    with refused("x.json is not JSON .*; make it again, or remove it"):
        read_json(tmp_path / "x.json")
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none.json")


def test_a_writer_that_fails_leaves_the_old_file(tmp_path):
    (tmp_path / "x").write_text("old")
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "x") as path:
        path.write_text("new")
        raise RuntimeError
    assert (tmp_path / "x").read_text() == "old"
