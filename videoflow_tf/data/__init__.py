"""Videos for training and evaluation: every source gives uint8 clips as a function of seed and step."""

from videoflow_tf.data.pipeline import eval_videos, init_clips, num_eval_videos, train_clips

__all__ = ["eval_videos", "init_clips", "num_eval_videos", "train_clips"]
