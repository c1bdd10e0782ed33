import errno
import json
import os
import shutil
from unittest.mock import Mock

import numpy as np
import pytest

from tests.checks import refused, run_python
from videoflow_tf.training import export
from videoflow_tf.training import train as training
from videoflow_tf.training.checkpoints import load_workdir

# Runs with TensorFlow alone: importing anything of Keras 2, TensorFlow Probability or this project fails.
_LOAD_AND_RUN = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tf_keras", "tensorflow_probability", "videoflow_tf", "bijectors"):
            raise ImportError(f"{name} must not be needed")

sys.meta_path.insert(0, Refuse())
import numpy as np
import tensorflow as tf

folder, inputs, outputs = sys.argv[1:]
given = np.load(inputs)
signatures = tf.saved_model.load(folder).signatures
results = {}
for length in (2, 5):
    video = tf.constant(given["video"][:, :length])
    results[f"bits_{length}"] = signatures["bits_per_pixel"](video=video, seed=given["seed"])["bits_per_pixel"]
for count in (1, 6):
    arguments = {"context": tf.constant(given["video"][:, :1]), "num_frames": tf.constant(count), "seed": given["seed"]}
    results[f"frames_{count}"] = signatures["predict"](temperature=tf.constant(0.7), **arguments)["frames"]
np.savez(outputs, **results)
"""


@pytest.mark.parametrize("run", ["micro_run", pytest.param("own_choices_run", marks=pytest.mark.slow)])
def test_runs_with_tensorflow_alone_and_agrees_with_the_model(run, tmp_path, request):
    workdir = request.getfixturevalue(run)
    config, model = load_workdir(workdir)
    video = np.random.default_rng(0).integers(0, 256, [3, 5, *config.frame_shape]).astype(np.uint8)
    seed = np.array([3, 4], np.int32)
    np.savez(tmp_path / "in.npz", video=video, seed=seed)
    arguments = workdir / "export", tmp_path / "in.npz", tmp_path / "out.npz"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run_python("-c", _LOAD_AND_RUN, *arguments, cwd=tmp_path, env=environment, check=True)
    got = np.load(tmp_path / "out.npz")
    for length in (2, 5):
        expected = model.bits_per_pixel(video[:, :length], seed=seed).numpy()
        np.testing.assert_allclose(got[f"bits_{length}"], expected, rtol=1e-5)
    for count in (1, 6):
        expected = model.predict_frames(video[:, :1], count, 0.7, seed).numpy()
        assert got[f"frames_{count}"].dtype == np.uint8
        assert got[f"frames_{count}"].shape == (3, count, *config.frame_shape)
        # The floor of a float32: another order of the same sums may fall on the other side of a whole number.
        assert np.mean(got[f"frames_{count}"] != expected) < 0.001


def test_description_names_step_and_configuration(micro_run, micro_config):
    description = json.loads((micro_run / "export" / "description.json").read_text())
    assert description["step"] == 6
    assert description["config"]["depth"] == micro_config.depth


def test_export_replaces_an_older_one_and_leftovers(micro_run, tmp_path):
    workdir = shutil.copytree(micro_run, tmp_path / "run")
    for name in (".tmp-export", ".tmp-old-export"):
        (workdir / name).mkdir()
        (workdir / name / "leftover").write_text("")
    (workdir / "export" / "old").write_text("")
    assert export.export_workdir(workdir) == workdir / "export"
    assert not (workdir / "export" / "old").exists()
    assert not list(workdir.glob(".tmp-*"))
    assert export.is_exported(workdir)


def test_a_kill_between_two_renames_costs_no_export(micro_run, tmp_path, monkeypatch):
    """The one before is there again when the next begins, and remains if that fails."""
    workdir = tmp_path / "run"
    shutil.copytree(micro_run / "export", workdir / ".tmp-old-export")
    monkeypatch.setattr(export.tf.saved_model, "save", Mock(side_effect=OSError(errno.ENOSPC, "No space left")))
    with refused("cannot write .*export: No space left"):
        export.export_model(load_workdir(micro_run)[1], workdir / "export")
    assert [path.name for path in workdir.iterdir()] == ["export"] and (workdir / "export" / "saved_model.pb").is_file()


def test_export_of_an_older_step_does_not_count(micro_run, micro_config, tmp_path):
    workdir = shutil.copytree(micro_run, tmp_path / "run")
    shutil.rmtree(workdir / "samples")
    description = workdir / "export" / "description.json"
    description.write_text(description.read_text().replace('"step": 6', '"step": 4'))
    assert not export.is_exported(workdir)
    training.train(micro_config, workdir, None)
    assert export.is_exported(workdir)


@pytest.mark.parametrize("text", ["", '{"step": 6', "[6]", "{}", "6"])
def test_a_damaged_description_is_of_no_export(tmp_path, text):
    """So that a finished run that is started again makes it anew."""
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "ckpt-6.index").touch()
    (tmp_path / "export").mkdir()
    description = tmp_path / "export" / "description.json"
    for found, of_step in ((text, False), ('{"step": 4}', False), ('{"step": 6}', True)):
        description.write_text(found)
        assert export.is_exported(tmp_path) == of_step


def test_export_needs_a_run(tmp_path):
    with refused("is not a workdir"):
        export.export_workdir(tmp_path)
    assert not list(tmp_path.iterdir())
