"""Models trained with the official code: tensor2tensor's `next_frame_glow` (TensorFlow 1), read as `VideoFlow`s.

`load_model` makes a model of a checkpoint and its hyperparameters. Every variable of the checkpoint finds its place
and every variable of the model is set, or the error says what is left over.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from bijectors import FlowStep
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.latent_encoders import Conv2DEncoder, Conv3DEncoder, ConvLSTMEncoder, PointwiseEncoder
from videoflow_tf.model import VideoFlow
from videoflow_tf.networks import Activation2D, CausalConvStack, CausalEdgeConv3D, ConvBlock, ConvStack, EdgeConv2D
from videoflow_tf.prior import LatentPrior

_SCOPE = "next_frame_glow/body/"
_DEFAULT_FRAME_SIZE = 64  # Of the official datasets.

# The official hyperparameters that this package knows, with the defaults of `next_frame_glow_hparams` and, for the
# two numbers of frames, of its datasets.
OFFICIAL_DEFAULTS: dict[str, Any] = {
    "gen_mode": "conditional",
    "learn_top_scale": False,
    "condition_all_levels": True,
    "num_train_frames": -1,
    "latent_dist_encoder": "conv_net",
    "num_cond_latents": 1,
    "latent_architecture": "glow_resnet",
    "latent_apply_dilations": False,
    "latent_dilation_rates": [1, 3],
    "model_input": False,
    "cond_first_frame": False,
    "latent_skip": True,
    "latent_encoder_depth": 2,
    "latent_encoder_width": 512,
    "latent_dropout": 0.0,
    "latent_pre_output_channels": 512,
    "latent_activation": "relu",
    "latent_noise": 0.0,
    "pretrain_steps": -1,
    "top_prior": "single_conv",
    "level_scale": "prev_level",
    "n_levels": 3,
    "n_bits_x": 8,
    "depth": 32,
    "activation": "relu",
    "coupling": "affine",
    "coupling_width": 512,
    "coupling_dropout": 0.0,
    "video_num_input_frames": 1,
    "video_num_target_frames": 1,
    "temperature": 1.0,
    "batch_size": 32,
    "init_batch_size": 256,
    "learning_rate_constant": 3e-4,
    "learning_rate_warmup_steps": 100,
}

# Official values of the named choices, and ours.
_VALUES: dict[str, dict[str, str]] = {
    "gen_mode": {"conditional": "conditional", "unconditional": "unconditional"},
    "latent_dist_encoder": {
        "conv3d_net": "conv3d",
        "conv_net": "conv2d",
        "conv_lstm": "conv_lstm",
        "pointwise": "pointwise",
    },
    "latent_architecture": {"single_conv": "single_conv", "glow_resnet": "residual", "glow_nn": "conv_blocks"},
    "latent_activation": {"relu": "relu", "gatu": "gated"},
    "activation": {"relu": "relu", "gatu": "gated"},
    "coupling": {"affine": "affine", "additive": "additive"},
    "level_scale": {"prev_level": "level", "prev_step": "past", "normal": "standard"},
    "top_prior": {"single_conv": "learned", "normal": "standard"},
}


def read_hparams(path: str | Path) -> dict[str, Any]:
    """A file of official hyperparameters: a JSON object of them, or of `hparams` and `frame_size`."""
    try:
        hparams = json.loads(Path(path).read_text())
    except OSError as error:
        raise UserError(f"cannot read the hyperparameters {path}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"the hyperparameters {path} are not JSON: {error}") from None
    if not isinstance(hparams, dict):
        raise UserError(f"the hyperparameters {path} must be a JSON object, got {type(hparams).__name__}")
    return hparams


def config_from_hparams(hparams: Mapping[str, Any], frame_size: int | None = None) -> VideoFlowConfig:
    """The configuration that the official hyperparameters describe.

    Args:
      hparams: official names and values; a missing name has its official default. A mapping with the keys `hparams`
        and `frame_size` is read as these two.
      frame_size: height and width of a frame; it is no official hyperparameter but a property of the dataset. Default:
        `hparams["frame_size"]`, or 64.

    Raises:
      UserError: for an unknown name, or a value that the official code or this package cannot run.
    """
    values = dict(hparams)
    if isinstance(values.get("hparams"), Mapping):
        record = values
        values = dict(record.pop("hparams"))
        frame_size = frame_size or record.pop("frame_size", None)
        unknown = set(record) - {"name", "batch", "frame_size"}
        if unknown:
            raise UserError(f"unknown keys beside hparams: {', '.join(sorted(unknown))}")
    frame_size = values.pop("frame_size", None) if frame_size is None else frame_size
    for name in values:
        if name not in OFFICIAL_DEFAULTS:
            near = difflib.get_close_matches(str(name), OFFICIAL_DEFAULTS, n=1)
            raise UserError(
                f"unknown official hyperparameter {name!r}" + (f"; did you mean {near[0]}?" if near else "")
            )
    for name, value in values.items():
        _check_type(name, value)
    h = {**OFFICIAL_DEFAULTS, **values}
    _check_supported(h)
    named = {name: choices[h[name]] for name, choices in _VALUES.items()}
    conditional = named["gen_mode"] == "conditional"
    inputs, targets = h["video_num_input_frames"], h["video_num_target_frames"]
    dilations = [1, *(rate + 1 for rate in h["latent_dilation_rates"])] if h["latent_apply_dilations"] else [1]
    train_frames = h["num_train_frames"] if h["num_train_frames"] > 0 else inputs + targets
    return VideoFlowConfig(
        frame_size=_DEFAULT_FRAME_SIZE if frame_size is None else frame_size,
        levels=h["n_levels"],
        depth=h["depth"],
        coupling=named["coupling"],
        coupling_width=h["coupling_width"],
        coupling_activation=named["activation"],
        coupling_dropout=h["coupling_dropout"],
        conditional=conditional,
        latent_encoder=named["latent_dist_encoder"],
        latent_encoder_depth=h["latent_encoder_depth"],
        latent_encoder_width=h["latent_encoder_width"],
        latent_activation=named["latent_activation"],
        latent_dilations=tuple(dilations),
        latent_architecture=named["latent_architecture"],
        latent_pre_output_channels=h["latent_pre_output_channels"],
        num_past_latents=h["num_cond_latents"],
        condition_on_first_frame=h["cond_first_frame"],
        latent_skip=h["latent_skip"],
        latent_noise=h["latent_noise"],
        latent_dropout=h["latent_dropout"],
        pointwise_scale=named["level_scale"],
        learn_top_scale=h["learn_top_scale"],
        # The official conditional model learns the top prior of frames without a past, whatever `top_prior` says.
        top_prior="learned" if conditional else named["top_prior"],
        score_context=h["model_input"],
        # The official code conditions from the step after `pretrain_steps` on.
        pretrain_steps=max(0, h["pretrain_steps"] + 1),
        # The official video model keeps all 8 bits, whatever `n_bits_x` says.
        n_bits=8,
        pixel_scaling="official",
        num_context=inputs if conditional else 0,
        num_train_frames=train_frames,
        num_eval_frames=inputs + targets,
        batch_size=h["batch_size"],
        init_batch_size=h["init_batch_size"],
        learning_rate=h["learning_rate_constant"],
        warmup_steps=h["learning_rate_warmup_steps"],
    )


def _check_type(name: str, value: Any) -> None:
    default = OFFICIAL_DEFAULTS[name]
    if isinstance(default, bool) or isinstance(value, bool):
        fits = isinstance(default, bool) and isinstance(value, bool)
    elif isinstance(default, float):
        fits = isinstance(value, int | float)
    elif isinstance(default, list):
        fits = isinstance(value, list | tuple) and all(type(v) is int and v > 0 for v in value)
    else:
        fits = isinstance(value, type(default))
    if not fits:
        raise UserError(f"official hyperparameter {name} must be like {default!r}, got {value!r}")
    if name in _VALUES and value not in _VALUES[name]:
        raise UserError(f"official hyperparameter {name}={value!r} is not supported; one of {', '.join(_VALUES[name])}")


def _check_supported(h: Mapping[str, Any]) -> None:
    """Combinations that the official code refuses to run."""
    encoder = h["latent_dist_encoder"]
    if not 1 <= h["n_bits_x"] <= 8:
        raise UserError(f"official hyperparameter n_bits_x must be 1..8, got {h['n_bits_x']}")
    if not h["condition_all_levels"]:
        raise UserError("official hyperparameter condition_all_levels=False is not supported; no official code reads it")
    if h["gen_mode"] == "unconditional":
        return
    if encoder == "pointwise" and h["num_cond_latents"] != 1:
        raise UserError(f"latent_dist_encoder=pointwise needs num_cond_latents=1, got {h['num_cond_latents']}")
    if encoder == "conv_net" and h["num_cond_latents"] > h["video_num_input_frames"]:
        raise UserError(
            f"latent_dist_encoder=conv_net needs num_cond_latents <= video_num_input_frames = "
            f"{h['video_num_input_frames']}, got {h['num_cond_latents']}"
        )
    if encoder == "conv3d_net" and h["cond_first_frame"]:
        raise UserError("cond_first_frame=True does not go with latent_dist_encoder=conv3d_net")


def load_model(
    checkpoint_prefix: str | Path, hparams: Mapping[str, Any], frame_size: int | None = None
) -> VideoFlow:
    """A model with the weights of an official checkpoint.

    Args:
      checkpoint_prefix: path of a TensorFlow 1 checkpoint without its ending, such as `.../model.ckpt-1000`.
      hparams: official hyperparameters by name; see `config_from_hparams`.
      frame_size: height and width of a frame. Default: as in `config_from_hparams`; before its 64, the `frame_size` in
        a file config.json beside the checkpoint.

    Raises:
      UserError: for hyperparameters as in `config_from_hparams`; if the checkpoint cannot be read; if variables of the
        checkpoint or the model are left over or differ in shape.
    """
    if frame_size is None and "frame_size" not in hparams:
        beside = Path(checkpoint_prefix).parent / "config.json"
        if beside.is_file():
            frame_size = read_hparams(beside).get("frame_size")
    config = config_from_hparams(hparams, frame_size)
    arrays = _read_checkpoint(checkpoint_prefix)
    step = int(arrays.pop("global_step", 0))
    model = VideoFlow(config)
    slots = list(official_slots(model))
    _check_complete(slots, arrays)
    _assign(slots, arrays)
    model.step.assign(step)
    return model


class Slot(NamedTuple):
    """Where an official variable lives: one of ours, or one time step of it."""

    name: str
    variable: tf.Variable
    time_step: int | None = None

    def shape(self) -> tuple[int, ...]:
        shape = tuple(self.variable.shape)
        return shape if self.time_step is None else shape[1:]


def to_official(model: VideoFlow, values: Sequence[Any], variables: Sequence[tf.Variable]) -> dict[str, np.ndarray]:
    """Values that belong to our variables (the weights themselves, gradients, ...) under the official names.

    `values[i]` belongs to `variables[i]`; a value None (no gradient) is left out.
    """
    by_variable = {v.ref(): value for v, value in zip(variables, values, strict=True) if value is not None}
    found = {}
    for slot in official_slots(model):
        if slot.variable.ref() in by_variable:
            value = np.asarray(by_variable[slot.variable.ref()])
            found[slot.name] = value if slot.time_step is None else value[slot.time_step]
    return found


# --- Official names, part by part. Every function yields the slots of one part, without its scope. ---


def official_slots(model: VideoFlow) -> Iterator[Slot]:
    """All variables of a model under their official names."""
    coupling = model.hparams.coupling
    for index, (level, prior) in enumerate(zip(model.flow, model.priors, strict=True)):
        *steps, _squeeze = level.bijectors
        for number, step in enumerate(reversed(steps)):
            yield from _scoped(f"{_SCOPE}codec/revnet_{index}/revnet_step_{number}", _flow_step(step, coupling))
        if prior.is_top:
            yield from _scoped(_SCOPE, _top_prior(prior, model.hparams.conditional))
        else:
            yield from _scoped(f"{_SCOPE}codec/split_{index}/prior_on_z2", _level_prior(prior))


def _scoped(scope: str, slots: Iterator[Slot]) -> Iterator[Slot]:
    for slot in slots:
        yield slot._replace(name=f"{scope.rstrip('/')}/{slot.name}")


def _flow_step(step: FlowStep, coupling: str) -> Iterator[Slot]:
    yield Slot("actnorm/actnorm_center/b", step.actnorm.bias)
    yield Slot("actnorm/actnorm_scale/logs", step.actnorm.log_scale)
    yield Slot("invertible/P", step.conv.permutation)
    yield Slot("invertible/L", step.conv.lower)
    yield Slot("invertible/U", step.conv.upper)
    yield Slot("invertible/sign_S", step.conv.sign_s)
    yield Slot("invertible/log_S", step.conv.log_s)
    yield from _scoped(f"{coupling}/nn", _conv_stack(step.coupling.network))


def _conv2d(conv: EdgeConv2D) -> Iterator[Slot]:
    yield Slot("W", conv.kernel)
    actnorm = not conv.starts_at_zero
    yield Slot("actnorm/actnorm_center/b" if actnorm else "b", conv.bias)
    yield Slot("actnorm/actnorm_scale/logs" if actnorm else "logs", conv.log_scale)


def _activation_names(gated: bool) -> tuple[str, ...]:
    return ("1_tanh", "1_sigm") if gated else ("1_2",)


def _activation2d(activation: Activation2D) -> Iterator[Slot]:
    for name, conv in zip(_activation_names(activation.gated), activation.convs, strict=True):
        yield from _scoped(name, _conv2d(conv))


def _conv_block(block: ConvBlock) -> Iterator[Slot]:
    yield from _scoped("1_1", _conv2d(block.conv))
    yield from _activation2d(block.activation)


def _conv_stack(stack: ConvStack) -> Iterator[Slot]:
    yield from _scoped("conv_block", _conv_block(stack.block))
    yield from _scoped("zeros", _conv2d(stack.last))


def _actnorm3d(bias: tf.Variable, log_scale: tf.Variable) -> Iterator[Slot]:
    for t in range(bias.shape[0]):
        yield Slot(f"actnorm/actnorm_{t}/actnorm_{t}_center/b", bias, t)
        yield Slot(f"actnorm/actnorm_{t}/actnorm_{t}_scale/logs", log_scale, t)


def _conv3d(conv: CausalEdgeConv3D) -> Iterator[Slot]:
    yield Slot("W", conv.kernel)
    if conv.starts_at_zero:
        yield Slot("b", conv.bias)
        yield Slot("logs", conv.log_scale)
    else:
        yield from _actnorm3d(conv.bias, conv.log_scale)


def _causal_stack(stack: CausalConvStack) -> Iterator[Slot]:
    yield from _scoped("conv_block/1_1", _conv3d(stack.conv))
    activation = stack.activation
    for i, name in enumerate(_activation_names(activation.gated)):
        yield Slot(f"conv_block/{name}/W", activation.kernels[i])
        yield from _scoped(f"conv_block/{name}", _actnorm3d(activation.biases[i], activation.log_scales[i]))
    yield from _scoped("zeros", _conv3d(stack.last))


def _level_prior(prior: LatentPrior) -> Iterator[Slot]:
    yield from _scoped("level_prior/conv2d", _conv2d(prior.own))
    encoder = prior.encoder
    if isinstance(encoder, Conv3DEncoder):
        yield from _scoped("latent_stack", _conv3d_encoder(encoder))
    elif isinstance(encoder, Conv2DEncoder):
        yield from _scoped("latent_stack", _conv2d_encoder(encoder))
    elif isinstance(encoder, ConvLSTMEncoder):
        yield from _lstm_cell(encoder)
        yield from _scoped("state_to_dist/conv2d", _conv2d(encoder.last))
    elif isinstance(encoder, PointwiseEncoder):
        yield from _scoped("latent_prior", _pointwise(encoder))
        if encoder.scale_from == "standard":
            yield Slot("merge_std", encoder.fixed_log_scale)


def _top_prior(prior: LatentPrior, conditional: bool) -> Iterator[Slot]:
    if prior.own is not None:
        scope = "unconditional" if conditional else "top_prior"
        yield from _scoped(f"{scope}/top_learn_prior/conv2d", _conv2d(prior.own))
    encoder = prior.encoder
    if isinstance(encoder, Conv3DEncoder):
        yield from _scoped("top/conv3d", _conv3d_encoder(encoder))
    elif isinstance(encoder, Conv2DEncoder):
        yield from _scoped("top/conditional", _conv2d_encoder(encoder))
    elif isinstance(encoder, ConvLSTMEncoder):
        yield from _scoped("top", _lstm_cell(encoder))
        yield from _scoped("top/conditional/conv2d", _conv2d(encoder.last))
    elif isinstance(encoder, PointwiseEncoder):
        yield from _scoped("top/conditional", _pointwise(encoder))


def _conv3d_encoder(encoder: Conv3DEncoder) -> Iterator[Slot]:
    for i, branches in enumerate(encoder.blocks):
        if not encoder.dilated:
            yield from _scoped(f"latent_3d_res_{i}", _causal_stack(branches[0]))
            continue
        for j, branch in enumerate(branches):
            yield from _scoped(f"dil_latent_3d_res_{i}/dil_{j}", _causal_stack(branch))
    yield from _scoped("res_final", _conv2d(encoder.last))


def _conv2d_encoder(encoder: Conv2DEncoder) -> Iterator[Slot]:
    block_name, part, last = {
        "single_conv": ("", _conv_block, "single_conv/conv2d"),
        "residual": ("latent_resnet_{}", _conv_stack, "glow_res_final"),
        "conv_blocks": ("glow_nn_{}", _conv_block, "glow_nn_zeros"),
    }[encoder.architecture]
    part: Callable[[Any], Iterator[Slot]]
    first = 1 if encoder.architecture == "conv_blocks" else 0
    for i, block in enumerate(encoder.blocks, first):
        yield from _scoped(block_name.format(i), part(block))
    yield from _scoped(last, _conv2d(encoder.last))


def _lstm_cell(encoder: ConvLSTMEncoder) -> Iterator[Slot]:
    yield Slot("conv_lstm/kernel", encoder.kernel)
    yield Slot("conv_lstm/biases", encoder.bias)


def _pointwise(encoder: PointwiseEncoder) -> Iterator[Slot]:
    yield Slot("latent_multiplier", encoder.multiplier)
    yield Slot("log_scale_latent", encoder.log_scale)


# --- The checkpoint ---


def _read_checkpoint(prefix: str | Path) -> dict[str, np.ndarray]:
    """All arrays of a checkpoint by name, without optimizer slots and bookkeeping."""
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        names = reader.get_variable_to_shape_map()
        kept = [name for name in names if not _is_bookkeeping(name, names)]
        return {name: reader.get_tensor(name) for name in kept}
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"cannot read the checkpoint {prefix}: {reason}; give the path without .index or .data"
        ) from None


def _is_bookkeeping(name: str, names: Mapping[str, Any]) -> bool:
    """Optimizer slots are named after their variable; the rest are the trainer's own counters."""
    if name.startswith(_SCOPE):
        return name.rpartition("/")[0] in names
    return name != "global_step" and name.startswith(("training/", "losses_avg/", "beta1_power", "beta2_power"))


