"""The moving shapes: what they look like, how they move, and that the splits are apart."""

import math

import numpy as np
import pytest
import tensorflow as tf

from videoflow_tf.config import PRESETS
from videoflow_tf.data import eval_videos, train_clips
from videoflow_tf.data import shapes as shapes_lib
from videoflow_tf.seeds import fold_in, split_seed, uniform_int

CONFIG = PRESETS["demo"].replace(frame_size=64, num_context=1, num_train_frames=5, num_eval_frames=5)
SIZE = 1.2
PIXELS = 6.4  # A unit of the canvas, in pixels of a 64 x 64 frame.


def draw(shape="circle", size=SIZE, colour=(255, 0, 0), direction=(1, 0), times=(0,), frame_size=64, **scene):
    """One video: uint8 [T, H, W, 3]."""
    form = [[shapes_lib.SHAPES.index(shape)]], [[size]], tf.constant([[colour]], tf.uint8)
    motion = tf.constant([[direction]], tf.float32), tf.constant([times], tf.float32)
    frame_size = (frame_size, frame_size) if isinstance(frame_size, int) else frame_size
    shape, size = tf.constant(form[0]), tf.constant(form[1])
    look = {"frame_size": frame_size, "scene": shapes_lib.Scene(**scene)}
    return shapes_lib.render(shape, size, form[2], *motion, **look).numpy()[0]


def coverage(frame):
    """float [H, W]: the part of each pixel that a red shape on black covers."""
    return frame[:, :, 0] / 255.0


def centre_of_mass(frame):
    """Row and column, in pixels from the top left corner."""
    weights = coverage(frame)
    rows, columns = (np.arange(side) + 0.5 for side in weights.shape)
    return np.array([(weights.sum(1) * rows).sum(), (weights.sum(0) * columns).sum()]) / weights.sum()


@pytest.mark.parametrize(
    ("shape", "area"), [("circle", math.pi * SIZE**2), ("square", 4 * SIZE**2), ("triangle", math.sqrt(3) * SIZE**2)]
)
@pytest.mark.parametrize("frame_size", [64, 100])
def test_area(shape, area, frame_size):
    pixels = coverage(draw(shape, frame_size=frame_size)[0]).sum()
    assert pixels == pytest.approx(area * (frame_size / 10) ** 2, rel=0.01)


def test_square_covers_its_pixels_exactly():
    frame = draw("square", size=1.25)[0]  # 8 pixels to every side of the centre.
    expected = np.zeros([64, 64, 3], np.uint8)
    expected[24:40, 24:40, 0] = 255
    np.testing.assert_array_equal(frame, expected)


def test_edges_are_antialiased():
    frame = draw("square", size=1.25 + 0.25 / PIXELS)[0]  # A quarter of a pixel more.
    np.testing.assert_array_equal(frame[32, 22:26, 0], [0, 64, 255, 255])


def test_triangle_stands_on_its_base():
    covered = coverage(draw("triangle", size=1.25)[0])
    rows = np.flatnonzero(covered.max(axis=1) > 0.5)
    # Base s = 8 pixels below the centre, height s * sqrt(3).
    assert rows.max() == 39 and rows.min() == pytest.approx(40 - 8 * math.sqrt(3), abs=1)
    widths = covered.sum(axis=1)
    assert widths[39] == pytest.approx(16, abs=1)
    assert (np.diff(widths[rows]) > 0).all()
    np.testing.assert_array_equal(covered, covered[:, ::-1])


@pytest.mark.parametrize("shape", shapes_lib.SHAPES)
@pytest.mark.parametrize("direction", shapes_lib.DIRECTIONS.tolist())
def test_moves_by_a_tenth_of_the_frame(shape, direction):
    video = draw(shape, direction=direction, times=range(4))
    moves = np.diff([centre_of_mass(frame) for frame in video], axis=0)
    right, up = direction
    np.testing.assert_allclose(moves, np.tile([-up * PIXELS, right * PIXELS], (3, 1)), atol=0.1)


def test_eight_directions():
    expected = {(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)} - {(0, 0)}
    assert {tuple(d) for d in shapes_lib.DIRECTIONS.tolist()} == expected


