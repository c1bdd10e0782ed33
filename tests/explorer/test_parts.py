import base64
import io
import re

import numpy as np
import pytest
from PIL import Image, ImageSequence

from videoflow_tf.explorer import parts
from videoflow_tf.explorer.futures import Futures
from videoflow_tf.media.strips import CONTEXT, GENERATED, REAL

BITS = {"real": np.array([1.5, 2.5]), "sample 1": np.array([0.25, 0.75])}


@pytest.fixture
def futures(make_video):
    context, real, sample = make_video(1, 1)[0], *make_video(2, 2, seed=1)
    return Futures(context, {"real": real, "sample 1": sample}, 0.7, (0, 0), ("<b>a note</b>",))


def pictures(html: str) -> dict[str, tuple[str, list[np.ndarray]]]:
    """What comes before the data of every picture, and its frames, by its caption."""
    found = re.findall(r'<figcaption>(.*?)</figcaption><img alt="[\w ]+, moving" src="(.*?),(.*?)">', html)
    gifs = {label: (kind, Image.open(io.BytesIO(base64.b64decode(data)))) for label, kind, data in found}
    return {
        label: (kind, [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(gif)])
        for label, (kind, gif) in gifs.items()
    }


def border(picture: np.ndarray) -> tuple[int, ...]:
    return tuple(picture[-6, picture.shape[1] // 2])  # Of the lowest pixels four are white, four the border.


def test_futures_move_after_what_is_given(futures):
    html = parts.drawn_futures(futures)
    assert "<h2>Futures at temperature 0.7</h2>" in html and "&lt;b&gt;a note&lt;/b&gt;" in html
    shown = pictures(html)
    assert list(shown) == ["real", "sample 1"]
    for (kind, frames), colour in zip(shown.values(), (REAL, GENERATED), strict=True):
        assert len(frames) == 3 and kind.startswith("data:image/gif;group=") and kind.endswith(";base64")
        for frame, expected in zip(frames, (CONTEXT, colour, colour), strict=True):
            np.testing.assert_allclose(border(frame), expected, atol=8)  # A GIF has 256 colours.


def test_pictures_of_a_group_start_together_and_with_no_other(futures):
    """A browser goes on with a picture that it knows already, by its address."""
    drawn, chosen = pictures(parts.drawn_futures(futures)), pictures(parts.chosen_clip(*futures[:1], None, ()))
    assert drawn["real"][0] == drawn["sample 1"][0] != chosen["real"][0]


def test_the_chosen_clip_is_shown_with_or_without_its_future(futures):
    for future, length in ((futures.clips["real"], 3), (None, 1)):
        html = parts.chosen_clip(futures.context, future, ["short"])
        assert len(pictures(html)["real"][1]) == length and "short" in html
    assert not pictures(parts.chosen_clip(futures.context[:0], None, []))


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
