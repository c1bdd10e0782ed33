"""`Bijector`: base of the layers, with value and log-det-Jacobian from one evaluation."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability.python.internal import cache_util

from bijectors.fast_forms import sizes
from bijectors.stateless import with_same_variables


class _Cache(cache_util.BijectorCacheWithGreedyAttrs):
    """TFP's cache, but what is traced is kept with its graph and goes with it; TFP's own keeps every graph alive."""

    def __get__(self, bijector: tfb.Bijector | None, bijector_class: type | None = None) -> _Cache:
        bound = super().__get__(bijector, bijector_class)
        if not tf.executing_eagerly():
            graph = tf.compat.v1.get_default_graph()
            if not hasattr(graph, "_bijector_cache"):
                graph._bijector_cache = cache_util.EphemeralDict()
            bound.storage = graph._bijector_cache
        return bound


class Bijector(tfb.Bijector, abc.ABC):
    """Base of the bijectors whose value and log-det share work, most of all a network.

    A subclass writes two methods, on images [N, H, W, C]:

        _forward_and_log_det(x) -> y, log|det dy/dx|   [N, H', W', C'], [N]
        _inverse_and_log_det(y) -> x, log|det dx/dy|   [N, H, W, C], [N]

    Everything public follows from them, for inputs [..., H, W, C] in the bijector's dtype: `forward_and_log_det` and
    `inverse_and_log_det` (as in distrax), and TFP's `forward`, `inverse` and both log-dets. Keyword arguments of these
    (a `seed`, for instance) are handed on.

    TFP's methods go through its cache, which keeps the log-det beside the value: asking for the value and then for
    the log-det of the same tensor evaluates once. The cache goes by the identity of the tensor: to evaluate anew on
    equal numbers (after changing a weight eagerly, say), pass a fresh tensor such as `tf.identity(x)`. A
    `tfb.Chain` has TFP's own cache besides, which keeps every graph alive that was traced through it.
    """

    # TFP's own idiom for one evaluation, as in its FFJORD; internal to TFP, hence TFP's exact version pin.
    _cache = _Cache(forward_name="_augmented_forward", inverse_name="_augmented_inverse")

    def __init__(
        self, *, num_channels: int, dtype: tf.DType, name: str | None = None, out_channels: int | None = None
    ) -> None:
        """Checks the sizes. No `parameters` are handed to TFP, so that its cache, which compares them, never takes one
        layer for another of the same sizes.

        Args:
          num_channels: C of the input of `forward`.
          dtype: of the variables, inputs and outputs.
          name: by default that of the class in snake case.
          out_channels: C' of the output of `forward`, by default C.

        Raises:
          ValueError: if there is no channel.
        """
        super().__init__(forward_min_event_ndims=3, dtype=dtype, name=name)
        if num_channels < 1:
            raise ValueError(f"{self.name}: expected at least one channel, got {num_channels}")
        self.num_channels = num_channels
        self._out_channels = num_channels if out_channels is None else out_channels

    @tf.autograph.experimental.do_not_convert  # There is nothing to convert, which it would take seconds to find.
    def forward_and_log_det(self, x: tf.Tensor, **kwargs: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """x [..., H, W, C] -> y [..., H', W', C'] and log|det dy/dx| [...], without TFP's cache.

        Raises:
          ValueError: if x has fewer than 3 dimensions, another number of channels or another dtype.
        """
        return self._on_images(self._forward_and_log_det, x, self.num_channels, **kwargs)

    def inverse_and_log_det(self, y: tf.Tensor, **kwargs: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """y [..., H', W', C'] -> x [..., H, W, C] and log|det dx/dy| [...]; as `forward_and_log_det`."""
        return self._on_images(self._inverse_and_log_det, y, self._out_channels, **kwargs)

    def copy(self, **parameters: Any) -> Bijector:
        """A bijector of its own with the same variables; a TypeError for `parameters`, as it has none to change."""
        if parameters:
            raise TypeError(
                f"{self.name} has no parameters to copy it with, got {', '.join(parameters)}; make a new one"
            )
        return with_same_variables(self)

    def fold_inverse(self, size: tuple[int, int]) -> Any:
        """The weights of `apply_inverse` on images of H' x W' = `size`: a nest of tensors, all that depends on the
        variables alone and is worth computing before a loop, in which TensorFlow would do it every time."""
        del size
        return ()

    def apply_inverse(self, weights: Any, y: tf.Tensor) -> tf.Tensor:
        """The inverse of images by the weights of `fold_inverse(size)`; [N, *size, C'] -> [N, H, W, C]."""
        del weights
        return self._inverse_and_log_det(y)[0]

    @abc.abstractmethod
    def _forward_and_log_det(self, x: tf.Tensor, **kwargs: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """x [N, H, W, C] -> y [N, H', W', C'], log|det dy/dx| [N]."""

    @abc.abstractmethod
    def _inverse_and_log_det(self, y: tf.Tensor, **kwargs: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """y [N, H', W', C'] -> x [N, H, W, C], log|det dx/dy| [N]."""

    def _on_images(
        self, method: Callable[..., tuple[tf.Tensor, tf.Tensor]], x: tf.Tensor, num_channels: int, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """A method of images [N, H, W, C] on x [..., H, W, C]."""
        images, unflatten = flatten_leading(tf.convert_to_tensor(x, self.dtype), num_channels, self.name)
        value, log_det = method(images, **kwargs)
        return unflatten(value), unflatten(log_det)

    # What TFP's cache evaluates: the value and, as "ildj", the log-det of the inverse.
    def _augmented_forward(self, x: tf.Tensor, **kwargs: Any) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        y, log_det = self.forward_and_log_det(x, **kwargs)
        return y, {"ildj": -log_det}

    def _augmented_inverse(self, y: tf.Tensor, **kwargs: Any) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        x, log_det = self.inverse_and_log_det(y, **kwargs)
        return x, {"ildj": log_det}

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


def flatten_leading(x: tf.Tensor, num_channels: int, name: str) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Makes one dimension of the leading ones, [..., H, W, C] -> [N, H, W, C].

    Returns:
      The images, and the function that gives the leading dimensions back to a tensor [N, ...].

    Raises:
      ValueError: if x has fewer than 3 dimensions or C is not `num_channels`.
    """
    if x.shape.rank is None or x.shape.rank < 3 or x.shape[-1] != num_channels:
        raise ValueError(f"{name}: expected an input [..., H, W, {num_channels}], got {x.shape}")
    if x.shape.rank == 4:
        return x, lambda images: images
    *leading, height, width, channels = sizes(x, x.shape.rank)
    images = tf.reshape(x, [-1, height, width, channels])
    return images, lambda y: tf.reshape(y, [*leading, *sizes(y, y.shape.rank, start=1)])
