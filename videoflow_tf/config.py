"""`VideoFlowConfig`: every hyperparameter of a model and of its training, checked on construction."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import typing
from collections.abc import Mapping
from typing import Any

from videoflow_tf.errors import UserError

# The values a named choice may take. One place, so that flags, errors and docs agree.
CHOICES: dict[str, tuple[str, ...]] = {
    "coupling": ("affine", "additive"),
    "coupling_activation": ("gated", "relu"),
    "latent_encoder": ("conv3d", "conv2d", "conv_lstm", "pointwise"),
    "latent_architecture": ("single_conv", "residual", "conv_blocks"),
    "latent_activation": ("gated", "relu"),
    "pointwise_scale": ("level", "past", "standard"),
    "top_prior": ("learned", "standard"),
    "pixel_scaling": ("exact", "official"),
    "precision": ("float32", "mixed_bfloat16"),
    "recompute": ("none", "coupling", "step"),
    "dataset": ("shapes", "bair"),
    "shapes_background": ("black", "grey"),
}

# Least value of a number; a tuple is (least, greatest).
_LIMITS: dict[str, tuple[float, float]] = {
    "frame_size": (2, math.inf),
    "levels": (1, 16),
    "depth": (1, math.inf),
    "coupling_width": (1, math.inf),
    "coupling_dropout": (0, 0.999),
    "latent_encoder_depth": (0, math.inf),
    "latent_encoder_width": (1, math.inf),
    "latent_pre_output_channels": (1, math.inf),
    "latent_noise": (0, math.inf),
    "latent_dropout": (0, 0.999),
    "num_past_latents": (1, math.inf),
    "pretrain_steps": (0, math.inf),
    "n_bits": (1, 8),
    "num_context": (0, math.inf),
    "num_train_frames": (1, math.inf),
    "num_eval_frames": (1, math.inf),
    "batch_size": (1, math.inf),
    "accumulate_steps": (1, math.inf),
    "init_batch_size": (1, math.inf),
    "train_steps": (0, math.inf),
    "learning_rate": (0, math.inf),
    "warmup_steps": (0, math.inf),
    "decay_from": (0, math.inf),
    "decay_until": (0, math.inf),
    "clip_norm": (0, math.inf),
    "ema_decay": (0, 0.999999),
    "checkpoint_every": (1, math.inf),
    "eval_every": (1, math.inf),
    "eval_videos": (1, math.inf),
    "seed": (0, 2**31 - 1),
}

# Fields that say how long a run lasts, how often it reports and how it fits into memory, not what it computes: a run
# may be taken up again with other values of these.
RESUMABLE_FIELDS = frozenset(
    {"train_steps", "checkpoint_every", "eval_every", "eval_videos", "recompute", "accumulate_steps"}
)


def help_of(name: str) -> str:
    """One-line description of a field, as shown by `--help`."""
    return _FIELDS[name].metadata["help"]


def _field(default: Any, help_text: str) -> Any:
    return dataclasses.field(default=default, metadata={"help": help_text})


@dataclasses.dataclass(frozen=True)
class VideoFlowConfig:
    """Hyperparameters; the defaults are those of the `bair` preset (Kumar et al. 2020, table 4 and appendix B).

    Raises:
      UserError: on construction, if a value has the wrong type, is out of range or does not fit the others.
    """

    # The flow.
    frame_size: int = _field(64, "height and width of a frame, in pixels")
    levels: int = _field(3, "levels of the multi-scale flow; frame_size must divide by 2**levels")
    depth: int = _field(24, "flow steps per level")
    coupling: str = _field("affine", "coupling layer")
    coupling_width: int = _field(512, "hidden channels of a coupling network")
    coupling_activation: str = _field("gated", "second activation of a coupling network")
    coupling_dropout: float = _field(0.0, "dropout rate in coupling networks (training only)")

    # The prior over latents in time.
    conditional: bool = _field(True, "condition on past frames; false: every frame by itself, as an image model")
    latent_encoder: str = _field("conv3d", "network from past latents to the Gaussian over the present one")
    latent_encoder_depth: int = _field(5, "residual (or conv) blocks of the latent encoder")
    latent_encoder_width: int = _field(256, "hidden channels of the latent encoder")
    latent_activation: str = _field("gated", "second activation in a block of the conv3d encoder")
    latent_dilations: tuple[int, ...] = _field(
        (1, 2, 4), "spatial dilations of the conv3d encoder's branches; those wider than the latent are left out"
    )
    latent_architecture: str = _field("residual", "network of the conv2d encoder")
    latent_pre_output_channels: int = _field(512, "width of the last block of the conv2d encoder's conv_blocks")
    num_past_latents: int = _field(3, "past latents that the conv3d and conv2d encoders see")
    condition_on_first_frame: bool = _field(
        False, "encode the first frame twice at the start; the conv2d encoder always sees its latent"
    )
    latent_skip: bool = _field(True, "add the last latent to the predicted mean")
    latent_noise: float = _field(0.0, "standard deviation of Gaussian noise on the encoder's input (training only)")
    latent_dropout: float = _field(0.0, "dropout rate in the conv3d encoder (training only)")
    pointwise_scale: str = _field("level", "where the pointwise encoder takes sigma from, below the top level")
    learn_top_scale: bool = _field(False, "train the pointwise encoder's sigma at the top level")
    top_prior: str = _field("learned", "top prior of a frame without a past")
    score_context: bool = _field(False, "score the context frames too, and count them in bits per pixel")
    pretrain_steps: int = _field(0, "steps at the start in which no frame is conditioned on its past")

    # Pixels and clips.
    n_bits: int = _field(8, "bits per colour component kept of the video")
    pixel_scaling: str = _field("exact", "exact: (v + u)/2^n - 0.5; official: v/(2^n - 1) - 0.5 + u/2^n")
    num_context: int = _field(3, "frames given")
    num_train_frames: int = _field(4, "frames of a training patch, context included")
    num_eval_frames: int = _field(13, "frames of an evaluated clip, context included")

    # Data and training.
    dataset: str = _field("bair", "dataset to train and evaluate on")
    shapes_background: str = _field("black", "background of the generated shapes")
    batch_size: int = _field(5, "clips per replica and step")
    accumulate_steps: int = _field(1, "parts of a batch that are computed one after the other, to save memory")
    recompute: str = _field("none", "what the gradient computes again instead of keeping it: saves memory, not time")
    precision: str = _field("float32", "of the networks; flow, log-dets and likelihood are always float32")
    init_batch_size: int = _field(128, "clips of the data-dependent initialisation")
    train_steps: int = _field(600_000, "steps to train in all")
    learning_rate: float = _field(3e-4, "Adam's rate after the warm-up")
    warmup_steps: int = _field(10_000, "steps of linear warm-up")
    decay_from: int = _field(0, "first step of the linear decay to zero")
    decay_until: int = _field(0, "step at which the decay reaches zero; 0: no decay")
    clip_norm: float = _field(0.0, "gradients are scaled down to this global norm; 0: never")
    ema_decay: float = _field(0.0, "decay of the moving average of the weights used to evaluate and export; 0: none")
    checkpoint_every: int = _field(1_000, "steps between checkpoints")
    eval_every: int = _field(5_000, "steps between evaluations on the validation split")
    eval_videos: int = _field(64, "validation videos per evaluation")
    seed: int = _field(0, "seed of everything random")

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value = _checked(field.name, getattr(self, field.name), hints[field.name])
            object.__setattr__(self, field.name, value)
        self._check_together()

    def _check_together(self) -> None:
        if self.frame_size % 2**self.levels:
            raise UserError(
                f"frame_size={self.frame_size} does not divide by 2**levels = {2**self.levels}; "
                f"choose a multiple of {2**self.levels} or fewer levels"
            )
        if not self.latent_dilations or min(self.latent_dilations) != 1 or self.latent_dilations[0] != 1:
            raise UserError(f"latent_dilations={self.latent_dilations} must start with 1 and have no smaller value")
        if self.conditional and self.num_context < 1:
            raise UserError("num_context=0 needs conditional=false; a conditional model is given at least 1 frame")
        if self.condition_on_first_frame and self.latent_encoder == "conv3d":
            raise UserError("condition_on_first_frame does not go with latent_encoder=conv3d; choose conv2d")
        for name in ("num_train_frames", "num_eval_frames"):
            if getattr(self, name) <= self.num_context:
                raise UserError(
                    f"{name}={getattr(self, name)} leaves nothing to predict after num_context={self.num_context}; "
                    f"choose at least {self.num_context + 1}"
                )
        if self.batch_size % self.accumulate_steps:
            raise UserError(f"batch_size={self.batch_size} does not divide by accumulate_steps={self.accumulate_steps}")
        if (self.decay_until > 0 or self.decay_from > 0) and self.decay_until <= self.decay_from:
            raise UserError(f"decay_until={self.decay_until} must be greater than decay_from={self.decay_from}")

    @property
    def bfloat16_networks(self) -> bool:
        """Whether the networks compute in bfloat16."""
        return self.precision == "mixed_bfloat16"

    def latent_shape(self, level: int) -> tuple[int, int, int]:
        """Height, width and channels of the latent of `level` (0 is nearest the pixels)."""
        size = self.frame_size // 2 ** (level + 1)
        halved = 3 * 2 ** (level + 1)  # Every level: four times the channels, then half of them passed up.
        return (size, size, halved if level < self.levels - 1 else 2 * halved)

    def replace(self, **changes: Any) -> VideoFlowConfig:
        """A copy with some fields changed, checked again."""
        _check_names(changes)
        return dataclasses.replace(self, **changes)

    def differences(self, other: VideoFlowConfig) -> dict[str, tuple[Any, Any]]:
        """Fields whose values differ: name -> (mine, the other's)."""
        mine, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        return {name: (mine[name], theirs[name]) for name in mine if mine[name] != theirs[name]}

    def to_json(self) -> str:
        """All fields as a JSON object, one a line."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> VideoFlowConfig:
        """The inverse of `to_json`; a missing field has its default, an unknown one is an error."""
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise UserError(f"the configuration is not JSON: {error}") from None
        if not isinstance(values, dict):
            raise UserError(f"the configuration must be a JSON object, got {type(values).__name__}")
        _check_names(values)
        return cls(**values)

    @classmethod
    def preset(cls, name: str) -> VideoFlowConfig:
        """One of the named configurations in `PRESETS`."""
        if name not in PRESETS:
            raise UserError(f"unknown preset {name!r}; one of: {', '.join(PRESETS)}")
        return PRESETS[name]


_FIELDS = {field.name: field for field in dataclasses.fields(VideoFlowConfig)}


def _check_names(values: Mapping[str, Any]) -> None:
    for name in values:
        if name not in _FIELDS:
            near = difflib.get_close_matches(str(name), _FIELDS, n=1)
            raise UserError(f"unknown configuration field {name!r}" + (f"; did you mean {near[0]}?" if near else ""))


def _checked(name: str, value: Any, expected: Any) -> Any:
    """`value` in the type that the field declares, or a `UserError` with got and expected."""
    if expected is bool:
        if not isinstance(value, bool):
            raise UserError(f"{name} must be true or false, got {value!r}")
    elif expected is str:
        if value not in CHOICES[name]:
            raise UserError(f"{name} must be one of {', '.join(CHOICES[name])}; got {value!r}")
    elif expected in (int, float):
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not (whole or (expected is float and isinstance(value, float))):
            raise UserError(f"{name} must be {'a whole number' if expected is int else 'a number'}, got {value!r}")
        value = expected(value)
        low, high = _LIMITS[name]
        if not (math.isfinite(value) and low <= value <= high):
            bound = f"at least {low}" if high == math.inf else f"between {low} and {high}"
            raise UserError(f"{name} must be {bound}, got {value}")
    else:  # tuple[int, ...]
        if not isinstance(value, list | tuple) or not all(type(v) is int and v > 0 for v in value):
            raise UserError(f"{name} must be a list of positive whole numbers, got {value!r}")
        value = tuple(value)
    return value


_BAIR = VideoFlowConfig()

PRESETS: dict[str, VideoFlowConfig] = {
    "bair": _BAIR,
    "bair_quality": _BAIR.replace(coupling="additive", coupling_width=392),
    "shapes": _BAIR.replace(
        coupling="additive",
        latent_encoder_depth=10,
        latent_skip=False,
        num_past_latents=1,
        num_context=1,
        num_train_frames=2,
        num_eval_frames=5,
        dataset="shapes",
        learning_rate=1e-4,
        batch_size=10,
    ),
    "demo": _BAIR.replace(
        depth=4,
        coupling_width=64,
        latent_encoder_depth=2,
        latent_encoder_width=32,
        latent_dilations=(1,),
        num_past_latents=1,
        num_context=1,
        num_train_frames=5,
        num_eval_frames=5,
        dataset="shapes",
        learning_rate=2e-3,
        warmup_steps=100,
        clip_norm=50.0,
        decay_from=1_000,
        decay_until=3_000,
        batch_size=4,
        init_batch_size=16,
        train_steps=3_000,
        checkpoint_every=100,
        eval_every=500,
        eval_videos=32,
    ),
}
