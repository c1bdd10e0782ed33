"""`VideoFlow`: a multi-scale flow per frame, and an autoregressive prior over its latents in time.

Two roads lead through this file. Likelihood: pixels -> flow, level by level -> prior -> one number
(`bits_per_pixel`). Prediction: context -> latents -> prior over time, level by level -> pixels (`predict_frames`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from bijectors.fast_forms import sizes, slice_axis
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.model import checks, pixels
from videoflow_tf.model.dequantization import Dequantizer
from videoflow_tf.model.future import FramesFuture
from videoflow_tf.model.level import Level, build_flow
from videoflow_tf.model.likelihood import encode_frames, frame_log_probs
from videoflow_tf.model.prior import LatentPrior, LevelLatents
from videoflow_tf.model.sampler import sample_frames
from videoflow_tf.model.saving import Saving
from videoflow_tf.model.train_step import TrainStep
from videoflow_tf.seeds import as_seed
from videoflow_tf.units import counted

# So many compiled samplers are kept, the last used ones.
_KEPT_SHAPES = 8
# In a `tf.function` of a user's it would read all that these methods call, for seconds, and find nothing to convert.
_without_autograph = tf.autograph.experimental.do_not_convert


@tf_keras.saving.register_keras_serializable("videoflow_tf")
class VideoFlow(TrainStep, Saving, tf_keras.Model):
    """VideoFlow (Kumar et al. 2020): exact likelihood and sampling of video frames given the frames before.

    A Keras model: `compile`, `fit`, `evaluate` and callbacks work on datasets of uint8 clips [B, T, H, W, C], also
    under `tf.distribute`. All variables exist from construction on and start from `config.seed` alone; call
    `initialize` once before training. Videos are uint8, continuous frames are around [-0.5, 0.5).
    """

    def __init__(self, config: VideoFlowConfig, dtype: tf.DType | str | None = None, name: str = "video_flow") -> None:
        """`dtype`: float32, float64 or mixed_bfloat16, which is float32 with that `config.precision`; the default that
        of Keras' global policy; a `UserError` for another."""
        dtype = dtype or tf_keras.mixed_precision.global_policy().name
        if dtype == "mixed_bfloat16":
            config, dtype = config.replace(precision=dtype), tf.float32
        dtype = checks.checked_dtype(dtype)
        super().__init__(name=name, dtype=dtype)
        self.config = config
        self.float_dtype = dtype
        # Counts training steps; the training noise and the end of `pretrain_steps` follow it.
        self.step = tf.Variable(
            0, dtype=tf.int64, trainable=False, name="step", aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
        )
        rng = np.random.default_rng(config.seed)
        # Initial weights come from one generator: those of all flows before those of the priors.
        flows = [build_flow(config, index, rng, dtype) for index in range(config.levels)]
        priors = [LatentPrior(config, index, rng, dtype) for index in range(config.levels)]
        has_dropout = config.coupling_dropout > 0
        self.levels = [Level(flow, prior, has_dropout) for flow, prior in zip(flows, priors, strict=True)]
        self.dequantizer = Dequantizer(config, rng, dtype)
        steps = {f"level_{i}/flow/{step.name}": step for i, level in enumerate(self.levels) for step in level.steps}
        name_variables(self.parts | steps)
        self._bits_per_pixel_mean = tf_keras.metrics.Mean("bits_per_pixel")
        # One for a shape of the context, traced once for every number of frames and temperature.
        self._compiled_predict_frames = functools.lru_cache(_KEPT_SHAPES)(
            lambda shape: tf.function(self._predict_frames, autograph=False)
        )
        # Logs are whole-batch values already: replicas show the same ones, which must not be added up.
        self.distribute_reduction_method = "first"
        self.built = True

    # --- Likelihood ---

    @_without_autograph
    def bits_per_pixel(
        self,
        video: tf.Tensor,
        num_context: int | None = None,
        dequantization_noise: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Bits per colour component of the frames after the context: -log2 p / (frames x H x W x C).

        Args:
          video: uint8 [B, T, H, W, C].
          num_context: frames given and not scored; default `config.num_context`. With `config.score_context` they
            are scored as well, and an unconditional model scores every frame.
          dequantization_noise: [B, T, H, W, C] in [0, 1), one slot per encoded frame ([B, T+1, ...] with
            `config.condition_on_first_frame`, which encodes the first frame twice).
          seed: a whole number or two, of the noise where none is given, the same for every video, so that a video's
            place is of no consequence; or int32 [B, 2], one for every video. Without it a fixed draw.

        Returns:
          float32 [B]

        Raises:
          UserError: if the video is not uint8 [B, T, H, W, C] of this model's frame size with B > 0 and
            T > num_context. Where a traced function does not know the shape, an InvalidArgumentError at run time.
        """
        return tf.reduce_mean(self.frame_bits_per_pixel(video, num_context, dequantization_noise, seed), axis=1)

    @_without_autograph
    def frame_bits_per_pixel(
        self,
        video: tf.Tensor,
        num_context: int | None = None,
        dequantization_noise: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
        training_seed: tf.Tensor | None = None,
        sharpness: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """As `bits_per_pixel`, but of every scored frame: float32 [B, T - num_context].

        `training_seed`: int32 [2], in training, of dropout and of the noise on latents; without it there are none.
        `sharpness`: [], in training, of a mixture, see `Mixture.log_prob`.
        """
        config = self.config
        num_context = config.num_context if num_context is None else num_context
        if num_context < 0:
            raise UserError(f"num_context must be at least 0, got {num_context}")
        least_frames = 1 if config.scores_all_frames else num_context + 1
        video = checks.checked_video(video, config.frame_shape, least_frames)
        frames, log_q = self._dequantize(video, dequantization_noise, seed)
        start = 0 if config.scores_all_frames else num_context + config.condition_on_first_frame
        log_prob = frame_log_probs(
            self.levels, frames, start, condition=self._condition(), seed=training_seed, sharpness=sharpness
        )
        log_prob -= slice_axis(log_q, start, axis=1)
        components = math.prod(config.frame_shape)
        # log P(v) >= log p(x) - log q(u | v) - n log 2 per component: the bins have volume 2^-n.
        bits = config.n_bits - log_prob / (components * math.log(2.0))
        if config.condition_on_first_frame and start == 0:
            # The first frame was encoded, and is scored, twice: one frame of the video.
            bits = tf.concat([bits[:, :1] + bits[:, 1:2], bits[:, 2:]], axis=1)
        return tf.cast(bits, tf.float32)

    @property
    def past_frames(self) -> int | None:
        """How many frames back the prior looks; None: to the first of the video."""
        encoder = self.levels[0].prior.encoder
        return 0 if encoder is None else encoder.past

    def _condition(self) -> tf.Tensor | None:
        """Whether frames are conditioned on their past yet; None without `pretrain_steps`: always."""
        return None if self.config.pretrain_steps == 0 else self.step >= self.config.pretrain_steps

    # --- Prediction ---

    @_without_autograph
    def future(
        self,
        context: tf.Tensor,
        num_frames: int | tf.Tensor,
        temperature: float | tf.Tensor = 1.0,
        dequantization_noise: tf.Tensor | None = None,
    ) -> FramesFuture:
        """p(x_{C+1..C+T} | x_1..x_C), the distribution of the continuous frames after a context.

        Nested from the top level down, see `future.py`. Its samples are those of `sample_frames`.

        Args:
          context: uint8 [B, C, H, W, C]; or continuous frames in the model's dtype, as of `dequantize`.
          num_frames: T.
          temperature: factor of every sigma in the prior; 0 gives the conditional means (of a
            mixture, that of the component drawn).
          dequantization_noise: [B, C, H, W, C] in [0, 1), slots as in `bits_per_pixel`; default a fixed draw, so that
            what follows is a function of the context alone.

        Returns:
          Distribution with batch shape [B] and event shape [T, H, W, C], over frames as of `dequantize`.

        Raises:
          UserError, InvalidArgumentError: as for `predict_frames`; also for continuous frames on another scale.
        """
        num_frames = checks.checked_count(num_frames, "num_frames")
        temperature = checks.checked_temperature(temperature, self.float_dtype)
        known = self._encode_context(context, dequantization_noise)
        return FramesFuture(self.levels, known, num_frames, temperature, self._condition())

    @_without_autograph
    def sample_frames(
        self,
        context: tf.Tensor,
        num_frames: int | tf.Tensor,
        temperature: float | tf.Tensor = 1.0,
        seed: tf.Tensor | None = None,
        dequantization_noise: tf.Tensor | None = None,
        copies: int | tf.Tensor = 1,
        frames_at_once: int | None = None,
    ) -> tf.Tensor:
        """Samples of the frames after a context, continuous: [copies, B, T, H, W, C].

        Arguments that are not named here are as for `predict_frames`.

        Args:
          seed: may be int32 [copies * B, 2] as well, one for each sample.
          copies: samples of every context.
          frames_at_once: that pass the flow together at most, a matter of memory and speed alone; see
            `sampler.sample_frames`.
        """
        num_frames, copies = (
            checks.checked_count(n, name) for n, name in ((num_frames, "num_frames"), (copies, "copies"))
        )
        temperature = checks.checked_temperature(temperature, self.float_dtype)
        known = self._encode_context(context, dequantization_noise)
        return sample_frames(
            self.levels,
            known,
            num_frames,
            as_seed(seed),
            copies=copies,
            temperature=temperature,
            condition=self._condition(),
            frames_at_once=frames_at_once,
        )

    def _encode_context(self, context: tf.Tensor, noise: tf.Tensor | None) -> list[LevelLatents]:
        """Latents of every level of the frames given, uint8 or continuous [B, K, H, W, C]."""
        context = self._checked_context(context, continuous=True)
        frames, _ = self._dequantize(context, noise, None)
        return encode_frames(self.levels, frames).levels

    @_without_autograph
    def predict_frames(
        self,
        context: tf.Tensor,
        num_frames: int | tf.Tensor,
        temperature: float | tf.Tensor = 1.0,
        seed: tf.Tensor | None = None,
        dequantization_noise: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Samples the frames after a context.

        Args:
          context: uint8 [B, C, H, W, C], C >= 1 of any length.
          num_frames: T >= 1, also far beyond the length trained on.
          temperature: factor of every sigma in the prior; 0 gives the conditional means (of a
            mixture, that of the component drawn).
          seed: int32 [2], or a whole number; without it a fresh one. Or int32 [B, 2], one for every video: its frames
            then do not depend on the rest of the batch.
          dequantization_noise: of the context, as in `future`.

        Returns:
          uint8 [B, T, H, W, C]

        Raises:
          UserError: for a context of another form, num_frames < 1 or a temperature that is negative or not finite.
          tf.errors.InvalidArgumentError: for the same where a traced function, as an exported one, does not know it
            before; and if the frames are not finite. XLA drops these checks: within a function of your own that is
            compiled with `jit_compile=True`, look at `future(...).sample` yourself.
        """
        context = self._checked_context(context)
        num_frames = checks.checked_count(num_frames, "num_frames")
        temperature = checks.checked_temperature(temperature, self.float_dtype)
        if not tf.executing_eagerly():
            return self._predict_frames(context, num_frames, temperature, as_seed(seed), dequantization_noise)
        compiled = self._compiled_predict_frames(tuple(context.shape))
        return compiled(context, tf.constant(num_frames), temperature, as_seed(seed), dequantization_noise)

    def _predict_frames(
        self,
        context: tf.Tensor,
        num_frames: int | tf.Tensor,
        temperature: tf.Tensor,
        seed: tf.Tensor,
        noise: tf.Tensor | None,
    ) -> tf.Tensor:
        return self.quantize(self.sample_frames(context, num_frames, temperature, seed, noise)[0])

    @_without_autograph
    def dequantize(
        self, video: tf.Tensor, dequantization_noise: tf.Tensor | None = None, seed: tf.Tensor | None = None
    ) -> tf.Tensor:
        """8-bit pixels to the continuous frames that `future`, `encode` and its densities are about.

        Args: as for `bits_per_pixel`, the noise with one slot per frame of `video`.

        Returns:
          [B, T, H, W, C] in the model's dtype, in [-0.5, 0.5); `quantize` gives the pixels back, in the bits that the
          model keeps (with the official code's scaling but for a grey level).
        """
        video = checks.checked_video(video, self.config.frame_shape, least_frames=1)
        return self.dequantizer(video, self._noise(video, dequantization_noise, seed))[0]

    @_without_autograph
    def quantize(self, frames: tf.Tensor) -> tf.Tensor:
        """Continuous frames of any shape to 8-bit pixels, uint8, as `predict_frames` does with its samples.

        Of fewer than 8 bits per component the levels that there are, spread over 0 to 255.

        Raises:
          tf.errors.InvalidArgumentError: a frame is not finite.
        """
        return pixels.to_uint8(frames, self.config)

    @_without_autograph
    def encode(self, frames: tf.Tensor, dequantization_noise: tf.Tensor | None = None) -> list[tf.Tensor]:
        """Latents of every level, nearest the pixels first: [B, T, h, w, c] each.

        Args:
          frames: continuous [B, T, H, W, C] in the model's dtype; uint8 ones are dequantised first.
          dequantization_noise: [B, T, H, W, C] in [0, 1), of uint8 frames; default a fixed draw.

        Raises:
          UserError: if the frames are of another dtype, not of this model's frame size, or none. Where a traced
            function does not know the shape, an InvalidArgumentError at run time.
        """
        frames = checks.checked_video(frames, self.config.frame_shape, 1, self.float_dtype)
        if frames.dtype == tf.uint8:
            frames, _ = self.dequantizer(frames, self._noise(frames, dequantization_noise, None))
        else:
            frames = checks.checked_density_input(frames)
        return [clip.latents for clip in encode_frames(self.levels, frames).levels]

    @_without_autograph
    def decode(self, latents: list[tf.Tensor]) -> tf.Tensor:
        """The inverse of `encode`: continuous frames [B, T, H, W, C].

        Raises:
          UserError: if the latents are not those of every level, in the model's dtype and of one number of videos and
            frames. Where a traced function does not know the shape, an InvalidArgumentError at run time.
        """
        shapes = [level.prior.latent_shape for level in self.levels]
        latents = checks.checked_latents(latents, shapes, self.float_dtype)
        x = None
        for level, z in zip(reversed(self.levels), reversed(latents), strict=True):
            x = level.decode(z, x)
        return x

    # --- Initialisation and training ---

    def initialize(self, batch: tf.Tensor, seed: tf.Tensor | None = None) -> None:
        """Data-dependent initialisation (Kingma and Dhariwal 2018, section 3.1), once, before the first step.

        Layer after layer, sets every actnorm, those in the networks and latent encoders too, so that its output has
        zero mean and unit variance per channel over the batch.

        Args:
          batch: uint8 [N, T, H, W, C]; N large.
          seed: int32 [2], of the dequantisation noise; default from `config.seed`.

        Raises:
          UserError: if training has begun; the weights would be lost.
        """
        if (step := int(self.step.numpy())) > 0:
            raise UserError(f"the model has been trained for {counted(step, 'step')}; initialize a new one")
        seed = (self.config.seed, 0) if seed is None else seed
        batch = self._encoded(checks.checked_video(batch, self.config.frame_shape, least_frames=1))
        shape = sizes(batch, 5)
        noise = pixels.dequantization_noise(shape, checks.checked_seeds(as_seed(seed), shape[0]))
        self.dequantizer.initialize(batch, noise)
        frames, _ = self.dequantizer(batch, noise)
        x = tf.reshape(frames, [-1, *frames.shape[2:]])
        for level in self.levels:
            x = level.initialize(x, num_frames=frames.shape[1])

    @property
    def parts(self) -> dict[str, tf.Module]:
        """The modules that have the weights, by name: the flows of all levels before their priors."""
        flows = {f"level_{i}/flow": level.flow for i, level in enumerate(self.levels)}
        priors = {f"level_{i}/prior": level.prior for i, level in enumerate(self.levels)}
        return flows | priors | {"dequantizer": self.dequantizer}

    @property
    def num_parameters(self) -> int:
        """Numbers that are trained."""
        return sum(v.shape.num_elements() for v in self.trainable_weights)

    @property
    def trainable_weights(self) -> list[tf.Variable]:
        """Those of the parts in their order: in this order a checkpoint keeps the optimizer's moments."""
        return [variable for part in self.parts.values() for variable in part.trainable_variables]

    def summary(self, print_fn: Callable[[str], None] = print, **_: Any) -> None:
        """Prints the parts and the number of weights of each; Keras' other options are about its own layers."""
        width = max(map(len, self.parts))
        for name, part in self.parts.items():
            print_fn(f"{name:{width}}  {sum(v.shape.num_elements() for v in part.variables):>14,}")
        print_fn(f"{'trainable':{width}}  {self.num_parameters:>14,}")

    @_without_autograph
    def call(self, video: tf.Tensor, training: bool = False) -> tf.Tensor:
        """`bits_per_pixel(video)`: uint8 [B, T, H, W, C] -> [B]."""
        del training  # Noise and dropout belong to `train_step` alone.
        return self.bits_per_pixel(video)

    # --- Pixels and checks ---

    def _dequantize(
        self,
        video: tf.Tensor,
        noise: tf.Tensor | None,
        seed: tf.Tensor | None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The frames to encode, continuous [B, T, H, W, C], T one more with `condition_on_first_frame`, and the log
        density [B, T] of their noise."""
        video = self._encoded(video)
        if video.dtype != tf.uint8:
            return video, tf.zeros(tf.shape(video)[:2], self.float_dtype)
        return self.dequantizer(video, self._noise(video, noise, seed))

    def _encoded(self, video: tf.Tensor) -> tf.Tensor:
        """The frames that are encoded, [B, T, H, W, C]: with `condition_on_first_frame` the first one twice, T + 1."""
        return tf.concat([video[:, :1], video], axis=1) if self.config.condition_on_first_frame else video

    def _noise(self, video: tf.Tensor, noise: tf.Tensor | None, seed: tf.Tensor | None) -> tf.Tensor:
        """The noise given, or a draw: of one seed the same for all videos of the batch, [1, T, H, W, C]."""
        if noise is None:
            batch, *shape = sizes(video, 5)
            seed = as_seed(pixels.DEFAULT_SEED if seed is None else seed)
            if seed.shape.rank == 1:  # A video's place in the batch is of no consequence.
                batch = 1
            return pixels.dequantization_noise([batch, *shape], checks.checked_seeds(seed, batch))
        return checks.checked_noise(noise, video)

    def _noise_shape(self, video_shape: tf.Tensor) -> tf.Tensor:
        return video_shape + tf.constant([0, int(self.config.condition_on_first_frame), 0, 0, 0])

    def _checked_context(self, context: tf.Tensor, continuous: bool = False) -> tf.Tensor:
        """The frames given as a tensor [B, C, H, W, C]; `continuous`: frames in the model's dtype will do."""
        dtype = self.float_dtype if continuous else None
        context = checks.checked_video(context, self.config.frame_shape, int(self.config.conditional), dtype)
        if context.shape[1] is None:
            raise UserError("the number of frames given must be known when a function is traced; declare its shape")
        return context if context.dtype == tf.uint8 else checks.checked_context(context, self.config)


def name_variables(parts: dict[str, tf.Module]) -> None:
    """Names every variable by its path: Keras' callbacks and reports, and TensorBoard, go by the name."""
    for part_name, part in parts.items():
        for path, variable in part._flatten(predicate=lambda v: isinstance(v, tf.Variable), with_path=True):
            name = "/".join([part_name, *(str(step).lstrip("_") for step in path)])
            # Of a mirrored variable, that of the first replica. Keras, too, names variables in this way.
            getattr(variable, "_primary", variable)._handle_name = f"{name}:0"
