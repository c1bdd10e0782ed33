"""`VideoFlowConfig`: every hyperparameter of a model and of its training, checked on construction."""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
from collections.abc import Iterable
from typing import Any

from videoflow_tf.errors import UserError
from videoflow_tf.fields import checked, field
from videoflow_tf.files import JSON_ERRORS
from videoflow_tf.registry import COUPLINGS, DATASETS, LATENT_ENCODERS
from videoflow_tf.units import BITS_LABEL

SPLITS = ("train", "validation", "test")
STRATEGIES = ("one_device", "mirrored", "multi_worker", "tpu")
MAX_SEED = 2**31 - 1

_ACTIVATIONS = ("gated", "relu")


def _read_frame_size(name: str, value: Any) -> int | str:
    """A whole number for a square, "HxW" for another frame; as a flag gives it, a number may be a string, too."""
    match = re.fullmatch(r"0*([1-9]\d*)(?:x0*([1-9]\d*))?", str(value))
    if match is None or not isinstance(value, int | str):
        raise UserError(f"{name} must be a number of pixels, or HEIGHTxWIDTH such as 48x64; got {value!r}")
    height, width = match[1], match[2] or match[1]
    return int(height) if height == width else f"{height}x{width}"


def _read_dataset(name: str, value: Any) -> str:
    """A registered dataset; after a colon, which of its kind: "tfds:moving_mnist"."""
    named = isinstance(value, str) and value.startswith("tfds:")
    if not named and value not in tuple(DATASETS):
        raise UserError(f"{name} must be one of {', '.join(DATASETS)} or tfds:NAME; got {value!r}")
    return value


def _read_text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise UserError(f"{name} must be a text, got {value!r}")
    return value


@dataclasses.dataclass(frozen=True)
class FlowConfig:
    """The flow between a frame and its latents."""

    frame_size: str | int = field(
        64, "height and width of a frame, in pixels: 64, or 48x64 (height x width)", read=_read_frame_size
    )
    channels: int = field(3, "colour components of a pixel: 3 (RGB), or 1 (grey)")
    levels: int = field(
        3, "levels of the multi-scale flow; height and width must divide by 2**levels", least=1, most=16
    )
    depth: int = field(24, "flow steps per level", least=1)
    coupling: str = field("affine", "coupling layer", choices=COUPLINGS)
    coupling_width: int = field(512, "hidden channels of a coupling network", least=1)
    coupling_activation: str = field("gated", "second activation of a coupling network", choices=_ACTIVATIONS)
    coupling_dropout: float = field(0.0, "dropout rate in coupling networks (training only)", most=0.999)


