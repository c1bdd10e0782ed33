"""Training: from a configuration to a workdir with checkpoints, curves, samples and a SavedModel."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras

from videoflow_tf import data
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.media import strips
from videoflow_tf.model.video_flow import VideoFlow
from videoflow_tf.training import callbacks, checkpoints, export
from videoflow_tf.training.optimizer import Adam, make_optimizer
from videoflow_tf.training.strategies import is_chief, make_strategy
from videoflow_tf.workdir import check_same_run, latest_checkpoint, read_config, write_config

_PICTURED_VIDEOS = 2
_TEMPERATURES = (0.0, 0.5, 1.0)
_SECONDS_TO_WAIT_FOR_CHIEF = 3600


def train(
    config: VideoFlowConfig,
    workdir: str | Path,
    data_dir: str | None = None,
    strategy_name: str = "one_device",
    deterministic: bool = False,
    jit_compile: bool | None = None,
    init_from: str | Path | None = None,
) -> None:
    """Trains to `config.train_steps`, from the newest checkpoint in `workdir` if there is one, and exports.

    A step depends on the weights, `config` and its number alone, so a run that was killed and is started again goes
    where an undisturbed one goes; bit for bit with `deterministic`.

    Args:
      config: what to train. The global batch is `config.batch_size` times the number of replicas.
      workdir: folder of the run, see `checkpoints`; with `multi_worker`, one that all machines see.
      data_dir: folder of the prepared dataset; None for one that is generated.
      strategy_name: one of `config.STRATEGIES`.
      deterministic: ops give the same bits every time, some more slowly. Cannot be undone within the process.
      jit_compile: compile the training step with XLA; None: Keras' default.
      init_from: a workdir whose trained weights a new run starts from, instead of initialising by data; a run that is
        taken up again goes on from its own.

    Raises:
      UserError: `workdir` holds a run of another configuration or something else, the dataset is missing, the
        strategy does not work here: all before anything is written. Training diverged: the last checkpoint remains.
    """
    workdir = Path(workdir)
    saved = read_config(workdir)
    if saved is not None:
        check_same_run(saved, config, workdir)
    if deterministic:
        tf_keras.utils.set_random_seed(config.seed)
        tf.config.experimental.enable_op_determinism()
    strategy = make_strategy(strategy_name)
    chief = is_chief(strategy)
    data.num_eval_videos(config, data_dir, "validation", config.eval_videos)  # Complains if the data is not there.
    latest = latest_checkpoint(workdir)
    if init_from is not None and latest is None:
        checkpoints.check_architecture(config, init_from)
    if chief and saved != config:
        write_config(workdir, config)
    if latest is None or latest[1] < config.train_steps:
        _train(config, workdir, data_dir, strategy, jit_compile, init_from, None if latest is None else latest[0])
    else:
        print(f"The run in {workdir} is finished: {latest[1]} steps of {config.train_steps}")
    if chief and not export.is_exported(workdir):
        print(f"Exported to {export.export_workdir(workdir)}")


def _train(
    config: VideoFlowConfig,
    workdir: Path,
    data_dir: str | None,
    strategy: tf.distribute.Strategy,
    jit_compile: bool | None,
    init_from: str | Path | None,
    checkpoint: str | None,
) -> None:
    """Trains from `checkpoint`, from the weights in `init_from` or from the start, to `config.train_steps`."""
    chief, replicas = is_chief(strategy), strategy.num_replicas_in_sync
    with strategy.scope():
        model = VideoFlow(config)
    print(f"{model.count_params():,} parameters; batch {config.batch_size} on each of {replicas} device(s)")
    if checkpoint is None and chief and init_from is not None:
        print(f"Starting from the weights in {init_from}", flush=True)
        checkpoints.load_weights(model, init_from)
    elif checkpoint is None and chief:
        print(f"Initialising on {config.init_batch_size} clips", flush=True)
        model.initialize(data.init_clips(config, data_dir, num_clips=config.init_batch_size))
    with strategy.scope():
        optimizer = make_optimizer(config)
        optimizer.build(model.trainable_variables)
        model.compile(optimizer=optimizer, jit_compile=jit_compile)

    saver = checkpoints.Checkpoints(model, optimizer, workdir)
    if checkpoint is None and chief:
        saver.save()
    # The others take what the chief initialised: computed apart it could differ in the last bit.
    saver.restore(checkpoint or _wait_for_checkpoint(workdir))
    divergence = callbacks.StopOnDivergence()
    watchers = [divergence]
    if chief:
        frames_per_step = config.batch_size * replicas * _scored_frames(config)
        watchers += [
            callbacks.SaveCheckpoints(saver, config),
            callbacks.ShowProgress(config.train_steps, frames_per_step),
            callbacks.WriteSummaries(workdir / "tensorboard" / "train", divergence),
        ]
    _train_and_validate(model, workdir, data_dir, watchers)


def _train_and_validate(
    model: VideoFlow, workdir: Path, data_dir: str | None, watchers: list[tf_keras.callbacks.Callback]
) -> None:
    """`fit` from one multiple of `eval_every` to the next, and a look at the validation split after each."""
    config, strategy = model.config, model.distribute_strategy
    chief, global_batch = is_chief(strategy), config.batch_size * strategy.num_replicas_in_sync
    validation = _validation_batches(config, data_dir, strategy)
    writer = tf.summary.create_file_writer(str(workdir / "tensorboard" / "validation")) if chief else None
    step = int(model.step.numpy())
    while step < config.train_steps:
        stop = min(config.train_steps, (step // config.eval_every + 1) * config.eval_every)
        clips = data.train_clips(config, data_dir, batch_size=global_batch, start_step=step)
        model.fit(_shard_data(clips), steps_per_epoch=stop - step, epochs=1, verbose=0, callbacks=watchers)
        step = stop
        with averaged_weights(model, model.optimizer):
            bits = model.evaluate(validation, verbose=0, return_dict=True)["bits_per_pixel"]
            if chief:
                print(f"Step {step}: {bits:.4f} bits per pixel on the validation split", flush=True)
                pictures = _draw(model, data_dir, workdir / "samples" / f"step-{step:07d}")
                with writer.as_default(step):
                    tf.summary.scalar("bits_per_pixel", bits)
                    if pictures:
                        tf.summary.image("samples", np.stack(pictures), max_outputs=len(pictures))
                writer.flush()


@contextlib.contextmanager
def averaged_weights(model: VideoFlow, optimizer: Adam) -> Iterator[None]:
    """Inside, the model has the moving average of its weights if the optimizer keeps one; afterwards its own again."""
    if not optimizer.use_ema:
        yield
        return
    own = [tf.identity(variable) for variable in model.trainable_variables]
    optimizer.load_averages(model.trainable_variables)
    try:
        yield
    finally:
        for variable, value in zip(model.trainable_variables, own, strict=True):
            variable.assign(value)


def _draw(model: VideoFlow, data_dir: str | None, stem: Path) -> list[np.ndarray]:
    """Draws samples for the first validation videos at a few temperatures; returns the strips.

    Samples that are not finite are left out; without any, nothing is drawn.
    """
    config = model.config
    count, seed = config.num_eval_frames - config.num_context, tf.constant([config.seed, 0])
    videos = data.eval_videos(config, data_dir, "validation", num_videos=min(_PICTURED_VIDEOS, config.eval_videos))
    videos = np.stack([element["video"] for element in videos.as_numpy_iterator()])
    context, future = videos[:, : config.num_context], videos[:, config.num_context :]
    samples = {}
    for t in _TEMPERATURES:
        try:
            samples[f"T = {t:g}"] = model.predict_frames(context, count, t, seed).numpy()
        except tf.errors.InvalidArgumentError:
            # Early in training, the inverse of an affine coupling can run away from frame to frame.
            print(f"No samples at temperature {t:g} yet: they are not finite")
    if not samples:
        return []
    pictures = []
    for i in range(len(videos)):
        clip = context[i], {label: frames[i] for label, frames in samples.items()}, future[i]
        pictures.append(strips.strip(*clip))
        strips.save_pictures(f"{stem}_video-{i}", pictures[-1], strips.animation(*clip))
    return pictures


def _validation_batches(
    config: VideoFlowConfig, data_dir: str | None, strategy: tf.distribute.Strategy
) -> tf.data.Dataset:
    videos = data.eval_videos(config, data_dir, "validation", num_videos=config.eval_videos)
    replicas = strategy.num_replicas_in_sync
    batch = min(config.batch_size * replicas, config.eval_videos)
    # Replicas take equal shares: several leave out a last batch that is not whole.
    return _shard_data(videos.map(lambda element: element["video"]).batch(batch, drop_remainder=replicas > 1))


def _shard_data(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """With several machines each takes its share of every batch; there are no files to share out."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.with_options(options)


def _scored_frames(config: VideoFlowConfig) -> int:
    """Frames of a training clip that the loss is about."""
    if config.score_context or not config.conditional:
        return config.num_train_frames
    return config.num_train_frames - config.num_context


def _wait_for_checkpoint(workdir: Path) -> str:
    """The prefix of the first checkpoint to appear."""
    folder = str(workdir / "checkpoints")
    for path in tf.train.checkpoints_iterator(folder, timeout=_SECONDS_TO_WAIT_FOR_CHIEF):
        return path
    raise UserError(f"no checkpoint appeared in {folder}: does this machine see the chief's workdir?")
