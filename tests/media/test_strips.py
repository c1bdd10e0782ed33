import numpy as np
import pytest
from PIL import Image, ImageSequence

from videoflow_tf.media import strips

BLUE, RED, GREY = strips.CONTEXT, strips.GENERATED, strips.REAL


def frames(count, value, size=64):
    return np.full([count, size, size, 3], value, np.uint8)


def colours_across(picture, y):
    """Runs of equal border colours along a row of pixels."""
    known = [tuple(pixel) for pixel in picture[y] if tuple(pixel) in (BLUE, RED, GREY)]
    return [colour for i, colour in enumerate(known) if i == 0 or colour != known[i - 1]]


def border_rows(picture):
    """The first row of pixels of each row of frames; text has but a few pixels of a border's colour."""
    counts = sum((picture == colour).all(-1).sum(axis=1) for colour in (BLUE, RED, GREY))
    has_border = counts > 100
    starts = [y for y in range(1, len(picture)) if has_border[y] and not has_border[y - 1]]
    return starts[::2]  # Every other one is a border below.


def test_strip_borders_context_blue_generated_red_real_grey():
    picture = strips.strip(frames(2, 255), {"a": frames(3, 255), "b": frames(3, 255)}, frames(3, 255))
    rows = border_rows(picture)
    assert [colours_across(picture, y) for y in rows] == [[BLUE, GREY], [BLUE, RED], [BLUE, RED]]


def test_strip_without_a_future_has_samples_alone():
    picture = strips.strip(frames(2, 255), {"a": frames(3, 255)})
    assert [colours_across(picture, y) for y in border_rows(picture)] == [[BLUE, RED]]


def test_frames_are_enlarged_pixel_by_pixel():
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, [1, 64, 64, 3]).astype(np.uint8)
    picture = strips.strip(frame, {"a": frames(1, 0)})
    blue = np.argwhere((picture == BLUE).all(-1))
    (top, left), (bottom, right) = blue.min(0), blue.max(0)
    inside = picture[top + 4 : bottom - 3, left + 4 : right - 3]
    np.testing.assert_array_equal(inside, frame[0].repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize(("num_context", "count"), [(1, 4), (3, 100), (30, 1), (1, 1), (0, 5), (10, 16)])
def test_strip_is_never_wider_than_twenty_frames(num_context, count):
    picture = strips.strip(frames(num_context, 9, 16), {"a": frames(count, 9, 16)})
    assert picture.shape[1] <= 20 * (128 + 8 + 4) + 100
    assert RED in colours_across(picture, border_rows(picture)[0])


@pytest.mark.parametrize(("size", "num_context", "count", "shown"), [(32, 2, 4, 3), (64, 3, 10, 3), (64, 1, 2, 2)])
def test_small_strips_are_as_wide_as_tensorboard_shows_them(size, num_context, count, shown):
    clip = frames(num_context, 9, size), {"T = 0.5": frames(count, 9, size)}, None, "samples at temperature T"
    picture = strips.strip(*clip, small=True)
    y = border_rows(picture)[0]
    assert colours_across(picture, y) == [BLUE, RED] and picture.shape[1] < 400
    assert [((picture[y] == colour).all(-1)).sum() for colour in (BLUE, RED)] == [64 + 8, shown * (64 + 8)]


def test_labels_are_drawn():
    def dark(label):
        return (strips.strip(frames(1, 255), {label: frames(1, 255)}) == 0).all(-1).sum()

    assert dark("sample 1") > dark("") > 0


def test_gif_and_png_hold_every_frame(tmp_path):
    context, sample = frames(2, 10), np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones_like(frames(5, 40)[:1])
    sample = sample.astype(np.uint8) * 40
    picture, moving = (draw(context, {"a": sample}, sample) for draw in (strips.strip, strips.animation))
    paths = strips.save_pictures(tmp_path / "x", picture, moving)
    assert paths == [tmp_path / "x.png", tmp_path / "x.gif"]
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "x.png")), picture)
    with Image.open(tmp_path / "x.gif") as gif:
        assert gif.n_frames == 7
        assert gif.info["loop"] == 0
        assert gif.size[::-1] == moving.shape[1:3]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.gif", "x.png"]


def read_gif(path):
    with Image.open(path) as gif:
        return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(gif)])


