"""The command that imports official checkpoints: what it makes is a run like any other, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.checks import mounted, refused
from videoflow_tf import t2t
from videoflow_tf.errors import UserError
from videoflow_tf.training.checkpoints import load_workdir

REPOSITORY = Path(__file__).parents[2]
VECTORS = REPOSITORY / "tests" / "t2t" / "vectors"
LSTM = VECTORS / "conv_lstm_pretrained"


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, command):
    path = tmp_path_factory.mktemp("imported") / "not there yet" / "run"
    files = f"--checkpoint={LSTM / 'model.ckpt-0'}", f"--hparams={LSTM / 'config.json'}"
    done = command("import_t2t", *files, f"--workdir={path}")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "step 8" in done.stdout
    return path


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_the_workdir_has_the_official_numbers(workdir):
    config, model = load_workdir(workdir)
    expected = np.load(LSTM / "expected.npz")
    noise = expected["noise"][:, : expected["frames"].shape[1]]
    bits = model.bits_per_pixel(expected["frames"], dequantization_noise=noise)
    np.testing.assert_allclose(bits, expected["bpp"], rtol=1e-5)
    assert int(model.step) == 8
    assert config.dataset == "shapes"
    assert [entry.name for entry in workdir.parent.iterdir()] == ["run"]


@pytest.mark.slow
def test_evaluate_sample_and_train_take_it(output, workdir):
    before = [v.numpy() for v in load_workdir(workdir)[1].trainable_variables]
    output("evaluate", f"--workdir={workdir}", "--num_videos=2")
    assert np.isfinite(
        json.loads((workdir / "eval" / "metrics_num_videos-2.json").read_text())["bits_per_pixel"]["mean"]
    )
    output("sample", f"--workdir={workdir}", "--num_frames=2", "--num_samples=1")
    output("train", f"--workdir={workdir}", "--train_steps=9", "--eval_videos=1")  # Exports at its end, too.
    assert (workdir / "export" / "saved_model.pb").is_file()
    _, model = load_workdir(workdir)
    assert int(model.step) == 9
    changes = [np.abs(v.numpy() - old).max() for v, old in zip(model.trainable_variables, before, strict=True)]
    # One step of the warm-up, and no data-dependent initialisation anew.
    assert 0 < max(changes) < 1e-4


def test_frames_of_64_are_taken_for_bair(tmp_path):
    hparams = t2t.read_hparams(LSTM / "config.json")
    config, _ = t2t.import_checkpoint(LSTM / "model.ckpt-0", hparams, tmp_path, frame_size=64)  # An empty folder.
    assert config.dataset == "bair"
    config, _ = t2t.import_checkpoint(LSTM / "model.ckpt-0", hparams, tmp_path / "other", 64, "shapes")
    assert config.dataset == "shapes"


def test_what_is_wrong_is_one_line_and_nothing_is_written(error, tmp_path):
    hparams = json.loads((LSTM / "config.json").read_text())
    hparams["hparams"]["dephts"] = hparams["hparams"].pop("depth")
    (tmp_path / "hparams.json").write_text(json.dumps(hparams))
    files = f"--checkpoint={LSTM / 'model.ckpt-0'}", f"--hparams={tmp_path / 'hparams.json'}"
    line = error("import_t2t", *files, f"--workdir={tmp_path / 'a' / 'run'}")
    assert "'dephts' (did you mean depth?)" in line
    assert files_in(tmp_path) == ["hparams.json"]


def test_frames_that_are_no_square_are_one_line(error, tmp_path):
    files = f"--checkpoint={LSTM / 'model.ckpt-0'}", f"--hparams={LSTM / 'config.json'}"
    line = error("import_t2t", *files, f"--workdir={tmp_path / 'run'}", "--frame_size=8x16")
    assert line == "error: official models are imported with square RGB frames alone, got frame_size=8x16\n"


def test_a_checkpoint_that_does_not_fit_writes_nothing(tmp_path):
    hparams = t2t.read_hparams(LSTM / "config.json")
    hparams["hparams"]["depth"] = 2
    with pytest.raises(UserError, match="the checkpoint lacks"):
        t2t.import_checkpoint(LSTM / "model.ckpt-0", hparams, tmp_path / "a" / "run")
    with pytest.raises(UserError, match="cannot read the checkpoint"):
        t2t.import_checkpoint(tmp_path / "model.ckpt-0", {}, tmp_path / "a" / "run")
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("read", ["checkpoint", "module"])
def test_a_folder_that_cannot_be_made_is_said_before_the_work(tmp_path, read):
    """What there is to read is not looked at."""
    import_it = {"checkpoint": t2t.import_checkpoint, "module": t2t.import_module}[read]
    (tmp_path / "file").touch()
    with refused("file is a file; name a folder"):
        import_it(tmp_path / "none", {}, tmp_path / "file")
    with refused("cannot write to .*file/a: .*file is a file; name a folder"):
        import_it(tmp_path / "none", {}, tmp_path / "file" / "a" / "run")
    with mounted(tmp_path / "fixed", "ro"), refused("cannot write to .*fixed: .*fixed is read-only for this user"):
        import_it(tmp_path / "none", {}, tmp_path / "fixed" / "run")


@pytest.mark.parametrize("name", ["config.json", "notes.txt"])
def test_a_folder_in_use_is_left_alone(tmp_path, name, workdir):
    contents = (workdir / "config.json").read_text()
    (tmp_path / name).write_text(contents)
    hparams = t2t.read_hparams(LSTM / "config.json")
    with pytest.raises(UserError, match="name another"):
        t2t.import_checkpoint(LSTM / "model.ckpt-0", hparams, tmp_path)
    assert files_in(tmp_path) == [name]
    assert (tmp_path / name).read_text() == contents
