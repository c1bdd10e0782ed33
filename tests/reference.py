"""The networks' layers written out literally in NumPy, to hold the cheaper forms of the package against."""

from __future__ import annotations

import numpy as np


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
    kernel, bias, log_scale = (v.numpy() for v in (layer.kernel, layer.bias, layer.log_scale))
    pad = kernel.shape[0] // 2
    if pad:
        x = np.concatenate(padded(x, [(pad, pad)] * 2), axis=-1)
    return (convolve(x, kernel, (1, 1)) + bias) * np.exp(3 * log_scale)


def edge_conv3d(x: np.ndarray, layer) -> np.ndarray:
    """`CausalEdgeConv3D` at all steps: the edge channel is the first one, and time is padded on the left alone."""
    kernel, bias, log_scale = (v.numpy() for v in (layer.kernel, layer.bias, layer.log_scale))
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
    return [(x @ k.numpy() + b.numpy()[:, None, None]) * np.exp(3 * s.numpy()[:, None, None]) for k, b, s in variables]


def activation3d(x: np.ndarray, layer) -> np.ndarray:
    parts = activation3d_parts(x, layer)
    return np.tanh(parts[0]) * sigmoid(parts[1]) if layer.gated else relu(parts[0])


def conv_block(x: np.ndarray, block) -> np.ndarray:
    return activation2d(relu(edge_conv2d(x, block.conv)), block.activation)


def conv_stack(x: np.ndarray, stack) -> np.ndarray:
    return edge_conv2d(conv_block(x, stack.block), stack.last)


def causal_conv_stack(x: np.ndarray, stack) -> np.ndarray:
    return edge_conv3d(activation3d(relu(edge_conv3d(x, stack.conv)), stack.activation), stack.last)
