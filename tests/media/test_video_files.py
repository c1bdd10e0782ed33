import random
import socket
import struct

import numpy as np
import pytest

from tests.checks import refused, run_python
from tests.videos import KINDS, encode, panning, turn
from videoflow_tf.errors import UserError
from videoflow_tf.media import strips
from videoflow_tf.media.video_files import read_video

LENGTH = 24


@pytest.fixture(scope="module")
def pan():
    return panning(LENGTH)


@pytest.fixture(scope="module")
def files(pan, tmp_path_factory):
    """The folder of `KINDS`."""
    folder = tmp_path_factory.mktemp("videos")
    for name, (container, codec, pixels) in KINDS.items():
        encode(folder / name, container, (codec, pixels, pan))
    return folder


@pytest.fixture
def clip():
    """Six frames, wider than high, of one colour each."""
    colours = np.array([(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 250), (0, 0, 0), (120, 120, 120)], np.uint8)
    return np.broadcast_to(colours[:, None, None], (6, 48, 80, 3)).copy()


@pytest.mark.parametrize("kind", ["mp4", "gif"])
def test_written_and_read(tmp_path, clip, kind):
    path = tmp_path / f"clip.{kind}"
    {"mp4": strips.save_mp4, "gif": strips.save_gif}[kind](path, clip)
    video, problems, *_ = read_video(path, (16, 16, 3), 100)
    assert video.shape == (6, 16, 16, 3) and video.dtype == np.uint8 and problems == []
    np.testing.assert_allclose(video.astype(int), clip[:, :16, :16].astype(int), atol=12)
    assert len(read_video(path, (16, 16, 3), 2).frames) == 2
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", KINDS)
def test_all_kinds_whole_and_without_a_problem(files, pan, name):
    frames, problems, *_ = read_video(files / name, (64, 64, 3), 100)
    assert problems == [] and frames.shape == (LENGTH, 64, 64, 3)
    expected = pan[:, :, 16:80].astype(int)
    if "grey" in name:
        expected = np.repeat(expected @ (0.299, 0.587, 0.114), 3).reshape(frames.shape)
    assert np.abs(frames - expected).mean() < 40


def test_middle_square_is_kept(tmp_path, clip):
    clip[:, :, :16] = (0, 250, 250)  # Cut off.
    strips.save_mp4(tmp_path / "clip.mp4", clip)
    video = read_video(tmp_path / "clip.mp4", (24, 24, 3), 1).frames
    np.testing.assert_allclose(video[0, :, 2:].astype(int), np.broadcast_to((250, 0, 0), (24, 22, 3)), atol=16)


def test_frames_of_another_form_and_grey(tmp_path, clip):
    clip[:, :12], clip[:, 36:] = (0, 250, 250), (0, 250, 250)  # Cut off: 24 x 80 are left, 12 x 40 are asked for.
    strips.save_mp4(tmp_path / "clip.mp4", clip)
    colour, grey = (read_video(tmp_path / "clip.mp4", (12, 40, channels), 6).frames for channels in (3, 1))
    np.testing.assert_allclose(colour[0, 2:-2].astype(int), np.broadcast_to((250, 0, 0), (8, 40, 3)), atol=16)
    assert colour.shape == (6, 12, 40, 3) and grey.shape == (6, 12, 40, 1)
    np.testing.assert_allclose(grey[..., 0], colour @ [0.299, 0.587, 0.114], atol=1)


def test_odd_sizes_are_made_even(tmp_path, clip):
    strips.save_mp4(tmp_path / "clip.mp4", clip[:, :47, :79])
    assert len(read_video(tmp_path / "clip.mp4", (8, 8, 3), 10).frames) == 6


def test_the_largest_stream_is_taken(tmp_path, clip):
    green, red = np.zeros_like(clip), np.zeros_like(clip[:, :16, :16])
    green[..., 1], red[..., 0] = 250, 250
    encode(tmp_path / "two.mp4", "mp4", ("libx264", "yuv420p", red), ("libx264", "yuv420p", green))
    frames, problems, *_ = read_video(tmp_path / "two.mp4", (8, 8, 3), 10)
    assert (frames[..., 1] > 200).all() and (frames[..., 0] < 50).all() and problems == []


def test_rotated_video_is_turned_upright(files, tmp_path):
    (tmp_path / "turned.mp4").write_bytes(turn((files / "clip.mp4").read_bytes(), 64))
    plain, turned = (read_video(path, (64, 64, 3), 3).frames for path in (files / "clip.mp4", tmp_path / "turned.mp4"))
    np.testing.assert_array_equal(turned, np.rot90(plain, -1, axes=(1, 2)))  # Clockwise.


def test_mistakes(tmp_path, clip):
    with refused(r"there is no file .*none.mp4"):
        read_video(tmp_path / "none.mp4", (16, 16, 3), 9)
    (tmp_path / "text.mp4").write_text("not a video")
    with refused(r"text.mp4 is not a video that can be read"):
        read_video(tmp_path / "text.mp4", (16, 16, 3), 9)
    strips.save_png(tmp_path / "picture.png", clip[0])
    assert len(read_video(tmp_path / "picture.png", (16, 16, 3), 9).frames) == 1


