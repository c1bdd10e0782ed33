"""Any dataset of TFDS: its videos are found, split and read; a prepared folder gives the same clips as the folder."""

import itertools
import subprocess

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tests.checks import mounted, refused
from tests.conftest import TINY
from tests.data.test_video_folder import save
from tests.videos import mixed_folder
from videoflow_tf.config import PRESETS
from videoflow_tf.data import (
    describe_data,
    eval_videos,
    num_eval_videos,
    prepare_videos,
    reading_fault,
    tfds_videos,
    train_clips,
)
from videoflow_tf.data.source import open_source
from videoflow_tf.data.tfds_videos import without_warnings
from videoflow_tf.errors import UserError
from videoflow_tf.media.fitting import fit_frames


def write(data_dir, name, features, num_shards=None, **splits):
    """Prepares a dataset with TFDS's own writer; `splits`: lists of examples."""
    config = tfds.download.DownloadConfig(num_shards=num_shards)
    examples = {split: list(enumerate(of_split)) for split, of_split in splits.items()}
    how = {"features": tfds.features.FeaturesDict(features), "download_config": config, "disable_shuffling": True}
    with without_warnings():
        tfds.dataset_builders.store_as_tfds_dataset(
            name=name, version="1.0.0", data_dir=data_dir, split_datasets=examples, **how
        )


def movies(count, length=12, shape=(16, 16, 1), seed=0):
    return list(np.random.default_rng(seed).integers(0, 256, (count, length, *shape), np.uint8))


def batches(config, data_dir, count, **options):
    return list(itertools.islice(train_clips(config, data_dir, batch_size=3, **options).as_numpy_iterator(), count))


def whole(config, data_dir, split, num_frames):
    return [e["video"] for e in eval_videos(config, data_dir, split, num_frames=num_frames).as_numpy_iterator()]


@pytest.fixture(scope="module")
def moving_mnist(tmp_path_factory):
    """As TFDS has it, but small: one split, `test`, of grey videos in three files."""
    data_dir, videos = tmp_path_factory.mktemp("tfds"), movies(20)
    features = {"image_sequence": tfds.features.Video(shape=(12, 16, 16, 1))}
    write(data_dir, "moving_mnist", features, num_shards=3, test=[{"image_sequence": video} for video in videos])
    return data_dir, videos


def test_moving_mnist_is_read_whole(moving_mnist):
    data_dir, videos = moving_mnist
    config = TINY.replace(dataset="tfds:moving_mnist", frame_size=16, channels=1)
    assert len(list((data_dir / "moving_mnist" / "1.0.0").glob("*tfrecord*"))) == 3
    found = {split: whole(config, data_dir, split, 12) for split in ("train", "validation", "test")}
    assert [len(of) for of in found.values()] == [8, 6, 6]  # A third each is held out of so few.
    np.testing.assert_array_equal(list(itertools.chain(*found.values())), videos)
    patches = {video[at : at + 4].tobytes() for video in videos[:8] for at in range(9)}
    drawn = batches(config, data_dir, 8)
    assert all(clip.tobytes() in patches for batch in drawn for clip in batch)
    np.testing.assert_array_equal(drawn[5:], batches(config, data_dir, 3, start_step=5))
    line = describe_data(config, data_dir)
    assert line.startswith("Data: tfds:moving_mnist: train 8 videos (96 frames)") and "image_sequence" in line


def test_any_frame_is_made_of_any_other(moving_mnist):
    data_dir, videos = moving_mnist
    config = TINY.replace(dataset="tfds:moving_mnist:image_sequence", frame_size="8x12", fit="pad")
    (video,) = whole(config, data_dir, "train", 12)[:1]
    np.testing.assert_array_equal(video, fit_frames(videos[0], (8, 12, 3), "pad"))
    assert (video[:, :, :2] == 0).all() and (video[:, :, 2:10].max() > 0)


