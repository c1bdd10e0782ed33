"""Agreement with recorded models of the official code, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from videoflow_tf import t2t
from videoflow_tf.errors import UserError
from videoflow_tf.t2t.checkpoint import read_checkpoint

VECTORS = Path(__file__).parent / "vectors"
SHARED = Path(__file__).parents[3] / "shared" / "t2t"
FOLDERS = [path.parent for root in (VECTORS, SHARED) for path in sorted(root.glob("*/config.json"))]
SCOPE = "next_frame_glow/body/"


def folder_id(folder):
    return f"{folder.parent.name}-{folder.name}"


class Recorded:
    """One folder: its hyperparameters, arrays and gradient norms, and the model loaded from it."""

    def __init__(self, folder):
        self.folder = folder
        self.record = t2t.read_hparams(folder / "config.json")
        self.hparams = self.record["hparams"]
        self.expected = dict(np.load(folder / "expected.npz"))
        self.gradient_norms = json.loads((folder / "grad_norms.json").read_text())
        self.model = t2t.load_model(folder / "model.ckpt-0", self.hparams)
        frames = self.expected["frames"]
        self.twice = int(self.hparams["cond_first_frame"])  # The first frame is encoded twice.
        self.noise = self.expected["noise"][:, : frames.shape[1] + self.twice]

    def bits_per_pixel(self):
        return self.model.bits_per_pixel(self.expected["frames"], dequantization_noise=self.noise)


@pytest.fixture(scope="module", params=FOLDERS, ids=folder_id)
def recorded(request):
    return Recorded(request.param)


@pytest.fixture(scope="module")
def shared_folders():
    if not SHARED.is_dir():
        pytest.skip("needs the recorded models in shared/t2t beside the checkout")
    return [folder for folder in FOLDERS if folder.parent == SHARED]


def test_vectors_are_of_every_encoder():
    names = {t2t.read_hparams(f / "config.json")["hparams"]["latent_dist_encoder"] for f in VECTORS.glob("*/")}
    assert names == {"conv3d_net", "conv_net", "conv_lstm", "pointwise"}


def test_shared_folders_are_read(shared_folders):
    assert len(shared_folders) >= 5


def test_bits_per_pixel(recorded):
    bits = recorded.bits_per_pixel()
    np.testing.assert_allclose(bits, recorded.expected["bpp"], rtol=1e-5)
    if recorded.hparams["num_train_frames"] == -1:  # Else the official code trained on a random patch.
        np.testing.assert_allclose(np.mean(bits), recorded.expected["train_loss"], rtol=1e-5)


def test_latents(recorded):
    frames = recorded.expected["frames"]
    encoded = np.concatenate([frames[:, :1]] * recorded.twice + [frames], axis=1)
    *levels, top = recorded.model.encode(encoded, recorded.noise)
    for t in range(encoded.shape[1]):
        np.testing.assert_allclose(top[:, t], recorded.expected[f"z_top_{t}"], atol=1e-3)
        for index, level in enumerate(levels):
            np.testing.assert_allclose(level[:, t], recorded.expected[f"z_level{index}_{t}"], atol=1e-3)


def test_prediction_at_temperature_0(recorded):
    num_context = recorded.hparams["video_num_input_frames"]
    context = recorded.expected["frames"][:, :num_context]
    noise = recorded.noise[:, : num_context + recorded.twice]
    count = recorded.expected["predicted_uint8"].shape[1]
    continuous = recorded.model.future(context, count, 0.0, noise).sample(seed=(0, 0))
    np.testing.assert_allclose(continuous, recorded.expected["predicted_float"], atol=2e-3)
    predicted = recorded.model.predict_frames(context, count, 0.0, dequantization_noise=noise).numpy()
    assert np.abs(predicted.astype(int) - recorded.expected["predicted_uint8"]).max() <= 1


def test_gradients(recorded):
    variables = recorded.model.trainable_variables
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(recorded.bits_per_pixel())
    gradients = t2t.to_official(recorded.model, tape.gradient(loss, variables), variables)
    trained = set(t2t.to_official(recorded.model, variables, variables))
    official = {name for name, norm in recorded.gradient_norms.items() if norm > 0}  # Others are in no computation.
    assert official <= trained <= set(recorded.gradient_norms)
    norms = {name: float(np.linalg.norm(gradient)) for name, gradient in gradients.items()}
    large = {name: norm for name, norm in recorded.gradient_norms.items() if norm > 1e-4}
    assert large
    for name, norm in large.items():
        assert norms[name] == pytest.approx(norm, rel=0.01), name


def test_all_weights_are_those_of_the_checkpoint(recorded):
    reader = tf.train.load_checkpoint(str(recorded.folder / "model.ckpt-0"))
    variables = [v for v in recorded.model.variables if v.ref() != recorded.model.step.ref()]
    weights = t2t.to_official(recorded.model, variables, variables)
    assert {*weights, "global_step"} == set(reader.get_variable_to_shape_map())
    for name, weight in weights.items():
        assert np.array_equal(weight.ravel(), reader.get_tensor(name).ravel()), name
    assert int(recorded.model.step) == reader.get_tensor("global_step")


# --- The forms in which hyperparameters come ---


def test_the_whole_config_file_is_a_mapping_too():
    folder = VECTORS / "conv3d_dilated"
    record = t2t.read_hparams(folder / "config.json")
    assert t2t.config_from_hparams(record).frame_size == 16
    assert t2t.load_model(folder / "model.ckpt-0", record).config == t2t.config_from_hparams(record)


def test_frame_size_comes_from_the_argument_the_mapping_the_folder_or_is_64(tmp_path):
    record = t2t.read_hparams(VECTORS / "unconditional" / "config.json")
    alone = copy_checkpoint("unconditional", tmp_path / "alone")
    beside = copy_checkpoint("unconditional", tmp_path / "beside")
    (tmp_path / "beside" / "config.json").write_text(json.dumps(record))
    assert t2t.load_model(beside, record, frame_size=32).config.frame_size == 32
    assert t2t.load_model(beside, {**record["hparams"], "frame_size": 16}).config.frame_size == 16
    assert t2t.load_model(beside, record["hparams"]).config.frame_size == 8
    assert t2t.load_model(alone, record["hparams"]).config.frame_size == 64


def test_missing_hyperparameters_have_the_official_defaults():
    config = t2t.config_from_hparams({})
    assert (config.frame_size, config.levels, config.depth, config.coupling) == (64, 3, 32, "affine")
    assert (config.latent_encoder, config.num_past_latents, config.num_context) == ("conv2d", 1, 1)
    assert (config.pixel_scaling, config.pretrain_steps, config.latent_skip) == ("official", 0, True)


def test_the_file_that_tensor2tensor_writes_is_read_names_of_other_parts_are_ignored():
    """hparams.json beside this file has every name of tensor2tensor 1.15.7's `next_frame_glow_shapes` in training."""
    written = t2t.read_hparams(Path(__file__).parent / "hparams.json")
    own = {name: value for name, value in written.items() if name in t2t.OFFICIAL_DEFAULTS}
    assert own.keys() == t2t.OFFICIAL_DEFAULTS.keys() and len(written) > 150
    assert t2t.config_from_hparams(written) == t2t.config_from_hparams(own)
    assert t2t.ignored_names(written) == sorted(written.keys() - own.keys())
    with pytest.raises(UserError, match="unknown official hyperparameter 'dpth'"):
        t2t.config_from_hparams({**written, "dpth": 2})