@dataclasses.dataclass(frozen=True)
class PriorConfig:
    """The prior over latents in time."""

    conditional: bool = field(True, "condition on past frames; false: every frame by itself, as an image model")
    latent_encoder: str = field(
        "conv3d", "network from past latents to the Gaussian over the present one", choices=LATENT_ENCODERS
    )
    latent_encoder_depth: int = field(5, "residual (or conv) blocks of the latent encoder")
    latent_encoder_width: int = field(256, "hidden channels of the latent encoder", least=1)
    latent_activation: str = field("gated", "second activation in a block of the conv3d encoder", choices=_ACTIVATIONS)
    latent_dilations: tuple[int, ...] = field(
        (1, 2, 4), "spatial dilations of the conv3d encoder's branches; those larger than the latent are left out"
    )
    latent_architecture: str = field(
        "residual", "network of the conv2d encoder", choices=("single_conv", "residual", "conv_blocks")
    )
    latent_pre_output_channels: int = field(512, "width of the last block of the conv2d encoder's conv_blocks", least=1)
    latent_encoder_input: str = field(
        "latents",
        "what the conv3d encoder sees of a past frame: its latents at the level; or what goes on up from there, too",
        choices=("latents", "level"),
    )
    prior_components: int = field(
        1, "Gaussians of which the top level's prior is a mixture: several futures, each sharp", least=1
    )
    prior_anneal_steps: int = field(0, "steps at the start in which the mixture's objective is sharper: they part")
    num_past_latents: int = field(3, "past latents that the conv3d and conv2d encoders see", least=1)
    condition_on_first_frame: bool = field(
        False, "encode the first frame twice at the start; the conv2d encoder always sees its latent"
    )
    latent_skip: bool = field(True, "add the last latent to the predicted mean")
    latent_noise: float = field(0.0, "standard deviation of Gaussian noise on the encoder's input (training only)")
    latent_dropout: float = field(0.0, "dropout rate in the conv3d encoder (training only)", most=0.999)
    pointwise_scale: str = field(
        "level",
        "where the pointwise encoder takes sigma from, below the top level",
        choices=("level", "past", "standard"),
    )
    learn_top_scale: bool = field(False, "train the pointwise encoder's sigma at the top level")
    top_prior: str = field("learned", "top prior of a frame without a past", choices=("learned", "standard"))
    score_context: bool = field(False, f"score the context frames too, and count them in {BITS_LABEL}")
    pretrain_steps: int = field(0, "steps at the start in which no frame is conditioned on its past")


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Pixels, clips and the dataset."""

    n_bits: int = field(8, "bits per colour component kept of the video", least=1, most=8)
    pixel_scaling: str = field(
        "exact", "exact: (v + u)/2^n - 0.5; official: v/(2^n - 1) - 0.5 + u/2^n", choices=("exact", "official")
    )
    dequantization: str = field(
        "uniform",
        "noise within the bins of the pixels: uniform, or learned with the model (Flow++), a tighter bound",
        choices=("uniform", "variational"),
    )
    dequantization_depth: int = field(2, "flow steps of the variational dequantisation", least=1)
    dequantization_width: int = field(32, "hidden channels of the variational dequantisation", least=1)
    num_context: int = field(3, "frames given")
    num_train_frames: int = field(4, "frames of a training patch, context included", least=1)
    num_eval_frames: int = field(13, "frames of an evaluated clip, context included", least=1)
    dataset: str = field(
        "bair",
        "what to train and evaluate on: moving shapes; BAIR; videos (the files in data_dir); tfds:NAME[:FEATURE]",
        choices=DATASETS,
        read=_read_dataset,
    )
    fit: str = field("crop", "how a frame of another form is made to fit", choices=("crop", "pad", "stretch"))
    frame_stride: int = field(1, "a clip has every n-th frame of a stored video", least=1)
    camera: str = field("image_aux1", "camera of BAIR", choices=("image_aux1", "image_main"))
    cache_dir: str = field("", "folder to keep decoded videos in; default: in memory", read=_read_text, resumable=True)
    shapes_background: str = field("black", "background of the generated shapes", choices=("black", "grey"))
    shapes_count: int = field(1, "generated shapes in a video, side by side at its start", least=1, most=4)
    shapes_occluder: bool = field(False, "a white band around the middle, behind which the generated shapes pass")
    shapes_bounce: bool = field(False, "generated shapes turn at the edges of the frame instead of leaving it")


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """Training: batches, memory, the optimizer, how long and how often."""

    batch_size: int = field(5, "clips per replica and step", least=1)
    accumulate_steps: int = field(
        1, "parts of a batch that are computed one after the other, to save memory", least=1, resumable=True
    )
    recompute: str = field(
        "none",
        "what the gradient computes again instead of keeping it: saves memory, not time",
        choices=("none", "coupling", "step"),
        resumable=True,
    )
    precision: str = field(
        "float32",
        "of the networks; flow, log-dets and likelihood are always float32",
        choices=("float32", "mixed_bfloat16"),
    )
    init_batch_size: int = field(128, "clips of the data-dependent initialisation", least=1)
    train_steps: int = field(600_000, "steps to train in all", resumable=True)
    learning_rate: float = field(3e-4, "Adam's rate after the warm-up")
    adam_beta2: float = field(0.999, "decay of Adam's average of squared gradients", most=0.999999)
    warmup_steps: int = field(10_000, "steps of linear warm-up")
    decay_from: int = field(0, "first step of the linear decay to zero")
    decay_until: int = field(0, "step at which the decay reaches zero; 0: no decay")
    clip_norm: float = field(0.0, "gradients are scaled down to this global norm; 0: never")
    ema_decay: float = field(
        0.0, "decay of the moving average of the weights used to evaluate and export; 0: none", most=0.999999
    )
    checkpoint_every: int = field(1_000, "steps between checkpoints", least=1, resumable=True)
    keep_checkpoints: int = field(3, "newest checkpoints kept, besides the best one", least=1, resumable=True)
    eval_every: int = field(5_000, "steps between evaluations on the validation split", least=1, resumable=True)
    eval_videos: int = field(64, "validation videos per evaluation, at most", least=1, resumable=True)
    stop_after: int = field(
        0, "stop after so many evaluations in a row that were not better than one before; 0: never", resumable=True
    )
    seed: int = field(0, "seed of everything random", most=MAX_SEED)


@dataclasses.dataclass(frozen=True)
class VideoFlowConfig(TrainingConfig, DataConfig, PriorConfig, FlowConfig):  # Fields come in the order last to first.
    """Hyperparameters; the defaults are those of the `bair` preset (Kumar et al. 2020, table 4 and appendix B).

    Raises:
      UserError: on construction, if a value has the wrong type, is out of range or does not fit the others.
    """

    def __post_init__(self) -> None:
        for declared in dataclasses.fields(self):
            object.__setattr__(self, declared.name, checked(declared, getattr(self, declared.name)))
        self._check_together()

    def _check_together(self) -> None:
        if self.channels not in (1, 3):
            raise UserError(f"channels must be 3 (RGB) or 1 (grey), got {self.channels}")
        if any(side % 2**self.levels for side in self.frame_shape[:2]):
            raise UserError(
                f"frame_size={self.frame_size} does not divide by 2**levels = {2**self.levels}; "
                f"choose a multiple of {2**self.levels}{' or fewer levels' if self.levels > 1 else ''}"
            )
        if not self.latent_dilations or min(self.latent_dilations) != 1 or self.latent_dilations[0] != 1:
            raise UserError(f"latent_dilations={self.latent_dilations} must start with 1 and have no smaller value")
        if self.conditional and self.num_context < 1:
            raise UserError("num_context=0 needs conditional=false; a conditional model is given at least 1 frame")
        if self.condition_on_first_frame and self.latent_encoder == "conv3d":
            raise UserError("condition_on_first_frame does not go with latent_encoder=conv3d; choose conv2d")
        if self.latent_encoder_input == "level" and self.latent_encoder != "conv3d":
            raise UserError("latent_encoder_input=level goes with latent_encoder=conv3d alone; choose latents")
        if self.prior_components > 1 and (not self.conditional or self.latent_encoder == "conv_lstm"):
            raise UserError(
                f"prior_components={self.prior_components} needs conditional=true and a latent encoder that sees a "
                "window of past frames; choose 1, or latent_encoder=conv3d"
            )
        if self.prior_anneal_steps and self.prior_components == 1:
            raise UserError("prior_anneal_steps is about a mixture: give prior_components, 2 or more, or leave it at 0")
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

    @property
    def scores_all_frames(self) -> bool:
        """Whether bits per pixel count the frames given, too."""
        return self.score_context or not self.conditional

    @property
    def num_unscored(self) -> int:
        """Frames at the beginning of a clip that bits per pixel do not count."""
        return 0 if self.scores_all_frames else self.num_context

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a frame, [H, W, C]."""
        height, _, width = str(self.frame_size).partition("x")
        return int(height), int(width or height), self.channels

    def latent_shape(self, level: int) -> tuple[int, int, int]:
        """Height, width and channels of the latent of `level` (0 is nearest the pixels)."""
        height, width, channels = self.frame_shape
        halved = channels * 2 ** (level + 1)  # Every level: four times the channels, then half of them passed up.
        scale = 2 ** (level + 1)
        return height // scale, width // scale, halved if level < self.levels - 1 else 2 * halved

    def replace(self, **changes: Any) -> VideoFlowConfig:
        """A copy with some fields changed, checked again."""
        check_names(changes)
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
        except JSON_ERRORS as error:
            raise UserError(f"the configuration is not JSON: {error}") from None
        if not isinstance(values, dict):
            raise UserError(f"the configuration must be a JSON object, got {type(values).__name__}")
        check_names(values)
        return cls(**values)

    @classmethod
    def preset(cls, name: str) -> VideoFlowConfig:
        """One of the named configurations in `PRESETS`."""
        if name not in PRESETS:
            raise UserError(f"unknown preset {name!r}; one of: {', '.join(PRESETS)}")
        return PRESETS[name]