def _check_complete(slots: Sequence[Slot], arrays: Mapping[str, np.ndarray]) -> None:
    names = {slot.name for slot in slots}
    unused, unset = sorted(set(arrays) - names), sorted(names - set(arrays))
    if unused or unset:
        parts = []
        if unused:
            parts.append(f"variables of the checkpoint that the model lacks: {_some(unused)}")
        if unset:
            parts.append(f"variables of the model that the checkpoint lacks: {_some(unset)}")
        raise UserError(f"checkpoint and hyperparameters do not fit; {'; '.join(parts)}")


def _some(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _assign(slots: Sequence[Slot], arrays: Mapping[str, np.ndarray]) -> None:
    """Checks all shapes, then sets all variables."""
    values = [_fitted(slot, arrays[slot.name]) for slot in slots]
    steps: dict[Any, tuple[tf.Variable, list[np.ndarray]]] = {}
    for slot, value in zip(slots, values, strict=True):
        if slot.time_step is None:
            slot.variable.assign(value)
        else:
            steps.setdefault(slot.variable.ref(), (slot.variable, []))[1].append(value)
    for variable, rows in steps.values():  # Slots come in the order of their time steps.
        variable.assign(np.stack(rows))


def _fitted(slot: Slot, array: np.ndarray) -> np.ndarray:
    """The array in our variable's shape: official ones have extra dimensions of one."""
    expected = slot.shape()
    per_video = array.ndim == 4 and len(expected) == 3 and array.shape[1:] == expected
    if per_video:  # The pointwise encoder's parameters have the batch in front.
        if not np.all(array == array[:1]):
            raise UserError(
                f"{slot.name}: the official pointwise prior has its own parameters for every one of the "
                f"{array.shape[0]} places in the batch, and here they differ; such a model exists for that batch alone "
                "and cannot be loaded"
            )
        return array[0]
    if tuple(d for d in array.shape if d != 1) != tuple(d for d in expected if d != 1):
        raise UserError(f"{slot.name}: expected shape {expected}, the checkpoint has {array.shape}")
    return array.reshape(expected)
