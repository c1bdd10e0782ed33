"""Trains a model: python launch/train.py --flagfile=demo.flags --workdir=W [--data_dir=D].

Started again on the same workdir it goes on where it stopped; the configuration need not be given then.
SIGTERM and Ctrl-C save a checkpoint first.
"""

import sys

import cli
from absl import flags

from videoflow_tf import workdir as workdir_lib
from videoflow_tf.arguments import DATA_DIR_HELP, LATEST
from videoflow_tf.config import STRATEGIES
from videoflow_tf.training.signals import StopOnSignal
from videoflow_tf.units import BITS_LABEL

_WORKDIR = cli.define_path("workdir", None, "Folder of the run, made if missing.", required=True)
_DATA_DIR = cli.define_path("data_dir", None, DATA_DIR_HELP)
_STRATEGY = flags.DEFINE_enum(
    "strategy",
    STRATEGIES[0],
    STRATEGIES,
    "Devices to train on: one; all GPUs here; those of the machines in TF_CONFIG; TPU cores.",
)
_DETERMINISTIC = flags.DEFINE_boolean("deterministic", False, "The same bits every time; some operations are slower.")
_JIT_COMPILE = flags.DEFINE_boolean("jit_compile", None, "Compile the training step with XLA.")
_INIT_FROM = cli.define_path(
    "init_from",
    None,
    "A run of the same architecture, or a trained model by name: first weights of a new run, and its configuration "
    "where neither --preset nor --flagfile is given.",
)
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    LATEST,
    f"Where to go on from: latest, best (by {BITS_LABEL} on the validation split) or a step; of --init_from for a new "
    "run. Checkpoints from after an earlier one are set aside.",
)
_ALLOW_CHANGES = flags.DEFINE_list(
    "allow_changes", [], "Configuration fields that may change from here on, comma-separated, such as learning_rate."
)
cli.define_config_flags()


def main() -> None:
    saved = workdir_lib.read_config(_WORKDIR.value)
    is_start = saved is None and _INIT_FROM.value is not None
    config = cli.config_from_flags(workdir_lib.run_config(_INIT_FROM.value) if is_start else saved)
    if saved is not None:
        workdir_lib.check_same_run(saved, config, _WORKDIR.value, _ALLOW_CHANGES.value)
    with StopOnSignal(_WORKDIR.value):
        cli.load_tensorflow()
        from bijectors import fast_forms
        from videoflow_tf.training import train as training
        from videoflow_tf.training.strategies import make_strategy

        fast_forms.set_up_cpu(config.depth, config.coupling_width, _JIT_COMPILE.value)
        strategy = make_strategy(_STRATEGY.value)
        cli.announce_data(config, _DATA_DIR.value)
        training.train(
            config,
            _WORKDIR.value,
            _DATA_DIR.value,
            strategy,
            _DETERMINISTIC.value,
            _JIT_COMPILE.value,
            _INIT_FROM.value,
            _CHECKPOINT.value,
            _ALLOW_CHANGES.value,
            argv=["launch/train.py", *sys.argv[1:]],
        )


if __name__ == "__main__":
    less = (
        "give --recompute=step, --accumulate_steps=2 or more, a smaller --batch_size, or --init_batch_size at the start"
    )
    cli.run(main, saves_memory=less)