def test_sequences_of_images_of_other_lengths(tmp_path):
    features = {
        "left": tfds.features.Sequence(tfds.features.Image(shape=(8, 8, 3))),
        "right": tfds.features.Sequence(tfds.features.Image(shape=(8, 8, 3))),
        "numbers": tfds.features.Tensor(shape=(2, 2, 2, 1), dtype=np.uint8),
    }
    videos = [movies(1, length, (8, 8, 3), seed=length)[0] for length in (3, 5, 9, 7, 4, 6)]
    other = {"numbers": np.zeros([2, 2, 2, 1], np.uint8)}
    write(tmp_path, "two", features, train=[{"left": video, "right": 255 - video, **other} for video in videos])
    with refused("two has several videos, left, right; name one: --dataset=tfds:two:left"):
        open_source(TINY.replace(dataset="tfds:two"), tmp_path)
    config = TINY.replace(dataset="tfds:two:right")
    assert [lengths.tolist() for lengths in open_source(config, tmp_path).lengths.values()] == [[3, 5], [9, 7], [4, 6]]
    np.testing.assert_array_equal(whole(config, tmp_path, "test", 6), [255 - videos[5]])
    assert num_eval_videos(config, tmp_path, "test") == 2
    assert all(clip.shape == (3, 4, 8, 8, 3) for clip in batches(config, tmp_path, 2))
    write(tmp_path, "none", {"label": tfds.features.Scalar(np.int64)}, train=[{"label": 1}])
    for name, words in (
        ("two:numbers", r"two has no video 'numbers' \(uint8 \[T, H, W, C\]\), only left, right"),
        ("none", r"none has no video .*, only other things"),
        ("three", "there is no prepared dataset three in .*, only none, two; give the --data_dir"),
    ):
        with refused(words):
            open_source(TINY.replace(dataset=f"tfds:{name}"), tmp_path)
    with refused("dataset=tfds needs a name"):
        open_source(TINY.replace(dataset="tfds"), tmp_path)


def test_a_camera_of_bair_at_any_size(bair_dir):
    bair = PRESETS["bair"]
    aux, main = (whole(bair.replace(camera=camera), bair_dir, "test", 5)[0] for camera in ("image_aux1", "image_main"))
    assert np.abs(aux.astype(int) - main).mean() > 10
    small = whole(bair.replace(frame_size="16x32", channels=1, fit="stretch"), bair_dir, "test", 5)[0]
    np.testing.assert_array_equal(small, fit_frames(aux, (16, 32, 1), "stretch"))
    expected = aux.reshape(5, 16, 4, 32, 2, 3).mean(axis=(2, 4)) @ (0.299, 0.587, 0.114)
    np.testing.assert_allclose(small[..., 0], expected, atol=2.01)


def test_a_prepared_folder_gives_the_same_clips(tmp_path):
    folder, data_dir = tmp_path / "videos", tmp_path / "data"
    mixed_folder(folder)
    assert prepare_videos.prepare(folder, data_dir, "mine", frame_size=8).left_out
    plain, prepared = TINY.replace(dataset="videos"), TINY.replace(dataset="tfds:mine")
    np.testing.assert_array_equal(batches(plain, folder, 30), batches(prepared, data_dir, 30))
    for split in ("validation", "test"):
        np.testing.assert_array_equal(whole(plain, folder, split, 4), whole(prepared, data_dir, split, 4))
    assert [path.name for path in (data_dir / "mine").iterdir()] == ["1.0.0"]
    with without_warnings():
        example = next(iter(tfds.builder_from_directory(data_dir / "mine" / "1.0.0").as_dataset(split="test")))
    assert example["video"].shape == (24, 8, 8, 3) and example["name"].numpy() and example["fps"] in (0, 25)
    assert prepare_videos.prepare(folder, data_dir, "mine", frame_size=8) is None
    with refused("is another dataset .*; choose another name than mine"):
        prepare_videos.prepare(folder, data_dir, "mine", frame_size=16)


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_that_was_stopped_gives_the_same_dataset(tmp_path, monkeypatch):
    folder = save(tmp_path / "videos", *range(3, 15))
    prepare_videos.prepare(folder, tmp_path / "whole", "mine", frame_size=8)
    (file,) = (tmp_path / "whole").rglob("*train.tfrecord*")
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        # Unless asked, protocol buffers are written in an order that every process chooses for itself.
        assert record == tf.train.Example.FromString(record).SerializeToString(deterministic=True)
    decoded, encode = [], prepare_videos._png

    def stop_at(count):
        def png(frame):
            decoded.append(1)
            if len(decoded) == count:
                raise KeyboardInterrupt
            return encode(frame)

        return png

    for count in (1, 40, 95):
        monkeypatch.setattr(prepare_videos, "_png", stop_at(count))
        decoded.clear()
        with pytest.raises(KeyboardInterrupt):
            prepare_videos.prepare(folder, tmp_path / "stopped", "mine", frame_size=8)
        with refused("mine is only half prepared in .*; prepare it again"):
            open_source(TINY.replace(dataset="tfds:mine"), tmp_path / "stopped")
    monkeypatch.setattr(prepare_videos, "_png", encode)
    # What has been decoded is not decoded again.
    monkeypatch.setattr("videoflow_tf.data.clip_store.read_item", None)
    prepare_videos.prepare(folder, tmp_path / "stopped", "mine", frame_size=8)
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("{0}/videos", "{0}/data", "my videos"), "name=my videos must be letters, digits and underscores"),
        (("https://example.org/a", "{0}/data", "mine"), "https://example.org/a is an address; .*name a local path"),
        (("{0}/none", "{0}/data", "mine"), ".*none is not there; name the folder"),
        (("{0}/videos", "{0}/videos/video0.npy", "mine"), "cannot write to .*video0.npy/mine: Not a directory"),
        (("{0}/videos", "{0}/data", "mine", "15"), "frame_size=15 does not divide"),
    ],
)
def test_mistakes_of_preparing(tmp_path, arguments, words):
    save(tmp_path / "videos", 3, 4, 5)
    with refused(words):
        prepare_videos.prepare(*(argument.format(tmp_path) for argument in arguments))


