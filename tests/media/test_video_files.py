import numpy as np
import pytest

from videoflow_tf.errors import UserError
from videoflow_tf.media import strips
from videoflow_tf.media.video_files import read_video


@pytest.fixture
def clip():
    """Six frames, wider than high, of one colour each."""
    colours = np.array([(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 250), (0, 0, 0), (120, 120, 120)], np.uint8)
    return np.broadcast_to(colours[:, None, None], (6, 48, 80, 3)).copy()


@pytest.mark.parametrize("kind", ["mp4", "gif"])
def test_written_and_read(tmp_path, clip, kind):
    path = tmp_path / f"clip.{kind}"
    {"mp4": strips.save_mp4, "gif": strips.save_gif}[kind](path, clip)
    video = read_video(path, 16, 100)
    assert video.shape == (6, 16, 16, 3) and video.dtype == np.uint8
    np.testing.assert_allclose(video.astype(int), clip[:, :16, :16].astype(int), atol=12)
    assert len(read_video(path, 16, 2)) == 2
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_middle_square_is_kept(tmp_path, clip):
    clip[:, :, :16] = (0, 250, 250)  # Cut off.
    strips.save_mp4(tmp_path / "clip.mp4", clip)
    video = read_video(tmp_path / "clip.mp4", 24, 1)
    np.testing.assert_allclose(video[0, :, 2:].astype(int), np.broadcast_to((250, 0, 0), (24, 22, 3)), atol=16)


def test_odd_sizes_are_made_even(tmp_path, clip):
    strips.save_mp4(tmp_path / "clip.mp4", clip[:, :47, :79])
    assert len(read_video(tmp_path / "clip.mp4", 8, 10)) == 6


def test_mistakes(tmp_path, clip):
    with pytest.raises(UserError, match=r"there is no file .*none.mp4"):
        read_video(tmp_path / "none.mp4", 16, 9)
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(UserError, match=r"text.mp4 is not a video that can be read"):
        read_video(tmp_path / "text.mp4", 16, 9)
    strips.save_png(tmp_path / "picture.png", clip[0])
    assert len(read_video(tmp_path / "picture.png", 16, 9)) == 1


def test_rotated_video_is_turned_upright():
    class Frame:
        rotation = 90  # Counter-clockwise, as a phone held upright records it.

        def to_image(self):
            from PIL import Image

            left_red = np.zeros([8, 8, 3], np.uint8)
            left_red[:, :4] = (255, 0, 0)
            return Image.fromarray(left_red)

    from videoflow_tf.media.video_files import _square

    turned = _square(Frame(), 8)
    assert (turned[4:] == (255, 0, 0)).all() and (turned[:4] == 0).all()