@pytest.mark.parametrize("ending", [".index", ".data-00000-of-00001", ".meta"])
def test_a_file_of_the_checkpoint_names_it(ending):
    path = VECTORS / "unconditional" / "model.ckpt-0"
    assert read_checkpoint(f"{path}{ending}").keys() == read_checkpoint(path).keys()


# --- What is refused ---


def copy_checkpoint(name, folder, change=lambda arrays: None):
    """Writes a checkpoint of `vectors` anew, its arrays by name changed in place by `change`."""
    reader = tf.train.load_checkpoint(str(VECTORS / name / "model.ckpt-0"))
    arrays = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    change(arrays)
    folder.mkdir(exist_ok=True)
    prefix = folder / "model.ckpt-0"
    names = sorted(arrays)
    tensors = [tf.constant(arrays[name]) for name in names]
    tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=names, shape_and_slices=[""] * len(names), tensors=tensors)
    return prefix


def load(name, prefix):
    return t2t.load_model(prefix, t2t.read_hparams(VECTORS / name / "config.json"))


def check_refused(name, prefix, *words):
    with pytest.raises(UserError) as info:
        load(name, prefix)
    message = str(info.value)
    assert "\n" not in message
    for word in words:
        assert word in message


BIAS = SCOPE + "top/conditional/glow_res_final/b"


