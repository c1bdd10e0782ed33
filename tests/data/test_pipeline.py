"""What every source gives: clips as a function of the step, videos in fixed order, one line for what it has not."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.checks import refused
from videoflow_tf.config import PARTS, PRESETS
from videoflow_tf.data import eval_videos, init_clips, load_videos, num_eval_videos, train_clips
from videoflow_tf.data.source import Source, fitting_dataset
from videoflow_tf.registry import DATASETS

CONFIG = PRESETS["demo"].replace(frame_size=16, num_train_frames=3)


@pytest.fixture(params=["shapes", "bair"])
def source(request):
    """A configuration, and the folder of its data."""
    if request.param == "bair":
        return PRESETS["bair"], request.getfixturevalue("bair_dir")
    return CONFIG, None


def batches(config, data_dir, count=4, batch_size=3, **options):
    clips = train_clips(config, data_dir, batch_size=batch_size, **options)
    return list(itertools.islice(clips.as_numpy_iterator(), count))


@pytest.mark.parametrize("name", DATASETS)
def test_every_dataset_is_a_source(name):
    source = DATASETS[name]
    assert issubclass(source, Source) and set(source.options) <= set(PARTS["data"])
    config = CONFIG.replace(dataset=name, frame_size=source.frame_size or 16)
    if source.needs_data_dir:
        with refused(f"dataset={name} needs --data_dir"):
            train_clips(config, None, batch_size=1)
    else:
        assert train_clips(config, None, batch_size=1).element_spec.dtype == tf.uint8


def test_the_dataset_that_fits_a_frame_size():
    assert [fitting_dataset(size) for size in (32, 64, 128)] == ["shapes", "bair", "shapes"]


@pytest.mark.parametrize("start_step", [1, 2, 4, 7])
def test_training_resumes(source, start_step):
    resumed = batches(*source, 9 - start_step, start_step=start_step)
    np.testing.assert_array_equal(batches(*source, 9)[start_step:], resumed)


def test_training_batches_differ():
    drawn = batches(CONFIG, None, 6, batch_size=4)
    assert len({batch.tobytes() for batch in drawn}) == 6
    assert len({clip.tobytes() for batch in drawn for clip in batch}) > 20


def test_training_depends_on_the_seed_alone(source):
    config, data_dir = source
    first = batches(*source)
    tf.random.set_seed(5)
    np.testing.assert_array_equal(first, batches(*source))
    assert not np.array_equal(first, batches(config.replace(seed=1), data_dir))


def test_static_shapes(source):
    config, size = source[0], [source[0].frame_size] * 2
    spec = train_clips(*source, batch_size=5).element_spec
    assert spec == tf.TensorSpec([5, config.num_train_frames, *size, 3], tf.uint8)
    video = tf.TensorSpec([config.num_eval_frames, *size, 3], tf.uint8)
    assert eval_videos(*source, "test").element_spec == {"index": tf.TensorSpec([], tf.int64), "video": video}


def test_init_clips_are_the_first_batch(source):
    clips = init_clips(*source, num_clips=7)
    assert clips.dtype == np.uint8
    np.testing.assert_array_equal(clips, batches(*source, 1, batch_size=7)[0])


def test_evaluation_videos_come_in_fixed_order(source):
    one, two, part = (list(eval_videos(*source, "validation", num_videos=n).as_numpy_iterator()) for n in (2, 2, 1))
    assert [element["index"] for element in one] == [0, 1]
    np.testing.assert_array_equal([e["video"] for e in one], [e["video"] for e in two])
    np.testing.assert_array_equal(part[0]["video"], one[0]["video"])


def test_evaluation_counts():
    assert num_eval_videos(CONFIG, None, "test") == 256
    assert eval_videos(CONFIG, None, "test").cardinality() == 256
    assert num_eval_videos(CONFIG, None, "test", 1000) == 1000
    longer = next(iter(eval_videos(CONFIG, None, "test", num_frames=40)))["video"]
    shorter = next(iter(eval_videos(CONFIG, None, "test")))["video"]
    assert longer.shape == (40, 16, 16, 3)
    np.testing.assert_array_equal(longer[: len(shorter)], shorter)


def test_clips_of_a_video_begin_a_frame_apart(source):
    how = {"num_videos": 2, "num_frames": 3}
    clips = eval_videos(*source, "validation", **how, clips=4)
    assert clips.element_spec["video"].shape[0] == 3 and clips.cardinality() == 8
    found = list(clips.as_numpy_iterator())
    assert [element["index"] for element in found] == list(range(8))
    whole = [e["video"] for e in eval_videos(*source, "validation", num_videos=2, num_frames=6).as_numpy_iterator()]
    expected = [video[start : start + 3] for start in range(4) for video in whole]
    np.testing.assert_array_equal([element["video"] for element in found], expected)


def test_clips_need_videos_that_are_long_enough(bair_dir):
    with refused("no video of split test has the 31 frames: the longest has 30"):
        eval_videos(PRESETS["bair"], bair_dir, "test", num_frames=16, clips=16)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: eval_videos(CONFIG, None, "test", clips=0), "clips=0 must be at least 1"),
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
    with refused(words):
        call()


def test_videos_in_memory_are_those_of_the_split(source):
    videos = load_videos(*source, "test", num_videos=1, num_frames=4)
    (expected,) = eval_videos(*source, "test", num_videos=1, num_frames=4).as_numpy_iterator()
    np.testing.assert_array_equal(videos, expected["video"][None])
