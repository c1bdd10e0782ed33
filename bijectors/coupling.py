"""Coupling layers (Dinh et al. 2015, "NICE"; 2017, "Real NVP"), in Glow's form (Kingma and Dhariwal 2018)."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable
from typing import Any, ClassVar

import tensorflow as tf

from bijectors.bijector import Bijector
from bijectors.stateless import recomputed

# Maps the first half of the channels [N, H, W, C/2] to the parameters of the second half's transformation.
CouplingNetwork = Callable[..., tf.Tensor]


class Coupling(Bijector):
    """Leaves the first half of the channels as it is and transforms the second half, conditioned on the first.

        parameters = network(x1)
        forward   y1 = x1,  y2 = transform(x2, parameters)
        inverse   x1 = y1,  x2 = transform_back(y2, parameters)
        log|det dy/dx|, log|det dx/dy| as the two give them        [...]

    Shapes: x and y [..., H, W, C]; the network maps [N, H, W, C/2] to [N, H, W, P C/2] in the bijector's dtype, P
    being `parameters_per_channel`. Subclasses bring P and the two transformations.

    The network is any callable. If it has them, its `initialize(x)` is used for data-dependent initialisation, and
    `fold(size) -> weights` and `apply(weights, x)`, together the same as calling it, for `fold_inverse`.
    """

    # Parameters that the transformation of one channel needs.
    parameters_per_channel: ClassVar[int]

    def __init__(
        self,
        num_channels: int,
        network: CouplingNetwork,
        dtype: tf.DType = tf.float32,
        name: str | None = None,
        recompute: bool = False,
    ) -> None:
        """Checks the sizes.

        Args:
          num_channels: C, even.
          network: of the parameters; keyword arguments of the bijector's methods are handed on to it.
          dtype: of inputs and outputs.
          name: by default that of the class in snake case.
          recompute: whether the network's activations are computed again for the gradient instead of kept: the same
            gradients, less memory, one more forward pass.

        Raises:
          ValueError: if the number of channels is odd.
        """
        super().__init__(num_channels=num_channels, dtype=dtype, name=name)
        if num_channels % 2:
            raise ValueError(f"{self.name}: expected an even number of channels, got {num_channels}")
        self.network = network
        self.recompute = recompute

    @abc.abstractmethod
    def transform(self, second: tf.Tensor, parameters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """x2 [N, H, W, C/2], parameters [N, H, W, P C/2] -> y2 [N, H, W, C/2], log|det dy2/dx2| [N]."""

    @abc.abstractmethod
    def transform_back(self, second: tf.Tensor, parameters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """y2 [N, H, W, C/2], parameters [N, H, W, P C/2] -> x2 [N, H, W, C/2], log|det dx2/dy2| [N]."""

    def initialize(self, x: tf.Tensor, **kwargs: Any) -> None:
        """Hands the first half of x [N, H, W, C], and `kwargs`, to the network's own `initialize`, if it has one."""
        if hasattr(self.network, "initialize"):
            self.network.initialize(x[..., : self.num_channels // 2], **kwargs)

    def fold_inverse(self, size: tuple[int, int]) -> Any:
        """The network's weights, if it can fold them."""
        return self.network.fold(size) if self._network_folds() else ()

    def apply_inverse(self, weights: Any, y: tf.Tensor) -> tf.Tensor:
        network = functools.partial(self.network.apply, weights) if self._network_folds() else self.network
        return self._couple(self.transform_back, network, y)[0]

    def _network_folds(self) -> bool:
        return hasattr(self.network, "fold")

    def _forward_and_log_det(self, x: tf.Tensor, **kwargs: Any) -> tuple[tf.Tensor, tf.Tensor]:
        return self._couple(self.transform, self._network(), x, **kwargs)

    def _inverse_and_log_det(self, y: tf.Tensor, **kwargs: Any) -> tuple[tf.Tensor, tf.Tensor]:
        return self._couple(self.transform_back, self._network(), y, **kwargs)

    def _network(self) -> CouplingNetwork:
        if not self.recompute:
            return self.network
        return recomputed(self.network, lambda network, x, **kwargs: network(x, **kwargs))

    def _couple(
        self,
        transform: Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
        network: CouplingNetwork,
        x: tf.Tensor,
        **kwargs: Any,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """[x1, transform(x2, network(x1))] and the log-det; one way or the other."""
        first, second = tf.split(x, 2, axis=-1)
        parameters = network(first, **kwargs)
        # Of another size it could still broadcast, and the log-det would count too few pixels.
        expected = tf.TensorShape([*first.shape[:-1], self.parameters_per_channel * self.num_channels // 2])
        if not parameters.shape.is_compatible_with(expected):
            raise ValueError(f"{self.name}: expected {expected} from the network, got {parameters.shape}")
        second, log_det = transform(second, parameters)
        return tf.concat([first, second], axis=-1), log_det


class AffineCoupling(Coupling):
    """Shifts and scales the second half by functions of the first.

        (shift, raw) = network(x1)        scale = sigmoid(raw + 2)
        forward   y1 = x1,  y2 = (x2 + shift) * scale
        inverse   x1 = y1,  x2 = y2 / scale - shift
        log|det dy/dx| =  sum log scale        [...]
        log|det dx/dy| = -sum log scale        [...]

    Shapes: x and y [..., H, W, C]; the network maps [N, H, W, C/2] to [N, H, W, C]: the shift in the first half of
    the channels, raw in the second. Source: Kingma and Dhariwal 2018, whose code has the sigmoid for the exponential.
    """

    parameters_per_channel = 2

    def transform(self, second: tf.Tensor, parameters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shift, log_scale = self._shift_and_log_scale(parameters)
        return (second + shift) * tf.exp(log_scale), tf.reduce_sum(log_scale, axis=[1, 2, 3])

    def transform_back(self, second: tf.Tensor, parameters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shift, log_scale = self._shift_and_log_scale(parameters)
        return second * tf.exp(-log_scale) - shift, -tf.reduce_sum(log_scale, axis=[1, 2, 3])

    def _shift_and_log_scale(self, parameters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shift, raw = tf.split(parameters, 2, axis=-1)
        # log sigmoid, not log of a sigmoid that may have rounded to 0; and one transcendental less than with both.
        return shift, tf.math.log_sigmoid(raw + 2.0)


class AdditiveCoupling(Coupling):
    """Shifts the second half by a function of the first; volume is kept.

        forward   y1 = x1,  y2 = x2 + network(x1)
        inverse   x1 = y1,  x2 = y2 - network(y1)
        log|det| = 0 in both directions        [...]

    Shapes: x and y [..., H, W, C]; the network maps [N, H, W, C/2] to [N, H, W, C/2]. Source: Dinh et al. 2015.
    """

    parameters_per_channel = 1

    def transform(self, second: tf.Tensor, parameters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return second + parameters, tf.zeros(tf.shape(second)[:1], second.dtype)

    def transform_back(self, second: tf.Tensor, parameters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return second - parameters, tf.zeros(tf.shape(second)[:1], second.dtype)
