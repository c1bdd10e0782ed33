"""The steps of Keras' `fit` and `evaluate`: noise of the replicas, accumulation, gradients."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
import tf_keras

from videoflow_tf.errors import UserError
from videoflow_tf.model import checks, pixels
from videoflow_tf.model.mixture import sharpness_at
from videoflow_tf.seeds import fold_in, split_seed


class TrainStep:
    """The part of `VideoFlow` that Keras calls in `fit` and `evaluate`."""

    @property
    def metrics(self) -> list[tf_keras.metrics.Metric]:
        """What Keras sets back at the start of an epoch."""
        return [self._bits_per_pixel_mean]

    def compile(self, optimizer: Any = "rmsprop", **kwargs: Any) -> None:
        """As Keras' own; `UserError` for an optimizer that is not of tf_keras."""
        checks.check_of_keras_2("an optimizer", optimizer)
        super().compile(optimizer, **kwargs)

    def fit(self, *args: Any, **kwargs: Any) -> tf_keras.callbacks.History:
        """As of a Keras model; what is wrong with the data is said as `UserError`, where Keras buries it in a graph."""
        with self._checked(kwargs.get("callbacks")):
            return super().fit(*args, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """As `fit`."""
        with self._checked(kwargs.get("callbacks")):
            return super().evaluate(*args, **kwargs)

    @contextlib.contextmanager
    def _checked(self, callbacks: Any) -> Iterator[None]:
        """Raises `UserError` for a callback that is not of tf_keras, and what is one inside as it was first said."""
        checks.check_of_keras_2("callbacks", *tf.nest.flatten(callbacks))
        try:
            yield
        except Exception as error:
            found = error
            while found is not None and not isinstance(found, UserError):
                found = found.__cause__ or found.__context__
            if found is None or found is error:
                raise
            self.train_function = self.test_function = None  # What could not be traced is not kept.
            raise found from None

    # Nothing in here needs AutoGraph, whose reading of every function would take a good part of the tracing time.
    @tf.autograph.experimental.do_not_convert
    def train_step(self, video: tf.Tensor) -> dict[str, tf.Tensor]:
        """One optimizer step on clips uint8 [B, T, H, W, C]; noise follows (config.seed, step) alone.

        A step whose gradient is not finite counts as a step, but not in the mean of `bits_per_pixel`, and the package's
        Adam leaves the weights as they were; its `gradient_norm` tells.
        """
        video = checks.checked_video(_video_of(video), self.config.frame_shape, 1)  # Before its noise is drawn.
        seed = tf.stack([tf.constant(self.config.seed, tf.int64), self.step])
        noise_seed, training_seed = split_seed(seed, 2)
        noise = self._replica_noise(video, noise_seed)
        replica = tf.distribute.get_replica_context()
        training_seed = fold_in(training_seed, 0 if replica is None else replica.replica_id_in_sync_group)
        with tf.init_scope():
            self.optimizer.build(self.trainable_variables)  # Of all, also of those that have no gradient yet.
        bits, gradients = self._bits_and_gradients(video, noise, training_seed)
        if self.distribute_strategy.num_replicas_in_sync > 1:  # Of one it would only keep the graph for ever.
            gradients = self.optimizer.aggregate_gradients(gradients)
        self.optimizer.apply_gradients(gradients, skip_gradients_aggregation=True)
        self.step.assign_add(1)
        norm = tf.linalg.global_norm([g for g, _ in gradients])
        finite = tf.math.is_finite(norm)
        bits = tf.where(finite, bits, tf.zeros_like(bits))
        self._bits_per_pixel_mean.update_state(bits, sample_weight=tf.fill(tf.shape(bits), tf.cast(finite, bits.dtype)))
        return {"bits_per_pixel": self._bits_per_pixel_mean.result(), "gradient_norm": norm}

    def _bits_and_gradients(
        self, video: tf.Tensor, noise: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, list[tuple[tf.Tensor, tf.Variable]]]:
        """Bits per pixel [B] and this replica's part of the gradients of their mean, for the variables that have one.

        With `config.accumulate_steps` the batch is taken in so many parts, one after the other.
        """
        parts = self.config.accumulate_steps
        if parts == 1:
            return self._part_gradients(video, noise, seed)
        videos, noises = (tf.stack(tf.split(t, parts)) for t in (video, noise))  # [parts, B/parts, T, H, W, C]
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
            training_seed = seed if self._is_noisy() else None
            bits = self.frame_bits_per_pixel(
                video, None, noise, training_seed=training_seed, sharpness=self._sharpness()
            )
            bits = tf.reduce_mean(bits, axis=1)
            loss = tf.reduce_mean(bits) / self.distribute_strategy.num_replicas_in_sync
        gradients = zip(tape.gradient(loss, variables), variables, strict=True)
        # A variable without a gradient takes no part in this objective (the encoder while pre-training, say).
        return bits, [(g, v) for g, v in gradients if g is not None]

    @tf.autograph.experimental.do_not_convert
    def test_step(self, video: tf.Tensor) -> dict[str, tf.Tensor]:
        """Bits per pixel of clips uint8 [B, T, H, W, C], with the same fixed noise for each, wherever it stands."""
        video = _video_of(video)
        self._bits_per_pixel_mean.update_state(self.bits_per_pixel(video))
        return {"bits_per_pixel": self._bits_per_pixel_mean.result()}

    def _sharpness(self) -> tf.Tensor | None:
        """Of this step's objective, []; None where it is the likelihood throughout."""
        config = self.config
        return sharpness_at(self.step, config.prior_anneal_steps) if config.prior_anneal_steps > 0 else None

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


def _video_of(batch: Any) -> tf.Tensor:
    """The clips in what `fit` and `evaluate` are given: alone, first of a tuple, or by their name in elements of
    `data.eval_videos`."""
    video, _, _ = tf_keras.utils.unpack_x_y_sample_weight(batch)
    if not isinstance(video, dict):
        return video
    if "video" not in video:
        raise UserError(f"expected clips, or elements with a 'video', got {', '.join(map(str, video))}")
    return video["video"]
