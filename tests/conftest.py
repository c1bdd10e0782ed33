"""The tiny configuration that all tests share, models and videos of it, and a finished run."""

import fcntl
import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from tests.commands import run_command
from videoflow_tf.config import VideoFlowConfig

# The one tiny configuration: every test's model is this one, but for what the test is about.
_FLOW = {"frame_size": 8, "levels": 2, "depth": 1, "coupling_width": 6}
_PRIOR = {
    "latent_encoder_depth": 1,
    "latent_encoder_width": 5,
    "num_past_latents": 2,
    "latent_encoder_input": "latents",
}
_PIXELS = {"n_bits": 8, "dequantization": "uniform"}
_FRAMES = {"num_context": 2, "num_train_frames": 4, "num_eval_frames": 4, "eval_videos": 3}
_STEPS = {"batch_size": 2, "init_batch_size": 4, "train_steps": 6, "checkpoint_every": 2, "eval_every": 4}
_RATE = {
    "learning_rate": 1e-3,
    "adam_beta2": 0.999,
    "warmup_steps": 0,
    "decay_from": 0,
    "decay_until": 0,
    "clip_norm": 0.0,
    "ema_decay": 0.0,
}
TINY = VideoFlowConfig.preset("demo").replace(**_FLOW, **_PRIOR, **_PIXELS, **_FRAMES, **_STEPS, **_RATE)

# Every kind of latent encoder: what to change in it. Half of them with the skip connection.
ENCODERS = {
    # 20 pixels: latents of 10 (all three dilations fit) and 5 (two of them), neither divisible by 4.
    "conv3d_gated_dilated": {"frame_size": 20, "latent_dilations": (1, 2, 4), "num_past_latents": 3},
    "conv3d_relu": {"latent_activation": "relu", "latent_encoder_depth": 3, "num_past_latents": 3},
    "conv3d_of_level": {"latent_encoder_input": "level", "latent_encoder_depth": 2},
    "conv3d_one_past": {"num_past_latents": 1, "latent_skip": False},
    "conv2d_single_conv": {"latent_encoder": "conv2d", "latent_architecture": "single_conv"},
    "conv2d_residual": {"latent_encoder": "conv2d", "latent_architecture": "residual", "latent_skip": False},
    "conv2d_conv_blocks": {
        "latent_encoder": "conv2d",
        "latent_architecture": "conv_blocks",
        "latent_encoder_depth": 2,
        "latent_pre_output_channels": 6,
    },
    "conv2d_first_frame": {"latent_encoder": "conv2d", "condition_on_first_frame": True, "latent_skip": False},
    "conv_lstm": {"latent_encoder": "conv_lstm"},
    "pointwise_level": {"latent_encoder": "pointwise", "latent_skip": False},
    "pointwise_past": {"latent_encoder": "pointwise", "pointwise_scale": "past", "learn_top_scale": True},
    "pointwise_standard": {"latent_encoder": "pointwise", "pointwise_scale": "standard"},
}

# So many steps and blocks that they share their traces.
DEEP = {"depth": 9, "latent_encoder_depth": 9}


@pytest.fixture(params=ENCODERS)
def encoder_changes(request) -> dict:
    """What to change in `TINY` for one kind of latent encoder."""
    return ENCODERS[request.param]


@pytest.fixture(scope="session")
def micro_config() -> VideoFlowConfig:
    """Of the finished run: frames large enough for every metric (SSIM's window is 11 pixels), one of them given."""
    frames = {"frame_size": 16, "num_past_latents": 1, "num_context": 1, "num_train_frames": 3, "num_eval_frames": 5}
    return TINY.replace(**frames, ema_decay=0.5, warmup_steps=50)


# What differs from the official model, all at once; grey frames that are wider than high.
OWN_CHOICES = {
    "frame_size": "16x24",
    "channels": 1,
    "n_bits": 5,
    "dequantization": "variational",
    "dequantization_width": 6,
    "latent_encoder_input": "level",
    "prior_components": 3,
    "prior_anneal_steps": 4,
}


@pytest.fixture(scope="session")
def micro_flags(micro_config, tmp_path_factory) -> Path:
    """A flagfile of `micro_config`."""
    return write_flags(micro_config, tmp_path_factory.mktemp("flags") / "micro.flags")


def write_flags(config: VideoFlowConfig, path: Path) -> Path:
    """Writes a configuration as a flagfile."""
    changes = VideoFlowConfig.preset("demo").differences(config)
    lines = ["--preset=demo", *(f"--{name}={value}" for name, (_, value) in changes.items())]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="session")
def run_once(tmp_path_factory):
    """Trains a configuration, once for all processes that the tests are divided among; gives its workdir."""
    from videoflow_tf.training import train as training

    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent

    def run(name: str, config: VideoFlowConfig) -> Path:
        workdir = shared / "runs" / name
        workdir.parent.mkdir(exist_ok=True)
        with (workdir.parent / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            training.train(config, workdir, None)  # Of a finished run, nothing is done again.
        return workdir

    return run


@pytest.fixture(scope="session")
def micro_run(micro_config, run_once) -> Path:
    """The workdir of a finished run. Tests that write to it copy it first."""
    return run_once("micro", micro_config)


@pytest.fixture(scope="session")
def own_choices_run(micro_config, run_once) -> Path:
    """As `micro_run`, with `OWN_CHOICES`."""
    return run_once("own_choices", micro_config.replace(**OWN_CHOICES))


@pytest.fixture(scope="session")
def command():
    """Runs `python launch/NAME.py ARGUMENTS` and returns the finished process, its output as text."""
    return run_command


@pytest.fixture(scope="session")
def move_variables():
    """Moves every trainable variable of a module off its initial value: zeros hide errors."""

    def move(module, stddev: float = 0.1, seed: int = 0) -> None:
        rng = np.random.default_rng([seed, 1])
        for variable in module.trainable_variables:
            variable.assign_add(stddev * rng.normal(size=variable.shape).astype(variable.dtype.as_numpy_dtype))

    return move


@pytest.fixture(scope="session")
def make_model(move_variables):
    """Builds a `TINY` model, float64 unless told, with its weights moved off their initial values by `moved`."""
    from videoflow_tf import VideoFlow

    def make(dtype: str = "float64", moved: float = 0.03, **changes):
        model = VideoFlow(TINY.replace(**changes), dtype=dtype)
        move_variables(model, moved)
        return model

    return make


def frame_shape(size: int | tuple[int, int, int]) -> tuple[int, int, int]:
    """[H, W, C], by default square and in colour."""
    return (size, size, 3) if isinstance(size, int) else size


@pytest.fixture(scope="session")
def make_video():
    """Random uint8 video [batch, frames, *frame_shape(size)]."""

    def make(batch: int = 2, frames: int = 4, size: int | tuple[int, int, int] = 8, seed: int = 0) -> np.ndarray:
        return np.random.default_rng(seed).integers(0, 256, (batch, frames, *frame_shape(size)), dtype=np.uint8)

    return make


@pytest.fixture(scope="session")
def make_frames():
    """Random continuous float64 frames [batch, frames, *frame_shape(size)] around [-0.5, 0.5)."""

    def make(batch: int = 2, frames: int = 4, size: int | tuple[int, int, int] = 8, seed: int = 0) -> np.ndarray:
        return np.random.default_rng(seed).uniform(-0.5, 0.5, (batch, frames, *frame_shape(size)))

    return make
