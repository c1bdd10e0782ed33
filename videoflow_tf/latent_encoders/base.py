"""What a latent encoder is: the interface, and the base of those that see a window of past latents."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bijectors.fast_forms import sizes, slice_axis
from videoflow_tf.latent_encoders.gaussian import DiagonalGaussian
from videoflow_tf.networks.network import Weights
from videoflow_tf.seeds import standard_normal


class LatentEncoder(tf.Module, abc.ABC):
    """Maps past latents of one level to the Gaussian over the present one, p(z_t | h_t, z_<t).

    Two ways to the same numbers: `sequence`, parallel over a known sequence, for likelihood and training; and
    `initial_state`, `fold`, `step`, `push`, one frame at a time, for sampling. `level` is the level's Gaussian given
    h_t (what the level passes up) alone, one for every frame; None at the top level.

    Latents are [B, T, h, w, c], oldest first, from the first frame of the clip on; of an encoder that `sees_hidden`
    [B, T, h, w, 2c]: what goes on up, h, follows them on the channels. A frame with fewer than `window` frames before
    it has no conditional Gaussian.
    """

    window: int
    sees_hidden = False

    @property
    @abc.abstractmethod
    def past(self) -> int | None:
        """How many frames back the encoder looks; None: to the first frame."""

    def level_start(self, start: int) -> int:
        """The first frame whose level `sequence` takes when it is asked for the Gaussians of frames start.. ."""
        return start

    @abc.abstractmethod
    def sequence(
        self, latents: tf.Tensor, level: DiagonalGaussian | None, start: int, seed: tf.Tensor | None = None
    ) -> DiagonalGaussian:
        """Gaussians [B, T - start, h, w, c] of frames start.. of the sequence, start >= window.

        `level`: of frames level_start(start).. . `seed`: int32 [2], in training; turns on noise and
        dropout.
        """

    @abc.abstractmethod
    def initial_state(self, latents: tf.Tensor, level: DiagonalGaussian | None) -> Any:
        """State after the context, a nest of tensors: latents [B, C, h, w, c], level [B, C, h, w, c]."""

    @abc.abstractmethod
    def fold(self) -> Weights:
        """All that depends on the variables alone, computed once for all steps: a nest of tensors."""

    @abc.abstractmethod
    def step(self, weights: Weights, state: Any, level: DiagonalGaussian | None) -> tuple[DiagonalGaussian, Any]:
        """The Gaussian [B, h, w, c] of the next frame, and the state without that frame's latent.

        `weights`: of `fold`; `level`: [B, h, w, c]. Reads no variable.
        """

    @abc.abstractmethod
    def push(self, state: Any, latent: tf.Tensor) -> Any:
        """The state with the frame's latent [B, h, w, c]."""

    @abc.abstractmethod
    def initialize(self, latents: tf.Tensor, level: DiagonalGaussian | None) -> None:
        """Data-dependent initialisation on [B, T, h, w, c]; `level` as for `sequence` from frame `window` on."""


