import re

import numpy as np
from PIL import Image

from videoflow_tf.media.charts import Curve, film_chart, line_chart, literal, save_chart, svg
from videoflow_tf.media.strips import CONTEXT


def test_line_chart_holds_points_and_labels():
    figure = line_chart({"a": Curve([1, 2, 3], [5, 6, 7]), "b": Curve([1, 2], [3, 3])}, "t", "bits", "Title")
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("t", "bits", "Title")
    assert [line.get_label() for line in axes.lines] == ["a", "b"]
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [(1, 5), (2, 6), (3, 7)])
    assert axes.get_legend() is not None
    assert line_chart({"": Curve([1], [1])}, "", "").axes[0].get_legend() is None


def test_errors_are_bars_at_few_points_and_a_band_at_many():
    for count, bars in ((3, 1), (50, 0)):
        y = np.arange(5.0, 5.0 + count)
        (axes,) = line_chart({"a": Curve(range(count), y, [1] * (count - 1) + [2])}, "t", "bits").axes
        assert len(axes.containers) == bars
        (drawn,) = axes.collections  # The bars, or the band.
        limits = drawn.get_datalim(axes.transData)
        np.testing.assert_allclose([limits.y0, limits.y1], [4, y[-1] + 2])
        assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a"]


def test_frames_stand_above_their_points():
    frames = np.zeros([30, 8, 8, 3], np.uint8)
    film, axes = film_chart(frames, 4, Curve(range(5, 31), range(26)), "bits").axes
    centres = [(left + right) / 2 for left, right, *_ in (image.get_extent() for image in film.images)]
    np.testing.assert_allclose(centres, range(1, 31, 3))
    assert film.get_xlim() == axes.get_xlim()
    assert [text.get_text() for text in film.texts] == [str(t) for t in range(1, 31, 3)]
    np.testing.assert_allclose([text.xy[0] for text in film.texts], centres)
    given = [border.get_x() + border.get_width() / 2 for border in film.patches]  # Of frames 1 to 4 those shown.
    np.testing.assert_allclose(given, [1, 4])
    assert all(border.get_edgecolor()[:3] == tuple(np.divide(CONTEXT, 255)) for border in film.patches)


def test_saved_whole_and_as_svg(tmp_path):
    figure = line_chart({"": Curve([1, 2], [1, 2])}, "x", "y")
    save_chart(tmp_path / "a.png", figure)
    assert Image.open(tmp_path / "a.png").size == (840, 480)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    text = svg(figure)
    assert text.startswith("<svg") and re.search(r"</svg>\s*$", text)


def test_names_of_users_are_drawn_letter_by_letter(tmp_path):
    name = "$x_{$ \\frac \udcff"  # In matplotlib a formula that cannot be read, and a name of a file that is not UTF-8.
    curve = Curve([1, 2], [1, 2])
    save_chart(tmp_path / "lines.png", line_chart({name: curve}, name, name, f"{name}\nbelow"))
    save_chart(tmp_path / "film.png", film_chart(np.zeros([3, 8, 8, 3], np.uint8), 1, curve, name, name))
    assert literal(f"{name}\nbelow") == "\\$x_{\\$ \\frac \\udcff\nbelow"
    assert literal("bits (4 of 5)") == "bits (4 of 5)"
