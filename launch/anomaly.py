"""Finds frames that do not fit: python launch/anomaly.py --workdir=W [--data_dir=D] [--video=I | --video_file=F].

Without a video, out-of-sequence detection on a split: bits per pixel (per colour component) of a frame in the
place of the one after the context, from the true next one to 9 frames later. With one, the score of every frame after
the context, under the film strip. Writes a figure (PNG) and the numbers (JSON) to W/eval; their names begin with
out_of_sequence or anomaly, and say what differs from the defaults.
"""

import cli

from videoflow_tf.studies.arguments import AnomalyArguments
from videoflow_tf.workdir import run_config

cli.define_flags(AnomalyArguments)


def main() -> None:
    arguments = cli.arguments_from_flags(AnomalyArguments)
    cli.load_tensorflow()
    from bijectors import fast_forms
    from videoflow_tf.studies.anomaly_files import detect

    config = run_config(arguments.workdir)
    fast_forms.skip_graph_optimizer(config.depth, config.coupling_width)
    if arguments.video_file is None:
        cli.announce_data(config, arguments.data_dir)
    print(*detect(**vars(arguments)), sep="\n")


if __name__ == "__main__":
    cli.run(main)
