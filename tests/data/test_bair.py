"""BAIR, on a small real sample: the frames are those of the archive, the splits are apart, and training resumes."""

import itertools
import shutil

import numpy as np
import pytest
import tensorflow as tf

from videoflow_tf.config import PRESETS
from videoflow_tf.data import eval_videos, init_clips, num_eval_videos, train_clips
from videoflow_tf.data.bair import version_dir
from videoflow_tf.errors import UserError

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


def batches(data_dir, count, config=CONFIG, **options):
    options = {"batch_size": 3, **options}
    return list(itertools.islice(train_clips(config, data_dir, **options).as_numpy_iterator(), count))


def test_frames_are_those_of_the_archive(bair_archive, bair_dir):
    train, validation, test = (whole_videos(bair_dir, split) for split in ("train", "validation", "test"))
    assert (len(train), len(validation), len(test)) == (2, 2, 1)
    assert set(train) | set(validation) == raw_videos(bair_archive, "train")
    assert not set(train) & set(validation)
    assert set(test) == raw_videos(bair_archive, "test")


def test_evaluation_is_in_fixed_order(bair_dir):
    one, two = (list(eval_videos(CONFIG, bair_dir, "validation").as_numpy_iterator()) for _ in range(2))
    assert [e["index"] for e in one] == [0, 1] and one[0]["video"].shape == (13, 64, 64, 3)
    np.testing.assert_array_equal([e["video"] for e in one], [e["video"] for e in two])
    assert num_eval_videos(CONFIG, bair_dir, "validation") == 2
    first = next(iter(eval_videos(CONFIG, bair_dir, "validation", num_videos=1)))["video"]
    np.testing.assert_array_equal(first, one[0]["video"])


def test_training_clips_are_patches_of_training_videos(bair_dir):
    videos = [np.frombuffer(v, np.uint8).reshape(30, 64, 64, 3) for v in whole_videos(bair_dir, "train")]
    patches = {video[start : start + 4].tobytes(): (v, start) for v, video in enumerate(videos) for start in range(27)}
    assert len(patches) == 54
    drawn = [patches[clip.tobytes()] for batch in batches(bair_dir, 100) for clip in batch]
    assert {start for _, start in drawn} == set(range(27))
    epochs = [(one, other) for (one, _), (other, _) in zip(drawn[::2], drawn[1::2], strict=True)]
    assert set(epochs) == {(0, 1), (1, 0)}  # Each video once an epoch, in an order that changes.


@pytest.mark.parametrize("start_step", [1, 2, 4, 7])
def test_training_resumes(bair_dir, start_step):
    undisturbed = batches(bair_dir, 9)
    np.testing.assert_array_equal(undisturbed[start_step:], batches(bair_dir, 9 - start_step, start_step=start_step))


def test_training_depends_on_the_seed_alone(bair_dir):
    first = batches(bair_dir, 4)
    tf.random.set_seed(5)
    np.testing.assert_array_equal(first, batches(bair_dir, 4))
    assert not np.array_equal(first, batches(bair_dir, 4, CONFIG.replace(seed=1)))


def test_static_shapes(bair_dir):
    spec = train_clips(CONFIG, bair_dir, batch_size=5).element_spec
    assert spec == tf.TensorSpec([5, 4, 64, 64, 3], tf.uint8)
    assert eval_videos(CONFIG, bair_dir, "test").element_spec["video"] == tf.TensorSpec([13, 64, 64, 3], tf.uint8)


def test_init_clips_may_be_more_than_there_are_videos(bair_dir):
    clips = init_clips(CONFIG, bair_dir, num_clips=5)
    assert clips.shape == (5, 4, 64, 64, 3)
    np.testing.assert_array_equal(clips, batches(bair_dir, 1, batch_size=5)[0])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda d: eval_videos(CONFIG, d, "test", num_videos=2), "test of this BAIR dataset has 1 videos, 2 were"),
        (lambda d: eval_videos(CONFIG, d, "test", num_frames=31), "num_frames=31 is more than the 30 frames"),
        (lambda d: train_clips(CONFIG.replace(num_train_frames=31), d, batch_size=1), "num_train_frames=31 is more"),
        (lambda d: train_clips(CONFIG.replace(frame_size=32), d, batch_size=1), "64x64, not frame_size=32"),
        (lambda d: train_clips(CONFIG, None, batch_size=1), "needs --data_dir"),
        (lambda d: train_clips(CONFIG, d / "2", batch_size=1), "no prepared BAIR dataset in .*prepare_bair.py"),
    ],
)
def test_mistakes(bair_dir, call, words):
    with pytest.raises(UserError, match=words) as caught:
        call(bair_dir)
    assert "\n" not in str(caught.value)


def damage_shard(folder):
    next(folder.glob("*train*")).unlink()


def damage_length(folder):
    shard = next(folder.glob("*test*"))
    shard.write_bytes(shard.read_bytes()[:-1000])


def damage_description(folder):
    (folder / "dataset_info.json").write_text("{")


def damage_all(folder):
    (folder / "dataset_info.json").unlink()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (damage_shard, "half prepared: .*train.* is missing"),
        (damage_length, "split test in .* shorter than they should be"),
        (damage_description, "description .* cannot be read"),
        (damage_all, "only half prepared"),
    ],
)
def test_damage_is_found(bair_dir, tmp_path, damage, words):
    shutil.copytree(bair_dir, tmp_path / "copy")
    damage(version_dir(tmp_path / "copy"))
    with pytest.raises(UserError, match=f"{words}.*; run: python launch/prepare_bair.py --data_dir=") as caught:
        train_clips(CONFIG, tmp_path / "copy", batch_size=1)
    assert "\n" not in str(caught.value)