def test_a_full_disk_while_preparing_leaves_no_dataset_and_it_goes_on_when_there_is_room(tmp_path):
    """Decoded they fit, and as pictures, larger where the frames are noise, not: TFDS's writer meets the end."""
    save(tmp_path / "videos", *[400] * 3)

    def prepare():
        return prepare_videos.prepare(tmp_path / "videos", tmp_path / "small", "mine", frame_size=8)

    with mounted(tmp_path / "small", "size=400k"):
        with refused("cannot prepare mine in .*small: No space left on device; make room there, or name another"):
            prepare()
        with refused("mine is only half prepared"):
            open_source(TINY.replace(dataset="tfds:mine"), str(tmp_path / "small"))
        subprocess.run(["mount", "-o", "remount,size=10m", tmp_path / "small"], check=True)
        prepare()
        assert len(open_source(TINY.replace(dataset="tfds:mine"), str(tmp_path / "small")).lengths["train"]) == 1
    with mounted(tmp_path / "smaller", "size=100k"):
        with refused("cannot write .*: No space left on device"):
            prepare_videos.prepare(tmp_path / "videos", tmp_path / "smaller", "mine", frame_size=8)


@pytest.mark.parametrize("length", [6, None], ids=["of one length", "of any length"])
def test_any_byte_that_is_changed_is_found(tmp_path, length):
    """Where lengths differ all videos are looked at when the dataset is opened, else each when it is read."""
    (video,) = movies(1, length=6, shape=(8, 8, 3))
    splits = dict.fromkeys(("train", "validation", "test"), [{"v": video}] * 2)
    write(tmp_path, "m", {"v": tfds.features.Video(shape=(length, 8, 8, 3))}, **splits)
    (shard,) = tmp_path.rglob("*test.tfrecord*")
    content, config = shard.read_bytes(), TINY.replace(dataset="tfds:m")
    size = len(content) // 2
    for place in (1, 9, size // 2, size - 5, size - 1):  # The length, its checksum, the record, its end, its checksum.
        for start in (0, size):
            changed = bytearray(content)
            changed[start + place] ^= 16
            shard.write_bytes(changed)
            tfds_videos._records.cache_clear()
            tfds_videos._lengths.cache_clear()
            with pytest.raises((UserError, tf.errors.OpError)) as caught:
                whole(config, tmp_path, "test", 6)
            said = reading_fault(caught.value) if isinstance(caught.value, tf.errors.OpError) else str(caught.value)
            assert said.startswith(f"{shard} is damaged: bring back a whole copy of it, or remove {shard.parent} and")
