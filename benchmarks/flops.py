"""Floating-point operations of a model, counted from its configuration.

Counted are the convolutions and the matrix products on frames and latents, a multiplication with its addition as two
operations, zero padding included, as profilers count them. Not counted: what is done element by element (activations,
the affine map of a coupling, densities, the optimizer), and what is done once whatever the batch (products of channel
matrices, responses to the edge channel, folded scales). Of the causal windows of the latent encoder only the time
steps that reach the result are counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.registry import COUPLINGS

# Forward, gradient with respect to the input, gradient with respect to the kernel: as many operations each. What
# `recompute` runs a second time is not work, and the first layer's input gradient is counted though nobody needs it.
TRAINING_FACTOR = 3


def forward_flops(config: VideoFlowConfig, num_frames: int, num_given: int) -> dict[str, int]:
    """Operations of one clip, by part of the model.

    Every frame goes through the flow, those after the first `num_given` through the prior. The likelihood of a clip
    and sampling its last frames (the flow inverted) cost the same, but for the noise flow of variational
    dequantisation, of which sampling needs the given frames alone, and the latent encoder of a mixture, which a
    likelihood runs once for every component. The weights of a mixture do not count.
    """
    twice = int(config.condition_on_first_frame)  # The first frame is encoded twice.
    encoded = num_frames + twice
    start = num_given + twice if num_given else 0
    parts = {"coupling networks": 0, "channel mixing": 0, "level priors": 0, "latent encoders": 0}
    for level in range(config.levels):
        height, width, channels = config.latent_shape(level)
        pixels = height * width
        is_top = level == config.levels - 1
        flow_channels = channels if is_top else 2 * channels
        parts["coupling networks"] += encoded * pixels * config.depth * _coupling_network(config, flow_channels)
        parts["channel mixing"] += encoded * pixels * config.depth * _conv(1, flow_channels, flow_channels)
        if not is_top:
            parts["level priors"] += (encoded - start) * pixels * _conv(9, channels, 2 * channels)
        if config.conditional:
            encoder = _of_encoder(config.latent_encoder)
            components = config.prior_components if is_top else 1
            parts["latent encoders"] += pixels * components * encoder(config, level, encoded, start)
    if config.dequantization == "variational":
        parts["noise flow"] = encoded * math.prod(config.latent_shape(0)[:2]) * _noise_flow(config)
    return parts


def training_flops(config: VideoFlowConfig, num_frames: int, num_given: int) -> int:
    """Operations of one clip in a training step."""
    return TRAINING_FACTOR * sum(forward_flops(config, num_frames, num_given).values())


def _conv(taps: int, in_channels: int, out_channels: int) -> int:
    """Operations of a convolution at one output pixel."""
    return 2 * taps * in_channels * out_channels


def _coupling_network(config: VideoFlowConfig, channels: int) -> int:
    out_channels = COUPLINGS[config.coupling].parameters_per_channel * channels // 2
    return _conv_stack(channels // 2, config.coupling_width, out_channels, config.coupling_activation)


def _noise_flow(config: VideoFlowConfig) -> int:
    channels, width = 4 * config.channels, config.dequantization_width
    features = _conv(9, channels, width) + _activation(width, "gated")
    step = _conv(1, channels, channels) + _conv_stack(channels // 2 + width, width, channels, "gated")
    return features + config.dequantization_depth * step


def _conv_stack(in_channels: int, width: int, out_channels: int, activation: str) -> int:
    return _conv(9, in_channels, width) + _activation(width, activation) + _conv(9, width, out_channels)


def _activation(width: int, kind: str) -> int:
    return _conv(1, width, 2 * width if kind == "gated" else width)


def _windowed_frames(encoded: int, start: int, window: int) -> int:
    """How many frames from `start` on have `window` frames before them."""
    return max(0, encoded - max(start, window))


def _conv3d(config: VideoFlowConfig, level: int, encoded: int, start: int) -> int:
    *size, channels = config.latent_shape(level)
    window, width, depth = config.num_past_latents, config.latent_encoder_width, config.latent_encoder_depth
    inner = channels * (1 if level == config.levels - 1 else 3 if config.latent_encoder_input == "level" else 2)
    taps = 9 * min(window, 2)
    branches = sum(1 for d in config.latent_dilations if d == 1 or 1 + 2 * d <= min(size))
    total = _conv(1, inner, 2 * channels)
    for block in range(depth):
        # Only the last time step is used in the end; each of a block's two convolutions looks one step back.
        steps = min(window, 1 + 2 * (depth - 1 - block))
        hidden_steps = min(window, steps + 1)
        hidden = _conv(taps, inner, width) + _activation(width, config.latent_activation)
        total += branches * (hidden_steps * hidden + steps * _conv(taps, width, inner))
    return total * _windowed_frames(encoded, start, window)


def _conv2d(config: VideoFlowConfig, level: int, encoded: int, start: int) -> int:
    channels = config.latent_shape(level)[-1]
    window = config.num_past_latents + config.condition_on_first_frame
    inner = channels * (window + (level < config.levels - 1))
    depth, total = config.latent_encoder_depth, 0
    if config.latent_architecture == "residual":
        total += depth * _conv_stack(inner, config.latent_encoder_width, inner, "relu")
    elif config.latent_architecture == "conv_blocks":
        for layer in range(1, depth + 1):
            width = max(1, config.latent_pre_output_channels // 2 ** (depth - layer))
            total += _conv(9, inner, width) + _activation(width, "relu")
            inner = width
    total += _conv(9, inner, 2 * channels)
    return total * _windowed_frames(encoded, start, window)


def _conv_lstm(config: VideoFlowConfig, level: int, encoded: int, start: int) -> int:
    channels = config.latent_shape(level)[-1]
    width = config.latent_encoder_width
    inputs = channels if level == config.levels - 1 else 2 * channels
    # The cell runs over every frame but the first.
    cell = (encoded - 1) * _conv(9, inputs + width, 4 * width)
    return cell + _windowed_frames(encoded, start, 1) * _conv(9, width, 2 * channels)


def _pointwise(config: VideoFlowConfig, level: int, encoded: int, start: int) -> int:
    del config, level, encoded, start
    return 0


_LATENT_ENCODERS = {"conv3d": _conv3d, "conv2d": _conv2d, "conv_lstm": _conv_lstm, "pointwise": _pointwise}


def _of_encoder(name: str) -> Callable[[VideoFlowConfig, int, int, int], int]:
    if name not in _LATENT_ENCODERS:
        raise UserError(f"the operations of latent_encoder={name} are not counted; add them to benchmarks/flops.py")
    return _LATENT_ENCODERS[name]
