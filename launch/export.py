"""Exports a checkpoint, the newest unless told: python launch/export.py --workdir=W -> W/export, a SavedModel.

With --weights_dir=D, to D instead: a workdir with the weights alone, without optimizer, that every command takes.
"""

import cli
from absl import flags

from videoflow_tf.arguments import LATEST

_WORKDIR = cli.define_path("workdir", None, "Folder of the run.", required=True)
_OUTPUT_DIR = cli.define_path("output_dir", None, "Folder to write export/ to instead of the run's own.")
_WEIGHTS_DIR = cli.define_path("weights_dir", None, "New folder for a workdir with the weights alone.")
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", LATEST, "Which checkpoint: latest, best (by bits per pixel on the validation split), or its step."
)


def main() -> None:
    cli.load_tensorflow()
    from videoflow_tf.training.checkpoints import load_workdir, save_trained
    from videoflow_tf.training.export import export_workdir

    if _WEIGHTS_DIR.value is None:
        print(export_workdir(_WORKDIR.value, _OUTPUT_DIR.value, _CHECKPOINT.value))
    else:
        save_trained(load_workdir(_WORKDIR.value, _CHECKPOINT.value)[1], _WEIGHTS_DIR.value)
        print(_WEIGHTS_DIR.value)


if __name__ == "__main__":
    cli.run(main)