def test_a_missing_variable(tmp_path):
    prefix = copy_checkpoint("conv_net_first_frame", tmp_path, lambda arrays: arrays.pop(BIAS))
    check_refused("conv_net_first_frame", prefix, "the checkpoint lacks", BIAS)


@pytest.mark.parametrize("extra", [SCOPE + "top/extra", BIAS + "/extra", "elsewhere/extra"])
def test_an_extra_variable(tmp_path, extra):
    prefix = copy_checkpoint(
        "conv_net_first_frame", tmp_path, lambda arrays: arrays.update({extra: np.ones(3, np.float32)})
    )
    check_refused("conv_net_first_frame", prefix, "the model lacks", extra)


@pytest.mark.parametrize("change", [lambda a: a[..., :-1], lambda a: a.T, lambda a: a.ravel(), lambda a: a[:0]])
def test_another_shape(tmp_path, change):
    prefix = copy_checkpoint(
        "conv_net_first_frame", tmp_path, lambda arrays: arrays.update({BIAS: change(arrays[BIAS])})
    )
    check_refused("conv_net_first_frame", prefix, BIAS, "expected shape (1, 1, 1, ")


def test_another_type(tmp_path):
    prefix = copy_checkpoint(
        "conv_net_first_frame", tmp_path, lambda arrays: arrays.update({BIAS: arrays[BIAS].astype(np.int32)})
    )
    check_refused("conv_net_first_frame", prefix, BIAS, "int32")


def test_a_truncated_data_file(tmp_path):
    prefix = copy_checkpoint("conv_net_first_frame", tmp_path)
    data = tmp_path / "model.ckpt-0.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    check_refused("conv_net_first_frame", prefix, "cannot read the checkpoint", str(prefix))


@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001"])
def test_a_missing_file(tmp_path, suffix):
    prefix = copy_checkpoint("conv_net_first_frame", tmp_path)
    Path(f"{prefix}{suffix}").unlink()
    check_refused("conv_net_first_frame", prefix, "cannot read the checkpoint", str(prefix))


def test_a_file_that_is_no_index(tmp_path):
    prefix = copy_checkpoint("conv_net_first_frame", tmp_path)
    Path(f"{prefix}.index").write_bytes(b"not an index" * 100)
    check_refused("conv_net_first_frame", prefix, "cannot read the checkpoint", str(prefix))


@pytest.mark.parametrize("scope", ["training/", ""], ids=["official trainer", "bare optimizer"])
def test_optimizer_slots_are_skipped(tmp_path, scope):
    def add_slots(arrays):
        slots = {f"{scope}{name}/{slot}": a for name, a in arrays.items() for slot in ("Adam", "Adam_1")}
        arrays.update(slots)
        arrays[f"{scope}beta1_power"] = arrays[f"{scope}beta2_power"] = np.float32(0.9)
        arrays["losses_avg/problem_0/total_loss"] = np.float32(3.0)
        arrays["train_stats/problem_0_steps"] = np.int32(7)

    name = "conv_lstm_pretrained"
    model = load(name, copy_checkpoint(name, tmp_path, add_slots))
    frames = np.load(VECTORS / name / "expected.npz")["frames"]
    assert np.array_equal(
        model.bits_per_pixel(frames), load(name, VECTORS / name / "model.ckpt-0").bits_per_pixel(frames)
    )


