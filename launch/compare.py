"""Compares models: python launch/compare.py --workdirs=A,B [--predictions=FILE.npz] --output_dir=runs/compare.

One protocol for runs, floors with nothing to train (--predictors), anybody's predictors and samples that are drawn
already, all on the very same videos. Writes the table (compare.md, .csv, .json), a figure (.png), animations (.gif) and
a page with everyone's samples side by side (compare.html). Started again after an interruption, it goes on.
"""

import cli

from videoflow_tf.comparison.arguments import CompareArguments
from videoflow_tf.metrics.network_files import check_networks
from videoflow_tf.workdir import run_config

cli.define_flags(CompareArguments)


def main() -> None:
    arguments = cli.arguments_from_flags(CompareArguments)
    check_networks(arguments)
    cli.load_tensorflow()
    cli.announce_data(run_config(arguments.workdirs[0]), arguments.data_dir)
    from videoflow_tf.comparison.compare import compare

    paths = compare(**vars(arguments))
    print(*(path.read_text() for path in paths if path.suffix == ".md"), *paths, sep="\n")


if __name__ == "__main__":
    cli.run(main, saves_memory="give a smaller --batch_size")
