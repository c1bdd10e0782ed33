"""Edge bias: the response of a convolution to a channel that is 1 in the zero padding and 0 inside.

The channel does not depend on the data, so its response is computed once, at batch 1, as a matrix product.
"""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf


def edge_response(kernel: tf.Tensor, outside: np.ndarray, size: tuple[int, int]) -> tf.Tensor:
    """Response to the edge channel.

    Args:
      kernel: [..., 1, D] of n taps in all.
      outside: bool [S, H*W, n], the taps that fall into the padding at every pixel of S kinds of frames.
      size: H, W.

    Returns:
      [S, H, W, D]
    """
    kinds, num_pixels, taps = outside.shape
    mask = tf.constant(outside.reshape(kinds * num_pixels, taps), kernel.dtype)
    return tf.reshape(tf.matmul(mask, tf.reshape(kernel, [taps, -1])), [kinds, *size, kernel.shape[-1]])


@functools.lru_cache(maxsize=64)
def taps_outside(taps: int, size: tuple[int, int], dilation: int = 1) -> np.ndarray:
    """Whether each of the k*k taps of a kernel falls into the padding, for every pixel: bool [1, H*W, k*k]."""
    offsets = dilation * (np.arange(taps) - taps // 2)
    inside = [(0 <= (at := np.arange(n)[:, np.newaxis] + offsets)) & (at < n) for n in size]  # [H, k], [W, k]
    return ~(inside[0][:, None, :, None] & inside[1][None, :, None, :]).reshape(1, size[0] * size[1], taps**2)
