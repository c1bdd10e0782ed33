"""Exports the newest checkpoint as a SavedModel: python launch/export.py --workdir=W -> W/export."""

import cli
from absl import flags

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)


def main() -> None:
    cli.load_tensorflow()
    from videoflow_tf.training.export import export_workdir

    print(export_workdir(_WORKDIR.value))


if __name__ == "__main__":
    cli.run(main)