@pytest.mark.parametrize("name", [name for name in KINDS if name not in ("clip.y4m", "clip.webm", "clip.gif")])
def test_flipped_bits_are_told(files, tmp_path, name):
    data = bytearray((files / name).read_bytes())
    for at in np.random.default_rng(0).integers(len(data) // 3, 2 * len(data) // 3, 20):
        data[at] ^= 0x10
    (tmp_path / name).write_bytes(data)
    frames, problems, *_ = read_video(tmp_path / name, (64, 64, 3), 100)
    whole = read_video(files / name, (64, 64, 3), 100).frames
    assert frames.shape != whole.shape or not np.array_equal(frames, whole)
    assert problems and all("\n" not in problem for problem in problems)


@pytest.mark.parametrize("name", [name for name in KINDS if name not in ("clip.mp4", "ten_bit.mov", "clip.wmv")])
def test_a_file_cut_short_is_told(files, tmp_path, name):
    """All but those whose table of contents is at the end, of which nothing can be read, and WMV."""
    data = (files / name).read_bytes()
    (tmp_path / name).write_bytes(data[: 2 * len(data) // 3 | 1])
    frames, problems, *_ = read_video(tmp_path / name, (64, 64, 3), 100)
    assert len(frames) < LENGTH and problems


def test_declared_and_decoded_length_are_compared(files, tmp_path):
    """A frame that is gone without a trace but in the declared number of frames."""
    data = (files / "clip.avi").read_bytes()
    declared = struct.pack("<I", LENGTH)
    (tmp_path / "clip.avi").write_bytes(data.replace(declared, struct.pack("<I", LENGTH + 5)))
    assert read_video(tmp_path / "clip.avi", (16, 16, 3), 100).problems == [
        f"{LENGTH} of {LENGTH + 5} frames are there"
    ]


@pytest.mark.parametrize("size", [9_000, 20_000, 65_535])
def test_frames_of_any_size_take_no_memory(tmp_path, size):
    """A GIF of a few bytes that would be hundreds of megabytes, or gigabytes, decoded."""
    picture = struct.pack("<HHHHB", 0, 0, size, size, 0) + b"\x02\x02\x4c\x01\x00"
    screen = struct.pack("<HHBBB", size, size, 0x80, 0, 0) + bytes(6)
    (tmp_path / "huge.gif").write_bytes(b"GIF89a" + screen + b"\x2c" + picture + b"\x3b")
    code = (
        "import resource, sys; from videoflow_tf.media.video_files import read_video\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: read_video(sys.argv[1], (16, 16, 3), 9)\n"
        "except ValueError as error: print(error, file=sys.stderr)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = run_python("-c", code, tmp_path / "huge.gif")
    assert f"Picture size {size}x{size}" in done.stderr
    assert int(done.stdout) < 50_000  # Kilobytes.


def test_names_and_playlists_reach_nowhere(files, tmp_path):
    data = (files / "clip.mp4").read_bytes()
    for name in ("a%03d.mp4", "http:|x;y&.mp4", "\x1b[31m\n.mp4"):
        (tmp_path / name).write_bytes(data)
        assert len(read_video(tmp_path / name, (8, 8, 3), 3).frames) == 3
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        playlist = ["#EXTM3U", "#EXT-X-TARGETDURATION:9", "#EXTINF:9,", address, "#EXT-X-ENDLIST", ""]
        (tmp_path / "list.m3u8").write_text("\n".join(playlist))
        (tmp_path / "list.ffconcat").write_text(f"ffconcat version 1.0\nfile '{address}'\n")
        for name in ("list.m3u8", "list.ffconcat"):
            with refused("is not a video that can be read"):
                read_video(tmp_path / name, (8, 8, 3), 3)
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize("name", KINDS)
def test_any_bytes_give_frames_or_one_line(files, tmp_path, name):
    """Mutations of a file: flipped bits anywhere, in the header alone, noise, a cut, an insertion."""
    whole, rng = (files / name).read_bytes(), random.Random(name)
    for _ in range(25):
        data = bytearray(whole)
        at, count = rng.randrange(len(data)), rng.randrange(1, 200)
        match rng.randrange(5):
            case 0:
                for _ in range(rng.randrange(1, 12)):
                    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            case 1:
                for _ in range(4):
                    data[rng.randrange(min(len(data), 200))] = rng.randrange(256)
            case 2:
                data[at : at + count] = rng.randbytes(count)
            case 3:
                del data[at:]
            case 4:
                data[at:at] = rng.randbytes(count)
        (tmp_path / name).write_bytes(data)
        try:
            frames, problems, *_ = read_video(tmp_path / name, (16, 16, 3), 40)
        except UserError as error:
            assert str(error).isprintable()
        else:
            assert frames.dtype == np.uint8 and frames.shape[1:] == (16, 16, 3) and 1 <= len(frames) <= 40
            assert all(problem.isprintable() for problem in problems)
