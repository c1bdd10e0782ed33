"""The official hyperparameters: their names, defaults and limits, and the configuration that they describe."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.files import JSON_ERRORS
from videoflow_tf.units import counted

_DEFAULT_FRAME_SIZE = 64  # Of the official datasets.


class _Hparam(NamedTuple):
    """An official hyperparameter."""

    default: Any
    ours: str | None = None  # The field of the configuration that it is, where it is one by itself.
    values: Mapping[str, Any] | None = None  # Of a named choice: official value -> ours.


_ACTIVATIONS = {"relu": "relu", "gatu": "gated"}

# The official hyperparameters that this package knows, with the defaults of `next_frame_glow_hparams`. `temperature`
# is an argument of sampling here; `n_bits_x` and `condition_all_levels` are read by no official code for video.
_HPARAMS = {
    "gen_mode": _Hparam("conditional", "conditional", {"conditional": True, "unconditional": False}),
    "learn_top_scale": _Hparam(False, "learn_top_scale"),
    "condition_all_levels": _Hparam(True),
    "num_train_frames": _Hparam(-1),
    "latent_dist_encoder": _Hparam(
        "conv_net",
        "latent_encoder",
        {"conv3d_net": "conv3d", "conv_net": "conv2d", "conv_lstm": "conv_lstm", "pointwise": "pointwise"},
    ),
    "num_cond_latents": _Hparam(1, "num_past_latents"),
    "latent_architecture": _Hparam(
        "glow_resnet",
        "latent_architecture",
        {"single_conv": "single_conv", "glow_resnet": "residual", "glow_nn": "conv_blocks"},
    ),
    "latent_apply_dilations": _Hparam(False),
    "latent_dilation_rates": _Hparam([1, 3]),
    "model_input": _Hparam(False, "score_context"),
    "cond_first_frame": _Hparam(False, "condition_on_first_frame"),
    "latent_skip": _Hparam(True, "latent_skip"),
    "latent_encoder_depth": _Hparam(2, "latent_encoder_depth"),
    "latent_encoder_width": _Hparam(512, "latent_encoder_width"),
    "latent_dropout": _Hparam(0.0, "latent_dropout"),
    "latent_pre_output_channels": _Hparam(512, "latent_pre_output_channels"),
    "latent_activation": _Hparam("relu", "latent_activation", _ACTIVATIONS),
    "latent_noise": _Hparam(0.0, "latent_noise"),
    "pretrain_steps": _Hparam(-1),
    "top_prior": _Hparam("single_conv", "top_prior", {"single_conv": "learned", "normal": "standard"}),
    "level_scale": _Hparam(
        "prev_level", "pointwise_scale", {"prev_level": "level", "prev_step": "past", "normal": "standard"}
    ),
    "n_levels": _Hparam(3, "levels"),
    "n_bits_x": _Hparam(8),
    "depth": _Hparam(32, "depth"),
    "activation": _Hparam("relu", "coupling_activation", _ACTIVATIONS),
    "coupling": _Hparam("affine", "coupling", {"affine": "affine", "additive": "additive"}),
    "coupling_width": _Hparam(512, "coupling_width"),
    "coupling_dropout": _Hparam(0.0, "coupling_dropout"),
    "video_num_input_frames": _Hparam(1),
    "video_num_target_frames": _Hparam(1),
    "temperature": _Hparam(1.0),
    "batch_size": _Hparam(32, "batch_size"),
    "init_batch_size": _Hparam(256, "init_batch_size"),
    "learning_rate_constant": _Hparam(3e-4, "learning_rate"),
    # Our value: whether it warms up.
    "learning_rate_schedule": _Hparam(
        "legacy", None, {"legacy": True, "constant": False, "constant*linear_warmup": True}
    ),
    "learning_rate_warmup_steps": _Hparam(100),
}
OFFICIAL_DEFAULTS: dict[str, Any] = {name: hparam.default for name, hparam in _HPARAMS.items()}

# What else is in a hparams.json that tensor2tensor writes: of `basic_params1` and of its trainer. It is about the
# optimizer, other models and how a program runs, and says nothing of the model.
_OF_OTHER_PARTS = frozenset(
    """
    activation_dtype add_relative_to_values area_key_mode area_value_mode batch_shuffle_size bottom clip_grad_norm
    compress_steps daisy_chain_variables data_dir dropout eval_drop_long_sequences eval_freq_in_steps
    eval_run_autoregressive eval_steps eval_timeout_mins factored_logits force_full_predict
    gpu_automatic_mixed_precision grad_noise_scale heads_share_relative_embedding hidden_size initializer
    initializer_gain kernel_height kernel_width label_smoothing layer_postprocess_sequence
    layer_prepostprocess_dropout layer_prepostprocess_dropout_broadcast_dims layer_preprocess_sequence learning_rate
    learning_rate_cosine_cycle_steps learning_rate_decay_rate learning_rate_decay_scheme
    learning_rate_decay_staircase learning_rate_decay_steps learning_rate_minimum length_bucket_step loss
    max_area_height max_area_width max_input_seq_length max_length max_relative_position max_target_seq_length
    memory_height min_length min_length_bucket mixed_precision_optimizer_init_loss_scale
    mixed_precision_optimizer_loss_scaler mlperf_mode model_dir moe_hidden_sizes moe_k moe_loss_coef moe_num_experts
    multiply_embedding_mode multiproblem_fixed_train_length multiproblem_label_weight multiproblem_max_input_length
    multiproblem_max_target_length multiproblem_mixing_schedule multiproblem_per_task_threshold
    multiproblem_reweight_label_loss multiproblem_schedule_max_examples multiproblem_schedule_threshold
    multiproblem_target_eval_only multiproblem_vocab_size name no_data_parallelism norm_epsilon norm_type
    num_area_layers num_hidden_layers optimizer optimizer_adafactor_beta1 optimizer_adafactor_beta2
    optimizer_adafactor_clipping_threshold optimizer_adafactor_decay_type optimizer_adafactor_factored
    optimizer_adafactor_memory_exponent optimizer_adafactor_multiply_by_parameter_scale optimizer_adam_beta1
    optimizer_adam_beta2 optimizer_adam_epsilon optimizer_momentum_momentum optimizer_momentum_nesterov
    optimizer_multistep_accumulate_steps optimizer_zero_grads pack_dataset pad_batch prepend_mode
    pretrained_model_dir sampling_keep_top_k sampling_method sampling_temp schedule
    scheduled_sampling_gold_mixin_prob scheduled_sampling_method scheduled_sampling_num_passes
    scheduled_sampling_prob scheduled_sampling_warmup_schedule scheduled_sampling_warmup_steps shared_embedding
    shared_embedding_and_softmax_weights split_targets_chunk_length split_targets_max_chunks
    split_targets_strided_training split_to_length std_server_protocol summarize_grads summarize_vars symbol_dropout
    symbol_modality_num_shards top tpu_enable_host_call train_steps use_custom_ops use_fixed_batch_size
    vocab_divisor warm_start_from warm_start_from_second weight_decay weight_dtype weight_noise weights_fn
    """.split()
)


def read_hparams(path: str | Path) -> dict[str, Any]:
    """A file of official hyperparameters: a JSON object of them, or of `hparams` and `frame_size`.

    Raises:
      UserError: if it cannot be read.
    """
    try:
        hparams = json.loads(Path(path).read_text())
    except OSError as error:
        raise UserError(f"cannot read the hyperparameters {path}: {error.strerror}") from None
    except JSON_ERRORS as error:
        raise UserError(f"the hyperparameters {path} are not JSON: {error}") from None
    if not isinstance(hparams, dict):
        raise UserError(f"the hyperparameters {path} must be a JSON object, got {type(hparams).__name__}")
    return hparams


def config_from_hparams(hparams: Mapping[str, Any], frame_size: int | str | None = None) -> VideoFlowConfig:
    """The configuration that the official hyperparameters describe.

    Args:
      hparams: official names and values; a missing name has its official default, and names about other parts of
        tensor2tensor (`ignored_names`) do not count. A mapping with the keys `hparams` and `frame_size` is read as
        these two.
      frame_size: height and width of a frame, one number; it is no official hyperparameter but a property of the
        dataset. Default: `hparams["frame_size"]`, or 64.

    Raises:
      UserError: for an unknown name, or a value that the official code or this package cannot run.
    """
    values, given_size = split_record(hparams)
    values = {name: value for name, value in values.items() if name not in _OF_OTHER_PARTS}
    frame_size = next((size for size in (frame_size, given_size) if size is not None), _DEFAULT_FRAME_SIZE)
    _check_names(values)
    for name, value in values.items():
        _check_value(name, value)
    h = {**OFFICIAL_DEFAULTS, **values}
    _check_together(h, values)
    ours = {name: h[name] if hparam.values is None else hparam.values[h[name]] for name, hparam in _HPARAMS.items()}
    fields = {hparam.ours: ours[name] for name, hparam in _HPARAMS.items() if hparam.ours is not None}
    inputs, targets = h["video_num_input_frames"], h["video_num_target_frames"]
    if fields["conditional"]:  # The official code then learns the top prior of frames without a past, whatever it says.
        fields["top_prior"] = "learned"
    dilations = [1, *(rate + 1 for rate in h["latent_dilation_rates"])] if h["latent_apply_dilations"] else [1]
    config = VideoFlowConfig(
        **fields,
        frame_size=frame_size,
        latent_dilations=tuple(dilations),
        # The official code conditions from the step after `pretrain_steps` on.
        pretrain_steps=max(0, h["pretrain_steps"] + 1),
        # The official video model keeps all 8 bits, whatever `n_bits_x` says.
        n_bits=8,
        pixel_scaling="official",
        num_context=inputs if fields["conditional"] else 0,
        num_train_frames=inputs + targets if h["num_train_frames"] == -1 else h["num_train_frames"],
        num_eval_frames=inputs + targets,
        warmup_steps=h["learning_rate_warmup_steps"] if ours["learning_rate_schedule"] else 0,
    )
    height, width, _ = config.frame_shape
    if height != width:
        raise UserError(f"official models are imported with square RGB frames alone, got frame_size={frame_size}")
    return config


def ignored_names(hparams: Mapping[str, Any]) -> list[str]:
    """The names in a mapping as of `config_from_hparams` that are about other parts of tensor2tensor, sorted."""
    return sorted(_OF_OTHER_PARTS & split_record(hparams)[0].keys())


def split_record(hparams: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """The hyperparameters alone, and `frame_size` (None if not given), of either form of a mapping.

    Raises:
      UserError: it is no mapping, or has unknown keys beside `hparams`.
    """
    if not isinstance(hparams, Mapping):
        raise UserError(f"official hyperparameters must be a mapping by name, got {type(hparams).__name__}")
    values = dict(hparams)
    frame_size = values.pop("frame_size", None)
    if "hparams" not in values:
        return values, frame_size
    inner = values.pop("hparams")
    unknown = set(values) - {"name", "batch"}
    if unknown:
        raise UserError(f"unknown keys beside hparams: {', '.join(sorted(map(str, unknown)))}")
    values, inner_size = split_record(inner)
    return values, inner_size if frame_size is None else frame_size


def _check_names(values: Mapping[str, Any]) -> None:
    unknown = []
    for name in values:
        if name not in OFFICIAL_DEFAULTS:
            near = difflib.get_close_matches(str(name), OFFICIAL_DEFAULTS, n=1)
            unknown.append(repr(name) + (f" (did you mean {near[0]}?)" if near else ""))
    if unknown:
        raise UserError(f"unknown official hyperparameter {', '.join(unknown)}; name it as the official code does")


def _check_value(name: str, value: Any) -> None:
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
    choices = _HPARAMS[name].values
    if choices is not None and value not in choices:
        raise UserError(f"official hyperparameter {name}={value!r} is not supported; one of {', '.join(choices)}")


def _check_together(h: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Combinations that the official code refuses or fails to run."""
    encoder, num_past = h["latent_dist_encoder"], h["num_cond_latents"]
    inputs, train_frames = h["video_num_input_frames"], h["num_train_frames"]
    all_frames = inputs + h["video_num_target_frames"]
    if inputs < 1 or h["video_num_target_frames"] < 1:
        raise UserError("video_num_input_frames and video_num_target_frames must be at least 1")
    if train_frames != -1 and not 1 <= train_frames <= all_frames:
        raise UserError(
            f"num_train_frames must be -1, or between 1 and video_num_input_frames + video_num_target_frames = "
            f"{all_frames}; got {train_frames}"
        )
    if h["latent_apply_dilations"] and not h["latent_dilation_rates"]:
        raise UserError("latent_apply_dilations=True needs latent_dilation_rates, got none")
    if h["gen_mode"] == "unconditional":
        for name in ("num_train_frames", "video_num_input_frames"):
            if h[name] != 1:
                raise UserError(f"gen_mode=unconditional needs {name}=1, got {h[name]}")
        return
    if train_frames != -1 and train_frames <= inputs:
        frames = counted(inputs, "input frame")
        raise UserError(f"num_train_frames={train_frames} leaves nothing to predict after {frames}")
    if encoder in ("pointwise", "conv_lstm"):
        if num_past != 1:
            raise UserError(f"latent_dist_encoder={encoder} needs num_cond_latents=1, got {num_past}")
        if h["n_levels"] == 1:
            raise UserError(f"latent_dist_encoder={encoder} needs n_levels of at least 2, got 1")
    if encoder == "pointwise" and {"batch_size", "init_batch_size"} <= set(given):
        if h["batch_size"] != h["init_batch_size"]:
            raise UserError("latent_dist_encoder=pointwise needs init_batch_size equal to batch_size")
    if encoder == "conv_net" and num_past > inputs:
        raise UserError(
            f"latent_dist_encoder=conv_net needs num_cond_latents <= video_num_input_frames = {inputs}, got {num_past}"
        )
    if encoder == "conv3d_net" and num_past >= all_frames:
        raise UserError(
            f"num_cond_latents={num_past} needs clips of more frames than video_num_input_frames + "
            f"video_num_target_frames = {all_frames}: in the official code such a model has no latent encoder"
        )
    if encoder == "conv_net" and h["latent_architecture"] == "glow_nn":
        if h["latent_pre_output_channels"] < 2 ** (h["latent_encoder_depth"] - 1):
            raise UserError(
                f"latent_pre_output_channels={h['latent_pre_output_channels']} leaves no channels in the first of "
                f"latent_encoder_depth={h['latent_encoder_depth']}, each half as wide as the next"
            )
    if encoder == "conv3d_net" and h["cond_first_frame"]:
        raise UserError("cond_first_frame=True does not go with latent_dist_encoder=conv3d_net")
