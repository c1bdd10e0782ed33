"""Video files of all kinds, made by the tests."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import av
import numpy as np
from PIL import Image

# Name -> what FFmpeg calls the container, the codec and the pixel format.
KINDS = {
    "clip.mp4": ("mp4", "libx264", "yuv420p"),
    "ten_bit.mov": ("mov", "libx264", "yuv420p10le"),
    "grey.mkv": ("matroska", "libx264", "gray"),
    "lossless.mkv": ("matroska", "ffv1", "yuv420p"),
    "clip.avi": ("avi", "mpeg4", "yuv420p"),
    "clip.webm": ("webm", "libvpx-vp9", "yuv420p"),
    "clip.flv": ("flv", "flv", "yuv420p"),
    "clip.ts": ("mpegts", "mpeg2video", "yuv420p"),
    "clip.mpg": ("mpeg", "mpeg1video", "yuv420p"),
    "clip.wmv": ("asf", "wmv2", "yuv420p"),
    "clip.y4m": ("yuv4mpegpipe", "wrapped_avframe", "yuv420p"),
    "clip.gif": ("gif", "gif", "rgb8"),
}


def encode(path, container, *streams):
    """Writes videos, uint8 [T, H, W, 3] each, as the streams of a file; streams: (codec, pixel format, video)."""
    with av.open(str(path), "w", format=container) as out:
        made = []
        for codec, pixels, video in streams:
            stream = out.add_stream(codec, rate=25)
            stream.height, stream.width, stream.pix_fmt = *video.shape[1:3], pixels
            made.append((stream, video))
        for stream, video in made:
            for frame in video:
                out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            out.mux(stream.encode())


def panning(length: int, height: int = 64, width: int = 96, seed: int = 0) -> np.ndarray:
    """A picture of squares that moves on: uint8 [length, height, width, 3]."""
    shape = (-(-(height + length) // 8), -(-(width + length) // 8), 3)
    picture = np.kron(np.random.default_rng(seed).integers(0, 256, shape, np.uint8), np.ones([8, 8, 1], np.uint8))
    return np.stack([picture[t : t + height, t : t + width] for t in range(length)])


def turn(data: bytes, height: int) -> bytes:
    """An .mp4 as a phone held upright records it, a quarter clockwise: a matrix in the track header says so."""
    unit = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    quarter = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, height << 16, 0, 1 << 30)
    at = data.index(unit, data.index(b"tkhd"))
    return data[:at] + quarter + data[at + len(unit) :]


def write_pictures(folder: Path, video: np.ndarray, suffix: str = "png") -> None:
    """Numbered without leading zeros."""
    folder.mkdir(parents=True)
    for t, frame in enumerate(video):
        Image.fromarray(frame).save(folder / f"frame{t}.{suffix}")


def write_bomb(path: Path, **shapes: tuple[int, ...]) -> None:
    """An .npz of a few hundred bytes whose uint8 arrays say that they are of these shapes."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, shape in shapes.items():
            header = io.BytesIO()
            np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
            archive.writestr(f"{name}.npy", header.getvalue())


def mixed_folder(folder: Path) -> dict[str, str]:
    """Makes a folder of all that people have, broken things too; returns words of the reason for what is left out."""
    pan = panning(24)
    for part, video in (("", pan), ("deep/down", pan[::-1])):
        (folder / part).mkdir(parents=True, exist_ok=True)
        for name, (container, *how) in KINDS.items():
            encode(folder / part / name, container, (*how, video))
    (folder / "turned.MP4").write_bytes(turn((folder / "clip.mp4").read_bytes(), 64))
    encode(folder / "two_streams.mp4", "mp4", ("libx264", "yuv420p", pan[:, :16, :16]), ("libx264", "yuv420p", pan))
    encode(folder / "tiny.avi", "avi", ("mpeg4", "yuv420p", pan[:, :16, :16]))
    write_pictures(folder / "pictures", pan)
    write_pictures(folder / "jpegs", pan, "jpg")
    np.save(folder / "one.npy", pan)
    np.save(folder / "two.npy", np.stack([pan, pan[::-1]]))
    np.savez(folder / "named.npz", colour=pan, grey=pan[..., :1])
    (folder / ".hidden.mp4").write_text("passed over")

    (folder / "broken.mp4").write_bytes((folder / "clip.mp4").read_bytes()[:500])
    data = (folder / "lossless.mkv").read_bytes()
    (folder / "cut.mkv").write_bytes(data[: 2 * len(data) // 3])
    write_pictures(folder / "broken_picture", pan[:9])
    (folder / "broken_picture" / "frame7.png").write_bytes(b"no picture")
    encode(folder / "short.mp4", "mp4", ("libx264", "yuv420p", pan[:3]))
    np.save(folder / "float.npy", pan.astype(np.float32))
    np.save(folder / "pickle.npy", np.array([{}], object), allow_pickle=True)
    (folder / "notes.txt").write_text("not a video")
    (folder / "empty.mkv").write_bytes(b"")
    return {
        "broken.mp4": "is not a video that can be read",
        "cut.mkv": "are there|ends within",
        "broken_picture": r"frame7.png cannot be read .*: 7 pictures before it",
        "short.mp4": "3 frames, fewer than the 4 of a training clip",
        "float.npy": r"must be uint8 .*; is float32 \(24, 64, 96, 3\)",
        "pickle.npy": "cannot be read as an array",
        "notes.txt": r"not a video by its name \(.txt\)",
        "empty.mkv": "is not a video that can be read",
    }
