"""BAIR, on a small real sample: the frames are those of the archive, the splits are apart."""

import itertools
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.checks import refused
from videoflow_tf.config import PRESETS
from videoflow_tf.data import eval_videos, num_eval_videos, train_clips
from videoflow_tf.data.bair import version_dir

CONFIG = PRESETS["bair"]


def raw_videos(archive, split):
    """The bytes of camera image_aux1, straight from the archive: a set of uint8 [30, 64, 64, 3] as bytes."""
    videos = set()
    for path in (archive / "softmotion30_44k" / split).glob("*.tfrecords"):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            features = tf.train.Example.FromString(record).features.feature
            videos.add(b"".join(features[f"{t}/image_aux1/encoded"].bytes_list.value[0] for t in range(30)))
    return videos


def whole_videos(data_dir, split):
    return [e["video"].tobytes() for e in eval_videos(CONFIG, data_dir, split, num_frames=30).as_numpy_iterator()]


def test_frames_are_those_of_the_archive(bair_archive, bair_dir):
    train, validation, test = (whole_videos(bair_dir, split) for split in ("train", "validation", "test"))
    assert (len(train), len(validation), len(test)) == (2, 2, 1)
    assert num_eval_videos(CONFIG, bair_dir, "validation") == 2
    assert set(train) | set(validation) == raw_videos(bair_archive, "train")
    assert not set(train) & set(validation)
    assert set(test) == raw_videos(bair_archive, "test")


def test_training_clips_are_patches_of_training_videos(bair_dir):
    videos = [np.frombuffer(v, np.uint8).reshape(30, 64, 64, 3) for v in whole_videos(bair_dir, "train")]
    patches = {video[start : start + 4].tobytes(): (v, start) for v, video in enumerate(videos) for start in range(27)}
    assert len(patches) == 54
    clips = itertools.islice(train_clips(CONFIG, bair_dir, batch_size=1).as_numpy_iterator(), 300)
    drawn = [patches[clip.tobytes()] for clip in clips]
    assert {start for _, start in drawn} == set(range(27))
    epochs = [(one, other) for (one, _), (other, _) in zip(drawn[::2], drawn[1::2], strict=True)]
    assert set(epochs) == {(0, 1), (1, 0)}  # Each video once an epoch, in an order that changes.


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda d: eval_videos(CONFIG, d, "test", num_videos=2), "split test has 1 video of 13 frames, 2 were"),
        (
            lambda d: eval_videos(CONFIG, d, "test", num_frames=31),
            "no video of split test has the 31 frames: the longest has 30",
        ),
        (
            lambda d: train_clips(CONFIG.replace(num_train_frames=31), d, batch_size=1),
            "no video of split train has the 31 frames: the longest has 30",
        ),
        (lambda d: train_clips(CONFIG, None, batch_size=1), "needs --data_dir"),
        (lambda d: train_clips(CONFIG, d / "2", batch_size=1), "no prepared BAIR dataset in .*prepare_bair.py"),
    ],
)
def test_mistakes(bair_dir, call, words):
    with refused(words):
        call(bair_dir)


def damage_shard(folder):
    next(folder.glob("*train*")).unlink()


def damage_length(folder):
    shard = next(folder.glob("*test*"))
    shard.write_bytes(shard.read_bytes()[:-1000])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (damage_shard, "half prepared: .*train.* is missing"),
        (damage_length, "split test in .* shorter than they should be"),
        (lambda folder: (folder / "dataset_info.json").write_text("{"), "description .* cannot be read"),
        (lambda folder: (folder / "dataset_info.json").unlink(), "only half prepared"),
    ],
)
def test_damage_is_found(bair_dir, tmp_path, damage, words):
    shutil.copytree(bair_dir, tmp_path / "copy")
    damage(version_dir(tmp_path / "copy"))
    with refused(f"{words}.*; run: python launch/prepare_bair.py --data_dir="):
        train_clips(CONFIG, tmp_path / "copy", batch_size=1)
