"""Finds frames that do not fit: python launch/anomaly.py --workdir=W [--data_dir=D] [--video=I | --video_file=F].

Without a video, out-of-sequence detection on a split: bits per pixel of a frame in the place of the one after the
context, from the true next one to 9 frames later. With one, the score of every frame after the context, under the
film strip. Writes a figure (PNG) and the numbers (JSON) to W/eval; their names begin with out_of_sequence or anomaly.
"""

import cli
from absl import flags

_WORKDIR = cli.define_workdir()
_DATA_DIR = cli.define_data_dir()
_SPLIT = cli.define_split("Videos to take.")
_NUM_VIDEOS = flags.DEFINE_integer(
    "num_videos", None, "The first so many of them, for out-of-sequence detection; default: 64, or all of fewer.", 1
)
_VIDEO = flags.DEFINE_integer("video", None, "Score the frames of the video of this index instead.", 0)
_VIDEO_FILE = flags.DEFINE_string("video_file", None, "Score the frames of this file (MP4, GIF, ...) instead.")
_MAX_FRAMES = flags.DEFINE_integer(
    "max_frames", None, "Score no more frames; default: as in evaluation with --video, 1000 with --video_file.", 2
)
_SEED = cli.define_seed("Seed of the dequantisation noise.")


@flags.multi_flags_validator(["video", "video_file"], message="give --video or --video_file, not both")
def _one_video(values: dict[str, object]) -> bool:
    return values["video"] is None or values["video_file"] is None


def main(argv: list[str]) -> None:
    del argv
    cli.load_tensorflow()
    from videoflow_tf.studies.anomaly_files import detect_in_split, detect_in_video

    where = _WORKDIR.value, _DATA_DIR.value, _SPLIT.value
    if _VIDEO_FILE.value is None and _VIDEO.value is None:
        paths = detect_in_split(*where, num_videos=_NUM_VIDEOS.value, seed=_SEED.value)
    else:
        paths = detect_in_video(
            *where,
            video=_VIDEO.value,
            video_file=_VIDEO_FILE.value,
            max_frames=_MAX_FRAMES.value,
            seed=_SEED.value,
        )
    print(*paths, sep="\n")


if __name__ == "__main__":
    cli.run(main)
