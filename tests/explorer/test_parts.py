import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from videoflow_tf.explorer import parts
from videoflow_tf.explorer.futures import Futures
from videoflow_tf.media.strips import CONTEXT, GENERATED, REAL

BITS = {"real": np.array([1.5, 2.5]), "sample 1": np.array([0.25, 0.75])}


@pytest.fixture
def futures(make_video):
    context, real, sample = make_video(1, 1)[0], *make_video(2, 2, seed=1)
    return Futures(context, {"real": real, "sample 1": sample}, 0.7, (0, 0), ("<b>a note</b>",))


def films(html: str) -> dict[str, list[np.ndarray]]:
    """The frames of every film, by its caption."""
    film = r'<figcaption>(.*?)</figcaption>.*?aria-label="\1, moving" style="--frames: (\d+); .*?base64,(.*?)\)"'
    found = {label: (int(count), base64.b64decode(data)) for label, count, data in re.findall(film, html)}
    return {
        label: np.split(np.asarray(Image.open(io.BytesIO(data))), count, axis=1)
        for label, (count, data) in found.items()
    }


def border(picture: np.ndarray) -> tuple[int, ...]:
    return tuple(picture[-6, picture.shape[1] // 2])  # Of the lowest pixels four are white, four the border.


def test_futures_move_after_what_is_given(futures):
    html = parts.drawn_futures(futures)
    assert "<h2>Futures at temperature 0.7</h2>" in html and "&lt;b&gt;a note&lt;/b&gt;" in html
    shown = films(html)
    assert list(shown) == ["real", "sample 1"]
    for frames, colour in zip(shown.values(), (REAL, GENERATED), strict=True):
        # It rests on the last one for a second.
        assert [border(frame) for frame in frames] == [CONTEXT] + [colour] * 7
        assert all((frame == frames[2]).all() for frame in frames[3:]) and (frames[1] != frames[2]).any()
    assert html.count("animation-duration: 1.6s") == 2


def test_the_chosen_clip_is_shown_with_or_without_its_future(futures):
    for future, length in ((futures.clips["real"], 3), (None, 1)):
        html = parts.chosen_clip(futures.context, future, ["short"])
        assert len(films(html)["real"]) == length + 5 and "short" in html
    assert not films(parts.chosen_clip(futures.context[:0], None, []))


def test_bits_are_a_chart_and_a_table(futures):
    html = parts.bits_by_frame(futures, BITS)
    assert "<h2>Bits per pixel (per colour component) by frame, futures at temperature 0.7</h2>" in html
    assert html.count("<svg") == 1
    rows = [re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", html)]
    assert rows == [
        ["future", "mean", "frame 2", "frame 3"],
        ["real", "2.000", "1.500", "2.500"],
        ["sample 1", "0.500", "0.250", "0.750"],
    ]


def test_what_is_wrong_cannot_break_the_page():
    html = parts.fault("<img src=x onerror=alert(1)> is no video")
    assert 'role="alert"' in html and "<img" not in html and "&lt;img src=x onerror=alert(1)&gt; is no video" in html
