"""Layers of convolutional networks in NumPy, float64, in any number of dimensions: literal and slow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

Padding = str | int


def conv(x: np.ndarray, kernel: np.ndarray, strides: int = 1, padding: Padding = "SAME") -> np.ndarray:
    """[B, *space, in] by [*window, in, out] -> [B, *space, out]."""
    size = kernel.shape[:-2]
    return sum(part @ kernel[offset] for offset, part in _windows(x, size, [strides] * len(size), padding, 0.0))


def max_pool(x: np.ndarray, size: Sequence[int], strides: Sequence[int], padding: Padding) -> np.ndarray:
    """[B, *space, c] -> [B, *space, c]."""
    return np.maximum.reduce([part for _, part in _windows(x, size, strides, padding, -np.inf)])


def _windows(
    x: np.ndarray, size: Sequence[int], strides: Sequence[int], padding: Padding, fill: float
) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
    """What is at each place of the windows: the place, and [B, *space, c]."""
    if padding == "SAME":
        pads = []
        for n, k, s in zip(x.shape[1:-1], size, strides, strict=True):
            total = max((-(-n // s) - 1) * s + k - n, 0)
            pads.append((total // 2, total - total // 2))
    else:
        pads = [(padding, padding)] * len(size)
    x = np.pad(x, [(0, 0), *pads, (0, 0)], constant_values=fill)
    counts = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:-1], size, strides, strict=True)]
    for offset in np.ndindex(*size):
        at = (slice(o, o + s * (n - 1) + 1, s) for o, s, n in zip(offset, strides, counts, strict=True))
        yield offset, x[(slice(None), *at)]
