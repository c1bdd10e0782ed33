"""Serves a page to look at a trained model: python launch/explore.py --workdir=W [--data_dir=D] [--port=7860].

Choose a clip of the test split or upload one; draw futures at any temperature, watch them beside the real one, slide
between two of them in the space of the latents, and read bits per pixel (per colour component) by frame. The page is
for this machine alone, http://127.0.0.1:7860, and needs no network; without the dataset it takes uploads
alone. Writes nothing.
"""

import cli

from videoflow_tf.explorer.arguments import ExploreArguments
from videoflow_tf.workdir import run_config

cli.define_flags(ExploreArguments)


def main() -> None:
    arguments = cli.arguments_from_flags(ExploreArguments)
    config = run_config(arguments.workdir)
    cli.load_tensorflow()
    from bijectors import fast_forms
    from videoflow_tf.explorer.clips import has_videos
    from videoflow_tf.explorer.serve import serve

    fast_forms.set_up_cpu(config.depth, config.coupling_width)
    if has_videos(config, arguments.data_dir):
        cli.announce_data(config, arguments.data_dir)
    serve(arguments)


if __name__ == "__main__":
    cli.run(main)
