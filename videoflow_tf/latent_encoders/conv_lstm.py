"""Convolutional LSTM latent encoder (Shi et al. 2015; Kumar et al. 2020, appendix B)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from bijectors.fast_forms import conv2d, slice_axis
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.latent_encoders.base import LatentEncoder, add_noise, as_images
from videoflow_tf.latent_encoders.gaussian import DiagonalGaussian
from videoflow_tf.networks.conv2d import EdgeConv2D
from videoflow_tf.networks.network import Weights


class State(NamedTuple):
    """Cell and hidden state [B, h, w, width], and the last latent [B, h, w, c]."""

    cell: tf.Tensor
    hidden: tf.Tensor
    last: tf.Tensor


class GateWeights(NamedTuple):
    """Kernels of the input's and the hidden state's part of the gates, [3, 3, C, 4 width] each, and bias [4 width]."""

    from_input: tf.Tensor
    from_hidden: tf.Tensor
    bias: tf.Tensor


class ConvLSTMEncoder(LatentEncoder):
    """At frame t a 3x3 ConvLSTM cell is fed [level mean of h_t, z_{t-1}]; a 3x3 convolution of its hidden state gives
    the Gaussian. The state is zero before the second frame, so all frames of the past count, not a window of them.

    Gates in the order input, new, forget, output; +1 on the forget gate. The cell's convolution has no edge bias.
    """

    window = 1
    past = None

    def __init__(
        self, config: VideoFlowConfig, level: int, rng: np.random.Generator, dtype: tf.DType, name: str = "conv_lstm"
    ) -> None:
        super().__init__(name=name)
        height, width, channels = config.latent_shape(level)
        self.size = height, width
        self.width, self.noise, self.skip = config.latent_encoder_width, config.latent_noise, config.latent_skip
        inputs = channels if level == config.levels - 1 else 2 * channels
        # Glorot's uniform bound, as recurrent layers commonly start.
        shape = (3, 3, inputs + self.width, 4 * self.width)
        bound = np.sqrt(6.0 / (9 * (shape[2] + shape[3])))
        self.kernel = tf.Variable(rng.uniform(-bound, bound, shape), dtype=dtype, name="kernel")
        self.bias = tf.Variable(np.zeros(4 * self.width), dtype=dtype, name="bias")
        self.last = EdgeConv2D(self.width, 2 * channels, None, dtype=dtype, name="last")

    def fold(self) -> tuple[GateWeights, Weights]:
        return self._fold_gates(), self.last.fold(self.size)

    def _fold_gates(self) -> GateWeights:
        return GateWeights(*tf.split(self.kernel, [-1, self.width], axis=2), tf.convert_to_tensor(self.bias))

    def _gates_from_input(
        self, weights: GateWeights, last: tf.Tensor, level: DiagonalGaussian | None, seed: tf.Tensor | None = None
    ) -> tf.Tensor:
        """The input's part of the gates, [N, h, w, 4 width], of the last latents and the levels [N, h, w, c]."""
        x = last if level is None else tf.concat([level.mean, last], axis=-1)
        return tf.nn.bias_add(conv2d(add_noise(x, self.noise, seed), weights.from_input), weights.bias)

    def _run(
        self, weights: GateWeights, latents: tf.Tensor, level: DiagonalGaussian | None, seed: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Cell and hidden states at frames 1.., [T - 1, B, h, w, width] each, of latents [B, T, h, w, c]."""
        previous = as_images(slice_axis(latents, 0, -1, axis=1))
        if level is not None:
            level = DiagonalGaussian(*(as_images(t) for t in level.frames(1)))
        gates = self._gates_from_input(weights, previous, level, seed)
        batch = tf.shape(latents)[0]
        gates = tf.reshape(gates, [batch, -1, *gates.shape[1:]])
        gates = tf.transpose(gates, [1, 0, 2, 3, 4])  # Time first.
        zeros = tf.zeros_like(gates[0, ..., : self.width]) if gates.shape[0] != 0 else self._zeros(latents)

        def step(state: tuple[tf.Tensor, tf.Tensor], gates: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return _cell(weights, gates, *state)

        return tf.scan(step, gates, initializer=(zeros, zeros))

    def _zeros(self, latents: tf.Tensor) -> tf.Tensor:
        shape = tf.concat([tf.shape(latents)[:1], latents.shape[2:4], [self.width]], axis=0)
        return tf.zeros(shape, latents.dtype)

    def _gaussian(self, weights: Weights, hidden: tf.Tensor, last: tf.Tensor) -> DiagonalGaussian:
        """Of hidden states [N, h, w, width] and the last latents [N, h, w, c]."""
        gaussian = DiagonalGaussian.from_channels(self.last.apply(weights, hidden))
        return gaussian._replace(mean=gaussian.mean + last) if self.skip else gaussian

    def level_start(self, start: int) -> int:
        """Always the first: the state goes through all frames."""
        return 0

    def sequence(
        self, latents: tf.Tensor, level: DiagonalGaussian | None, start: int, seed: tf.Tensor | None = None
    ) -> DiagonalGaussian:
        gate_weights, last_weights = self.fold()
        _, hidden = self._run(gate_weights, latents, level, seed)
        hidden = tf.transpose(slice_axis(hidden, start - 1), [1, 0, 2, 3, 4])  # [B, T-start, h, w, width]
        last = slice_axis(latents, start - 1, -1, axis=1)
        shape = tf.shape(last)
        gaussian = self._gaussian(last_weights, as_images(hidden), as_images(last))
        return DiagonalGaussian(*(tf.reshape(t, shape) for t in gaussian))

    def initial_state(self, latents: tf.Tensor, level: DiagonalGaussian | None) -> State:
        if latents.shape[1] == 1:
            zeros = self._zeros(latents)
            return State(zeros, zeros, latents[:, -1])
        cells, hiddens = self._run(self._fold_gates(), latents, level)
        return State(cells[-1], hiddens[-1], latents[:, -1])

    def step(
        self, weights: tuple[GateWeights, Weights], state: State, level: DiagonalGaussian | None
    ) -> tuple[DiagonalGaussian, State]:
        gate_weights, last_weights = weights
        gates = self._gates_from_input(gate_weights, state.last, level)
        cell, hidden = _cell(gate_weights, gates, state.cell, state.hidden)
        return self._gaussian(last_weights, hidden, state.last), State(cell, hidden, state.last)

    def push(self, state: State, latent: tf.Tensor) -> State:
        return state._replace(last=latent)

    def initialize(self, latents: tf.Tensor, level: DiagonalGaussian | None) -> None:
        return  # No layer of it has an actnorm.


def _cell(weights: GateWeights, gates: tf.Tensor, cell: tf.Tensor, hidden: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The LSTM's equations: the input's part of the gates [B, h, w, 4 width], cell and hidden state [B, h, w, width] ->
    the new cell and hidden state."""
    i, new, forget, output = tf.split(gates + conv2d(hidden, weights.from_hidden), 4, axis=-1)
    cell = tf.sigmoid(forget + 1.0) * cell + tf.sigmoid(i) * tf.tanh(new)
    return cell, tf.tanh(cell) * tf.sigmoid(output)
