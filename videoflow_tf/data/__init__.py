"""Videos for training and evaluation: every source gives uint8 clips as a function of seed and step."""

from videoflow_tf.data.pipeline import (
    describe_data,
    eval_videos,
    init_clips,
    load_video,
    load_videos,
    num_eval_videos,
    reading_fault,
    train_clips,
    validation_videos,
)
from videoflow_tf.data.source import check_options

__all__ = [
    "check_options",
    "describe_data",
    "eval_videos",
    "init_clips",
    "load_video",
    "load_videos",
    "num_eval_videos",
    "reading_fault",
    "train_clips",
    "validation_videos",
]