_FIELDS = {declared.name: declared for declared in dataclasses.fields(VideoFlowConfig)}

# Which fields are about what.
PARTS: dict[str, tuple[str, ...]] = {
    part: tuple(declared.name for declared in dataclasses.fields(fields))
    for part, fields in {
        "flow": FlowConfig,
        "prior": PriorConfig,
        "data": DataConfig,
        "training": TrainingConfig,
    }.items()
}

# Which fields say what weights a model has and what they mean.
_TRAINING_ONLY = (
    "coupling_dropout",
    "prior_anneal_steps",
    "latent_noise",
    "latent_dropout",
    "score_context",
    "pretrain_steps",
)
_OF_PIXELS = ("n_bits", "pixel_scaling", "dequantization", "dequantization_depth", "dequantization_width")
ARCHITECTURE_FIELDS = frozenset({*PARTS["flow"], *PARTS["prior"], *_OF_PIXELS} - {*_TRAINING_ONLY})

RESUMABLE_FIELDS = frozenset(name for name, field in _FIELDS.items() if field.metadata["resumable"])


def help_of(name: str) -> str:
    """One-line description of a field, as shown by `--help`."""
    return _FIELDS[name].metadata["help"]


def choices_of(name: str) -> tuple[str, ...] | None:
    """The values that a field takes by name, registered ones included; None for a field that is no named choice."""
    choices = _FIELDS[name].metadata["choices"]
    return None if choices is None else tuple(choices)


def check_names(values: Iterable[str]) -> None:
    """Raises `UserError` if one of them is no configuration field."""
    for name in values:
        if name not in _FIELDS:
            near = difflib.get_close_matches(str(name), _FIELDS, n=1)
            raise UserError(f"unknown configuration field {name!r}" + (f"; did you mean {near[0]}?" if near else ""))


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
        frame_size=32,
        n_bits=5,
        depth=2,
        coupling_width=64,
        latent_encoder_depth=2,
        latent_encoder_width=64,
        latent_encoder_input="level",
        latent_dilations=(1,),
        num_past_latents=1,
        num_context=2,
        num_train_frames=5,
        num_eval_frames=5,
        dataset="shapes",
        learning_rate=6e-3,
        adam_beta2=0.99,
        warmup_steps=200,
        clip_norm=5.0,
        ema_decay=0.99,
        decay_from=2_200,
        decay_until=6_600,
        batch_size=8,
        init_batch_size=64,
        train_steps=6_600,
        checkpoint_every=250,
        eval_every=2_200,
        eval_videos=32,
    ),
}
