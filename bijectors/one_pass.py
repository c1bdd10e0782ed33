"""`OnePassBijector`: value and log-det-Jacobian from one evaluation."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability.python.internal import cache_util


class OnePassBijector(tfb.Bijector, abc.ABC):
    """Base of the bijectors whose value and log-det share work, most of all a network.

    A subclass writes two methods, on images [N, H, W, C]:

        _forward_and_log_det(x) -> y, log|det dy/dx|   [N, H', W', C'], [N]
        _inverse_and_log_det(y) -> x, log|det dx/dy|

    Everything public follows from them: `forward`, `inverse` and both log-dets, for inputs [..., H, W, C]. Asking for
    the value and then for the log-det of the same tensor evaluates once, because TFP's cache keeps the log-det beside
    the value. The cache goes by the identity of the tensor: to evaluate anew on equal numbers (after changing a
    weight eagerly, say), pass a fresh tensor such as `tf.identity(x)`.

    Keyword arguments of the public methods (a `seed`, for instance) are handed on to both methods. The cache keeps
    every graph that was traced through a bijector alive, as in all of TFP; `bijector._cache.clear()` lets go of them.
    """

    # TFP's own idiom for one evaluation, as in its FFJORD; internal to TFP, hence TFP's exact version pin.
    _cache = cache_util.BijectorCacheWithGreedyAttrs(
        forward_name="_augmented_forward", inverse_name="_augmented_inverse"
    )

    def __init__(self, *, num_channels: int, dtype: tf.DType, name: str, out_channels: int | None = None) -> None:
        """`num_channels`: C of the input of `forward`; `out_channels`: C' of its output, the same by default. No
        `parameters` are handed to TFP, so that its cache, which compares them, never takes one layer for another of
        the same sizes."""
        if num_channels < 1:
            raise ValueError(f"{name}: expected at least one channel, got {num_channels}")
        super().__init__(forward_min_event_ndims=3, dtype=dtype, name=name)
        self._num_channels = num_channels
        self._out_channels = num_channels if out_channels is None else out_channels

    @property
    def num_channels(self) -> int:
        """Channels of the input of `forward`."""
        return self._num_channels

    @abc.abstractmethod
    def _forward_and_log_det(self, x: tf.Tensor, **kwargs: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """x [N, H, W, C] -> y, log|det dy/dx| [N]."""

    @abc.abstractmethod
    def _inverse_and_log_det(self, y: tf.Tensor, **kwargs: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """y [N, H, W, C] -> x, log|det dx/dy| [N]."""

    def fold_inverse(self, size: tuple[int, int]) -> Callable[[tf.Tensor], tf.Tensor]:
        """The inverse of images, [N, *size, C'] -> [N, H, W, C], as a function. Layers for which that is much have all
        that depends on the weights alone computed by then: for loops, in which TensorFlow would do it every time."""
        del size
        return lambda y: self._inverse_and_log_det(y)[0]

    def _augmented_forward(self, x: tf.Tensor, **kwargs: Any) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        images, unfold = fold_leading(x, self.num_channels, self.name)
        y, log_det = self._forward_and_log_det(images, **kwargs)
        return unfold(y), {"ildj": -unfold(log_det)}

    def _augmented_inverse(self, y: tf.Tensor, **kwargs: Any) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        images, unfold = fold_leading(y, self._out_channels, self.name)
        x, log_det = self._inverse_and_log_det(images, **kwargs)
        return unfold(x), {"ildj": unfold(log_det)}

    # TFP asks these two only when the log-det comes before the value.
    def _forward_log_det_jacobian(self, x: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        self._cache.forward(x, **kwargs)
        return -self._cache.forward_attributes(x, **kwargs)["ildj"]

    def _inverse_log_det_jacobian(self, y: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        self._cache.inverse(y, **kwargs)
        return self._cache.inverse_attributes(y, **kwargs)["ildj"]


def num_pixels(x: tf.Tensor) -> tf.Tensor | int:
    """H * W of images [N, H, W, C], in x's dtype where it is not known before."""
    if x.shape[1:3].is_fully_defined():
        return x.shape[1] * x.shape[2]
    return tf.cast(tf.reduce_prod(tf.shape(x)[1:3]), x.dtype)


def per_image(log_det_per_pixel: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Log-det [N] of applying one per-pixel map to every pixel of x [N, H, W, C]."""
    return tf.fill(tf.shape(x)[:1], log_det_per_pixel * num_pixels(x))


def fold_leading(x: tf.Tensor, num_channels: int, name: str) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Folds x [..., H, W, C] to [N, H, W, C].

    Returns:
      The folded tensor, and the function that gives the leading dimensions back to a tensor [N, ...].

    Raises:
      ValueError: if x has fewer than 3 dimensions or C is not `num_channels`.
    """
    if x.shape.rank is None or x.shape.rank < 3 or x.shape[-1] != num_channels:
        raise ValueError(f"{name}: expected an input [..., H, W, {num_channels}], got {x.shape}")
    if x.shape.rank == 4:
        return x, lambda folded: folded
    leading, image = x.shape[:-3], x.shape[-3:]
    sizes = leading if leading.is_fully_defined() else tf.shape(x)[:-3]
    folded = tf.reshape(x, [-1, *(image if image.is_fully_defined() else tf.unstack(tf.shape(x)[-3:]))])

    def unfold(y: tf.Tensor) -> tf.Tensor:
        inner = y.shape[1:] if y.shape[1:].is_fully_defined() else tf.shape(y)[1:]
        return tf.reshape(y, tf.concat([sizes, inner], axis=0))

    return folded, unfold
