"""Exports the newest checkpoint as a SavedModel: python launch/export.py --workdir=W -> W/export."""

import cli

_WORKDIR = cli.define_workdir()


def main(argv: list[str]) -> None:
    del argv
    cli.load_tensorflow()
    from videoflow_tf.training.export import export_workdir

    print(export_workdir(_WORKDIR.value))


if __name__ == "__main__":
    cli.run(main)
