"""One step of Glow's flow (Kingma and Dhariwal 2018, "Glow", figure 2)."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from bijectors.actnorm import ActNorm
from bijectors.bijector import Bijector, num_pixels
from bijectors.coupling import Coupling
from bijectors.fast_forms import mix_channels
from bijectors.invertible_conv import InvertibleConv1x1
from bijectors.stateless import recomputed


class FlowStep(Bijector):
    """ActNorm, invertible 1x1 convolution and coupling in one bijector.

        forward   y = coupling(conv(actnorm(x)))
        inverse   x = actnorm^-1(conv^-1(coupling^-1(y)))
        log|det dy/dx|, log|det dx/dy| = the sum of the three, each the other's negative        [...]

    It equals `tfb.Chain([coupling, conv, actnorm])`, with ActNorm folded into the matrix of the convolution: one
    pass over the image instead of three. Shapes: x and y [..., H, W, C]. Keyword arguments go to the coupling.
    """

    def __init__(
        self,
        actnorm: ActNorm,
        conv: InvertibleConv1x1,
        coupling: Coupling,
        name: str = "flow_step",
        recompute: bool = False,
    ) -> None:
        """Takes the parts, which must agree in their number of channels and dtype.

        Args:
          actnorm, conv, coupling: the parts.
          name: by which a `tfb.Chain` hands keyword arguments on, `chain.forward(x, step_3={"seed": seed})`.
          recompute: whether only the input is kept for the gradient of `forward`, and the rest computed again.

        Raises:
          ValueError: if the parts differ.
        """
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

    def initialize(self, x: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        """Data-dependent initialisation of the parts in order; x [N, H, W, C] -> y as of `forward`."""
        self.actnorm.initialize(x)
        self.coupling.initialize(self._mix(x), **kwargs)
        return self.forward_and_log_det(x, **kwargs)[0]

    def fold_inverse(self, size: tuple[int, int]) -> tuple[Any, tf.Tensor, tf.Tensor]:
        """The coupling's weights, and matrix [C, C] and offset [C] of what comes after it."""
        return self.coupling.fold_inverse(size), *self._unmixing()

    def apply_inverse(self, weights: tuple[Any, tf.Tensor, tf.Tensor], y: tf.Tensor) -> tf.Tensor:
        coupling, matrix, offset = weights
        return mix_channels(self.coupling.apply_inverse(coupling, y), matrix, offset)

    def _forward_and_log_det(self, x: tf.Tensor, **kwargs: Any) -> tuple[tf.Tensor, tf.Tensor]:
        if self.recompute:
            return recomputed(self, FlowStep._evaluate)(x, **kwargs)
        return self._evaluate(x, **kwargs)

    def _evaluate(self, x: tf.Tensor, **kwargs: Any) -> tuple[tf.Tensor, tf.Tensor]:
        y, coupling_log_det = self.coupling.forward_and_log_det(self._mix(x), **kwargs)
        return y, coupling_log_det + self._mix_log_det(x)

    def _inverse_and_log_det(self, y: tf.Tensor, **kwargs: Any) -> tuple[tf.Tensor, tf.Tensor]:
        mixed, coupling_log_det = self.coupling.inverse_and_log_det(y, **kwargs)
        return mix_channels(mixed, *self._unmixing()), coupling_log_det - self._mix_log_det(y)

    def _mix(self, x: tf.Tensor) -> tf.Tensor:
        """conv(actnorm(x)) = ((x + bias) * scale) W = x (scale W) + bias (scale W)."""
        matrix = tf.expand_dims(self.actnorm.scale(), axis=1) * self.conv.matrix()
        return mix_channels(x, matrix, tf.linalg.matvec(matrix, self.actnorm.bias, transpose_a=True))

    def _unmixing(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Matrix and offset of actnorm^-1(conv^-1(y)) = y (W^-1 / scale) - bias."""
        return self.conv.inverse_matrix() / self.actnorm.scale(), -self.actnorm.bias

    def _mix_log_det(self, x: tf.Tensor) -> tf.Tensor:
        """Log-det of `_mix`, [], the same for every image."""
        return (self.actnorm.log_det_per_pixel() + self.conv.log_det_per_pixel()) * num_pixels(x)
