"""Training: from a configuration to a workdir with checkpoints, curves, samples and a SavedModel."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
import tf_keras

from videoflow_tf import data
from videoflow_tf.arguments import LATEST
from videoflow_tf.config import VideoFlowConfig
from videoflow_tf.errors import UserError
from videoflow_tf.files import check_writable, local_path, sole_user
from videoflow_tf.model.video_flow import VideoFlow
from videoflow_tf.training import callbacks, checkpoints, export
from videoflow_tf.training.optimizer import make_optimizer
from videoflow_tf.training.signals import StopOnSignal, Stopped
from videoflow_tf.training.strategies import (
    any_machine,
    is_chief,
    losing_machines,
    make_strategy,
    shard_data,
    use_tensor_float_32,
)
from videoflow_tf.training.validation import Validations, Validator
from videoflow_tf.units import counted
from videoflow_tf.workdir import check_same_run, read_config, read_history, saved_checkpoints, write_start

# A file of another machine may be seen later.
_SECONDS_TO_WAIT_FOR_FILE = 60


def train(
    config: VideoFlowConfig,
    workdir: str | Path,
    data_dir: str | None = None,
    strategy: str | tf.distribute.Strategy = "one_device",
    deterministic: bool = False,
    jit_compile: bool | None = None,
    init_from: str | Path | None = None,
    checkpoint: str | int = LATEST,
    allow_changes: Sequence[str] = (),
    argv: Sequence[str] | None = None,
) -> None:
    """Trains to `config.train_steps`, from the newest checkpoint in `workdir` if there is one, and exports.

    A step depends on the weights, `config` and its number alone, so a run that was killed and is started again goes
    where an undisturbed one goes; bit for bit with `deterministic`. SIGTERM and Ctrl-C save first. TF32 is allowed in
    the steps alone, and not in the process afterwards, see `use_tensor_float_32`.

    Args:
      config: what to train. The batch of a new run is `config.batch_size` times the number of replicas; on another
        number of them, the run goes on with the same batch unless `batch_size` is in `allow_changes`.
      workdir: folder of the run, see `checkpoints`; with `multi_worker`, one that all machines see.
      data_dir: folder of the prepared dataset; None for one that is generated.
      strategy: one of `config.STRATEGIES`, or what `make_strategy` made of it.
      deterministic: ops give the same bits every time, some more slowly. Cannot be undone within the process.
      jit_compile: compile the training step with XLA; None: Keras' default.
      init_from: a workdir whose trained weights a new run starts from, instead of initialising by data; a run that is
        taken up again goes on from its own.
      checkpoint: where to go on from, see `checkpoints.find_checkpoint`; of `init_from` for a new run. Checkpoints from
        after an earlier one are set aside.
      allow_changes: fields in which `config` may differ from the run's from here on; see `workdir.check_same_run`.
      argv: the command line, to be kept with the run.

    Raises:
      UserError: `workdir` holds a run of another configuration or something else, no checkpoint of it can be used,
        another process trains in it, it cannot be written, the dataset is missing, the strategy does not work here:
        all before anything is written. Training diverged, or the disk is full: the last checkpoint remains.
    """
    workdir = local_path(workdir)
    with contextlib.ExitStack() as stack:
        signals = stack.enter_context(StopOnSignal(workdir))
        strategy = make_strategy(strategy)
        use_tensor_float_32(False)
        stack.enter_context(losing_machines(strategy, workdir))
        check_writable(workdir)
        saved = read_config(workdir)
        if saved is not None:
            check_same_run(saved, config, workdir, allow_changes)
        if 0 < config.decay_until < config.train_steps:
            raise UserError(
                f"train_steps={config.train_steps} is after decay_until={config.decay_until}, where the rate is 0: "
                f"give --decay_until={config.train_steps}, too" + (" --allow_changes=decay_until" if saved else "")
            )
        if deterministic:
            tf_keras.utils.set_random_seed(config.seed)
            tf.config.experimental.enable_op_determinism()
        chief, replicas = is_chief(strategy), strategy.num_replicas_in_sync
        model_config = config.replace(batch_size=_batch_size(config, workdir, replicas, "batch_size" in allow_changes))
        data.train_clips(config, data_dir, batch_size=1)  # Both complain if the data is not there.
        data.validation_videos(config, data_dir, config.eval_videos)
        begins_with = init_from if init_from is not None and not saved_checkpoints(workdir) else None
        if begins_with is not None:
            checkpoints.check_architecture(config, begins_with, checkpoint)
        if chief:
            stack.enter_context(sole_user(workdir, "training"))
        start = checkpoints.find_checkpoint(workdir, LATEST if begins_with is not None else checkpoint)
        step = 0 if start is None else start[1]
        validations = Validations(workdir, step)
        finished = None if start is None else _why_finished(config, step, validations)
        if start is not None and finished is None and not checkpoints.has_optimizer(start[0]):
            raise UserError(
                f"{workdir} has weights alone, without an optimizer; start from them: "
                f"--init_from={workdir} and a new --workdir"
            )
        if chief and step <= config.train_steps:
            if finished is None or saved != config:
                notes = {"argv": argv, "global_batch": replicas * model_config.batch_size}
                notes["init_from"] = None if begins_with is None else str(begins_with)
                write_start(workdir, saved, config, step, **notes)
            checkpoints.set_aside_newer(workdir, step)
        if finished is None:
            model = _make_model(model_config, data_dir, strategy, jit_compile, begins_with, checkpoint, start is None)
            saver = checkpoints.Checkpoints(model, model.optimizer, workdir)
            if chief:
                validations.write()
            if chief and start is None:
                saver.save()
            # The others take what the chief initialised: computed apart it could differ in the last bit.
            any_machine(strategy, False)
            saver.restore(_wait_for_checkpoint(workdir) if start is None else start[0])
            _train(model, saver, Validator(model, workdir, data_dir, validations, saver, signals), signals)
        else:
            print(f"The run in {workdir} is finished: {finished}")
        if chief and not export.is_exported(workdir):
            print(f"Exported to {export.export_workdir(workdir)}")
        any_machine(strategy, False)  # None leaves before the others are done.


def _why_finished(config: VideoFlowConfig, step: int, validations: Validations) -> str | None:
    """Why there is nothing to train in a run that is at `step`; None if there is."""
    if step > config.train_steps:
        return f"it is at step {step}, beyond the {config.train_steps} asked for"
    if validations.misses(step, config):
        return None
    if step == config.train_steps:
        return f"{counted(step, 'step')} of {config.train_steps}"
    if validations.worse(config.stop_after):
        return f"no evaluation was better than that of step {validations.best_step} in the last {config.stop_after}"
    return None


def _batch_size(config: VideoFlowConfig, workdir: Path, replicas: int, may_change: bool) -> int:
    """Clips on each replica, so that the whole batch stays what it was when the run in `workdir` was last started."""
    starts = read_history(workdir)
    whole = starts[-1].get("global_batch") if starts and not may_change else None
    if whole in (None, config.batch_size * replicas):
        return config.batch_size
    if whole % replicas:
        raise UserError(
            f"the run in {workdir} has batches of {counted(whole, 'clip')}, which {replicas} devices cannot share "
            "equally; take another number of them, or change the batch: --batch_size=N on each, "
            "--allow_changes=batch_size"
        )
    each = whole // replicas
    print(f"The batch stays {counted(whole, 'clip')}: {each} on each device, not {config.batch_size}", flush=True)
    return each


def _make_model(
    config: VideoFlowConfig,
    data_dir: str | None,
    strategy: tf.distribute.Strategy,
    jit_compile: bool | None,
    init_from: str | Path | None,
    checkpoint: str | int,
    new: bool,
) -> VideoFlow:
    """A compiled model; of a `new` run with its first weights: those of `checkpoint` in `init_from`, or from data."""
    with strategy.scope():
        model = VideoFlow(config)
    replicas = strategy.num_replicas_in_sync
    devices = counted(replicas, "device")
    print(f"{model.count_params():,} parameters; batch {config.batch_size} on each of {devices}")
    if new and is_chief(strategy) and init_from is not None:
        print(f"Starting from the weights in {init_from}", flush=True)
        checkpoints.load_weights(model, init_from, checkpoint)
    elif new and is_chief(strategy):
        print(f"Initialising on {counted(config.init_batch_size, 'clip')}", flush=True)
        model.initialize(data.init_clips(config, data_dir, num_clips=config.init_batch_size))
    with strategy.scope():
        optimizer = make_optimizer(config)
        optimizer.build(model.trainable_variables)
        model.compile(optimizer=optimizer, jit_compile=jit_compile)
    return model


def _train(model: VideoFlow, saver: checkpoints.Checkpoints, validator: Validator, signals: StopOnSignal) -> None:
    """Trains a model from its step to `config.train_steps`, or until it was asked to stop: then it is saved first."""
    config, strategy, workdir = model.config, model.distribute_strategy, validator.workdir
    divergence = callbacks.StopOnDivergence()
    folder = workdir / "tensorboard" / "train" if is_chief(strategy) else None
    watchers = [divergence, callbacks.WriteSummaries(folder, divergence)]
    if is_chief(strategy):
        clips_per_step = config.batch_size * strategy.num_replicas_in_sync
        frames_per_step = clips_per_step * (config.num_train_frames - config.num_unscored)
        watchers += [
            callbacks.SaveCheckpoints(saver, config),
            callbacks.ShowProgress(config.train_steps, frames_per_step),
        ]
    try:
        _train_and_validate(model, validator, [*watchers, callbacks.StopOnRequest(signals)])
        if is_chief(strategy):
            saver.save()
        signals.has_work = False
        signals.check()
    except Stopped:
        # After steps that were skipped the weights may be to blame: training goes on from before.
        if is_chief(strategy) and divergence.in_a_row == 0:
            saver.save()
        if signals.has_work:  # All of them stopped at this step.
            any_machine(strategy, False)
        raise
    except tf.errors.OpError as error:
        signals.check()  # Of several machines that are asked to stop another one may be gone first.
        if (fault := data.reading_fault(error)) is None:
            raise
        raise UserError(f"{fault}; then start again, and training goes on from its last checkpoint") from error


def _train_and_validate(model: VideoFlow, validator: Validator, watchers: list[tf_keras.callbacks.Callback]) -> None:
    """`fit` from one multiple of `eval_every` to the next, and a look at the validation split after each."""
    config, global_batch = model.config, model.config.batch_size * model.distribute_strategy.num_replicas_in_sync
    step = int(model.step.numpy())
    if validator.validations.misses(step, config):
        validator.validate(step)
    while step < config.train_steps:
        if validator.validations.worse(config.stop_after):
            print(f"No better validation in the last {config.stop_after}; the best is --checkpoint=best")
            return
        stop = min(config.train_steps, (step // config.eval_every + 1) * config.eval_every)
        clips = data.train_clips(config, validator.data_dir, batch_size=global_batch, start_step=step)
        use_tensor_float_32(True)
        try:
            model.fit(shard_data(clips), steps_per_epoch=stop - step, epochs=1, verbose=0, callbacks=watchers)
        finally:
            use_tensor_float_32(False)
        step = stop
        validator.validate(step)


def _wait_for_checkpoint(workdir: Path) -> str:
    """The prefix of the first checkpoint to appear."""
    folder = str(workdir / "checkpoints")
    for path in tf.train.checkpoints_iterator(folder, timeout=_SECONDS_TO_WAIT_FOR_FILE):
        return path
    raise UserError(f"no checkpoint appeared in {folder}: does this machine see the chief's workdir?")
