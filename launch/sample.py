"""Draws futures of test videos: python launch/sample.py --workdir=W [--data_dir=D] --num_frames=20 --temperature=0.5;
of any video: --video_file=F [--start=S].

Writes to W/samples, per video, a strip (PNG) and an animation (GIF and MP4); all samples to one .npz: `context`
uint8 [videos, K, H, W, C], `samples` uint8 [videos, num_samples, num_frames, H, W, C], `future` uint8 [videos,
num_frames, H, W, C], the real one, where the videos are long enough, `temperature`, `seed`; and what they are to a
.json. Hundreds of frames need no more memory than ten.
"""

import cli

from videoflow_tf.studies.arguments import SampleArguments
from videoflow_tf.workdir import run_config

cli.define_flags(SampleArguments)


def main() -> None:
    arguments = cli.arguments_from_flags(SampleArguments)
    cli.load_tensorflow()
    from bijectors import fast_forms
    from videoflow_tf import sample

    config = run_config(arguments.workdir)
    fast_forms.set_up_cpu(config.depth, config.coupling_width)
    if arguments.video_file is None:
        cli.announce_data(config, arguments.data_dir)
    print(*sample(**vars(arguments)), sep="\n")


if __name__ == "__main__":
    cli.run(main, saves_memory="give fewer --num_samples or --num_videos")
