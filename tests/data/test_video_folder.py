"""People's own videos: what is found in a folder, which split it belongs to, and what is said of the rest."""

import itertools
import re
import shutil
import types

import numpy as np
import pytest

from tests.checks import refused
from tests.conftest import TINY
from tests.videos import mixed_folder, panning, write_bomb, write_pictures
from videoflow_tf.data import describe_data, eval_videos, load_video, num_eval_videos, train_clips
from videoflow_tf.data.clip_store import decode_all
from videoflow_tf.data.recordings import find_items, read_item
from videoflow_tf.data.source import open_source
from videoflow_tf.media import strips

CONFIG = TINY.replace(dataset="videos")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """A mixed folder, and what is wrong in it."""
    folder = tmp_path_factory.mktemp("own") / "videos"
    return folder, mixed_folder(folder)


def save(folder, *lengths, names=None):
    """Arrays of random frames, of these lengths, in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, length in enumerate(lengths):
        video = np.random.default_rng(i).integers(0, 256, (length, 8, 8, 3), np.uint8)
        np.save(folder / f"{names[i] if names else f'video{i}'}.npy", video)
    return folder


def names_by_split(folder, config=CONFIG):
    return {split: {r.name for r in of} for split, of in open_source(config, folder).recordings.items()}


def batches(config, data_dir, count=4, **options):
    return list(itertools.islice(train_clips(config, data_dir, batch_size=3, **options).as_numpy_iterator(), count))


def test_all_kinds_are_read_and_the_rest_is_told(mixed):
    folder, wrong = mixed
    source = open_source(CONFIG, folder)
    assert [name for name, _ in source.left_out] == sorted(wrong)
    for name, reason in source.left_out:
        assert re.search(wrong[name], reason) and "\n" not in reason, (name, reason)
    recordings = {r.name: r for of in source.recordings.values() for r in of}
    partly = {"cut.mkv": (13, 17), "broken_picture": (7, 7)}
    for name, (least, most) in partly.items():
        assert least <= len(recordings.pop(name).frames) <= most
    assert len(recordings) == 2 * 12 + 3 + 2 + 1 + 2 + 2
    assert {r.frames.shape for r in recordings.values()} == {(24, 8, 8, 3)}
    assert recordings["pictures"].size == (64, 96) and recordings["turned.MP4"].size == (96, 64)
    assert recordings["clip.mp4"].fps == 25 and recordings["one.npy"].fps is None


def test_frames_are_those_of_the_files(mixed):
    folder, _ = mixed
    items = {item.name: item for item in find_items(folder)[0]}

    def frames(name, frame_shape=(16, 16, 3), fit="crop"):
        return read_item(items[name], frame_shape, fit)[0][0].frames.astype(int)

    cut = panning(24)[:, :, 16:80].reshape(24, 16, 4, 16, 4, 3).mean(axis=(2, 4))
    for name in ("one.npy", "pictures"):
        np.testing.assert_allclose(frames(name), cut, atol=1.01)  # The mean over the area, rounded twice.
    assert np.abs(frames("two_streams.mp4") - frames("clip.mp4")).mean() < 3
    np.testing.assert_allclose(frames("turned.MP4"), np.rot90(frames("clip.mp4"), -1, axes=(1, 2)), atol=1)
    assert np.abs(frames("clip.mp4") - cut).mean() < 12 and np.abs(frames("ten_bit.mov") - cut).mean() < 12
    assert (np.ptp(frames("grey.mkv"), axis=-1) == 0).all()
    np.testing.assert_allclose(frames("one.npy", (16, 16, 1))[..., 0], cut @ (0.299, 0.587, 0.114), atol=2.01)
    assert (frames("one.npy", (24, 24, 3), "pad")[:, [0, 3, 20, 23]] == 0).all()
    assert (frames("one.npy", (24, 24, 3), "pad")[:, 4:20].max(axis=(1, 2, 3)) > 100).all()
    whole = panning(24).reshape(24, 16, 4, 16, 6, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(frames("one.npy", fit="stretch"), whole, atol=1.01)


def test_a_step_is_a_step_however_it_is_reached(mixed, tmp_path):
    folder, _ = mixed
    drawn = batches(CONFIG, folder, 12)
    np.testing.assert_array_equal(drawn[7:], batches(CONFIG, folder, 5, start_step=7))
    on_disk = CONFIG.replace(cache_dir=str(tmp_path / "cache"))
    np.testing.assert_array_equal(drawn, batches(on_disk, folder, 12))
    files = sorted((tmp_path / "cache").iterdir())
    assert files and not any(file.name.startswith(".tmp") for file in files)
    changed = [file.stat().st_mtime_ns for file in files]
    open_source(on_disk.replace(num_train_frames=3), folder)  # Nothing is decoded again.
    assert changed == [file.stat().st_mtime_ns for file in sorted((tmp_path / "cache").iterdir())]


def test_damaged_pictures_and_arrays_are_left_out_and_the_rest_is_used(tmp_path):
    save(tmp_path, 6, 6, 6, 6)
    expected = batches(CONFIG, tmp_path)
    video = np.load(tmp_path / "video0.npy")
    np.savez(tmp_path / "locked.npz", video=video)
    write_pictures(tmp_path / "pictures", video)
    picture, archive = tmp_path / "pictures" / "frame1.png", tmp_path / "locked.npz"
    array, png, zipped = ((tmp_path / path).read_bytes() for path in ("video0.npy", picture, archive))
    (tmp_path / "open.npy").write_bytes(array.replace(b"}", b" ", 1))  # Of its header.
    (tmp_path / "cut.npy").write_bytes(array[:-1])
    picture.write_bytes(png[:60] + bytes([png[60] ^ 16]) + png[61:])
    flags = zipped.index(b"PK\1\2") + 8
    archive.write_bytes(zipped[:flags] + b"\1" + zipped[flags + 1 :])  # As if encrypted.
    left_out = dict(open_source(CONFIG, tmp_path).left_out)
    assert left_out.pop("pictures") == (
        "frame1.png cannot be read (OSError): 1 picture before it; 1 frame, fewer than the 4 of a training clip"
    )
    assert left_out.keys() == {"open.npy", "cut.npy", "locked.npz"}
    assert all(reason.startswith("it cannot be read as an array: ") for reason in left_out.values())
    np.testing.assert_array_equal(batches(CONFIG, tmp_path), expected)


def test_a_cache_keeps_every_name(tmp_path):
    """Of a link, and of a file in a folder that is read by itself, too."""
    folder = save(tmp_path / "videos" / "deep", *[6] * 4).parent
    (folder / "link.npy").symlink_to(folder / "deep" / "video0.npy")
    on_disk = CONFIG.replace(cache_dir=str(tmp_path / "cache"))
    for place in (folder, folder / "deep"):
        assert names_by_split(place, on_disk) == names_by_split(place)


def test_a_damaged_cache_is_made_anew(tmp_path):
    config = CONFIG.replace(cache_dir=str(tmp_path / "cache"))
    folder = save(tmp_path / "videos", 6, 6, 6, 6)
    expected = batches(config, folder)
    cut, changed, gone, _ = sorted((tmp_path / "cache").glob("*.npy"))
    cut.write_bytes(cut.read_bytes()[:-1])
    changed.write_bytes(changed.read_bytes().replace(b"}", b" ", 1))
    gone.unlink()
    decode_all.cache_clear()
    np.testing.assert_array_equal(batches(config, folder), expected)


def test_each_video_once_an_epoch(tmp_path):
    save(tmp_path, *[9] * 12)
    source = open_source(CONFIG, tmp_path)
    videos = source.recordings["train"]
    assert sum(len(of) for of in source.recordings.values()) == 12
    patches = {r.frames[at : at + 4].tobytes(): (i, at) for i, r in enumerate(videos) for at in range(6)}
    clips = itertools.islice(train_clips(CONFIG, tmp_path, batch_size=1).as_numpy_iterator(), 30 * len(videos))
    drawn = [patches[clip.tobytes()] for clip in clips]
    epochs = [tuple(v for v, _ in drawn[at : at + len(videos)]) for at in range(0, len(drawn), len(videos))]
    assert all(sorted(epoch) == list(range(len(videos))) for epoch in epochs) and len(set(epochs)) > 25
    assert {at for _, at in drawn} == set(range(6))


def test_splits_do_not_move_when_files_are_added(tmp_path):
    save(tmp_path, *[5] * 60)
    before = names_by_split(tmp_path)
    assert 2 <= len(before["validation"]) <= 12 and 2 <= len(before["test"]) <= 12
    save(tmp_path / "more", *[5] * 20)
    after = names_by_split(tmp_path)
    assert sum(map(len, after.values())) == 80 and all(before[split] <= after[split] for split in before)


@pytest.mark.parametrize(("count", "sizes"), [(1, (1, 0, 0)), (2, (1, 1, 0)), (3, (1, 1, 1)), (5, (3, 1, 1))])
def test_few_videos_give_one_to_each_split_while_there_are(tmp_path, count, sizes):
    save(tmp_path, *[5] * count)
    assert tuple(len(names) for names in names_by_split(tmp_path).values()) == sizes
    if not sizes[2]:
        with refused("split test is empty: train 1 video .*cut a long one into several files"):
            num_eval_videos(CONFIG, tmp_path, "test")


def test_folders_named_as_splits_are_the_splits(tmp_path):
    for split in ("train", "validation", "test"):
        save(tmp_path / split, 5, 5, names=[f"{split}_a", f"{split}_b"])
    save(tmp_path, 5)
    found = names_by_split(tmp_path)
    assert {split: {name.partition("/")[0] for name in names} for split, names in found.items()} == {
        split: {split} for split in found
    }
    assert open_source(CONFIG, tmp_path).left_out == (("video0.npy", "outside train, validation and test"),)
    shutil.rmtree(tmp_path / "validation")
    found = names_by_split(tmp_path)
    assert [len(names) for names in found.values()] == [1, 1, 2] and next(iter(found["validation"])).startswith(
        "train/"
    )


def test_frame_stride(tmp_path):
    save(tmp_path, *[9] * 8)
    config = CONFIG.replace(frame_stride=2)
    video = next(iter(eval_videos(config, tmp_path, "test")))["video"].numpy()
    (whole,) = (r.frames for r in open_source(config, tmp_path).recordings["test"][:1])
    np.testing.assert_array_equal(video, whole[:8:2])
    with refused("no video of split test has the 11 frames that 6 reach over at frame_stride=2: the longest has 9"):
        eval_videos(config, tmp_path, "test", num_frames=6)


def test_one_video_by_its_index(tmp_path):
    save(tmp_path / "test", *[6] * 3)
    save(tmp_path / "train", 6)
    videos = [element["video"] for element in eval_videos(CONFIG, tmp_path, "test").as_numpy_iterator()]
    np.testing.assert_array_equal([load_video(CONFIG, tmp_path, "test", i) for i in range(3)], videos)
    for index in (3, -1):
        with refused(f"there is no video {index}: split test has those from 0 to 2 with 4 frames"):
            load_video(CONFIG, tmp_path, "test", index)
    with refused("there is no video -1: split test has those from 0 on"):
        load_video(CONFIG.replace(dataset="shapes"), None, "test", -1)
    with refused("no video of split test has the 7 frames: the longest has 6; ask for fewer, the frames given count"):
        load_video(CONFIG, tmp_path, "test", 0, 7)
    with refused("there is no split 'tests'"):
        load_video(CONFIG, tmp_path, "tests", 0)
    with refused("split train has 1 video of 4 frames, 2 were asked for"):
        eval_videos(CONFIG, tmp_path, "train", num_videos=2)


def test_what_there_is_is_said(mixed):
    folder, wrong = mixed
    first, heading, *table = describe_data(CONFIG, folder).splitlines()
    assert re.fullmatch(r"Data: videos: train \d+ videos \(\d+ frames\), validation .*, test .*; " + str(folder), first)
    assert heading.startswith("Left out") and len(table) == len(wrong)


@pytest.mark.slow
def test_trains_on_fewer_validation_videos_than_asked_for(tmp_path):
    from videoflow_tf.training import train as training

    folder, config = save(tmp_path / "videos", *[5] * 4), CONFIG.replace(eval_videos=50, train_steps=1)
    training.train(config, tmp_path / "run", folder)
    assert (tmp_path / "run" / "export" / "saved_model.pb").is_file()
    assert len(list((tmp_path / "run" / "samples").glob("*video-*.png"))) == 1  # Of the only one held out.
    with refused("no video of split validation has the 6 frames"):
        training.train(config.replace(num_eval_frames=6), tmp_path / "longer", folder)
    assert not (tmp_path / "longer").exists()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda d: d / "none", ".*none is not there; name the folder"),
        (lambda d: d, "there are no videos in .*; name the folder that they are in"),
        (lambda d: save(d, 2, 3), "no video in .* can be used; for example video0.npy: 2 frames, fewer than the 4"),
        (
            lambda d: (save(d, 2) / "a.txt").write_text("no") and d,
            "for example video0.npy: 2 frames, fewer than .*; add whole ones that are long enough",
        ),
        (lambda d: "https://example.org/videos", "https://example.org/videos is an address; .*name a local path"),
        (lambda d: None, "dataset=videos needs --data_dir"),
    ],
)
def test_mistakes(tmp_path, make, words):
    with refused(words):
        train_clips(CONFIG, make(tmp_path), batch_size=1)


def test_what_does_not_fit_into_memory_is_told(tmp_path, monkeypatch):
    save(tmp_path, *[50] * 5)
    monkeypatch.setattr("videoflow_tf.data.clip_store.memory", types.SimpleNamespace(room=lambda: 0.0))
    with refused(r"do not fit into memory.*give --cache_dir=FOLDER"):
        train_clips(CONFIG, tmp_path, batch_size=1)
    train_clips(CONFIG.replace(cache_dir=str(tmp_path / "cache")), tmp_path, batch_size=1)
    with refused("gs://bucket/cache is an address"):
        train_clips(CONFIG.replace(cache_dir="gs://bucket/cache"), tmp_path, batch_size=1)


def test_files_that_hold_more_than_fits_into_memory_are_left_out(tmp_path, monkeypatch):
    """As they say themselves, before they are read; video files, when they get too long."""
    save(tmp_path, 50, 60)
    cure = r"half of what is free is 0.0 GiB; cut it into several"
    kept = {"video0.npy", "video1.npy"}
    write_pictures(tmp_path / "pictures", panning(101, 8, 8))
    strips.save_gif(tmp_path / "long.gif", panning(301, 8, 8))
    np.save(tmp_path / "long.npy", np.zeros([101, 8, 8, 3], np.uint8))
    write_bomb(tmp_path / "bomb.npz", video=(10**12, 8, 8, 3))
    write_bomb(tmp_path / "small_frames.npz", video=(10**12, 1, 1, 3))
    monkeypatch.setattr("videoflow_tf.memory.room", lambda: 100 * 8 * 8 * 3)
    monkeypatch.setattr("videoflow_tf.data.clip_store.memory", types.SimpleNamespace(room=lambda: 2**30))
    source = open_source(CONFIG, tmp_path)
    assert {r.name for of in source.recordings.values() for r in of} == kept
    names = ["bomb.npz", "long.gif", "long.npy", "pictures", "small_frames.npz"]
    assert [name for name, _ in source.left_out] == names
    for name, reason in source.left_out:
        takes = "178813.9" if name.endswith(".npz") else "0.0"
        assert re.fullmatch(f"does not fit into memory: it takes {takes} GiB or more, {cure}", reason), (name, reason)


def test_options_without_effect_are_refused(tmp_path):
    for changes, words in (
        (
            {"dataset": "videos", "camera": "image_main"},
            "camera=image_main has no effect on dataset=videos, only on bair",
        ),
        ({"fit": "pad"}, "fit=pad has no effect on dataset=shapes, only on bair, videos, tfds"),
        ({"shapes_background": "grey", "dataset": "videos"}, "shapes_background=grey has no effect on dataset=videos"),
    ):
        config = TINY.replace(**changes)
        with refused(words):
            train_clips(config, None if config.dataset == "shapes" else tmp_path, batch_size=1)
    with refused("data_dir=.* has no effect: dataset=shapes is generated; .*--dataset=videos"):
        train_clips(TINY, tmp_path, batch_size=1)
