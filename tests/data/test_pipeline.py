"""What every source gives: clips as a function of the step, videos in fixed order, one line for what it has not."""

import numpy as np
import pytest
import tensorflow as tf

from videoflow_tf.config import PARTS, PRESETS
from videoflow_tf.data import eval_videos, init_clips, num_eval_videos, train_clips
from videoflow_tf.data.source import Source, fitting_dataset
from videoflow_tf.errors import UserError
from videoflow_tf.registry import DATASETS

CONFIG = PRESETS["demo"].replace(frame_size=16, num_train_frames=3)


@pytest.mark.parametrize("name", DATASETS)
def test_every_dataset_is_a_source(name):
    source = DATASETS[name]
    assert issubclass(source, Source) and set(source.options) <= set(PARTS["data"])
    config = CONFIG.replace(dataset=name, frame_size=source.frame_size or 16)
    if source.needs_data_dir:
        with pytest.raises(UserError, match=f"dataset={name} needs --data_dir"):
            train_clips(config, None, batch_size=1)
    else:
        assert train_clips(config, None, batch_size=1).element_spec.dtype == tf.uint8


def test_the_dataset_that_fits_a_frame_size():
    assert [fitting_dataset(size) for size in (32, 64, 128)] == ["shapes", "bair", "shapes"]


def test_training_batches_resume():
    undisturbed = list(train_clips(CONFIG, None, batch_size=4).take(6).as_numpy_iterator())
    resumed = list(train_clips(CONFIG, None, batch_size=4, start_step=2).take(4).as_numpy_iterator())
    np.testing.assert_array_equal(undisturbed[2:], resumed)
    assert len({batch.tobytes() for batch in undisturbed}) == 6
    assert len({clip.tobytes() for batch in undisturbed for clip in batch}) > 20


def test_training_batches_depend_on_the_seed_alone():
    first = next(iter(train_clips(CONFIG, None, batch_size=4))).numpy()
    tf.random.set_seed(77)
    np.testing.assert_array_equal(first, next(iter(train_clips(CONFIG, None, batch_size=4))).numpy())
    assert not np.array_equal(first, next(iter(train_clips(CONFIG.replace(seed=1), None, batch_size=4))).numpy())


def test_static_shapes():
    spec = train_clips(CONFIG, None, batch_size=4).element_spec
    assert spec == tf.TensorSpec([4, 3, 16, 16, 3], tf.uint8)
    spec = eval_videos(CONFIG, None, "test").element_spec
    assert spec == {"index": tf.TensorSpec([], tf.int64), "video": tf.TensorSpec([5, 16, 16, 3], tf.uint8)}


def test_init_clips():
    clips = init_clips(CONFIG, None, num_clips=7)
    assert clips.shape == (7, 3, 16, 16, 3) and clips.dtype == np.uint8
    np.testing.assert_array_equal(clips, init_clips(CONFIG, None, num_clips=7))
    assert not np.array_equal(clips, init_clips(CONFIG.replace(seed=1), None, num_clips=7))


def test_evaluation_videos_come_in_fixed_order():
    one, two = (list(eval_videos(CONFIG, None, "validation", num_videos=9).as_numpy_iterator()) for _ in range(2))
    assert [element["index"] for element in one] == list(range(9))
    np.testing.assert_array_equal([e["video"] for e in one], [e["video"] for e in two])


def test_evaluation_counts():
    assert num_eval_videos(CONFIG, None, "test") == 256
    assert eval_videos(CONFIG, None, "test").cardinality() == 256
    assert num_eval_videos(CONFIG, None, "test", 1000) == 1000
    longer = next(iter(eval_videos(CONFIG, None, "test", num_frames=40)))["video"]
    shorter = next(iter(eval_videos(CONFIG, None, "test")))["video"]
    assert longer.shape == (40, 16, 16, 3)
    np.testing.assert_array_equal(longer[:5], shorter)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: eval_videos(CONFIG, None, "tests"), "no split 'tests'; one of: train, validation, test"),
        (lambda: num_eval_videos(CONFIG, None, "valid"), "no split 'valid'"),
        (lambda: eval_videos(CONFIG, None, "test", num_videos=0), "num_videos=0 must be at least 1"),
        (lambda: eval_videos(CONFIG, None, "test", num_frames=-1), "num_frames=-1 must be at least 1"),
        (lambda: train_clips(CONFIG, None, batch_size=0), "batch_size=0 must be at least 1"),
        (lambda: train_clips(CONFIG, None, batch_size=1, start_step=-1), "start_step=-1 must be 0 or more"),
        (lambda: init_clips(CONFIG, None, num_clips=0), "num_clips=0 must be at least 1"),
    ],
)
def test_mistakes(call, words):
    with pytest.raises(UserError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
