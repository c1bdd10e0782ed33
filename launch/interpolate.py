"""Interpolates between two frames' latents: python launch/interpolate.py --workdir=W [--data_dir=D] --levels=all.

The first frame is that of --video, the last that of --other_video (default: the same). Writes a strip (PNG), an
animation (GIF) and what they are (JSON) to W/eval; their names begin with interpolation.
"""

import cli
from absl import flags

_WORKDIR = cli.define_workdir()
_DATA_DIR = cli.define_data_dir()
_SPLIT = cli.define_split("Videos to take the frames from.")
_VIDEO = flags.DEFINE_integer("video", 0, "Index of the video whose first frame is one end.", 0)
_OTHER_VIDEO = flags.DEFINE_integer("other_video", None, "Index of the video whose last frame is the other end.", 0)
_NUM_FRAMES = flags.DEFINE_integer("num_frames", None, "Length of the videos; default: as in evaluation.", 1)
_STEPS = flags.DEFINE_integer("steps", 10, "Frames to draw, both ends included.", 2)
_LEVELS = flags.DEFINE_string(
    "levels", "all", "Levels whose latents change: all, top, bottom, or numbers such as 0,2; 0 is nearest the pixels."
)
_CHANNEL_RANK = flags.DEFINE_integer(
    "channel_rank", None, "Change in each level only the channel with the n-th largest difference; default: all.", 1
)


def main(argv: list[str]) -> None:
    del argv
    cli.load_tensorflow()
    from videoflow_tf.studies.interpolation import interpolate_videos

    paths = interpolate_videos(
        _WORKDIR.value,
        _DATA_DIR.value,
        _SPLIT.value,
        video=_VIDEO.value,
        other_video=_OTHER_VIDEO.value,
        num_frames=_NUM_FRAMES.value,
        num_steps=_STEPS.value,
        levels=_LEVELS.value,
        channel_rank=_CHANNEL_RANK.value,
    )
    print(*paths, sep="\n")


if __name__ == "__main__":
    cli.run(main)
