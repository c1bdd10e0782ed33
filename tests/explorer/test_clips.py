import numpy as np
import pytest
from PIL import Image

from tests.checks import refused
from tests.conftest import TINY
from tests.videos import panning
from videoflow_tf import data
from videoflow_tf.explorer.clips import clip_of_files, clip_of_split
from videoflow_tf.media import strips


@pytest.fixture
def write_gif(tmp_path):
    """Writes a clip of that length, of the size of `TINY`'s frames."""

    def write(length, name="clip.gif"):
        strips.save_gif(tmp_path / name, panning(length, 8, 8))
        return str(tmp_path / name)

    return write


def test_a_video_of_a_split_is_the_one_of_its_index():
    videos = data.eval_videos(TINY, None, "test", num_videos=3, num_frames=5).as_numpy_iterator()
    expected = [element["video"] for element in videos][2]
    clip = clip_of_split(TINY, None, "test", 2, 3)
    assert clip.index == 2 and clip.notes == ()
    np.testing.assert_array_equal(np.concatenate([clip.context, clip.future]), expected)
    assert len(clip.future) == 3


def test_where_videos_are_short_the_context_is_there_without_the_future(write_gif, tmp_path):
    for name in ("a", "b", "c"):
        write_gif(6, f"{name}.gif")
    config = TINY.replace(dataset="videos")
    assert len(clip_of_split(config, str(tmp_path), "test", 0, 4).future) == 4
    clip = clip_of_split(config, str(tmp_path), "test", 0, 5)
    assert len(clip.context) == 2 and clip.future is None
    assert clip.notes == (
        "the real continuation is not shown: its 7 frames are more than all videos of split test have",
    )


def test_a_number_means_one_video_however_many_frames_are_drawn(tmp_path):
    (tmp_path / "test").mkdir()
    for i, length in enumerate((3, 5, 12, 5, 20)):
        np.save(tmp_path / f"test/{i}.npy", np.full([length, 8, 8, 3], 10 * i, np.uint8))
    config = TINY.replace(dataset="videos", num_eval_frames=5)
    clips = [clip_of_split(config, str(tmp_path), "test", 1, num_frames) for num_frames in (1, 3, 5, 15)]
    assert [clip.future is not None for clip in clips] == [True, True, False, False]
    assert all((clip.context == 20).all() for clip in clips)


@pytest.mark.parametrize("index", [-1, 256, 10**9])
def test_a_video_that_is_not_there_is_refused_at_once(index):
    with refused(f"there is no video {index}: split test has those from 0 to 255"):
        clip_of_split(TINY, None, "test", index, 2)


def test_a_file_gives_its_first_frames(write_gif):
    clip = clip_of_files(TINY, [write_gif(7)], 3)
    np.testing.assert_array_equal(np.concatenate([clip.context, clip.future]), panning(7, 8, 8)[:5])
    assert clip.index == 0 and clip.notes == ()
    short = clip_of_files(TINY, [write_gif(4)], 3)
    assert short.future is None and len(short.context) == 2
    assert short.notes == ("the real continuation is not shown: clip.gif: 4 frames, of which 5 are needed for it",)


def test_pictures_follow_one_another(tmp_path):
    frames = panning(3, 8, 8)
    for i, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"{i}.png")
    paths = [str(tmp_path / f"{i}.png") for i in (2, 0, 1)]
    clip = clip_of_files(TINY, paths, 1)
    np.testing.assert_array_equal(np.concatenate([clip.context, clip.future]), frames[[2, 0, 1]])
    with refused(r"^2.png: 1 frame, of which 2 are needed; upload a longer video$"):
        clip_of_files(TINY, paths[:1], 1)


def test_a_wrong_file_is_one_line_with_its_name_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("no video")
    with refused(r"^notes.txt is not a video that can be read: "):
        clip_of_files(TINY, [str(tmp_path / "notes.txt")], 1)
    Image.new("1", (20000, 20000)).save(tmp_path / "bomb.png")
    with refused(r"^no frame of bomb.png can be decoded; .*20000x20000 is invalid"):
        clip_of_files(TINY, [str(tmp_path / "bomb.png")], 1)


def test_what_is_damaged_is_said(tmp_path):
    strips.save_mp4(tmp_path / "clip.mp4", panning(20, 32, 32))
    whole = (tmp_path / "clip.mp4").read_bytes()
    middle = whole.index(b"mdat") + 1500
    (tmp_path / "clip.mp4").write_bytes(whole[:middle] + bytes(400) + whole[middle + 400 :])
    clip = clip_of_files(TINY, [str(tmp_path / "clip.mp4")], 18)
    assert clip.notes[0].startswith("clip.mp4 is damaged: ")
