"""Modules of TensorFlow Hub: agreement with recorded stand-ins of all three, and what is refused."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.checks import refused
from videoflow_tf import t2t
from videoflow_tf.training.checkpoints import load_workdir

FOLDER = Path(__file__).parent / "hub_modules"
VECTORS = Path(__file__).parent / "vectors"
TOLD = {
    "n_levels": 2,
    "depth": 1,
    "coupling": "affine",
    "coupling_width": 5,
    "activation": "gatu",
    "latent_dist_encoder": "conv3d_net",
    "num_cond_latents": 3,
    "latent_encoder_depth": 1,
    "latent_encoder_width": 4,
    "latent_activation": "gatu",
    "latent_apply_dilations": False,
    "video_num_input_frames": 3,
}
ASSUMED = {"latent_skip": True, "model_input": False, "latent_dilation_rates": [1, 3]}


@pytest.fixture(scope="module")
def expected():
    return dict(np.load(FOLDER / "expected.npz"))


@pytest.fixture
def unpacked(tmp_path):
    """A copy of the evaluator as a folder."""
    with tarfile.open(FOLDER / "evaluator.tgz") as archive:
        archive.extractall(tmp_path / "module", filter="data")
    return tmp_path / "module"


@pytest.mark.parametrize("kind", ["evaluator", "generator"])
def test_bits_and_frames(kind, expected):
    module = t2t.load_module(FOLDER / f"{kind}.tgz")
    targets = {"video_num_target_frames": 1} if kind == "evaluator" else {}
    assert module.told == TOLD | targets and module.assumed == ASSUMED
    assert module.model.config.frame_size == 8 and module.model.config.num_context == 3
    bits = module.model.bits_per_pixel(expected["frames"], dequantization_noise=expected["noise"])
    np.testing.assert_allclose(bits, expected["bpp"], rtol=1e-5)
    noise = expected["noise"][:, :3]
    frames = module.model.predict_frames(expected["frames"][:, :3], 2, 0.0, dequantization_noise=noise).numpy()
    assert np.abs(frames.astype(int) - expected["sampled"]).max() <= 1
    assert len(np.unique(frames)) > 50


@pytest.mark.parametrize("kind", ["encoder", "evaluator"])
def test_latents(kind, expected):
    model = t2t.load_module(FOLDER / f"{kind}.tgz").model
    latents = model.encode(expected["frames"][:, :1], expected["noise"][:, :1])
    for i, z in enumerate(latents):
        np.testing.assert_allclose(z[0, 0], expected[f"level_{i}"], atol=1e-4)
    given = [tf.constant(expected[f"level_{i}"][np.newaxis, np.newaxis]) for i in range(2)]
    np.testing.assert_allclose(model.decode(given)[0, 0], expected["inverted"], atol=1e-4)


def test_the_encoder_is_the_flow_alone_and_the_command_says_so(command, tmp_path):
    done = command("import_t2t", f"--hub_module={FOLDER / 'encoder.tgz'}", f"--workdir={tmp_path / 'run'}")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "It is the flow alone" in done.stdout and "taken as official" not in done.stdout
    config, _ = load_workdir(tmp_path / "run")
    assert not config.conditional and config.top_prior == "standard"


def test_the_command(command, unpacked, tmp_path, expected):
    done = command("import_t2t", f"--hub_module={unpacked}", f"--workdir={tmp_path / 'run'}")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "The module tells n_levels=2, depth=1, " in done.stdout
    assert "taken as official: latent_skip=True, model_input=False" in done.stdout
    assert done.stdout.endswith(f"Imported step 0 to {tmp_path / 'run'}, dataset shapes\n")
    config, model = load_workdir(tmp_path / "run")
    assert (config.dataset, config.pixel_scaling) == ("shapes", "official")
    bits = model.bits_per_pixel(expected["frames"], dequantization_noise=expected["noise"])
    np.testing.assert_allclose(bits, expected["bpp"], rtol=1e-5)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "give one of --checkpoint and --hub_module"),
        (["--checkpoint=a", "--hub_module=b"], "give one of --checkpoint and --hub_module"),
        (["--checkpoint=a"], "--hparams is required with --checkpoint"),
    ],
)
def test_the_command_with_flags_that_do_not_go_together(command, tmp_path, flags, message):
    done = command("import_t2t", *flags, f"--workdir={tmp_path / 'run'}")
    assert (done.returncode, done.stderr) == (2, f"error: {message}\n")


@pytest.mark.parametrize("name", [folder.name for folder in sorted(VECTORS.glob("*/"))])
def test_variables_tell_the_hyperparameters(name):
    hparams = t2t.read_hparams(VECTORS / name / "config.json")["hparams"]
    shapes = tf.train.load_checkpoint(str(VECTORS / name / "model.ckpt-0")).get_variable_to_shape_map()
    told = t2t.infer_hparams(shapes, hparams["cond_first_frame"])
    assert len(told) >= 6 and told == {name: hparams[name] for name in told}


def test_hyperparameters_that_it_does_not_tell_are_given(expected):
    """And those that it tells cannot be others."""
    plain = t2t.load_module(FOLDER / "evaluator.tgz")
    given = t2t.load_module(FOLDER / "evaluator.tgz", {"latent_skip": False, "depth": 1})
    assert given.assumed == {name: value for name, value in ASSUMED.items() if name != "latent_skip"}
    bits = [module.model.bits_per_pixel(expected["frames"]) for module in (plain, given)]
    assert not np.allclose(*bits)
    with refused(r"not those of the module .*: depth=2 \(1 there\), coupling=additive \(affine there\)"):
        t2t.load_module(FOLDER / "evaluator.tgz", {"depth": 2, "coupling": "additive"})


def change_variables(module, change):
    """Writes the variables of a module anew, changed in place."""
    prefix = str(module / "variables" / "variables")
    reader = tf.train.load_checkpoint(prefix)
    arrays = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    change(arrays)
    names = sorted(arrays)
    tensors = [tf.constant(arrays[name]) for name in names]
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=names, shape_and_slices=[""] * len(names), tensors=tensors)


def rename(arrays, old, new):
    for name in list(arrays):
        arrays[name.replace(old, new)] = arrays.pop(name)


@pytest.mark.parametrize("scope", ["", "a/b/"])
def test_any_scope(unpacked, expected, scope):
    change_variables(unpacked, lambda arrays: rename(arrays, "next_frame_glow/body/", scope))
    bits = t2t.load_module(unpacked).model.bits_per_pixel(expected["frames"], dequantization_noise=expected["noise"])
    np.testing.assert_allclose(bits, expected["bpp"], rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.update({"other/w": np.ones(3, "f")}), "the model lacks: .*other/w"),
        (
            lambda arrays: arrays.pop("next_frame_glow/body/top/conv3d/res_final/b"),
            "the checkpoint lacks: .*res_final/b",
        ),
        (lambda arrays: rename(arrays, "revnet_0", "net_0"), "has 0 VideoFlows in it"),
        (lambda arrays: rename(arrays, "revnet_step_0", "revnet_step_1"), "has 0 VideoFlows in it"),
    ],
    ids=["more", "missing", "another model", "from 1"],
)
def test_variables_that_are_left_over(unpacked, change, message):
    change_variables(unpacked, change)
    with refused(message):
        t2t.load_module(unpacked)


def damaged(module, name, data):
    (module / name).write_bytes(data)
    return module


@pytest.mark.parametrize(
    ("name", "message"),
    [("saved_model.pb", "cannot read saved_model.pb"), ("variables/variables.index", "cannot read the checkpoint")],
)
def test_damaged_modules(unpacked, tmp_path, name, message):
    (unpacked / name).write_bytes(b"\xff" * 100)
    with refused(message):
        t2t.load_module(unpacked)
    (unpacked / name).unlink()
    with refused(message):
        t2t.import_module(unpacked, {}, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_is_no_module(tmp_path):
    for path in (tmp_path, tmp_path / "nothing"):
        with refused("is no module of TensorFlow Hub in TensorFlow 1's form: it has no tfhub_module.pb"):
            t2t.load_module(path)
    whole = (FOLDER / "encoder.tgz").read_bytes()
    for data in (b"", b"no archive", whole[: len(whole) // 2]):
        (tmp_path / "a.tgz").write_bytes(data)
        with refused("cannot read the archive .*a.tgz: "):
            t2t.load_module(tmp_path / "a.tgz")


@pytest.mark.parametrize("kind", ["up", "absolute", "link"])
def test_an_archive_writes_nothing_beyond_its_folder(tmp_path, kind):
    target = tmp_path / "target"
    name = {"up": "../" * 20 + str(target)[1:], "absolute": str(target), "link": "link"}[kind]
    entry = tarfile.TarInfo(name)
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        if kind == "link":
            entry.type, entry.linkname = tarfile.SYMTYPE, str(tmp_path)
            archive.addfile(entry)
            entry = tarfile.TarInfo("link/target")
        entry.size = 3
        archive.addfile(entry, io.BytesIO(b"abc"))
    with refused("cannot read the archive|is no module"):
        t2t.load_module(tmp_path / "a.tgz")
    assert not target.exists()


def test_an_archive_of_more_than_the_disk_holds_is_refused_before_it_is_unpacked(tmp_path):
    entry = tarfile.TarInfo("variables")
    entry.size = 2**50
    (tmp_path / "a.tar").write_bytes(entry.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with refused(r"a.tar does not fit on the disk: it takes 1048576.0 GiB or more, half of what is free for .*; is it"):
        t2t.load_module(tmp_path / "a.tar")
