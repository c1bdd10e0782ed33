"""The model written out literally in NumPy, float64, to hold the cheaper forms of the package against.

First the networks' layers, then the latent encoders, the flow, and on top of them the two things that a model is for:
`frame_log_probs` and `sample`, frame by frame and level by level as the paper puts them (Kumar et al. 2020, section 4).
Nothing here is fast, and of the package only variables and the configuration are read.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import tensorflow as tf

from videoflow_tf.config import VideoFlowConfig

# Mean and log sigma, [N, h, w, c] each.
Gaussian = tuple[np.ndarray, np.ndarray]


# --- Layers ---


def values(*variables: tf.Variable) -> list[np.ndarray]:
    return [variable.numpy().astype(np.float64) for variable in variables]


def convolve(x: np.ndarray, kernel: np.ndarray, dilations: tuple[int, ...]) -> np.ndarray:
    """Convolution without padding, tap by tap: x [N, *S, C], kernel [*K, C, D] -> [N, *S', D]."""
    taps = kernel.shape[:-2]
    sizes = [n - (k - 1) * d for n, k, d in zip(x.shape[1:-1], taps, dilations, strict=True)]
    y = np.zeros([len(x), *sizes, kernel.shape[-1]])
    for tap in np.ndindex(*taps):
        window = [slice(t * d, t * d + n) for t, d, n in zip(tap, dilations, sizes, strict=True)]
        y += x[:, *window] @ kernel[tap]
    return y


def padded(x: np.ndarray, pads: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """x [N, *S, C] padded with zeros, and the edge channel [N, *S', 1]: 1 in the padding, 0 inside."""
    pads = [(0, 0), *pads, (0, 0)]
    return np.pad(x, pads), np.pad(np.zeros([*x.shape[:-1], 1]), pads, constant_values=1.0)


def edge_conv2d(x: np.ndarray, layer) -> np.ndarray:
    """`EdgeConv2D`: the edge channel is the last one; a 1x1 kernel has none."""
    kernel, bias, log_scale = values(layer.kernel, layer.bias, layer.log_scale)
    pad = kernel.shape[0] // 2
    if pad:
        x = np.concatenate(padded(x, [(pad, pad)] * 2), axis=-1)
    return (convolve(x, kernel, (1, 1)) + bias) * np.exp(3 * log_scale)


def edge_conv3d(x: np.ndarray, layer) -> np.ndarray:
    """`CausalEdgeConv3D` at all steps: the edge channel is the first one, and time is padded on the left alone."""
    kernel, bias, log_scale = values(layer.kernel, layer.bias, layer.log_scale)
    d = layer.dilation
    inside, edge = padded(x, [(kernel.shape[0] - 1, 0), (d, d), (d, d)])
    y = convolve(np.concatenate([edge, inside], axis=-1), kernel, (1, d, d))
    per_step = bias.ndim == 2
    bias, log_scale = (v[:, None, None] if per_step else v for v in (bias, log_scale))
    return (y + bias) * np.exp(3 * log_scale)


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0.0)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def activation2d(x: np.ndarray, layer) -> np.ndarray:
    if not layer.gated:
        return relu(edge_conv2d(x, layer.convs[0]))
    return np.tanh(edge_conv2d(x, layer.convs[0])) * sigmoid(edge_conv2d(x, layer.convs[1]))


def activation3d_parts(x: np.ndarray, layer) -> list[np.ndarray]:
    """The normalised 1x1x1 convolutions in an `Activation3D`, one or two of [N, K, H, W, C]."""
    variables = zip(layer.kernels, layer.biases, layer.log_scales, strict=True)
    return [(x @ k + b[:, None, None]) * np.exp(3 * s[:, None, None]) for k, b, s in (values(*v) for v in variables)]


def activation3d(x: np.ndarray, layer) -> np.ndarray:
    parts = activation3d_parts(x, layer)
    return np.tanh(parts[0]) * sigmoid(parts[1]) if layer.gated else relu(parts[0])


def conv_block(x: np.ndarray, block) -> np.ndarray:
    return activation2d(relu(edge_conv2d(x, block.conv)), block.activation)


def conv_stack(x: np.ndarray, stack) -> np.ndarray:
    return edge_conv2d(conv_block(x, stack.block), stack.last)


def causal_conv_stack(x: np.ndarray, stack) -> np.ndarray:
    return edge_conv3d(activation3d(relu(edge_conv3d(x, stack.conv)), stack.activation), stack.last)


# --- Latent encoders ---


def window(config: VideoFlowConfig) -> int:
    """Frames that must lie before one that the latent encoder is asked for."""
    if config.latent_encoder in ("conv3d", "conv2d"):
        return config.num_past_latents + config.condition_on_first_frame
    return 1


def encoded_gaussian(config: VideoFlowConfig, encoder, past: list[np.ndarray], own: list[Gaussian] | None) -> Gaussian:
    """p(z_t | h_t, z_<t) by the latent encoder of a level.

    past: z_0..z_{t-1}, [N, h, w, c] each, or [z, h] of each, [N, h, w, 2c]; own: the level's own Gaussians of frames
    0..t, None at the top level.
    """
    mean, log_std = _ENCODERS[config.latent_encoder](config, encoder, past, own)
    return (mean + past[-1][..., : mean.shape[-1]] if config.latent_skip else mean), log_std


def _conv3d(config: VideoFlowConfig, encoder, past: list[np.ndarray], own: list[Gaussian] | None) -> Gaussian:
    h = np.stack(past[-config.num_past_latents :], axis=1)  # [N, K, h, w, c]
    if own is not None:
        level_mean = np.repeat(own[-1][0][:, None], config.num_past_latents, axis=1)
        h = np.concatenate([h, level_mean], axis=-1)
    for block in encoder.blocks:
        h = h + sum(causal_conv_stack(h, branch) for branch in block)
    return np.split(edge_conv2d(h[:, -1], encoder.last), 2, axis=-1)


def _conv2d(config: VideoFlowConfig, encoder, past: list[np.ndarray], own: list[Gaussian] | None) -> Gaussian:
    level_mean = [] if own is None else [own[-1][0]]
    first = [past[0]] if config.condition_on_first_frame else []
    h = np.concatenate([*level_mean, *first, *past[-config.num_past_latents :]], axis=-1)
    for block in encoder.blocks:
        h = h + conv_stack(h, block) if config.latent_architecture == "residual" else conv_block(h, block)
    return np.split(edge_conv2d(h, encoder.last), 2, axis=-1)


def _conv_lstm(config: VideoFlowConfig, encoder, past: list[np.ndarray], own: list[Gaussian] | None) -> Gaussian:
    kernel, bias = values(encoder.kernel, encoder.bias)
    cell = hidden = np.zeros([*past[0].shape[:-1], config.latent_encoder_width])
    for t, last in enumerate(past, start=1):
        level_mean = [] if own is None else [own[t][0]]
        x = np.concatenate([*level_mean, last, hidden], axis=-1)
        gates = convolve(padded(x, [(1, 1)] * 2)[0], kernel, (1, 1)) + bias
        i, new, forget, output = np.split(gates, 4, axis=-1)
        cell = sigmoid(forget + 1) * cell + sigmoid(i) * np.tanh(new)
        hidden = sigmoid(output) * np.tanh(cell)
    return np.split(edge_conv2d(hidden, encoder.last), 2, axis=-1)


def _pointwise(config: VideoFlowConfig, encoder, past: list[np.ndarray], own: list[Gaussian] | None) -> Gaussian:
    multiplier, log_scale = values(encoder.multiplier, encoder.log_scale)
    learned = np.broadcast_to(3 * log_scale, past[-1].shape)
    mean = multiplier * past[-1]
    if own is None:
        return mean, learned
    level_mean, level_log_std = own[-1]
    log_std = {"level": level_log_std, "past": learned, "standard": np.zeros_like(mean)}[config.pointwise_scale]
    return mean + level_mean, log_std


_ENCODERS = {"conv3d": _conv3d, "conv2d": _conv2d, "conv_lstm": _conv_lstm, "pointwise": _pointwise}


# --- The flow ---


def squeeze(x: np.ndarray) -> np.ndarray:
    """[N, H, W, C] -> [N, H/2, W/2, 4C], channels in the order (c, dy, dx)."""
    n, height, width, channels = x.shape
    blocks = x.reshape(n, height // 2, 2, width // 2, 2, channels)
    return blocks.transpose(0, 1, 3, 5, 2, 4).reshape(n, height // 2, width // 2, 4 * channels)


def unsqueeze(y: np.ndarray) -> np.ndarray:
    n, height, width, channels = y.shape
    blocks = y.reshape(n, height, width, channels // 4, 2, 2)
    return blocks.transpose(0, 1, 4, 2, 5, 3).reshape(n, 2 * height, 2 * width, channels // 4)


def actnorm(x: np.ndarray, layer) -> np.ndarray:
    bias, log_scale = values(layer.bias, layer.log_scale)
    return (x + bias) * np.exp(3 * log_scale)


def mixing_matrix(conv) -> np.ndarray:
    """W = P L (U + diag(sign_s exp(log_s)))."""
    permutation, lower, upper, sign_s, log_s = values(conv.permutation, conv.lower, conv.upper, conv.sign_s, conv.log_s)
    unit_lower = np.tril(lower, -1) + np.eye(len(lower))
    return permutation @ unit_lower @ (np.triu(upper, 1) + np.diag(sign_s * np.exp(log_s)))


def shift_and_scale(config: VideoFlowConfig, coupling, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the second half of the channels, given the first."""
    out = conv_stack(first, coupling.network)
    if config.coupling == "additive":
        return out, np.ones_like(out)
    shift, raw = np.split(out, 2, axis=-1)
    return shift, sigmoid(raw + 2)


def flow_step(config: VideoFlowConfig, step, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[N, H, W, C] -> the same, and the log-det [N]: actnorm, 1x1 convolution, coupling."""
    (log_scale,) = values(step.actnorm.log_scale)
    matrix = mixing_matrix(step.conv)
    first, second = np.split(actnorm(x, step.actnorm) @ matrix, 2, axis=-1)
    shift, scale = shift_and_scale(config, step.coupling, first)
    pixels = x.shape[1] * x.shape[2]
    log_det = pixels * (3 * log_scale.sum() + np.linalg.slogdet(matrix)[1]) + np.log(scale).sum(axis=(1, 2, 3))
    return np.concatenate([first, (second + shift) * scale], axis=-1), log_det


def inverse_flow_step(config: VideoFlowConfig, step, y: np.ndarray) -> np.ndarray:
    bias, log_scale = values(step.actnorm.bias, step.actnorm.log_scale)
    first, second = np.split(y, 2, axis=-1)
    shift, scale = shift_and_scale(config, step.coupling, first)
    mixed = np.concatenate([first, second / scale - shift], axis=-1)
    return mixed @ np.linalg.inv(mixing_matrix(step.conv)) / np.exp(3 * log_scale) - bias


def encode(model, frame: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """One frame [N, H, W, 3] -> z and h of every level, nearest the pixels first, and the log-det [N].

    The top level passes nothing up; its h is zeros.
    """
    latents, hidden, log_det, x = [], [], 0.0, frame
    for level in model.levels:
        x = squeeze(x)
        for step in level.steps:
            x, step_log_det = flow_step(model.config, step, x)
            log_det = log_det + step_log_det
        x, z = (np.zeros_like(x), x) if level is model.levels[-1] else np.split(x, 2, axis=-1)
        latents.append(z)
        hidden.append(x)
    return latents, hidden, log_det


# --- The model ---


class History:
    """The latents z and what they were conditioned on, h, of every level and of the frames so far."""

    def __init__(self, model) -> None:
        self.model = model
        self.latents, self.hidden = ([[] for _ in model.levels] for _ in range(2))

    def mixture(self, index: int, hidden: np.ndarray) -> list[tuple[np.ndarray, Gaussian]]:
        """p(z_t | h_t, z_<t) of a level, t the frame after those so far; its h_t [N, h, w, c] joins the history.

        Components with their weights [N]; of most models there is one.
        """
        config, prior = self.model.config, self.model.levels[index].prior
        self.hidden[index].append(hidden)
        past = self.latents[index]
        if config.latent_encoder_input == "level" and index < config.levels - 1:
            past = [np.concatenate(pair, axis=-1) for pair in zip(past, self.hidden[index][:-1], strict=True)]
        own = [own_gaussian(prior, h) for h in self.hidden[index]]
        sure = np.ones(len(hidden))
        if not config.conditional or len(past) < window(config):
            return [(sure, own[-1])]
        is_top = index == config.levels - 1
        if not is_top or config.prior_components == 1:
            return [(sure, encoded_gaussian(config, prior.encoder, past, None if is_top else own))]
        seen = [past[0]] * config.condition_on_first_frame + past[-config.num_past_latents :]
        votes = conv_stack(np.concatenate(seen, axis=-1), prior.mixture.network).sum(axis=(1, 2))
        weights = np.exp(votes) / np.exp(votes).sum(axis=1, keepdims=True)
        found = []
        for k, mark in enumerate(prior.mixture.embeddings.numpy()):
            found.append((weights[:, k], encoded_gaussian(config, prior.encoder, [z + mark for z in past], None)))
        return found


def own_gaussian(prior, hidden: np.ndarray) -> Gaussian:
    """The Gaussian of a level that knows of no past."""
    if prior.own is None:
        return np.zeros_like(hidden), np.zeros_like(hidden)
    return np.split(edge_conv2d(hidden, prior.own), 2, axis=-1)


def frame_log_probs(model, frames: np.ndarray, start: int = 0, temperature: float = 1.0) -> np.ndarray:
    """log p(x_t | x_<t) of continuous frames [B, T, H, W, 3] from `start` on, in nats, [B, T - start]."""
    history, log_probs = History(model), []
    for frame in np.moveaxis(frames, 1, 0):
        latents, hidden, log_prob = encode(model, frame)
        for index, (z, h) in enumerate(zip(latents, hidden, strict=True)):
            densities = []
            for weight, (mean, log_std) in history.mixture(index, h):
                std = temperature * np.exp(log_std)
                density = -0.5 * ((z - mean) / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi)
                densities.append(np.log(weight) + density.sum(axis=(1, 2, 3)))
            log_prob = log_prob + np.logaddexp.reduce(densities)
            history.latents[index].append(z)
        log_probs.append(log_prob)
    return np.stack(log_probs[start:], axis=1)


def sample(model, context: np.ndarray, noise: list[np.ndarray], temperature: float = 1.0) -> np.ndarray:
    """The frames [B, T, H, W, 3] after a context [B, C, H, W, 3] of continuous ones.

    noise: standard-normal, [B, T, h, w, c] for every level, nearest the pixels first; a mixture has one channel more,
    whose first value chooses the component.
    """
    history, frames = History(model), []
    for frame in np.moveaxis(context, 1, 0):
        latents, hidden, _ = encode(model, frame)
        for index, (z, h) in enumerate(zip(latents, hidden, strict=True)):
            history.latents[index].append(z)
            history.hidden[index].append(h)
    for t in range(noise[0].shape[1]):
        x = np.zeros([len(noise[-1]), *model.levels[-1].prior.latent_shape])
        for index in reversed(range(len(model.levels))):
            weights, components = zip(*history.mixture(index, x), strict=True)
            quantile = np.vectorize(NormalDist().cdf)(noise[index][:, t, 0, 0, -1])
            number = (np.cumsum(weights, axis=0)[:-1] <= quantile).sum(axis=0)
            mean, log_std = (np.stack(part)[number, np.arange(len(x))] for part in zip(*components, strict=True))
            z = mean + temperature * np.exp(log_std) * noise[index][:, t, ..., : mean.shape[-1]]
            history.latents[index].append(z)
            x = z if index == len(model.levels) - 1 else np.concatenate([x, z], axis=-1)
            for step in reversed(model.levels[index].steps):
                x = inverse_flow_step(model.config, step, x)
            x = unsqueeze(x)
        frames.append(x)
    return np.stack(frames, axis=1)
