"""The source "videos": people's own videos, the files in a folder.

Which split a video belongs to: if the folder has subfolders `train`, `validation`, `test`, they are the splits. One
that is not there is taken from the others (of `train`, if that is there) by a hash of the video's name, its path within
the folder: a tenth for validation, a tenth for test. Adding files therefore moves none. Where there are so few videos
that none falls to validation or test, the one with the lowest hash (of those of at least the median length) does, while
something is left to train on.
"""

from __future__ import annotations

import hashlib
import statistics
from pathlib import Path

import numpy as np
import tensorflow as tf

from videoflow_tf.config import SPLITS, VideoFlowConfig
from videoflow_tf.data.clip_store import decode_all
from videoflow_tf.data.recordings import Recording, find_items
from videoflow_tf.data.stored import StoredVideos
from videoflow_tf.errors import UserError
from videoflow_tf.units import counted

_SHARES = {"validation": (0.0, 0.1), "test": (0.1, 0.2)}  # Of the numbers from 0 to 1 that `_number` gives.


class VideoFolder(StoredVideos):
    """Files in a folder, and in those within it; see `recordings` for their kinds."""

    options = (*StoredVideos.options, "cache_dir")
    cure_of_empty_split = "add videos, cut a long one into several files, or make subfolders train, validation and test"

    def __init__(self, config: VideoFlowConfig, data_dir: Path) -> None:
        super().__init__(config)
        self.frame_shape = config.frame_shape
        self.place = str(data_dir)
        items, others = find_items(data_dir)
        if not items:
            other = f", only files such as {others[0][0]}" if others else ""
            raise UserError(f"there are no videos in {data_dir}{other}; name the folder that they are in")
        left_out = list(others)
        if any(_top(item.name) == "train" for item in items):
            left_out += [
                (item.name, "outside train, validation and test") for item in items if not _is_split(item.name)
            ]
            items = [item for item in items if _is_split(item.name)]
        decoded = decode_all(tuple(items), config.frame_shape, config.fit, config.cache_dir)
        pairs = list(zip(items, decoded, strict=True))
        left_out += [(item.name, "; ".join(found.problems)) for item, found in pairs if found.problems]
        recordings = [recording for found in decoded for recording in found.recordings]
        self.recordings = split_by_name(recordings)
        usable = 0
        for split, of_split in self.recordings.items():
            training = split == "train"
            least = self._span(config.num_train_frames if training else config.num_eval_frames)
            short = [r for r in of_split if len(r.frames) < least]
            usable += len(of_split) - len(short)
            clip = "training clip" if training else f"clip to evaluate on ({split})"
            fewer = f"fewer than the {least} of a {clip}"
            left_out += [(r.name, f"{counted(len(r.frames), 'frame')}, {fewer}") for r in short]
            if training:
                self.recordings[split] = [r for r in of_split if len(r.frames) >= least]
        reasons: dict[str, list[str]] = {}
        for name, reason in left_out:
            reasons.setdefault(name, []).append(reason)
        self.left_out = tuple((name, "; ".join(reasons[name])) for name in sorted(reasons))
        if not usable:
            name, reason = next(pair for pair in self.left_out if pair not in others)
            raise UserError(
                f"no video in {data_dir} can be used; for example {name}: {reason}; add whole ones that are long enough"
            )
        self.lengths = {
            split: np.array([len(r.frames) for r in of_split], np.int64) for split, of_split in self.recordings.items()
        }

    def clip(self, split: str, video: tf.Tensor, frames: tf.Tensor) -> tf.Tensor:
        """See `StoredVideos`: uint8 [T, H, W, C]."""
        recordings = self.recordings[split]
        return tf.numpy_function(lambda i, at: recordings[i].frames[at], [video, frames], tf.uint8)


def split_by_name(recordings: list[Recording]) -> dict[str, list[Recording]]:
    """The videos of each split, in the order of their hashes, so that the first few are a random choice."""
    splits: dict[str, list[Recording]] = {split: [] for split in SPLITS}
    for recording in sorted(recordings, key=lambda recording: _number(recording.name)):
        splits[_top(recording.name) if _is_split(recording.name) else "train"].append(recording)
    missing = [split for split in _SHARES if not splits[split]]
    for split in missing:
        low, high = _SHARES[split]
        splits[split] = [r for r in splits["train"] if low <= _number(r.name) < high]
    held_out = [r for split in missing for r in splits[split]]
    splits["train"] = [r for r in splits["train"] if r not in held_out]
    if not splits["train"] and held_out:
        largest = max(missing, key=lambda split: len(splits[split]))
        splits["train"].append(splits[largest].pop())
    for split in missing:
        if not splits[split] and len(splits["train"]) > 1:
            usual = statistics.median_low(len(r.frames) for r in splits["train"])
            splits[split].append(next(r for r in splits["train"] if len(r.frames) >= usual))
            splits["train"].remove(splits[split][0])
    return splits


def _top(name: str) -> str:
    return name.partition("/")[0]


def _is_split(name: str) -> bool:
    return _top(name) in SPLITS


def _number(name: str) -> float:
    """From 0 to 1, the same for a name everywhere and for ever."""
    return int.from_bytes(hashlib.sha256(name.encode(errors="surrogateescape")).digest()[:8], "big") / 2**64
