"""The devices that a run trains on."""

from __future__ import annotations

import os

import tensorflow as tf

from videoflow_tf.config import STRATEGIES
from videoflow_tf.errors import UserError


def make_strategy(name: str) -> tf.distribute.Strategy:
    """The `tf.distribute` strategy of that name in `config.STRATEGIES`.

    Raises:
      UserError: no such name, no TPU, or `multi_worker` without TF_CONFIG.
    """
    if name == "one_device":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name == "multi_worker":
        if "TF_CONFIG" not in os.environ:
            raise UserError("strategy multi_worker needs the environment variable TF_CONFIG; BUILD.md shows it")
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == "tpu":
        try:
            resolver = tf.distribute.cluster_resolver.TPUClusterResolver(os.environ.get("TPU_NAME", "local"))
            tf.config.experimental_connect_to_cluster(resolver)
            tf.tpu.experimental.initialize_tpu_system(resolver)
        except (tf.errors.OpError, ValueError, RuntimeError) as error:
            raise UserError(f"no TPU: {str(error).split('. ')[0]}; BUILD.md tells what it needs") from error
        return tf.distribute.TPUStrategy(resolver)
    raise UserError(f"unknown strategy {name!r}; one of: {', '.join(STRATEGIES)}")


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the workdir: true unless another machine's does."""
    resolver = strategy.cluster_resolver
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) or resolver.task_type is None:
        return True
    if resolver.task_type == "chief":
        return True
    has_chief = "chief" in resolver.cluster_spec().as_dict()
    return resolver.task_type == "worker" and resolver.task_id == 0 and not has_chief


def shard_data(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """With several machines each takes its share of every batch; there are no files to share out."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.with_options(options)
