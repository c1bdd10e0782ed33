"""`VideoFlow`: a multi-scale flow per frame, and an autoregressive prior over its latents in time.

Two roads lead through this file. Likelihood: pixels -> flow, level by level -> prior -> one number
(`bits_per_pixel`). Prediction: context -> latents -> prior over time, level by level -> pixels (`predict_frames`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from bijectors import ActNorm, AdditiveCoupling, AffineCoupling, FlowStep, InvertibleConv1x1, Squeeze, flow_level
from bijectors.fast_forms import sizes, slice_axis
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.model import pixels
from videoflow_tf.model.prior import AutoregressivePrior, HierarchicalPrior, LatentPrior, LevelLatents
from videoflow_tf.model.sampler import sample_in_chunks
from videoflow_tf.networks.conv2d import ConvStack
from videoflow_tf.seeds import as_seed, fold_in, split_seed

# Noise for which no seed is given: any fixed one, so that a call repeated gives the same numbers.
_DEFAULT_SEED = (0, 0)


class Encoding(NamedTuple):
    """What the flow makes of a clip: `LevelLatents` per level, nearest the pixels first, and the log-det [B, T]."""

    levels: list[LevelLatents]
    log_det: tf.Tensor


class VideoFlow(tf_keras.Model):
    """VideoFlow (Kumar et al. 2020): exact likelihood and sampling of video frames given the frames before.

    A Keras model: `compile`, `fit`, `evaluate` and callbacks work on datasets of uint8 clips [B, T, H, W, 3], also
    under `tf.distribute`. All variables exist from construction on and start from `config.seed` alone; call
    `initialize` once before training. Videos are uint8, continuous frames are around [-0.5, 0.5).
    """

    def __init__(self, config: VideoFlowConfig, dtype: tf.DType | str | None = None, name: str = "video_flow") -> None:
        """`dtype`: float32 (the default, Keras' floatx) or float64."""
        dtype = tf.as_dtype(dtype or tf_keras.backend.floatx())
        super().__init__(name=name, dtype=dtype)
        self.config = config
        self.float_dtype = dtype
        # Counts training steps; the training noise and the end of `pretrain_steps` follow it.
        self.step = tf.Variable(
            0, dtype=tf.int64, trainable=False, name="step", aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
        )
        rng = np.random.default_rng(config.seed)
        self.flow = [_build_level(config, level, rng, dtype) for level in range(config.levels)]
        self.priors = [LatentPrior(config, level, rng, dtype) for level in range(config.levels)]
        self._bits_per_pixel_mean = tf_keras.metrics.Mean("bits_per_pixel")
        self._compiled_predict_frames = tf.function(self._predict_frames, autograph=False)
        # Logs are whole-batch values already: replicas show the same ones, which must not be added up.
        self.distribute_reduction_method = "first"
        self.built = True

    # --- Likelihood ---

    def bits_per_pixel(
        self,
        video: tf.Tensor,
        num_context: int | None = None,
        dequantization_noise: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Bits per colour component of the frames after the context: -log2 p / (frames x H x W x 3).

        Args:
          video: uint8 [B, T, H, W, 3].
          num_context: frames given and not scored; default `config.num_context`. With `config.score_context` they
            are scored as well, and an unconditional model scores every frame.
          dequantization_noise: [B, T, H, W, 3] in [0, 1), one slot per encoded frame ([B, T+1, ...] with
            `config.condition_on_first_frame`, which encodes the first frame twice).
          seed: int32 [2] or a whole number, of the noise where none is given; without it a fixed one, so that
            calls repeat.

        Returns:
          float32 [B]

        Raises:
          UserError: if the video is not uint8 [B, T, H, W, 3] of this model's frame size with T > num_context.
        """
        return tf.reduce_mean(self.frame_bits_per_pixel(video, num_context, dequantization_noise, seed), axis=1)

    def frame_bits_per_pixel(
        self,
        video: tf.Tensor,
        num_context: int | None = None,
        dequantization_noise: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """As `bits_per_pixel`, but of every scored frame: float32 [B, T - num_context]."""
        return self._frame_bits_per_pixel(video, num_context, dequantization_noise, seed)

    def _frame_bits_per_pixel(
        self,
        video: tf.Tensor,
        num_context: int | None,
        noise: tf.Tensor | None,
        noise_seed: tf.Tensor | None,
        training_seed: tf.Tensor | None = None,
    ) -> tf.Tensor:
        config = self.config
        num_context = config.num_context if num_context is None else num_context
        if num_context < 0:
            raise UserError(f"num_context must be at least 0, got {num_context}")
        scores_all = config.score_context or not config.conditional
        video = self._checked_video(video, least_frames=1 if scores_all else num_context + 1)
        frames = self._dequantize(video, noise, noise_seed)
        start = 0 if scores_all else num_context + config.condition_on_first_frame
        log_prob = self._frame_log_probs(frames, start, training_seed)
        components = config.frame_size**2 * 3
        # log p(v) >= log p(x) - n log 2 per component: the bins have volume 2^-n.
        bits = config.n_bits - log_prob / (components * math.log(2.0))
        if config.condition_on_first_frame and start == 0:
            # The first frame was encoded, and is scored, twice: one frame of the video.
            bits = tf.concat([bits[:, :1] + bits[:, 1:2], bits[:, 2:]], axis=1)
        return tf.cast(bits, tf.float32)

    def _frame_log_probs(self, frames: tf.Tensor, start: int, training_seed: tf.Tensor | None = None) -> tf.Tensor:
        """log p(x_t | x_<t) of continuous frames start.. of [B, T, H, W, 3], in nats, [B, T - start]."""
        flow_seed, prior_seed = split_seed(training_seed, 2)
        levels, log_det = self._encode(frames, flow_seed)
        log_prob = slice_axis(log_det, start, axis=1)
        for prior, clip, seed in zip(self.priors, levels, split_seed(prior_seed, len(levels)), strict=True):
            gaussian = prior.sequence(clip, start, self._condition(), seed)
            log_prob += tf.reduce_sum(gaussian.log_prob(slice_axis(clip.latents, start, axis=1)), axis=[2, 3, 4])
        return log_prob

    def _encode(self, frames: tf.Tensor, seed: tf.Tensor | None = None) -> Encoding:
        """Runs the flow on continuous frames [B, T, H, W, 3], time folded into the batch."""
        clips, size = sizes(frames, 2), self.config.frame_size
        # A fresh tensor, so that TFP's cache never answers for weights that have changed.
        x = tf.reshape(tf.identity(frames), [-1, size, size, 3])  # [B*T, H, W, 3]
        log_det = tf.zeros(tf.shape(x)[:1], self.float_dtype)
        levels = []
        for index, (level, level_seed) in enumerate(zip(self.flow, split_seed(seed, len(self.flow)), strict=True)):
            kwargs = self._step_seeds(level_seed)
            y = level.forward(x, **kwargs)
            log_det += level.forward_log_det_jacobian(x, **kwargs)
            x, z = (None, y) if index == len(self.flow) - 1 else tf.split(y, 2, axis=-1)
            unfolded = [None if t is None else tf.reshape(t, [*clips, *t.shape[1:]]) for t in (z, x)]
            levels.append(LevelLatents(*unfolded))
        return Encoding(levels, tf.reshape(log_det, clips))

    def _step_seeds(self, seed: tf.Tensor | None) -> dict[str, dict[str, tf.Tensor]]:
        """Arguments of a level's flow steps by name: seeds for the dropout in their coupling networks."""
        if seed is None or self.config.coupling_dropout == 0.0:
            return {}
        return {_step_name(i): {"seed": s} for i, s in enumerate(split_seed(seed, self.config.depth))}

    def _condition(self) -> tf.Tensor | None:
        """Whether frames are conditioned on their past yet; None without `pretrain_steps`: always."""
        return None if self.config.pretrain_steps == 0 else self.step >= self.config.pretrain_steps

    # --- Prediction ---

    def future(
        self,
        context: tf.Tensor,
        num_frames: int | tf.Tensor,
        temperature: float | tf.Tensor = 1.0,
        dequantization_noise: tf.Tensor | None = None,
    ) -> tfd.TransformedDistribution:
        """p(x_{C+1..C+T} | x_1..x_C), the distribution of the continuous frames after a context.

        Nested from the top level down: the base of a level's flow is its autoregressive prior given what comes from
        the level above. Its `sample` draws a level for all frames and inverts its flow once, then goes on to the next;
        `time_chunks.sample_in_chunks` draws the same samples some frames at a time.

        Args:
          context: uint8 [B, C, H, W, 3]; or continuous frames in the model's dtype.
          num_frames: T.
          temperature: factor of every sigma in the prior; 0 gives the conditional means.
          dequantization_noise: [B, C, H, W, 3] in [0, 1), slots as in `bits_per_pixel`; default a fixed draw, so that
            what follows is a function of the context alone.

        Returns:
          Distribution with batch shape [B] and event shape [T, H, W, 3].
        """
        config = self.config
        context = self._checked_video(context, least_frames=int(config.conditional), continuous=True)
        if not tf.is_tensor(num_frames) and num_frames < 1:
            raise UserError(f"num_frames must be at least 1, got {num_frames}")
        levels, _ = self._encode(self._dequantize(context, dequantization_noise, None, same_for_all=True))
        *lower, top = zip(self.flow, self.priors, levels, strict=True)
        flow, prior, clip = top
        base = AutoregressivePrior(prior, clip, num_frames, None, temperature, self._condition())
        distribution = tfd.TransformedDistribution(base, tfb.Invert(flow))
        for flow, prior, clip in reversed(lower):
            base = HierarchicalPrior(distribution, prior, clip, num_frames, temperature, self._condition())
            distribution = tfd.TransformedDistribution(base, tfb.Invert(flow))
        return distribution

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
          context: uint8 [B, C, H, W, 3], C >= 1 of any length.
          num_frames: T >= 1, also far beyond the length trained on.
          temperature: factor of every sigma in the prior; 0 gives the conditional means.
          seed: int32 [2], or a whole number; without it a fresh one. Or int32 [B, 2], one for every video: its frames
            then do not depend on the rest of the batch.
          dequantization_noise: of the context, as in `future`.

        Returns:
          uint8 [B, T, H, W, 3]

        Raises:
          UserError: for a context of another form, num_frames < 1 or a negative temperature.
          tf.errors.InvalidArgumentError: if the frames are not finite. XLA drops this check: within a function of
            your own that is compiled with `jit_compile=True`, look at `future(...).sample` yourself.
        """
        seed = as_seed(seed)
        if not tf.executing_eagerly():
            return self._predict_frames(context, num_frames, temperature, seed, dequantization_noise)
        context = self._checked_video(context, least_frames=int(self.config.conditional))
        if int(num_frames) < 1:
            raise UserError(f"num_frames must be at least 1, got {int(num_frames)}")
        if not (math.isfinite(float(temperature)) and temperature >= 0):
            raise UserError(f"temperature must be a number from 0 on, got {float(temperature)}")
        # Traced once per shape of the context, for every number of frames and temperature.
        return self._compiled_predict_frames(
            context,
            tf.convert_to_tensor(num_frames, tf.int32),
            tf.convert_to_tensor(temperature, self.float_dtype),
            seed,
            dequantization_noise,
        )

    def _predict_frames(
        self,
        context: tf.Tensor,
        num_frames: int | tf.Tensor,
        temperature: float | tf.Tensor,
        seed: tf.Tensor,
        noise: tf.Tensor | None,
    ) -> tf.Tensor:
        if tf.is_tensor(num_frames):
            tf.debugging.assert_positive(num_frames, "num_frames must be at least 1")
        future = self.future(context, num_frames, temperature, noise)
        return pixels.to_uint8(sample_in_chunks(future, seed=seed)[0])

    def encode(self, frames: tf.Tensor, dequantization_noise: tf.Tensor | None = None) -> list[tf.Tensor]:
        """Latents of every level, nearest the pixels first: [B, T, h, w, c] each.

        frames: continuous [B, T, H, W, 3] in the model's dtype; uint8 ones are dequantised first, with
        `dequantization_noise` or a fixed draw.
        """
        frames = self._checked_video(frames, least_frames=1, continuous=True)
        if frames.dtype == tf.uint8:
            noise = self._noise(frames, dequantization_noise, None)
            frames = pixels.from_uint8(frames, noise, self.config, self.float_dtype)
        return [level.latents for level in self._encode(frames).levels]

    def decode(self, latents: list[tf.Tensor]) -> tf.Tensor:
        """The inverse of `encode`: continuous frames [B, T, H, W, 3]."""
        x = None
        for level, z in zip(reversed(self.flow), reversed(latents), strict=True):
            x = level.inverse(tf.identity(z) if x is None else tf.concat([x, z], axis=-1))
        return x

    # --- Initialisation and training ---

    def initialize(self, batch: tf.Tensor, seed: tf.Tensor | None = None) -> None:
        """Data-dependent initialisation (Kingma and Dhariwal 2018, section 3.1), once, before the first step.

        Layer after layer, sets every actnorm, those in the networks and latent encoders too, so that its output has
        zero mean and unit variance per channel over the batch.

        Args:
          batch: uint8 [N, T, H, W, 3]; N large.
          seed: int32 [2], of the dequantisation noise; default from `config.seed`.

        Raises:
          UserError: if training has begun; the weights would be lost.
        """
        if int(self.step.numpy()) > 0:
            raise UserError(f"the model has been trained for {int(self.step.numpy())} steps; initialize a new one")
        seed = (self.config.seed, 0) if seed is None else seed
        batch = self._checked_video(batch, least_frames=1)
        frames = self._dequantize(batch, None, seed)
        count, length, size, *_ = frames.shape
        x = tf.reshape(frames, [-1, size, size, 3])
        for level, prior in zip(self.flow, self.priors, strict=True):
            *steps, squeeze = level.bijectors
            x = squeeze.forward(x)
            for step in reversed(steps):
                x = step.initialize(x)
            x, z = (None, x) if prior.is_top else tf.split(x, 2, axis=-1)
            clip = [None if t is None else tf.reshape(t, [count, length, *t.shape[1:]]) for t in (z, x)]
            prior.initialize(LevelLatents(*clip))

    def call(self, video: tf.Tensor, training: bool = False) -> tf.Tensor:
        """`bits_per_pixel(video)`."""
        del training  # Noise and dropout belong to `train_step` alone.
        return self.bits_per_pixel(video)

    @property
    def metrics(self) -> list[tf_keras.metrics.Metric]:
        return [self._bits_per_pixel_mean]

    # Nothing in here needs AutoGraph, whose reading of every function would take a good part of the tracing time.
    @tf.autograph.experimental.do_not_convert
    def train_step(self, video: tf.Tensor) -> dict[str, tf.Tensor]:
        """One optimizer step on clips uint8 [B, T, H, W, 3]; noise follows (config.seed, step) alone."""
        video, _, _ = tf_keras.utils.unpack_x_y_sample_weight(video)
        seed = tf.stack([tf.constant(self.config.seed, tf.int64), self.step])
        noise_seed, training_seed = split_seed(seed, 2)
        noise = self._replica_noise(video, noise_seed)
        replica = tf.distribute.get_replica_context()
        training_seed = fold_in(training_seed, 0 if replica is None else replica.replica_id_in_sync_group)
        bits, gradients = self._bits_and_gradients(video, noise, training_seed)
        gradients = self.optimizer.aggregate_gradients(gradients)
        self.optimizer.apply_gradients(gradients, skip_gradients_aggregation=True)
        self.step.assign_add(1)
        self._bits_per_pixel_mean.update_state(bits)
        return {
            "bits_per_pixel": self._bits_per_pixel_mean.result(),
            "gradient_norm": tf.linalg.global_norm([g for g, _ in gradients]),
        }

    def _bits_and_gradients(
        self, video: tf.Tensor, noise: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, list[tuple[tf.Tensor, tf.Variable]]]:
        """Bits per pixel [B] and this replica's part of the gradients of their mean, for the variables that have one.

        With `config.accumulate_steps` the batch is taken in so many parts, one after the other.
        """
        parts = self.config.accumulate_steps
        if parts == 1:
            return self._part_gradients(video, noise, seed)
        videos, noises = (tf.stack(tf.split(t, parts)) for t in (video, noise))  # [parts, B/parts, T, H, W, 3]
        bits, gradients = self._part_gradients(videos[0], noises[0], fold_in(seed, 0))
        variables = [v for _, v in gradients]

        def add(i: tf.Tensor, bits: tf.TensorArray, sums: list[tf.Tensor]):
            more_bits, more = self._part_gradients(videos[i], noises[i], fold_in(seed, i))
            return i + 1, bits.write(i, more_bits), [s + g for s, (g, _) in zip(sums, more, strict=True)]

        all_bits = tf.TensorArray(bits.dtype, size=parts, element_shape=bits.shape).write(0, bits)
        _, all_bits, sums = tf.while_loop(
            lambda i, *_: i < parts,
            add,
            (1, all_bits, [g for g, _ in gradients]),
            parallel_iterations=1,
            maximum_iterations=parts - 1,
        )
        return tf.reshape(all_bits.stack(), [-1]), [(s / parts, v) for s, v in zip(sums, variables, strict=True)]

    def _part_gradients(
        self, video: tf.Tensor, noise: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, list[tuple[tf.Tensor, tf.Variable]]]:
        variables = self.trainable_variables
        with tf.GradientTape() as tape:
            bits = self._frame_bits_per_pixel(video, None, noise, None, seed if self._is_noisy() else None)
            bits = tf.reduce_mean(bits, axis=1)
            loss = tf.reduce_mean(bits) / self.distribute_strategy.num_replicas_in_sync
        gradients = zip(tape.gradient(loss, variables), variables, strict=True)
        # A variable without a gradient takes no part in this objective (the encoder while pre-training, say).
        return bits, [(g, v) for g, v in gradients if g is not None]

    @tf.autograph.experimental.do_not_convert
    def test_step(self, video: tf.Tensor) -> dict[str, tf.Tensor]:
        """Bits per pixel of clips uint8 [B, T, H, W, 3], with fixed noise."""
        video, _, _ = tf_keras.utils.unpack_x_y_sample_weight(video)
        noise = self._replica_noise(video, as_seed(_DEFAULT_SEED))
        self._bits_per_pixel_mean.update_state(self.bits_per_pixel(video, dequantization_noise=noise))
        return {"bits_per_pixel": self._bits_per_pixel_mean.result()}

    def _is_noisy(self) -> bool:
        config = self.config
        return max(config.coupling_dropout, config.latent_dropout, config.latent_noise) > 0

    def _replica_noise(self, video: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """This replica's share of the noise of the whole batch: how a batch is divided changes no number."""
        replica = tf.distribute.get_replica_context()
        replicas = 1 if replica is None else replica.num_replicas_in_sync
        shape = self._noise_shape(tf.shape(video))
        if replicas == 1:
            return pixels.dequantization_noise(shape, seed)
        whole = pixels.dequantization_noise(tf.concat([shape[:1] * replicas, shape[1:]], axis=0), seed)
        first = replica.replica_id_in_sync_group * shape[0]
        return whole[first : first + shape[0]]

    # --- Pixels and checks ---

    def _dequantize(
        self,
        video: tf.Tensor,
        noise: tf.Tensor | None,
        seed: tf.Tensor | None,
        same_for_all: bool = False,
    ) -> tf.Tensor:
        """The frames to encode, continuous [B, T, H, W, 3], T one more with `condition_on_first_frame`.

        same_for_all: one draw of noise for every video of the batch, so that a video's is not a matter of its place.
        """
        if self.config.condition_on_first_frame:
            video = tf.concat([video[:, :1], video], axis=1)
        if video.dtype != tf.uint8:
            return video
        noise = self._noise(video, noise, seed, same_for_all)
        return pixels.from_uint8(video, noise, self.config, self.float_dtype)

    def _noise(
        self, video: tf.Tensor, noise: tf.Tensor | None, seed: tf.Tensor | None, same_for_all: bool = False
    ) -> tf.Tensor:
        """The noise given, checked against the video that it is for, or a draw."""
        if noise is None:
            shape = tf.shape(video)
            shape = tf.concat([[1], shape[1:]], axis=0) if same_for_all else shape
            return pixels.dequantization_noise(shape, as_seed(_DEFAULT_SEED if seed is None else seed))
        noise = tf.convert_to_tensor(noise)
        # One noise for all videos of the batch will do.
        if not (noise.shape.is_compatible_with(video.shape) or noise.shape.is_compatible_with([1, *video.shape[1:]])):
            raise UserError(f"dequantization_noise must be of shape {video.shape}, got {noise.shape}")
        return noise

    def _noise_shape(self, video_shape: tf.Tensor) -> tf.Tensor:
        return video_shape + tf.constant([0, int(self.config.condition_on_first_frame), 0, 0, 0])

    def _checked_video(self, video: tf.Tensor, least_frames: int, continuous: bool = False) -> tf.Tensor:
        """The video as a tensor, or a `UserError`; `continuous`: frames in the model's dtype will do."""
        dtype = self.float_dtype if continuous else None
        return pixels.checked_video(video, self.config.frame_size, least_frames, dtype)


def _build_level(config: VideoFlowConfig, level: int, rng: np.random.Generator, dtype: tf.DType) -> tfb.Chain:
    """One level of the flow as a Chain: squeeze, then `depth` steps."""
    in_channels = 3 * 2**level
    channels = 4 * in_channels
    affine = config.coupling == "affine"
    steps = []
    for index in range(config.depth):
        network = ConvStack(
            channels // 2,
            config.coupling_width,
            channels if affine else channels // 2,
            config.coupling_activation,
            rng,
            config.coupling_dropout,
            dtype=dtype,
            compute_dtype=tf.bfloat16 if config.bfloat16_networks else None,
        )
        coupling = (AffineCoupling if affine else AdditiveCoupling)(
            channels, network, dtype, recompute=config.recompute == "coupling"
        )
        parts = ActNorm(channels, dtype), InvertibleConv1x1(channels, rng, dtype), coupling
        steps.append(FlowStep(*parts, name=_step_name(index), recompute=config.recompute == "step"))
    return flow_level(Squeeze(in_channels, dtype), steps, name=f"level_{level}")


def _step_name(index: int) -> str:
    return f"step_{index}"
