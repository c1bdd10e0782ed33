"""Official names of a model's variables."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from bijectors import FlowStep
from videoflow_tf.latent_encoders import Conv2DEncoder, Conv3DEncoder, ConvLSTMEncoder, PointwiseEncoder
from videoflow_tf.model.prior import LatentPrior
from videoflow_tf.model.video_flow import VideoFlow
from videoflow_tf.networks.causal_conv3d import CausalConvStack, CausalEdgeConv3D
from videoflow_tf.networks.conv2d import ConvBlock, ConvStack, EdgeConv2D

SCOPE = "next_frame_glow/body/"


class Slot(NamedTuple):
    """Where an official variable lives: one of ours, or one time step of it.

    The official array has `extra_dims` more dimensions in front, all of size one; with `per_video` one more, the batch.
    `interleaved`: its last dimension holds shift and scale, or mean and log sigma, in turns; ours holds them as halves.
    """

    name: str
    variable: tf.Variable
    time_step: int | None = None
    extra_dims: int = 0
    per_video: bool = False
    interleaved: bool = False

    def shape(self) -> tuple[int, ...]:
        """Of our variable, or of one time step of it."""
        shape = tuple(self.variable.shape)
        return shape if self.time_step is None else shape[1:]

    def from_official(self, array: np.ndarray) -> np.ndarray:
        """The values of an official array, of its shape or ours, in our shape."""
        array = array.reshape(self.shape())
        return np.concatenate([array[..., 0::2], array[..., 1::2]], axis=-1) if self.interleaved else array

    def to_official(self, value: np.ndarray) -> np.ndarray:
        """The inverse of `from_official`, but for the shape, which stays ours."""
        if not self.interleaved:
            return value
        return np.stack(np.split(value, 2, axis=-1), axis=-1).reshape(value.shape)


def to_official(model: VideoFlow, values: Sequence[Any], variables: Sequence[tf.Variable]) -> dict[str, np.ndarray]:
    """Values that belong to our variables (the weights themselves, gradients, ...) under the official names.

    `values[i]` belongs to `variables[i]`; a value None (no gradient) is left out.
    """
    by_variable = {v.ref(): value for v, value in zip(variables, values, strict=True) if value is not None}
    found = {}
    for slot in official_slots(model):
        if slot.variable.ref() in by_variable:
            value = np.asarray(by_variable[slot.variable.ref()])
            found[slot.name] = slot.to_official(value if slot.time_step is None else value[slot.time_step])
    return found


# --- Official names, part by part. Every function yields the slots of one part, without its scope. ---


def official_slots(model: VideoFlow) -> Iterator[Slot]:
    """All variables of a model under their official names."""
    config = model.config
    for index, level in enumerate(model.levels):
        for number, step in enumerate(level.steps):
            yield from _scoped(f"{SCOPE}codec/revnet_{index}/revnet_step_{number}", _flow_step(step, config.coupling))
        scope = SCOPE if level.is_top else f"{SCOPE}codec/split_{index}/prior_on_z2"
        yield from _scoped(scope, _prior(level.prior, level.is_top, config.conditional))


def _scoped(scope: str, slots: Iterator[Slot]) -> Iterator[Slot]:
    for slot in slots:
        yield slot._replace(name=posixpath.join(scope, slot.name))


def _flow_step(step: FlowStep, coupling: str) -> Iterator[Slot]:
    yield from _actnorm(step.actnorm.bias, step.actnorm.log_scale)
    yield Slot("invertible/P", step.conv.permutation)
    yield Slot("invertible/L", step.conv.lower)
    yield Slot("invertible/U", step.conv.upper)
    yield Slot("invertible/sign_S", step.conv.sign_s)
    yield Slot("invertible/log_S", step.conv.log_s)
    interleaved = step.coupling.parameters_per_channel > 1
    yield from _scoped(f"{coupling}/nn", _conv_stack(step.coupling.network, interleaved))


def _actnorm(bias: tf.Variable, log_scale: tf.Variable, time_step: int | None = None) -> Iterator[Slot]:
    scope = "actnorm/actnorm" if time_step is None else f"actnorm/actnorm_{time_step}/actnorm_{time_step}"
    yield Slot(f"{scope}_center/b", bias, time_step, extra_dims=3)
    yield Slot(f"{scope}_scale/logs", log_scale, time_step, extra_dims=3)


def _conv(conv: EdgeConv2D | CausalEdgeConv3D, interleaved: bool = False) -> Iterator[Slot]:
    actnorm = _actnorm3d if isinstance(conv, CausalEdgeConv3D) else _actnorm
    norm = _zeros_scaling if conv.starts_at_zero else actnorm
    for slot in (Slot("W", conv.kernel), *norm(conv.bias, conv.log_scale)):
        yield slot._replace(interleaved=interleaved)


def _zeros_scaling(bias: tf.Variable, log_scale: tf.Variable) -> Iterator[Slot]:
    yield Slot("b", bias, extra_dims=3)
    yield Slot("logs", log_scale, extra_dims=1)


def _activation_names(gated: bool) -> tuple[str, ...]:
    return ("1_tanh", "1_sigm") if gated else ("1_2",)


def _conv_block(block: ConvBlock) -> Iterator[Slot]:
    yield from _scoped("1_1", _conv(block.conv))
    for name, conv in zip(_activation_names(block.activation.gated), block.activation.convs, strict=True):
        yield from _scoped(name, _conv(conv))


def _conv_stack(stack: ConvStack, interleaved: bool = False) -> Iterator[Slot]:
    yield from _scoped("conv_block", _conv_block(stack.block))
    yield from _scoped("zeros", _conv(stack.last, interleaved))


def _actnorm3d(bias: tf.Variable, log_scale: tf.Variable) -> Iterator[Slot]:
    for t in range(bias.shape[0]):
        yield from _actnorm(bias, log_scale, t)


def _causal_stack(stack: CausalConvStack) -> Iterator[Slot]:
    yield from _scoped("conv_block/1_1", _conv(stack.conv))
    activation = stack.activation
    for i, name in enumerate(_activation_names(activation.gated)):
        yield Slot(f"conv_block/{name}/W", activation.kernels[i], extra_dims=3)
        yield from _scoped(f"conv_block/{name}", _actnorm3d(activation.biases[i], activation.log_scales[i]))
    yield from _scoped("zeros", _conv(stack.last))


def _prior(prior: LatentPrior, is_top: bool, conditional: bool) -> Iterator[Slot]:
    if is_top:
        own = "unconditional/top_learn_prior" if conditional else "top_prior/top_learn_prior"
        conv3d, lstm = "top/conv3d", "top"
        conv2d = last = pointwise = "top/conditional"
    else:
        own = "level_prior"
        conv3d, conv2d, lstm, last, pointwise = "latent_stack", "latent_stack", "", "state_to_dist", "latent_prior"
    if prior.own is not None:
        yield from _scoped(f"{own}/conv2d", _conv(prior.own, interleaved=True))
    encoder = prior.encoder
    if isinstance(encoder, Conv3DEncoder):
        yield from _scoped(conv3d, _conv3d_encoder(encoder))
    elif isinstance(encoder, Conv2DEncoder):
        yield from _scoped(conv2d, _conv2d_encoder(encoder))
    elif isinstance(encoder, ConvLSTMEncoder):
        yield Slot(posixpath.join(lstm, "conv_lstm/kernel"), encoder.kernel)
        yield Slot(posixpath.join(lstm, "conv_lstm/biases"), encoder.bias)
        yield from _scoped(f"{last}/conv2d", _conv(encoder.last, interleaved=True))
    elif isinstance(encoder, PointwiseEncoder):
        yield Slot(f"{pointwise}/latent_multiplier", encoder.multiplier, per_video=True)
        yield Slot(f"{pointwise}/log_scale_latent", encoder.log_scale, per_video=True)
        if not is_top and encoder.scale_from == "standard":
            yield Slot("merge_std", encoder.fixed_log_scale, per_video=True)


def _conv3d_encoder(encoder: Conv3DEncoder) -> Iterator[Slot]:
    for i, branches in enumerate(encoder.blocks):
        if not encoder.dilated:
            yield from _scoped(f"latent_3d_res_{i}", _causal_stack(branches[0]))
            continue
        for j, branch in enumerate(branches):
            yield from _scoped(f"dil_latent_3d_res_{i}/dil_{j}", _causal_stack(branch))
    yield from _scoped("res_final", _conv(encoder.last, interleaved=True))


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
    yield from _scoped(last, _conv(encoder.last, interleaved=True))
