"""Coupling layers (Dinh et al. 2015, "NICE"; 2017, "Real NVP"), in Glow's form."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from bijectors.one_pass import OnePassBijector

# Maps the first half of the channels [N, H, W, C/2] to the parameters of the second half's transformation.
CouplingNetwork = Callable[..., tf.Tensor]


class _Coupling(OnePassBijector):
    """Leaves the first half of the channels as it is and transforms the second half, conditioned on the first.

    With `recompute` the network's activations are computed again for the gradient instead of kept: the same
    gradients, less memory, one more forward pass.
    """

    def __init__(
        self, num_channels: int, network: CouplingNetwork, dtype: tf.DType, name: str, recompute: bool
    ) -> None:
        if num_channels % 2:
            raise ValueError(f"{name}: expected an even number of channels, got {num_channels}")
        super().__init__(num_channels=num_channels, dtype=dtype, name=name)
        self.network = network
        self.recompute = recompute

    def initialize(self, x: tf.Tensor) -> None:
        """Hands the first half of x [N, H, W, C] to the network's own `initialize`, if it has one."""
        if hasattr(self.network, "initialize"):
            self.network.initialize(x[..., : self.num_channels // 2])

    def _forward_and_log_det(self, x: tf.Tensor, **kwargs: Any) -> tuple[tf.Tensor, tf.Tensor]:
        first, second = tf.split(x, 2, axis=-1)
        second, log_det = self._transform(second, self._run(self._network(), first, **kwargs))
        return tf.concat([first, second], axis=-1), log_det

    def _inverse_and_log_det(self, y: tf.Tensor, **kwargs: Any) -> tuple[tf.Tensor, tf.Tensor]:
        return self._invert(self._network(), y, **kwargs)

    def fold_inverse(self, size: tuple[int, int]) -> Callable[[tf.Tensor], tf.Tensor]:
        """As of `OnePassBijector`, with the network's own `fold(size)` if it has one."""
        network = self.network.fold(size) if hasattr(self.network, "fold") else self.network
        return lambda y: self._invert(network, y)[0]

    def _invert(self, network: CouplingNetwork, y: tf.Tensor, **kwargs: Any) -> tuple[tf.Tensor, tf.Tensor]:
        first, second = tf.split(y, 2, axis=-1)
        second, log_det = self._transform_back(second, self._run(network, first, **kwargs))
        return tf.concat([first, second], axis=-1), log_det

    def _network(self) -> CouplingNetwork:
        return tf.recompute_grad(self.network) if self.recompute else self.network

    def _run(self, network: CouplingNetwork, first: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        parameters = network(first, **kwargs)
        # Of another size it could still broadcast, and the log-det would count too few pixels.
        expected = tf.TensorShape([*first.shape[:-1], self._parameters_per_channel * self.num_channels // 2])
        if not parameters.shape.is_compatible_with(expected):
            raise ValueError(f"{self.name}: expected {expected} from the network, got {parameters.shape}")
        return parameters

    _parameters_per_channel: int

    @abc.abstractmethod
    def _transform(self, second: tf.Tensor, parameters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]: ...

    @abc.abstractmethod
    def _transform_back(self, second: tf.Tensor, parameters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]: ...


class AffineCoupling(_Coupling):
    """Shifts and scales the second half by functions of the first.

        (shift, raw) = network(x1)        scale = sigmoid(raw + 2)
        forward   y1 = x1,  y2 = (x2 + shift) * scale
        inverse   x1 = y1,  x2 = y2 / scale - shift
        log|det dy/dx| =  sum log scale        [...]
        log|det dx/dy| = -sum log scale        [...]

    Shapes: x and y [..., H, W, C]; the network maps [N, H, W, C/2] to [N, H, W, C]: the shift in the first half of
    the channels, raw in the second.
    """

    _parameters_per_channel = 2

    def __init__(
        self,
        num_channels: int,
        network: CouplingNetwork,
        dtype: tf.DType = tf.float32,
        name: str = "affine_coupling",
        recompute: bool = False,
    ) -> None:
        super().__init__(num_channels, network, dtype, name, recompute)

    def _transform(self, second: tf.Tensor, parameters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shift, log_scale = self._shift_and_log_scale(parameters)
        return (second + shift) * tf.exp(log_scale), tf.reduce_sum(log_scale, axis=[1, 2, 3])

    def _transform_back(self, second: tf.Tensor, parameters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shift, log_scale = self._shift_and_log_scale(parameters)
        return second * tf.exp(-log_scale) - shift, -tf.reduce_sum(log_scale, axis=[1, 2, 3])

    def _shift_and_log_scale(self, parameters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shift, raw = tf.split(parameters, 2, axis=-1)
        # log sigmoid, not log of a sigmoid that may have rounded to 0; and one transcendental less than with both.
        return shift, tf.math.log_sigmoid(raw + 2.0)


class AdditiveCoupling(_Coupling):
    """Shifts the second half by a function of the first; volume is kept.

        forward   y1 = x1,  y2 = x2 + network(x1)
        inverse   x1 = y1,  x2 = y2 - network(y1)
        log|det| = 0 in both directions        [...]

    Shapes: x and y [..., H, W, C]; the network maps [N, H, W, C/2] to [N, H, W, C/2].
    """

    _parameters_per_channel = 1

    def __init__(
        self,
        num_channels: int,
        network: CouplingNetwork,
        dtype: tf.DType = tf.float32,
        name: str = "additive_coupling",
        recompute: bool = False,
    ) -> None:
        super().__init__(num_channels, network, dtype, name, recompute)

    def _transform(self, second: tf.Tensor, parameters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return second + parameters, tf.zeros(tf.shape(second)[:1], second.dtype)

    def _transform_back(self, second: tf.Tensor, parameters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return second - parameters, tf.zeros(tf.shape(second)[:1], second.dtype)
