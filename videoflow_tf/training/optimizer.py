"""Adam with the paper's learning-rate schedule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tensorflow as tf
import tf_keras

from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError

_Schedule = tf_keras.optimizers.schedules.LearningRateSchedule


@tf_keras.saving.register_keras_serializable("videoflow_tf")
class LearningRate(_Schedule):
    """Linear warm-up to `learning_rate`, then constant; linear to zero between `decay_from` and `decay_until`."""

    def __init__(self, learning_rate: float, warmup_steps: int, decay_from: int = 0, decay_until: int = 0) -> None:
        self._config = {
            "learning_rate": learning_rate,
            "warmup_steps": warmup_steps,
            "decay_from": decay_from,
            "decay_until": decay_until,
        }

    def __call__(self, step: tf.Tensor | int) -> tf.Tensor:
        """The rate, float32 [], of the update that follows `step` completed ones."""
        config = self._config
        step = tf.cast(step, tf.float32)
        rate = tf.constant(config["learning_rate"], tf.float32)
        if config["warmup_steps"] > 0:
            # Step + 1: the first update counts too.
            rate *= tf.minimum(1.0, (step + 1.0) / config["warmup_steps"])
        if config["decay_until"] > 0:
            left = (config["decay_until"] - step) / (config["decay_until"] - config["decay_from"])
            rate *= tf.clip_by_value(left, 0.0, 1.0)
        return rate

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments by name."""
        return dict(self._config)


@tf_keras.saving.register_keras_serializable("videoflow_tf")
class Adam(tf_keras.optimizers.Adam):
    """Keras' Adam with one fused op a variable, and which leaves the weights as they are at the end of `fit`.

    Keras writes the update out in some sixty ops a variable, most of a training step's graph: with hundreds of
    variables the fused form starts several times faster, and gives the same numbers. With a moving average Keras
    would at the end of `fit` replace the weights by it, and the next `fit` would go on from there.
    """

    @property
    def learning_rate(self) -> tf.Variable | tf.Tensor:
        """The rate of the last update, []. Where a schedule has it, setting it, as some of Keras' callbacks do, is a
        `UserError`: the next update would take the schedule's all the same."""
        if not isinstance(self._learning_rate, _Schedule):
            return self._learning_rate
        rate = tf.identity(self._current_learning_rate)
        rate.assign = _refuse_rate
        return rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        if isinstance(self._learning_rate, _Schedule) or isinstance(value, _Schedule):
            _refuse_rate()
        self._learning_rate.assign(value)

    def apply_gradients(self, grads_and_vars: Iterable[tuple[tf.Tensor, tf.Variable]], **kwargs: Any) -> tf.Tensor:
        """As Keras' own, but gradients that are not all finite change neither the weights nor the moments: int64 []."""
        gradients, variables = zip(*((g, v) for g, v in grads_and_vars if g is not None), strict=True)
        finite = tf.math.is_finite(tf.linalg.global_norm(gradients))
        dtypes = [v.dtype.base_dtype for v in variables]
        # Once for all variables of a dtype. Kept as a function: a dictionary would become part of checkpoints.
        self._scalars_of = {dtype: self._step_scalars(finite, dtype) for dtype in set(dtypes)}.__getitem__
        zeros = {dtype: tf.zeros([], dtype) for dtype in set(dtypes)}
        gradients = [tf.where(finite, g, zeros[dtype]) for g, dtype in zip(gradients, dtypes, strict=True)]
        return super().apply_gradients(zip(gradients, variables, strict=True), **kwargs)

    def _step_scalars(self, finite: tf.Tensor, dtype: tf.DType) -> dict[str, tf.Tensor]:
        """The fused op's arguments; of a step that is skipped a rate of 0, and moments that decay by a factor of 1."""
        step = tf.cast(self.iterations + 1, tf.float32)
        rate = self._learning_rate
        if isinstance(rate, _Schedule):
            rate = rate(self.iterations)  # `self.learning_rate` is still that of the step before.
        betas = {"beta1": self.beta_1, "beta2": self.beta_2}
        scalars = {f"{name}_power": tf.cast(tf.pow(beta, step), dtype) for name, beta in betas.items()}
        used = {name: (beta, 1.0) for name, beta in betas.items()} | {"lr": (rate, 0.0)}
        for name, (value, skipped) in used.items():
            scalars[name] = tf.where(finite, tf.cast(value, dtype), tf.constant(skipped, dtype))
        return scalars | {"epsilon": tf.constant(self.epsilon, dtype)}

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Adam's update of one variable by a gradient of its shape (Kingma and Ba 2015, algorithm 1 in the form before
        section 2.1)."""
        index = self._index_dict[self._var_key(variable)]
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].handle,
            v=self._velocities[index].handle,
            grad=gradient,
            **self._scalars_of(variable.dtype.base_dtype),
        )

    def rate_at(self, step: int) -> tf.Tensor:
        """The learning rate, float32 [], of the update that follows `step` completed ones."""
        return self._learning_rate(step)

    def finalize_variable_values(self, var_list: list[tf.Variable]) -> None:
        """Does nothing; Keras calls it at the end of `fit`."""

    def load_averages(self, var_list: list[tf.Variable]) -> None:
        """Assigns to every variable its moving average."""
        super().finalize_variable_values(var_list)


def _refuse_rate(*_: Any, **__: Any) -> None:
    raise UserError(
        "the learning rate follows a schedule and cannot be set; compile with make_optimizer(config, learning_rate=x), "
        "whose rate can be set to any number"
    )


def make_optimizer(config: VideoFlowConfig, learning_rate: float | None = None) -> Adam:
    """The optimizer of `config`, not built: a moving average starts from the weights of the time of `build`.

    `learning_rate`: a number that may be set to another later, instead of the schedule of `config`.
    """
    schedule = LearningRate(config.learning_rate, config.warmup_steps, config.decay_from, config.decay_until)
    return Adam(
        schedule if learning_rate is None else learning_rate,
        beta_2=config.adam_beta2,
        global_clipnorm=config.clip_norm or None,
        use_ema=config.ema_decay > 0,
        ema_momentum=config.ema_decay,
    )
