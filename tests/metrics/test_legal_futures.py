"""Legal futures: the generator's own are all legal, whatever else is not; where the thresholds lie."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.conftest import TINY
from videoflow_tf.data import eval_videos
from videoflow_tf.data import shapes as shapes_lib
from videoflow_tf.errors import UserError
from videoflow_tf.files import read_json
from videoflow_tf.metrics.arguments import EvaluateArguments
from videoflow_tf.metrics.legal_futures import LegalFutures
from videoflow_tf.metrics.metric import Clips, MetricOptions
from videoflow_tf.registry import METRICS

FRAMES = 4  # Predicted.


def config_of(size=64, context=1, background="black", channels=3):
    changes = {"frame_size": size, "channels": channels, "num_context": context, "shapes_background": background}
    return TINY.replace(**changes, num_train_frames=context + 1, num_eval_frames=context + FRAMES)


def metric_of(config):
    return METRICS["legal_futures"].from_options(MetricOptions(Clips.of(config, FRAMES, 1), EvaluateArguments(""), 100))


def draw(shape="square", size=1.25, colour=(255, 0, 0), directions=((1, 0),), count=1 + FRAMES, frame_size=64, **scene):
    """A video for each of the directions, on black: uint8 [B, count, H, W, 3]."""
    n = len(directions)
    return shapes_lib.render(
        np.full([n, 1], shapes_lib.SHAPES.index(shape)),
        np.full([n, 1], size, np.float32),
        np.tile(np.array(colour, np.uint8), [n, 1, 1]),
        np.array(directions, np.float32)[:, None],
        np.tile(np.arange(count, dtype=np.float32), [n, 1]),
        frame_size=(frame_size, frame_size),
        scene=shapes_lib.Scene(**scene),
    ).numpy()


# The size nearest to 1.25, and the one next to 0.75.
SIZE, SMALL = (float(shapes_lib.SIZES["train"][np.abs(shapes_lib.SIZES["train"] - s).argmin()]) for s in (1.25, 0.75))
VIDEOS = draw(size=SIZE, directions=shapes_lib.DIRECTIONS)  # [8, 1 + FRAMES, 64, 64, 3]
CONTEXT, FUTURES = VIDEOS[0, :1], VIDEOS[:, 1:]


def measure(samples, context=CONTEXT):
    """Curve, share of empty frames, number of directions."""
    found = metric_of(config_of(context=len(context))).measure(context, None, np.asarray(samples))
    return found[:-2], found[-2], found[-1]


@pytest.mark.parametrize("background", shapes_lib.BACKGROUNDS)
@pytest.mark.parametrize("context", [1, 2])
@pytest.mark.parametrize(
    ("size", "channels"),
    [(32, 3), (64, 3), ("32x48", 1), *(pytest.param(*s, marks=pytest.mark.slow) for s in [(32, 1), ("48x32", 3)])],
)
def test_what_the_generator_shows_is_legal_and_an_empty_frame_is_not(size, channels, context, background):
    config = config_of(size, context, background, channels)
    metric = metric_of(config)
    for element in eval_videos(config, None, "test", num_videos=4):
        given, real = np.split(element["video"].numpy(), [context])
        futures = shapes_lib.possible_futures(given, FRAMES, shapes_lib.Scene.of(config))
        assert (futures.frames == real).all(axis=(1, 2, 3, 4)).any()
        directions = 8 if context == 1 else 1
        assert len(set(futures.directions)) == directions
        samples = np.concatenate([real[None], futures.frames])
        np.testing.assert_array_equal(metric.measure(given, real, samples), [1] * FRAMES + [0, directions])
        empty = np.full_like(samples, shapes_lib.BACKGROUNDS[background])
        np.testing.assert_array_equal(metric.measure(given, real, empty), [0] * FRAMES + [1, 0])


def test_the_smallest_shapes_are_judged_too():
    config = config_of(32)
    for shape in shapes_lib.SHAPES:
        videos = draw(shape, 0.5 + 0.5 / 256, (0, 128, 0), shapes_lib.DIRECTIONS, frame_size=32)
        assert (videos[:, 1:] > 64).any(axis=-1).sum(axis=(2, 3)).min() < 10
        metric = metric_of(config)
        np.testing.assert_array_equal(metric.measure(videos[0, :1], None, videos[:, 1:]), [1] * FRAMES + [0, 8])
        np.testing.assert_array_equal(metric.measure(videos[0, :1], None, 0 * videos[:, 1:]), [0] * FRAMES + [1, 0])


def test_a_fair_draw_of_directions():
    rng, counts = np.random.default_rng(0), []
    for _ in range(60):
        chosen = rng.integers(8, size=16)
        curve, _, directions = measure(FUTURES[chosen, :1])
        assert curve == 1 and directions == len(set(chosen))
        counts.append(directions)
    expected = 8 * (1 - (7 / 8) ** 16)
    assert abs(np.mean(counts) - expected) < 4 * np.std(counts) / np.sqrt(60)


def changed(frames):
    """A sample that goes right twice, then up."""
    return np.concatenate([frames[1, :2], frames[3, 2:]])


@pytest.mark.parametrize(
    ("sample", "curve"),
    [
        (np.repeat(CONTEXT, FRAMES, axis=0), [0, 0, 0, 0]),  # Frozen.
        (0 * FUTURES[1], [0, 0, 0, 0]),
        (FUTURES[1, ..., ::-1], [0, 0, 0, 0]),  # Blue in the place of red.
        (FUTURES[1, ::-1], [0, 0, 0, 0]),
        (changed(FUTURES), [1, 1, 0, 0]),
        (np.concatenate([FUTURES[1, :3], 0 * FUTURES[1, 3:]]), [1, 1, 1, 0]),
        (255 - FUTURES[1], [0, 0, 0, 0]),
    ],
    ids=["frozen", "black", "wrong_colour", "backwards", "direction_changes", "vanishes", "inverted"],
)
def test_what_is_not_legal(sample, curve):
    got, empty, directions = measure([sample])
    np.testing.assert_array_equal(got, curve)
    assert directions == 0 and empty == 1 - np.any(sample, axis=(1, 2, 3)).mean()


def test_shares_are_over_samples():
    curve, empty, directions = measure([FUTURES[1], FUTURES[1], FUTURES[3], changed(FUTURES), 0 * FUTURES[1]])
    np.testing.assert_allclose(curve, [0.8, 0.8, 0.6, 0.6])
    assert empty == pytest.approx(0.2) and directions == 2


def test_two_frames_given_leave_one_direction():
    context, futures = VIDEOS[1, :2], VIDEOS[:, 2:]
    np.testing.assert_array_equal(measure(futures[1:2], context)[0], 1)
    others = np.delete(futures, 1, axis=0)
    np.testing.assert_array_equal(measure(others, context)[0], 0)


def test_threshold_of_the_overlap():
    mask = FUTURES[1, 0].any(axis=-1)
    rows, columns = np.nonzero((FUTURES[1, 0] > 64).any(axis=-1))
    assert mask.sum() >= len(rows) > 100
    least = int(np.ceil(0.7 * len(rows)))
    for kept, legal in ((least, 1), (least - 1, 0)):
        frame = FUTURES[1, 0].copy()
        frame[rows[kept:], columns[kept:]] = (64, 0, 0)  # Just too dark to be one of the shape's.
        assert measure([frame[None]])[0] == legal
    # Pixels around it instead: the intersection is whole, the union grows.
    more = np.argwhere(~mask)
    most = len(rows) * 3 // 7
    for added, legal in ((most, 1), (most + 1, 0)):
        frame = FUTURES[1, 0].copy()
        frame[tuple(more[:added].T)] = (65, 65, 65)
        assert measure([frame[None]])[0] == legal


def test_threshold_of_the_colour():
    frame = FUTURES[1, 0].astype(int)
    inside = (frame > 64).any(axis=-1)
    for error, legal in ((32, 1), (33, 0)):
        wrong = frame.copy()
        wrong[inside] += np.array([-error, error, error])  # The mean over channels is `error`.
        assert measure(np.clip(wrong, 0, 255).astype(np.uint8)[None, None])[0] == legal


def test_a_pixel_is_the_shapes_when_further_than_64_from_the_background():
    background = np.where(FUTURES[1].any(axis=-1, keepdims=True), FUTURES[1], 64)
    np.testing.assert_array_equal(measure([background])[0], 1)
    np.testing.assert_array_equal(measure([np.maximum(background, 65)])[0], 0)


def test_frames_that_the_shape_has_left_do_not_count():
    videos = draw(size=SMALL, directions=shapes_lib.DIRECTIONS, count=9)
    pixels = (videos[1, 1:] > 64).any(axis=-1).sum(axis=(1, 2))
    gone = int(np.argmax(pixels < 10))
    assert gone == 5 and pixels[4] >= 10
    samples = videos[1:2, 1:].copy()
    samples[:, gone:] = 255 - samples[:, gone:]
    curve, empty, _ = measure(samples, videos[1, :1])
    np.testing.assert_array_equal(curve, 1)
    samples[:, gone - 1] = 0
    curve, empty, _ = measure(samples, videos[1, :1])
    np.testing.assert_array_equal(curve, [1] * (gone - 1) + [0] * (9 - gone))
    assert empty == 1 / gone
    # The generator's own futures are without fault, though their last frames are empty.
    assert measure(videos[:, 1:], videos[1, :1])[1] == 0


@pytest.mark.parametrize("changes", [{"shapes_occluder": True}, {"shapes_bounce": True}])
@pytest.mark.parametrize("background", shapes_lib.BACKGROUNDS)
def test_what_the_generator_shows_beyond_the_paper_is_legal(background, changes):
    config = config_of(32, 1, background).replace(**changes, num_eval_frames=8)
    metric = metric_of(config)
    for element in eval_videos(config, None, "test", num_videos=2):
        given, real = np.split(element["video"].numpy(), [1])
        futures = shapes_lib.possible_futures(given, 7, shapes_lib.Scene.of(config))
        found = metric.measure(given, real, np.concatenate([real[None], futures.frames]))
        np.testing.assert_array_equal(found, [1] * 7 + [0, 8])


def test_behind_an_occluder_a_shape_is_hidden_and_beyond_it_the_same_again():
    metric = metric_of(config_of(64).replace(shapes_occluder=True))
    small = {"size": SMALL, "count": 6, "occluder": True}
    video, other = draw(**small), draw(**small, colour=(0, 0, 255))
    (right,), (blue,) = video[:, 1:], other[:, 1:]
    empty = np.broadcast_to(shapes_lib.backdrop((64, 64), shapes_lib.Scene(occluder=True)), right.shape)
    visible = draw(size=SMALL, count=6)[0, 1:]
    samples = {
        "right": right,
        "other_colour": np.concatenate([right[:3], blue[3:]]),
        "vanished": np.concatenate([right[:3], empty[3:]]),
        "in_front": np.concatenate([right[:2], np.where(visible > 0, visible, empty)[2:3], right[3:]]),
        "no_band": visible,
        "other_way": np.concatenate([right[:2], draw(**small, directions=((0, 1),))[0, 3:]]),
    }
    curves = {name: metric.measure(video[0, :1], None, sample[None])[:-2].tolist() for name, sample in samples.items()}
    assert curves == {
        "right": [1, 1, 1, 1, 1],
        "other_colour": [1, 1, 1, 0, 0],
        "vanished": [1, 1, 1, 0, 0],
        "in_front": [1, 1, 0, 0, 0],
        "no_band": [0, 0, 0, 0, 0],
        "other_way": [1, 1, 1, 0, 0],
    }


def test_summary():
    rng = np.random.default_rng(0)
    measurements = rng.random([5, FRAMES + 2])
    result = metric_of(config_of()).summarize(measurements)
    assert json.loads(json.dumps(result)) == result

    def expected(values):
        return {"mean": values.mean(), "standard_error": values.std(ddof=1) / np.sqrt(5), "per_video": values.tolist()}

    own = {name: result[name] for name in ("mean", "standard_error", "per_video")}
    parts = {"legal": own} | {name: result[name] for name in ("first_frames", "empty_frames", "directions")}
    columns = {"legal": 3, "first_frames": 0, "empty_frames": 4, "directions": 5}
    for name, column in columns.items():
        assert parts[name] == {k: pytest.approx(v) for k, v in expected(measurements[:, column]).items()}
    np.testing.assert_allclose(result["per_frame"], measurements[:, :FRAMES].mean(axis=0))
    errors = measurements[:, :FRAMES].std(axis=0, ddof=1) / np.sqrt(5)
    np.testing.assert_allclose(result["per_frame_standard_error"], errors)
    assert metric_of(config_of()).summarize(measurements[:1])["directions"]["standard_error"] is None


def test_settings_name_the_thresholds():
    expected = {"contrast": 64, "least_iou": 0.7, "most_colour_error": 32, "least_pixels": 10}
    assert metric_of(config_of()).settings() == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"dataset": "bair", "frame_size": 64},
            "needs the dataset shapes, whose futures are known, got bair; leave it",
        ),
        ({"frame_size": 8}, "needs frames of at least 16 pixels, got 8"),
        ({"shapes_count": 2}, "needs one shape in a video, got 2"),
        ({"num_context": 4, "num_train_frames": 5, "num_eval_frames": 5}, "needs 1 to 3 frames given, got 4"),
    ],
)
def test_is_refused_where_it_knows_nothing(changes, message):
    metric = LegalFutures(1, config_of())
    metric.check(Clips.of(config_of(), FRAMES, 1))
    with pytest.raises(UserError, match=f"^legal_futures {message}"):
        metric.check(Clips.of(config_of().replace(**changes), FRAMES, 1))


@pytest.mark.parametrize("change", [lambda v: v[:0:-1], lambda v: v // 2, lambda v: 0 * v, lambda v: np.roll(v, 1, 2)])
def test_other_videos_are_one_line(change):
    with pytest.raises(UserError, match="^no video of the dataset shapes on a background of 0 begins with") as error:
        measure(FUTURES[:1], change(VIDEOS[1])[:1])
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_the_command_with_and_without_a_sweep(command, micro_run, tmp_path):
    workdir = shutil.copytree(micro_run, tmp_path / "run")
    arguments = [f"--workdir={workdir}", "--metrics=legal_futures", "--num_samples=2", "--num_videos=3"]
    done = command("evaluate", *arguments)
    assert done.returncode == 0, done.stderr
    result = read_json(workdir / "eval" / "metrics_num_videos-3_num_samples-2.json")["legal_futures"]
    assert len(result["per_frame"]) == FRAMES and result["mean"] == result["per_frame"][-1]
    assert result["protocol"]["least_iou"] == 0.7
    mean = f"{result['mean']:.4f} +- {result['standard_error']:.4f}"
    assert f"legal_futures: {mean} (3 test videos, 2 samples each, temperature 0.5)" in done.stdout
    done = command("evaluate", *arguments, "--temperatures=0.5,1")
    assert done.returncode == 0, done.stderr
    sweep = workdir / "eval" / "temperature_sweep_num_videos-3_num_samples-2_temperatures-0.5,1.json"
    swept = read_json(sweep)["results"]
    assert swept[0]["legal_futures"] | {"argv": result["argv"]} == result
    for path in (workdir / "eval" / "metrics_num_videos-3_num_samples-2.png", sweep.with_suffix(".png")):
        with Image.open(path) as picture:
            assert picture.width > 500
    done = command("report", f"--workdir={workdir}")
    assert done.returncode == 0, done.stderr
    page = next(workdir.rglob("*.html")).read_text()
    assert "legal_futures / directions / mean" in page and "--metrics=legal_futures" in page
