"""Finds frames that do not fit: python launch/anomaly.py --workdir=W [--data_dir=D] [--video=I | --video_file=F].

Without a video, out-of-sequence detection on a split: bits per pixel of a frame in the place of the one after the
context, from the true next one to 9 frames later. With one, the score of every frame after the context, under the
film strip. Writes a figure (PNG) and the numbers (JSON) to W/eval; their names begin with out_of_sequence or anomaly.
"""

from pathlib import Path

import cli
from absl import flags

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the prepared dataset; not needed for shapes.")
_SPLIT = flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "Videos to take.")
_NUM_VIDEOS = flags.DEFINE_integer(
    "num_videos", None, "The first so many of them, for out-of-sequence detection; default: 64, or all of fewer.", 1
)
_VIDEO = flags.DEFINE_integer("video", None, "Score the frames of the video of this index instead.", 0)
_VIDEO_FILE = flags.DEFINE_string("video_file", None, "Score the frames of this file (MP4, GIF, ...) instead.")
_MAX_FRAMES = flags.DEFINE_integer(
    "max_frames", None, "Score no more frames; default: as in evaluation with --video, 1000 with --video_file.", 2
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the dequantisation noise.", 0)

_DEFAULT_VIDEOS = 64


@flags.multi_flags_validator(["video", "video_file"], message="give --video or --video_file, not both")
def _one_video(values: dict[str, object]) -> bool:
    return values["video"] is None or values["video_file"] is None


def main(argv: list[str]) -> None:
    del argv
    cli.load_tensorflow()
    from videoflow_tf import data
    from videoflow_tf.studies import anomaly, anomaly_files
    from videoflow_tf.training.checkpoints import load_workdir

    config, model = load_workdir(_WORKDIR.value)
    folder = Path(_WORKDIR.value) / "eval"
    if _VIDEO_FILE.value is None and _VIDEO.value is None:
        data_dir, split = _DATA_DIR.value, _SPLIT.value
        num_videos = _NUM_VIDEOS.value or min(_DEFAULT_VIDEOS, data.num_eval_videos(config, data_dir, split))
        result = anomaly.out_of_sequence(model, data_dir, split, num_videos=num_videos, seed=_SEED.value)
        paths = anomaly_files.save_out_of_sequence(result, folder)
    else:
        if _VIDEO_FILE.value is not None:
            video, source = anomaly_files.file_video(model.config, _VIDEO_FILE.value, _MAX_FRAMES.value)
        else:
            video, source = anomaly_files.split_video(
                model.config, _DATA_DIR.value, _SPLIT.value, _VIDEO.value, _MAX_FRAMES.value
            )
        scores = anomaly.frame_scores(model, video, _SEED.value)
        protocol = {**source, "seed": _SEED.value, "step": int(model.step.numpy())}
        paths = anomaly_files.save_scores(video, scores, protocol, folder)
    for path in paths:
        print(path)


if __name__ == "__main__":
    cli.run(main)