class WindowEncoder(LatentEncoder):
    """An encoder that sees the last K latents, and the first frame's too if `first_frame`.

    A subclass writes `fold`, `apply` and `initialize_windows`; `window` is K, plus one with the first frame.
    """

    def __init__(self, num_past: int, first_frame: bool = False, skip: bool = False, name: str | None = None) -> None:
        super().__init__(name=name)
        self.num_past, self.first_frame, self.skip = num_past, first_frame, skip
        self.window = num_past + first_frame

    @property
    def past(self) -> int | None:
        return None if self.first_frame else self.num_past

    @abc.abstractmethod
    def apply(
        self,
        weights: Weights,
        past: Sequence[tf.Tensor],
        level: DiagonalGaussian | None,
        seed: tf.Tensor | None = None,
    ) -> DiagonalGaussian:
        """The Gaussian [N, h, w, c], without the skip connection. Reads no variable.

        Args:
          weights: of `fold`.
          past: `window` latents [N, h, w, c], oldest first.
          level: [N, h, w, c].
          seed: int32 [2] in training, for noise and dropout.
        """

    @abc.abstractmethod
    def initialize_windows(self, past: Sequence[tf.Tensor], level: DiagonalGaussian | None) -> None:
        """Data-dependent initialisation on windows, of the shapes of `apply`."""

    def sequence(
        self, latents: tf.Tensor, level: DiagonalGaussian | None, start: int, seed: tf.Tensor | None = None
    ) -> DiagonalGaussian:
        windows, level = self._as_batch(latents, level, start)
        gaussian = self._with_skip(self.apply(self.fold(), windows, level, seed), windows)
        batch, frames = sizes(latents, 2)
        # Fewer frames than the window have no such Gaussian; how many there are may be known at run time alone.
        shape = [batch, tf.maximum(frames - start, 0), *gaussian.mean.shape[1:]]
        return DiagonalGaussian(*(tf.reshape(t, shape) for t in gaussian))

    def initialize(self, latents: tf.Tensor, level: DiagonalGaussian | None) -> None:
        self.initialize_windows(*self._as_batch(latents, level, self.window))

    def windows(self, latents: tf.Tensor, start: int) -> list[tf.Tensor]:
        """The past of frames start.. of a known sequence [B, T, h, w, c], time flattened into the batch: `window`
        latents [B*(T-start), h, w, c], oldest first."""
        k = self.num_past
        past = [slice_axis(latents, start - k + i, i - k, axis=1) for i in range(k)]
        if self.first_frame:
            past.insert(0, tf.broadcast_to(slice_axis(latents, 0, 1, axis=1), tf.shape(past[0])))
        return [as_images(t) for t in past]

    def _as_batch(
        self, latents: tf.Tensor, level: DiagonalGaussian | None, start: int
    ) -> tuple[list[tf.Tensor], DiagonalGaussian | None]:
        """The past of frames start.. and their level, time flattened into the batch: [B*(T-start), h, w, c] each."""
        if level is not None:
            level = DiagonalGaussian(*(as_images(t) for t in level))
        return self.windows(latents, start), level

    def _with_skip(self, gaussian: DiagonalGaussian, past: Sequence[tf.Tensor]) -> DiagonalGaussian:
        last = past[-1][..., : gaussian.mean.shape[-1]]
        return gaussian._replace(mean=gaussian.mean + last) if self.skip else gaussian

    # The state is the past itself, `window` latents [B, h, w, c]. While the context is shorter than the window, it is
    # filled up with zeros; the Gaussians of those frames are not used.
    def initial_state(self, latents: tf.Tensor, level: DiagonalGaussian | None) -> tuple[tf.Tensor, ...]:
        recent = tf.unstack(latents[:, -self.num_past :], axis=1)
        missing = [tf.zeros_like(recent[0])] * (self.num_past - len(recent))
        first = [latents[:, 0]] if self.first_frame else []
        return (*first, *missing, *recent)

    def step(
        self, weights: Weights, state: tuple[tf.Tensor, ...], level: DiagonalGaussian | None
    ) -> tuple[DiagonalGaussian, tuple[tf.Tensor, ...]]:
        return self._with_skip(self.apply(weights, state, level), state), state

    def push(self, state: tuple[tf.Tensor, ...], latent: tf.Tensor) -> tuple[tf.Tensor, ...]:
        kept = int(self.first_frame)
        return (*state[:kept], *state[kept + 1 :], latent)


def as_images(frames: tf.Tensor) -> tf.Tensor:
    """[B, T, h, w, c] -> [B*T, h, w, c]."""
    return tf.reshape(frames, [-1, *frames.shape[2:]])


def add_noise(x: tf.Tensor, stddev: float, seed: tf.Tensor | None) -> tf.Tensor:
    """x plus Gaussian noise; without a seed (int32 [2]) none is added."""
    if seed is None or stddev == 0.0:
        return x
    return x + stddev * standard_normal(tf.shape(x), seed, x.dtype)
