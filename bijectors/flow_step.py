"""One step of Glow's flow, and a level of them (Kingma and Dhariwal 2018, "Glow", figure 2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from bijectors.actnorm import ActNorm
from bijectors.coupling import AdditiveCoupling, AffineCoupling
from bijectors.fast_forms import mix_channels
from bijectors.invertible_conv import InvertibleConv1x1
from bijectors.one_pass import OnePassBijector, num_pixels
from bijectors.squeeze import Squeeze


class FlowStep(OnePassBijector):
    """ActNorm, invertible 1x1 convolution and coupling in one bijector.

        forward   y = coupling(conv(actnorm(x)))
        inverse   x = actnorm^-1(conv^-1(coupling^-1(y)))
        log|det| = the sum of the three        [...]

    It equals `tfb.Chain([coupling, conv, actnorm])`, with ActNorm folded into the matrix of the convolution: one
    pass over the image instead of three. Shapes: x and y [..., H, W, C].
    """

    def __init__(
        self,
        actnorm: ActNorm,
        conv: InvertibleConv1x1,
        coupling: AffineCoupling | AdditiveCoupling,
        name: str = "flow_step",
        recompute: bool = False,
    ) -> None:
        """`recompute`: keep only the input for the gradient, and compute the rest again."""
        parts = (actnorm, conv, coupling)
        for what, found in (
            ("number of channels", {part.num_channels for part in parts}),
            ("dtype", {part.dtype.name for part in parts}),
        ):
            if len(found) > 1:
                raise ValueError(f"{name}: the parts differ in their {what}: {sorted(found)}")
        super().__init__(num_channels=actnorm.num_channels, dtype=actnorm.dtype, name=name)
        self.actnorm, self.conv, self.coupling = actnorm, conv, coupling
        self.recompute = recompute

    def initialize(self, x: tf.Tensor) -> tf.Tensor:
        """Data-dependent initialisation of the parts in order; x [N, H, W, C] -> forward(x)."""
        self.actnorm.initialize(x)
        mixed = self._mix(x)
        self.coupling.initialize(mixed)
        # Not `self.coupling.forward`: TFP's cache must not outlive the change of weights.
        return self.coupling._forward_and_log_det(mixed)[0]

    def _mix(self, x: tf.Tensor) -> tf.Tensor:
        """conv(actnorm(x)) = ((x + bias) * scale) W = x (scale W) + bias (scale W)."""
        matrix = tf.expand_dims(self.actnorm.scale(), axis=1) * self.conv.matrix()
        return mix_channels(x, matrix, tf.linalg.matvec(matrix, self.actnorm.bias, transpose_a=True))

    def _fold_unmix(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """actnorm^-1(conv^-1(y)) = y (W^-1 / scale) - bias."""
        matrix, offset = self.conv.inverse_matrix() / self.actnorm.scale(), -self.actnorm.bias
        return lambda y: mix_channels(y, matrix, offset)

    def fold_inverse(self, size: tuple[int, int]) -> Callable[[tf.Tensor], tf.Tensor]:
        """As of `OnePassBijector`."""
        coupling_inverse, unmix = self.coupling.fold_inverse(size), self._fold_unmix()
        return lambda y: unmix(coupling_inverse(y))

    def _mix_log_det(self, x: tf.Tensor) -> tf.Tensor:
        """Log-det of `_mix`, [], the same for every image."""
        return (self.actnorm.log_det_per_pixel() + self.conv.log_det_per_pixel()) * num_pixels(x)

    def _forward_and_log_det(self, x: tf.Tensor, **kwargs: Any) -> tuple[tf.Tensor, tf.Tensor]:
        evaluate = tf.recompute_grad(self._evaluate) if self.recompute else self._evaluate
        return evaluate(x, **kwargs)

    def _evaluate(self, x: tf.Tensor, **kwargs: Any) -> tuple[tf.Tensor, tf.Tensor]:
        y, coupling_log_det = self.coupling._forward_and_log_det(self._mix(x), **kwargs)
        return y, coupling_log_det + self._mix_log_det(x)

    def _inverse_and_log_det(self, y: tf.Tensor, **kwargs: Any) -> tuple[tf.Tensor, tf.Tensor]:
        mixed, coupling_log_det = self.coupling._inverse_and_log_det(y, **kwargs)
        return self._fold_unmix()(mixed), coupling_log_det - self._mix_log_det(y)


def flow_level(squeeze: Squeeze, steps: Sequence[FlowStep], name: str = "level") -> tfb.Chain:
    """A level of the multi-scale flow: squeeze, then the steps in order; [..., H, W, C] -> [..., H/2, W/2, 4C].

    Keyword arguments go to a step by its name: `level.forward(x, step_3={"seed": seed})`.
    """
    names = [step.name for step in steps]
    if len(set(names)) < len(names):
        raise ValueError(f"{name}: the steps need names of their own, got {names}")
    return tfb.Chain([*reversed(steps), squeeze], name=name)


def fold_level_inverse(level: tfb.Chain, size: tuple[int, int]) -> Callable[[tf.Tensor], tf.Tensor]:
    """`level.inverse` of images [N, *size, 4C] as a function; see `OnePassBijector.fold_inverse`."""
    inverses = [bijector.fold_inverse(size) for bijector in level.bijectors]

    def inverse(y: tf.Tensor) -> tf.Tensor:
        for each in inverses:
            y = each(y)
        return y

    return inverse