def test_a_pointwise_prior_of_a_batch(tmp_path):
    """The same parameters for every place in the batch are one model; different ones are none for another batch."""
    multiplier = SCOPE + "top/conditional/latent_multiplier"

    def repeat(arrays):
        for name, array in arrays.items():
            if name.endswith(("/latent_multiplier", "/log_scale_latent")):
                arrays[name] = np.repeat(array, 2, axis=0)

    def repeat_and_differ(arrays):
        repeat(arrays)
        arrays[multiplier][1, 0, 0, 0] += 1.0

    frames = np.load(VECTORS / "pointwise" / "expected.npz")["frames"]
    once = load("pointwise", VECTORS / "pointwise" / "model.ckpt-0")
    twice = load("pointwise", copy_checkpoint("pointwise", tmp_path / "same", repeat))
    assert np.array_equal(once.bits_per_pixel(frames), twice.bits_per_pixel(frames))
    differing = copy_checkpoint("pointwise", tmp_path / "differing", repeat_and_differ)
    check_refused("pointwise", differing, multiplier, "differ", "2 places in the batch")


def test_pre_training_leaves_out_the_past_until_its_end(tmp_path):
    name = "conv_lstm_pretrained"
    frames = np.load(VECTORS / name / "expected.npz")["frames"]
    changed = frames.copy()
    changed[:, 0] = 255 - changed[:, 0]

    def last_frame_depends_on_the_first(step):
        prefix = copy_checkpoint(name, tmp_path, lambda arrays: arrays.update(global_step=np.int64(step)))
        model = load(name, prefix)
        bits = [model.frame_bits_per_pixel(video, 0)[:, -1] for video in (frames, changed)]
        return not np.array_equal(*bits)

    assert not last_frame_depends_on_the_first(7)
    assert last_frame_depends_on_the_first(8)


@pytest.mark.parametrize(
    ("hparams", "words"),
    [
        ({"n_level": 2}, "'n_level' (did you mean n_levels?)"),
        ({"hparams": {"dpth": 2}, "frame_size": 16}, "'dpth' (did you mean depth?)"),
        ({"hparams": {"depth": 2}, "frame_sise": 16}, "frame_sise"),
        ({"depth": "2"}, "depth must be like 32, got '2'"),
        ({"latent_skip": 1}, "latent_skip must be like True, got 1"),
        ({"latent_dilation_rates": [1, "3"]}, "latent_dilation_rates"),
        ({"coupling": "quadratic"}, "coupling='quadratic' is not supported; one of affine, additive"),
        ({"latent_activation": "elu"}, "latent_activation='elu'"),
        ({"gen_mode": "unconditional", "num_train_frames": 1, "top_prior": "prev_frame"}, "top_prior='prev_frame'"),
        ({"gen_mode": "unconditional"}, "needs num_train_frames=1"),
        ({"gen_mode": "unconditional", "num_train_frames": 1, "video_num_input_frames": 2}, "video_num_input_frames=1"),
        ({"num_cond_latents": 2}, "needs num_cond_latents <= video_num_input_frames = 1"),
        ({"latent_dist_encoder": "pointwise", "num_cond_latents": 2}, "pointwise needs num_cond_latents=1"),
        ({"latent_dist_encoder": "conv_lstm", "num_cond_latents": 2}, "conv_lstm needs num_cond_latents=1"),
        ({"latent_dist_encoder": "conv_lstm", "n_levels": 1}, "conv_lstm needs n_levels"),
        ({"latent_dist_encoder": "conv3d_net", "cond_first_frame": True}, "cond_first_frame"),
        ({"latent_dist_encoder": "conv3d_net", "num_cond_latents": 2}, "no latent encoder"),
        ({"latent_apply_dilations": True, "latent_dilation_rates": []}, "latent_dilation_rates"),
        ({"num_train_frames": 3}, "num_train_frames must be -1"),
        ({"num_train_frames": 1}, "leaves nothing to predict"),
        ({"frame_size": 20}, "frame_size=20"),
        (["depth", 2], "must be a mapping"),
    ],
)
def test_hyperparameters_that_are_refused(hparams, words):
    with pytest.raises(UserError) as info:
        t2t.load_model(VECTORS / "pointwise" / "model.ckpt-0", hparams)
    assert words in str(info.value)
    assert "\n" not in str(info.value)


@pytest.mark.parametrize(("text", "words"), [("{", "not JSON"), ("[]", "JSON object"), (None, "cannot read")])
def test_hyperparameter_files_that_are_refused(tmp_path, text, words):
    path = tmp_path / "hparams.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=words):
        t2t.read_hparams(path)
