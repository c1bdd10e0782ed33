"""Draws futures of test videos: python launch/sample.py --workdir=W [--data_dir=D] --num_frames=20 --temperature=0.5.

Writes to W/samples, per video, a strip (PNG) and an animation (GIF and MP4); all samples to one .npz: `context`
uint8 [videos, K, H, W, 3], `samples` uint8 [videos, num_samples, num_frames, H, W, 3], `temperature`, `seed`; and what
they are to a .json. Hundreds of frames need no more memory than ten.
"""

import cli
from absl import flags

from videoflow_tf.studies.arguments import PICTURES, SIMILARITIES, check_pictures

_WORKDIR = cli.define_workdir()
_DATA_DIR = cli.define_data_dir()
_SPLIT = cli.define_split("Videos to take the context from.")
_NUM_VIDEOS = flags.DEFINE_integer("num_videos", 1, "The first so many of them.", 1)
_NUM_SAMPLES = flags.DEFINE_integer("num_samples", 3, "Futures of each.", 1)
_NUM_FRAMES = flags.DEFINE_integer("num_frames", 10, "Frames to generate.", 1)
_TEMPERATURE = flags.DEFINE_float("temperature", 0.5, "Factor of the prior's sigma; 0: its mean, 1: as trained.", 0)
_SEED = cli.define_seed("Seed of the samples.")
_CHOOSE = flags.DEFINE_enum(
    "choose", None, SIMILARITIES, "Show only the best and the worst sample, by the mean over frames of this."
)
_GRID = flags.DEFINE_boolean("grid", False, "One picture of all videos and samples; the PNG shows the last frame.")
_PICTURES = flags.DEFINE_list("pictures", list(PICTURES), "Which pictures to write; the .npz always is.")


def main(argv: list[str]) -> None:
    del argv
    check_pictures(_PICTURES.value, _GRID.value, _CHOOSE.value)
    cli.load_tensorflow()
    from bijectors import fast_forms
    from videoflow_tf import sample

    fast_forms.one_core_an_operation()
    paths = sample(
        _WORKDIR.value,
        _DATA_DIR.value,
        _SPLIT.value,
        num_videos=_NUM_VIDEOS.value,
        num_samples=_NUM_SAMPLES.value,
        num_frames=_NUM_FRAMES.value,
        temperature=_TEMPERATURE.value,
        seed=_SEED.value,
        choose=_CHOOSE.value,
        grid=_GRID.value,
        pictures=_PICTURES.value,
    )
    print(*paths, sep="\n")


if __name__ == "__main__":
    cli.run(main)
