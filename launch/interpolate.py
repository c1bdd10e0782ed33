"""Interpolates between two frames' latents: python launch/interpolate.py --workdir=W [--data_dir=D] --levels=all.

The first frame is that of --video, the last that of --other_video (default: the same); or those of --video_file and
--other_file, videos or pictures. Writes a strip (PNG), an animation (GIF) and what they are (JSON) to W/eval; their
names begin with interpolation.
"""

import cli

from videoflow_tf.studies.arguments import InterpolateArguments
from videoflow_tf.workdir import run_config

cli.define_flags(InterpolateArguments)


def main() -> None:
    arguments = cli.arguments_from_flags(InterpolateArguments)
    cli.load_tensorflow()
    from bijectors import fast_forms
    from videoflow_tf.studies.interpolation import interpolate_videos

    config = run_config(arguments.workdir)
    fast_forms.skip_graph_optimizer(config.depth, config.coupling_width)
    if arguments.video_file is None:
        cli.announce_data(config, arguments.data_dir)
    print(*interpolate_videos(**vars(arguments)), sep="\n")


if __name__ == "__main__":
    cli.run(main, saves_memory="give fewer --steps")