@pytest.mark.parametrize(("name", "grey"), [("black", 0), ("grey", 128)])
def test_background(name, grey):
    config = CONFIG.replace(shapes_background=name)
    for element in eval_videos(config, None, "test", num_videos=8):
        first = element["video"][0].numpy()
        assert first[32, 32].tolist() in shapes_lib.COLOURS.tolist()
        assert (first[:20] == grey).all() and (first[:, :20] == grey).all()


def test_all_kinds_occur_equally_often():
    batch = next(iter(train_clips(CONFIG, None, batch_size=960))).numpy()
    colours, counts = np.unique(batch[:, 0, 32, 32], axis=0, return_counts=True)
    assert sorted(colours.tolist()) == sorted(shapes_lib.COLOURS.tolist())
    assert counts.min() > 110 and counts.max() < 210  # 160 on average, standard deviation 11.5.
    # Half sides and radii reach from 3.2 to 9.6 pixels.
    widths = (batch[:, 0].max(axis=-1) > 0).any(axis=1).sum(axis=1)
    assert widths.min() in (7, 8) and widths.max() in (19, 20)
    middle_of_last = (batch[:, 4].max(axis=-1) > 0).reshape(960, 2, 32, 2, 32).any(axis=(2, 4))
    assert len({tuple(quarters.ravel()) for quarters in middle_of_last}) >= 8


@pytest.mark.parametrize("frame_size", [32, 64])
def test_every_size_is_another_picture(frame_size):
    sizes = np.sort(np.concatenate(list(shapes_lib.SIZES.values())))
    count = len(sizes)
    assert count == 256 and 0.5 < sizes[0] and sizes[-1] < 1.5
    for shape in range(3):
        for colour in shapes_lib.COLOURS:
            shapes, colours = tf.fill([count, 1], shape), tf.tile(tf.constant(colour)[None, None], [count, 1, 1])
            still = tf.ones([count, 1, 2]), tf.zeros([count, 1])
            look = {"frame_size": (frame_size, frame_size), "scene": shapes_lib.Scene()}
            frames = shapes_lib.render(shapes, tf.constant(sizes)[:, None], colours, *still, **look)
            assert len({frame.tobytes() for frame in frames.numpy()}) == count


def test_splits_do_not_overlap():
    seen = {
        split: {e["video"].numpy().tobytes() for e in eval_videos(CONFIG, None, split, num_videos=600, num_frames=2)}
        for split in ("train", "validation", "test")
    }
    assert not seen["train"] & seen["validation"]
    assert not seen["train"] & seen["test"]
    assert not seen["validation"] & seen["test"]
    patches = next(iter(train_clips(CONFIG, None, batch_size=2000))).numpy()[:, :2]
    assert not {p.tobytes() for p in patches} & (seen["validation"] | seen["test"])


def test_test_videos_are_the_same_for_every_seed():
    configs = (CONFIG, CONFIG.replace(seed=1))
    videos = ([e["video"].numpy() for e in eval_videos(c, None, "test", num_videos=3)] for c in configs)
    np.testing.assert_array_equal(*videos)


def test_patches_start_anywhere_in_the_video():
    config = CONFIG.replace(num_train_frames=2)
    batch = next(iter(train_clips(config, None, batch_size=200))).numpy()

    def offset(frame):
        rows, columns = np.nonzero(frame.max(axis=-1))
        return max(abs(rows.mean() - 31.5), abs(columns.mean() - 31.5))

    starts = np.round([offset(clip[0]) / PIXELS for clip in batch])
    assert set(starts) == {0.0, 1.0, 2.0, 3.0}  # A video has num_eval_frames = 5 frames.


def test_literal_pixels_stay():
    """The same everywhere and for ever: results on the test split are compared across machines and years."""
    video = next(iter(eval_videos(CONFIG, None, "test")))["video"].numpy()
    red, green, blue = video.astype(np.int64).sum(axis=(1, 2)).T.tolist()
    assert red == [0] * 5 and green == blue == [42400, 42313, 42265, 42265, 36651]


