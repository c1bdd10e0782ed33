"""What a latent encoder is: the interface, and the base of those that see a window of past latents."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from bijectors.fast_forms import slice_axis
from videoflow_tf.seeds import ALGORITHM


class DiagonalGaussian(NamedTuple):
    """A diagonal Gaussian; `mean` and `log_scale` have the latent's shape."""

    mean: tf.Tensor
    log_scale: tf.Tensor

    def log_prob(self, z: tf.Tensor) -> tf.Tensor:
        """Elementwise log density, in nats. Works on log sigma throughout: no log of an exp."""
        scaled = (z - self.mean) * tf.exp(-self.log_scale)
        return -0.5 * tf.square(scaled) - self.log_scale - 0.5 * math.log(2 * math.pi)

    def frames(self, start: int, stop: int | None = None) -> DiagonalGaussian:
        """The Gaussians of frames start..stop-1 of [B, T, h, w, c]."""
        return DiagonalGaussian(*(slice_axis(t, start, stop, axis=1) for t in self))

    def frame(self, t: int | tf.Tensor) -> DiagonalGaussian:
        """The Gaussian of frame t of [B, T, h, w, c]."""
        return DiagonalGaussian(self.mean[:, t], self.log_scale[:, t])


class LatentEncoder(tf.Module, abc.ABC):
    """Maps past latents of one level to the Gaussian over the present one, p(z_t | h_t, z_<t).

    Two ways to the same numbers: `sequence`, parallel over a known sequence, for likelihood and training; and
    `initial_state`, `make_step`, `push`, one frame at a time, for sampling. `level` is the level's Gaussian given h_t
    (what the level passes up) alone, one for every frame; None at the top level.

    Latents are [B, T, h, w, c], oldest first, from the first frame of the clip on. A frame with fewer than `window`
    frames before it has no conditional Gaussian.
    """

    window: int

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
        """State after the context: latents [B, C, h, w, c], level [B, C, h, w, c]."""

    @abc.abstractmethod
    def make_step(self) -> Callable[[Any, DiagonalGaussian | None], tuple[DiagonalGaussian, Any]]:
        """The step (state, level [B, h, w, c]) -> the Gaussian [B, h, w, c] of the next frame, and the state without
        that frame's latent. What depends on the weights alone is computed here, once for all frames."""

    @abc.abstractmethod
    def push(self, state: Any, latent: tf.Tensor) -> Any:
        """The state with the frame's latent [B, h, w, c]."""

    @abc.abstractmethod
    def initialize(self, latents: tf.Tensor, level: DiagonalGaussian | None) -> None:
        """Data-dependent initialisation on a known sequence; `level` as for `sequence` from frame `window` on."""


# A `WindowEncoder` as a function of its inputs: (past: `window` latents [N, h, w, c], oldest first; level [N, h, w, c];
# seed) -> DiagonalGaussian [N, h, w, c].
WindowGaussian = Callable[[Sequence[tf.Tensor], DiagonalGaussian | None, tf.Tensor | None], DiagonalGaussian]


class WindowEncoder(LatentEncoder):
    """An encoder that sees the last K latents, and the first frame's too if `first_frame`.

    A subclass writes `fold`; `window` is K, plus one with the first frame.
    """

    def __init__(self, num_past: int, first_frame: bool = False, skip: bool = False, name: str | None = None) -> None:
        super().__init__(name=name)
        self.num_past, self.first_frame, self.skip = num_past, first_frame, skip
        self.window = num_past + first_frame

    @abc.abstractmethod
    def fold(self) -> WindowGaussian:
        """The encoder with all that depends on the weights alone computed."""

    @abc.abstractmethod
    def initialize_windows(self, past: Sequence[tf.Tensor], level: DiagonalGaussian | None) -> None:
        """Data-dependent initialisation on windows, shaped as for `fold`."""

    def sequence(
        self, latents: tf.Tensor, level: DiagonalGaussian | None, start: int, seed: tf.Tensor | None = None
    ) -> DiagonalGaussian:
        windows, level = self._as_batch(latents, level, start)
        gaussian = self._with_skip(self.fold()(windows, level, seed), windows)
        shape = tf.concat([tf.shape(latents)[:1], [-1], tf.shape(latents)[2:]], axis=0)
        return DiagonalGaussian(*(tf.reshape(t, shape) for t in gaussian))

    def initialize(self, latents: tf.Tensor, level: DiagonalGaussian | None) -> None:
        self.initialize_windows(*self._as_batch(latents, level, self.window))

    def _as_batch(
        self, latents: tf.Tensor, level: DiagonalGaussian | None, start: int
    ) -> tuple[list[tf.Tensor], DiagonalGaussian | None]:
        """The past of frames start.. and their level, time folded into the batch: [B*(T-start), h, w, c] each."""
        k = self.num_past
        past = [slice_axis(latents, start - k + i, i - k, axis=1) for i in range(k)]
        if self.first_frame:
            past.insert(0, tf.broadcast_to(slice_axis(latents, 0, 1, axis=1), tf.shape(past[0])))
        if level is not None:
            level = DiagonalGaussian(*(as_images(t) for t in level))
        return [as_images(t) for t in past], level

    def _with_skip(self, gaussian: DiagonalGaussian, past: Sequence[tf.Tensor]) -> DiagonalGaussian:
        return gaussian._replace(mean=gaussian.mean + past[-1]) if self.skip else gaussian

    # The state is the past itself, `window` latents [B, h, w, c]. While the context is shorter than the window, it is
    # filled up with zeros; the Gaussians of those frames are not used.
    def initial_state(self, latents: tf.Tensor, level: DiagonalGaussian | None) -> tuple[tf.Tensor, ...]:
        recent = tf.unstack(latents[:, -self.num_past :], axis=1)
        missing = [tf.zeros_like(recent[0])] * (self.num_past - len(recent))
        first = [latents[:, 0]] if self.first_frame else []
        return (*first, *missing, *recent)

    def make_step(
        self,
    ) -> Callable[[tuple[tf.Tensor, ...], DiagonalGaussian | None], tuple[DiagonalGaussian, tuple[tf.Tensor, ...]]]:
        gaussian = self.fold()
        return lambda state, level: (self._with_skip(gaussian(state, level, None), state), state)

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
    return x + stddev * tf.random.stateless_normal(tf.shape(x), seed, dtype=x.dtype, alg=ALGORITHM)
