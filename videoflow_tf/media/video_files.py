"""Video files of any kind, read with PyAV, and what is wrong with them.

FFmpeg plays damaged files as well as it can: it fills gaps from other frames, leaves frames out, stops early.
`read_video` asks it what it complained about, and compares what the file declares with what came. Most codecs notice
most damage; raw and lossless video (Y4M, HuffYUV), VP8, VP9, MJPEG and GIF have little to notice flipped bits by, and
WMV that ends between two frames looks whole.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from videoflow_tf.errors import UserError, one_line
from videoflow_tf.extras import require
from videoflow_tf.media.fitting import fit_image
from videoflow_tf.memory import check_fits
from videoflow_tf.units import counted

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_MOST_PIXELS = 2**26  # Of a frame as it is stored: twice those of 8K video.
_DECODER = {"err_detect": "crccheck+bitstream+buffer", "max_pixels": str(_MOST_PIXELS)}
# Playlists must not reach into the network, and a % in a name is no pattern.
_CONTAINER = _DECODER | {"protocol_whitelist": "file", "pattern_type": "none"}
_LONGEST_MESSAGE = 100
_LOOK_EVERY = 100  # Frames, at the memory that is left.


class Video(NamedTuple):
    """Frames of a file, and what is wrong with it."""

    frames: np.ndarray  # uint8 [T, H, W, C]
    problems: list[str]  # A line for each that was met on the way to these frames; empty if there was none.
    size: tuple[int, int]  # Height and width in the file, upright, in pixels.
    fps: float | None  # Frames a second, where the file says so.


def read_video(
    path: str | Path, frame_shape: tuple[int, int, int], max_frames: int = sys.maxsize, fit: str = "crop"
) -> Video:
    """The first frames of a video file, upright, made to fit.

    Of a damaged file all that can be decoded is taken.

    Args:
      path: any file that FFmpeg reads, animated GIFs too; of several video streams the largest is taken.
      frame_shape: [H, W, C] of the frames to give; C = 1 for grey.
      max_frames: read no more, at least 1.
      fit: see `fit_image`.

    Returns:
      At least one frame, at most `max_frames`.

    Raises:
      UserError: there is no such file, it is no video, its frames are too large or too many for the memory, or none
        can be decoded; or PyAV is not installed.
    """
    require("av")
    import av

    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)  # The last complaint about one file may be the first about the next.
    try:
        with (
            av.logging.Capture() as log,
            av.open(f"file:{path}", metadata_errors="replace", options=_CONTAINER) as container,
        ):
            stream = _largest_stream(container, path)
            frames, size, problems = _decode(container, stream, frame_shape, max_frames, fit)
            rate = stream.average_rate
            others = {other.name for other in container.streams if other.codec_context and other is not stream}
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise UserError(f"{path} is not a video that can be read: {reason}") from error
    problems += _complaints(log, others - {stream.name})
    if not frames:
        raise UserError(f"no frame of {path} can be decoded" + "".join(f"; {problem}" for problem in problems))
    return Video(np.stack(frames), problems, size, float(rate) if rate else None)


def _largest_stream(container: InputContainer, path: Path) -> VideoStream:
    """Of the video streams that can be decoded; the cover picture of a piece of music only if there is no other."""
    streams = [stream for stream in container.streams.video if stream.codec_context is not None]
    if not streams:
        raise UserError(f"{path} has no video stream that can be decoded")
    cover = type(streams[0].disposition).attached_pic
    return max(streams, key=lambda s: (not s.disposition & cover, s.width * s.height))


def _decode(
    container: InputContainer, stream: VideoStream, frame_shape: tuple[int, int, int], max_frames: int, fit: str
) -> tuple[list[np.ndarray], tuple[int, int], list[str]]:
    """The frames, [H, W, C] each, their height and width in the file, and what is found to be wrong with them."""
    import av

    stream.codec_context.options = _DECODER
    stream.codec_context.thread_count = 1  # What another thread complained about would not be heard.
    frames: list[np.ndarray] = []
    size = (0, 0)
    times, damaged, discarded, lost, end = [], [], 0, 0, 0
    packets = container.demux(stream)
    while len(frames) < max_frames:
        try:
            packet = next(packets, None)
            if packet is None:
                break
            discarded += packet.is_discard
            end = end if packet.pos is None else packet.pos + packet.size
            decoded = packet.decode()
        except av.FFmpegError:  # Of a packet: the next may be whole. Of the file: there is no next.
            lost += 1
            continue
        for frame in decoded[: max_frames - len(frames)]:
            image = frame.to_image().rotate(frame.rotation, expand=True)  # Both count counter-clockwise.
            size = (image.height, image.width)
            frames.append(fit_image(image, frame_shape, fit))
            if len(frames) % _LOOK_EVERY == 0:
                size_now = len(frames) * frames[0].nbytes
                check_fits(container.name.removeprefix("file:"), size_now, "cut it into several")
            times.append(frame.time)
            if frame.is_corrupt:
                damaged.append(len(frames))
    problems = []
    if damaged:
        problems.append(f"{len(damaged)} of {len(frames)} frames are damaged, the first is number {damaged[0]}")
    if lost:
        problems.append(f"{counted(lost, 'part')} of the file cannot be decoded")
    if len(frames) < max_frames:
        problems += _missing(container, stream, times, discarded)
        if _is_cut(container, end):
            problems.append("the file ends within a frame")
    return frames, size, problems


def _missing(
    container: InputContainer, stream: VideoStream, times: list[float | None], discarded: int
) -> Iterator[str]:
    """How much longer the file says that it is, if it says so.

    Args:
      times: of the frames that came, in seconds.
      discarded: frames that are there and meant not to be shown.
    """
    if stream.frames:
        if len(times) + discarded < stream.frames:
            yield f"{len(times) + discarded} of {stream.frames} frames are there"
        return
    if stream.duration is not None:
        start, length = stream.start_time or 0, float(stream.duration * stream.time_base)
        start = float(start * stream.time_base)
    elif container.duration is not None and len(container.streams) == 1:
        start, length = (container.start_time or 0) / 1e6, container.duration / 1e6
    else:
        return
    if len(times) < 2 or None in times:
        return
    # The last frame may be shown for as long as any other.
    there = times[-1] - start + max(np.diff(times))
    if there < length - max(np.diff(times)) / 2:
        yield f"{there:.2f} of {length:.2f} seconds are there"


def _is_cut(container: InputContainer, end: int) -> bool:
    """Whether a file of a kind that declares no length does not end where it may, given the end of the last packet."""
    if container.format.name == "yuv4mpegpipe":
        return end < container.size
    return container.format.name == "mpegts" and all(container.size % packet for packet in (188, 192, 204))


def _complaints(log: list[tuple[int, str, str]], others: set[str]) -> Iterator[str]:
    """What FFmpeg said of the file, but for the decoders of streams that are not looked at."""
    said = [f"{name}: {message}" for _, name, message in log if name not in others]
    if said:
        first = one_line(said[0])[:_LONGEST_MESSAGE]
        yield f"FFmpeg reports {counted(len(said), 'error')}, the first: {first}"
