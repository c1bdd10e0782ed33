"""The devices that a run trains on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
from tensorflow.python.eager import context

from videoflow_tf.config import STRATEGIES
from videoflow_tf.errors import UserError, one_line
from videoflow_tf.workdir import goes_on_from


def use_tensor_float_32(allowed: bool) -> None:
    """Whether NVIDIA's GPUs may compute float32 convolutions and matrix products in TF32, in the whole process.

    TF32 has 10 bits of mantissa. That is enough for gradients, several times faster, and TensorFlow's own default. A
    flow is inexact with it: of the model in pretrained/shapes, on an H200, bits per pixel were 0.0982 in place of
    0.0955, and frames encoded and decoded again differed by 4e-3 in place of 2e-6.
    """
    tf.config.experimental.enable_tensor_float_32_execution(allowed)


def make_strategy(name: str | tf.distribute.Strategy) -> tf.distribute.Strategy:
    """The `tf.distribute` strategy of that name in `config.STRATEGIES`, or the one given.

    To be called before any operation: with `multi_worker`, TensorFlow meets the other machines when it starts.

    Raises:
      UserError: no such name, no TPU, or `multi_worker` without a TF_CONFIG that lists the machines.
    """
    if isinstance(name, tf.distribute.Strategy):
        return name
    if name == "one_device":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name == "multi_worker":
        if "TF_CONFIG" not in os.environ:
            raise UserError("strategy multi_worker needs the environment variable TF_CONFIG; BUILD.md shows it")
        return _of_machines()
    if name == "tpu":
        try:
            resolver = tf.distribute.cluster_resolver.TPUClusterResolver(os.environ.get("TPU_NAME", "local"))
            tf.config.experimental_connect_to_cluster(resolver)
            tf.tpu.experimental.initialize_tpu_system(resolver)
        except (tf.errors.OpError, ValueError, RuntimeError) as error:
            raise UserError(f"no TPU: {str(error).split('. ')[0]}; BUILD.md tells what it needs") from error
        return tf.distribute.TPUStrategy(resolver)
    raise UserError(f"unknown strategy {name!r}; one of: {', '.join(STRATEGIES)}")


def _of_machines() -> tf.distribute.Strategy:
    """The strategy of the machines in TF_CONFIG; raises `UserError` if it does not say them and which one this is."""
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    try:
        # Where there is no list TensorFlow would let each machine train by itself.
        resolver.cluster_spec().task_address(resolver.task_type, resolver.task_id)
        # TensorFlow's coordination service would take SIGTERM for itself. Without it the machines watch one another all
        # the same, by connections that break and by questions every half minute.
        context.context().configure_coordination_service(service_type="")
        return tf.distribute.MultiWorkerMirroredStrategy(resolver)
    except (TypeError, ValueError, tf.errors.InvalidArgumentError, tf.errors.UnknownError) as error:
        raise UserError(
            'TF_CONFIG must be JSON that lists the machines ("cluster"), each with a free port, and says which one '
            f'this is ("task"), as BUILD.md shows it: {one_line(str(error))}'
        ) from error


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the workdir: true unless another machine's does."""
    if not in_several_processes(strategy):
        return True
    resolver = strategy.cluster_resolver
    if resolver.task_type == "chief":
        return True
    has_chief = "chief" in resolver.cluster_spec().as_dict()
    return resolver.task_type == "worker" and resolver.task_id == 0 and not has_chief


def any_machine(strategy: tf.distribute.Strategy, value: bool) -> bool:
    """Whether `value` is true on one of the machines, which all have to ask at the same point; a barrier, too."""
    if not in_several_processes(strategy):
        return value
    return bool(strategy.reduce(tf.distribute.ReduceOp.SUM, tf.identity(float(value)), axis=None) > 0)


@contextlib.contextmanager
def losing_machines(strategy: tf.distribute.Strategy, workdir: Path) -> Iterator[None]:
    """Makes a `UserError` of what TensorFlow raises when another machine is gone."""
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as error:
        if not in_several_processes(strategy):
            raise
        raise UserError(
            "another machine has ended or cannot be reached; start all of them again: training goes on from "
            f"{goes_on_from(workdir)}"
        ) from error


def in_several_processes(strategy: tf.distribute.Strategy) -> bool:
    """Whether each machine runs this program by itself, as with `multi_worker`."""
    resolver = strategy.cluster_resolver
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) and resolver.task_type is not None


def shard_data(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """With several machines each takes its share of every batch; there are no files to share out."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.with_options(options)