@pytest.mark.parametrize("frame_size", [(64, 96), (96, 64)])
def test_in_a_frame_that_is_no_square_pixels_are_and_the_shape_starts_in_the_middle(frame_size):
    """The shorter side has the 10 units of a square of its size: cut out of the middle, nothing else is to be seen."""
    top, left = ((side - 64) // 2 for side in frame_size)
    for shape in shapes_lib.SHAPES:
        video = draw(shape, direction=(1, -1), times=range(4), frame_size=frame_size)
        assert video.shape == (4, *frame_size, 3)
        square = draw(shape, direction=(1, -1), times=range(4))
        np.testing.assert_allclose(video[:, top : top + 64, left : left + 64].astype(int), square, atol=1)


def test_grey_videos_show_the_luma():
    colour, grey = (next(iter(train_clips(c, None, batch_size=64))) for c in (CONFIG, CONFIG.replace(channels=1)))
    assert grey.shape == (64, 5, 64, 64, 1)
    luma = colour.numpy() @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(grey.numpy()[..., 0], luma, atol=1.5)
    assert {29, 75, 76, 79, 134, 169} == set(grey.numpy()[:, 0, 32, 32, 0])


def videos_of(count=8, num_frames=5, **changes):
    videos = eval_videos(CONFIG.replace(**changes), None, "test", num_videos=count, num_frames=num_frames)
    return np.stack([element["video"] for element in videos.as_numpy_iterator()])


def test_an_occluder_hides_the_shapes_and_nothing_else():
    plain, hidden = videos_of(), videos_of(shapes_occluder=True)
    rows, columns = np.indices([64, 64]) + 0.5
    away = np.maximum(np.abs(rows - 32), np.abs(columns - 32)) / PIXELS
    inside, outside = (away > 2.1) & (away < 3.9), (away < 1.9) | (away > 4.1)
    assert (hidden[:, :, inside] == 255).all() and (plain[:, 1:, inside] > 0).any()
    np.testing.assert_array_equal(hidden[:, :, outside], plain[:, :, outside])
    small = draw(size=0.9, direction=(1, -1), times=range(6), occluder=True)
    visible = (small != shapes_lib.backdrop((64, 64), shapes_lib.Scene(occluder=True))).any(axis=-1).sum(axis=(1, 2))
    assert visible[3] == 0 and (np.delete(visible, 3) > 5).all()


def test_several_shapes_start_side_by_side_and_go_their_own_ways():
    one, two = videos_of(), videos_of(shapes_count=2)
    middle_of_first = (two[:, 0] > 0).any(axis=-1)
    assert not middle_of_first[:, :, 31:33].any()  # The sizes reach 1.5 units, their places are 3.3 apart.
    for x in (10 / 3, 20 / 3):
        assert middle_of_first[:, 32, round(x * PIXELS)].all()
    # The first is the one of a video with one shape, shifted; its place is not on the grid of pixels.
    colours = [video[0, 32, round(10 / 3 * PIXELS)].tolist() for video in two]
    assert colours == [video[0, 32, 32].tolist() for video in one]
    others = [video[0, 32, round(20 / 3 * PIXELS)].tolist() for video in two]
    assert others != colours and len(np.unique(videos_of(50, 1, shapes_count=3)[:, 0, 32, 32], axis=0)) == 6


def test_training_batches_of_several_shapes_are_those_that_are_drawn_eagerly():
    config = CONFIG.replace(shapes_count=2, shapes_bounce=True)
    source = shapes_lib.Shapes(config)
    batch = next(iter(source.train_batches(4, 0)))
    starts_seed, seed = split_seed(fold_in(source._seed("train"), tf.constant(0, tf.int64)), 2)
    last_start = config.num_eval_frames - config.num_train_frames
    starts = uniform_int([4], starts_seed, last_start + 1)
    drawn = source._draw(seed, "train", starts, config.num_train_frames)
    np.testing.assert_array_equal(batch, drawn)


@pytest.mark.parametrize("frame_size", [(64, 64), (64, 96)])
def test_shapes_turn_at_the_edges(frame_size):
    video = draw("square", 1.25, direction=(1, -1), times=range(40), frame_size=frame_size, bounce=True)
    plain = draw("square", 1.25, direction=(1, -1), times=range(4), frame_size=frame_size)
    np.testing.assert_array_equal(video[:4], plain)
    centres = np.array([centre_of_mass(frame) for frame in video]) / PIXELS
    np.testing.assert_allclose([coverage(frame).sum() for frame in video], (2.5 * PIXELS) ** 2, rtol=0.01)  # Whole.
    limits = np.array(frame_size) / PIXELS - 1.25
    assert (centres > 1.25 - 0.02).all() and (centres < limits + 0.02).all()
    moves = np.abs(np.diff(centres, axis=0))
    assert (moves < 1.02).all() and (moves > 0.98).mean() > 0.6
