"""Trained models as folders to pass on: the same numbers after every way of saving, and what is wrong in one line."""

import errno
import json
from unittest.mock import Mock

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.checks import refused, run_python
from tests.model.test_saving import KINDS
from videoflow_tf import UserError, VideoFlow, VideoFlowConfig, save_pretrained
from videoflow_tf.files import write_json
from videoflow_tf.hub.card import model_card
from videoflow_tf.training.checkpoints import load_workdir

FILES = {"README.md", "config.json", "model.safetensors"}
# Reads what the test below wrote, each file in its own way, and prints the bits per pixel as JSON.
LOAD_ALL = """
import json, pathlib, sys
import numpy as np
import tensorflow as tf
from videoflow_tf import VideoFlow, VideoFlowConfig, load_workdir
folder, found = pathlib.Path(sys.argv[1]), {}
video = np.load(folder / "video.npy")
for kind in folder.glob("*/"):
    config = VideoFlowConfig.from_json((kind / "hub" / "config.json").read_text())
    weights, checkpoint = (VideoFlow(config, (kind / "dtype").read_text()) for _ in range(2))
    weights.load_weights(kind / "a.weights.h5")
    checkpoint.load_weights(kind / "a").assert_existing_objects_matched()
    models = {
        "keras": VideoFlow.load(kind / "a.keras"),
        "hub": VideoFlow.from_pretrained(kind / "hub"),
        "workdir": load_workdir(str(kind / "hub"))[1],
        "weights": weights,
        "checkpoint": checkpoint,
    }
    found[kind.name] = {name: model.bits_per_pixel(video).numpy().tolist() for name, model in models.items()}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def folder(micro_run, tmp_path_factory):
    """That of the finished run."""
    path = tmp_path_factory.mktemp("trained") / "micro"
    save_pretrained(load_workdir(micro_run)[1], path)
    return path


@pytest.fixture
def changed(folder, tmp_path):
    """Writes the folder anew with its weights changed in place; gives its path."""

    def change(how) -> str:
        arrays = load_file(folder / "model.safetensors")
        how(arrays)
        (tmp_path / "config.json").write_text((folder / "config.json").read_text())
        save_file(arrays, tmp_path / "model.safetensors")
        return tmp_path

    return change


def test_every_way_of_saving_gives_the_same_bits_in_another_process(make_model, make_video, tmp_path):
    video = make_video()
    np.save(tmp_path / "video.npy", video)
    expected = {}
    for kind, (dtype, changes) in KINDS.items():
        model = make_model(dtype, **changes)
        model.step.assign(3)
        model.save_pretrained(tmp_path / kind / "hub")
        model.save(tmp_path / kind / "a.keras")
        model.save_weights(tmp_path / kind / "a.weights.h5")
        model.save_weights(tmp_path / kind / "a")
        (tmp_path / kind / "dtype").write_text(dtype)
        expected[kind] = model.bits_per_pixel(video).numpy().tolist()
    run = run_python("-c", LOAD_ALL, tmp_path)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found == {kind: dict.fromkeys(found[kind], bits) for kind, bits in expected.items()}


def test_it_is_the_model_and_a_card(folder, micro_run, make_video):
    assert {path.name for path in folder.iterdir()} == FILES
    (config, run), (same_config, trained) = load_workdir(micro_run), load_workdir(folder)
    assert same_config == config and int(trained.step) == int(run.step) == 6
    np.testing.assert_array_equal(trained.bits_per_pixel(make_video(size=16)), run.bits_per_pixel(make_video(size=16)))
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlicense: apache-2.0\n") and "None measured yet" in card
    assert "`shapes`, the train split, in clips of 3 frames" in card and "6 steps of 2 clips" in card
    assert "{" not in card and card.count("import") == 1


def test_figures_of_a_file_from_before_all_of_a_protocol_was_noted(micro_config, tmp_path):
    statistics = {"mean": 1.5, "standard_error": 0.25}
    protocol = {"dataset": "shapes", "split": "test", "videos": 4, "context": 1, "frames": 5, "seed": 3, "step": 6}
    write_json(tmp_path / "eval" / "metrics.json", {"bits_per_pixel": statistics, "protocol": protocol})
    line = "bits_per_pixel: 1.5000 +- 0.2500 per colour component (4 test videos); 1 frame given, 4 predicted, seed=3"
    assert f"- {line}\n" in model_card(micro_config, 6, 1, tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-4],
        lambda data: data[:100],
        lambda data: b"",
        lambda data: b"PK\x03\x04" + data,
        lambda data: b"\x02\0\0\0\0\0\0\0{}",
    ],
    ids=["cut", "in the header", "empty", "no safetensors", "of nothing"],
)
def test_a_damaged_file(folder, tmp_path, damage):
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    (tmp_path / "model.safetensors").write_bytes(damage((folder / "model.safetensors").read_bytes()))
    for load in (VideoFlow.from_pretrained, load_workdir):
        with refused(f"cannot read the weights {tmp_path / 'model.safetensors'}: .*bring the file back"):
            load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays.pop("level_0/prior/own/kernel"),
        lambda arrays: arrays.update({"level_0/prior/own/kernel": arrays["level_0/prior/own/kernel"][:-1].copy()}),
        lambda arrays: arrays.update({"level_0/prior/own/kernel": arrays["level_0/prior/own/kernel"].astype("f2")}),
        lambda arrays: arrays.update({"level_0/prior/own/other": np.zeros(3, "f")}),
    ],
    ids=["missing", "shape", "dtype", "more"],
)
def test_weights_of_another_model(changed, change):
    with refused("has the weights of another model: 1 of its .* level_0/prior/own/"):
        VideoFlow.from_pretrained(changed(change))


def test_no_step(changed):
    with refused("cannot read the weights .*step"):
        VideoFlow.from_pretrained(changed(lambda arrays: arrays.pop("step")))


def test_a_file_that_is_no_model(make_model, tmp_path):
    (tmp_path / "a.keras").write_bytes(b"PK\x03\x04 no")
    for name in ("a.keras", "b.keras", "a.h5"):
        with refused(f"cannot read the model {tmp_path / name}: "):
            VideoFlow.load(tmp_path / name)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.ENOSPC, "No space left on device")])
def test_what_was_not_finished_is_written_again(make_model, tmp_path, monkeypatch, error):
    model = make_model(levels=1)
    (tmp_path / ".tmp-model.safetensors").write_bytes(b"of a process that was killed")
    with monkeypatch.context() as patch:
        patch.setattr(VideoFlowConfig, "to_json", Mock(side_effect=error))
        with pytest.raises((KeyboardInterrupt, UserError)):
            save_pretrained(model, tmp_path)
    assert not list(tmp_path.iterdir())
    save_pretrained(model, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES


def test_nothing_is_overwritten(folder, micro_run):
    with pytest.raises(UserError, match="has files in it; name a new folder"):
        save_pretrained(load_workdir(micro_run)[1], folder)