def test_gif_keeps_few_colours_exactly_and_of_many_those_of_small_things(tmp_path):
    rng = np.random.default_rng(0)
    few = rng.integers(0, 256, [200, 3], dtype=np.uint8)[rng.integers(0, 200, [4, 32, 32])]
    strips.save_gif(tmp_path / "few.gif", few)
    assert (tmp_path / "few.gif").read_bytes() == strips.gif(few)
    np.testing.assert_array_equal(read_gif(tmp_path / "few.gif"), few)
    many = rng.integers(90, 160, [4, 64, 64, 3], dtype=np.uint8)
    many[:, 10:14, 10:14] = [0, 250, 0]
    strips.save_gif(tmp_path / "many.gif", many)
    difference = np.abs(read_gif(tmp_path / "many.gif").astype(int) - many)
    assert difference.mean() < 12 and difference[:, 10:14, 10:14].max() < 12


def test_gif_stores_what_does_not_move_once(tmp_path):
    still = np.random.default_rng(0).integers(0, 256, [1, 128, 128, 3], dtype=np.uint8).repeat(20, axis=0)
    still[:, :4, :4] = np.arange(20)[:, None, None, None] * 10
    strips.save_gif(tmp_path / "one.gif", still[:1])
    strips.save_gif(tmp_path / "all.gif", still)
    assert (tmp_path / "all.gif").stat().st_size < 1.5 * (tmp_path / "one.gif").stat().st_size


def test_grid_has_a_row_per_video_and_a_column_per_sample():
    context, future = np.stack([frames(1, 255)] * 3), np.stack([frames(2, 255)] * 3)
    samples = np.full([3, 4, 2, 64, 64, 3], 255, np.uint8)
    first, _, last = strips.grid(context, samples, future)
    rows = border_rows(last)
    assert len(rows) == 3
    for y in rows:
        assert colours_across(last, y) == [GREY, RED] and colours_across(first, y) == [BLUE]
        reds = (last[y] == RED).all(-1)
        assert reds.sum() == 4 * (128 + 8)
    assert colours_across(strips.grid(context, samples)[-1], rows[0]) == [RED]


def test_every_model_has_a_column_of_its_own_that_moves():
    future = np.zeros([4, 64, 64, 3], np.uint8)
    future[..., 0] = np.arange(1, 5)[:, None, None]  # Red alone, as no text is.
    samples = {name: np.stack([future * factor] * 2) for name, factor in (("a", 10), ("b", 20), ("c", 30))}
    pictures = strips.models(future[:1], samples, future)
    assert pictures.shape[0] == 5 and len(border_rows(pictures[-1])) == 2
    for t in range(1, 5):
        across = pictures[t][border_rows(pictures[t])[0] + 60]
        reds = across[(across[:, 0] > 0) & (across[:, 1:] == 0).all(axis=1), 0]
        assert list(dict.fromkeys(reds)) == [t, 10 * t, 20 * t, 30 * t]


def test_wide_grids_have_smaller_frames():
    samples = np.zeros([1, 12, 1, 64, 64, 3], np.uint8)
    assert strips.grid(np.zeros([1, 1, 64, 64, 3], np.uint8), samples).shape[2] < 1400


def test_long_captions_are_not_cut_off():
    row = strips.Row("", frames(1, 0, 16), [GREY])
    short, long = (strips.side_by_side([row], [text]) for text in ("a", "a caption wider than the picture below it"))
    assert long.shape[2] > short.shape[2]
    assert (long[0, :, -4:] == 255).all()


def test_a_title_is_written_above_and_moves_nothing_else():
    clip = frames(1, 255), {"a": frames(2, 255)}, frames(2, 255)
    plain, titled, other = (strips.strip(*clip, title) for title in (None, "temperature 0.5", "temperature 1"))
    height = titled.shape[0] - plain.shape[0]
    assert height == 18
    np.testing.assert_array_equal(titled[-200:], plain[-200:])
    assert not np.array_equal(titled, other)
    moving, moving_titled = (strips.animation(*clip, title) for title in (None, "temperature 0.5"))
    assert moving.shape[:2] == moving_titled.shape[:2] and not np.array_equal(moving[0, :60], moving_titled[0, :60])
