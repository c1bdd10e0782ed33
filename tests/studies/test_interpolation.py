import numpy as np
import pytest
import tensorflow as tf

from videoflow_tf.errors import UserError
from videoflow_tf.predictors.video_flow import VideoFlowPredictor
from videoflow_tf.studies.arguments import InterpolateArguments
from videoflow_tf.studies.interpolation import interpolate, parse_levels, read_ends


@pytest.fixture
def ends(make_video):
    return make_video(batch=1, frames=2)[0]


def round_trip(model, ends):
    latents = model.encode(ends[None], tf.fill([1, *ends.shape], 0.5))
    return model.quantize(model.decode(latents))[0].numpy()


def latents_of(model, frames):
    """Of 8-bit frames, so only nearly those that were decoded."""
    return [z[0].numpy() for z in model.encode(frames[None], tf.fill([1, *frames.shape], 0.5))]


def test_ends_equal_the_round_trips_which_equal_the_frames(make_model, ends):
    model = make_model()
    frames = interpolate(model, ends, 5, [0, 1]).frames
    assert frames.shape == (5, 8, 8, 3) and frames.dtype == np.uint8
    np.testing.assert_array_equal(frames[[0, -1]], round_trip(model, ends))
    np.testing.assert_array_equal(frames[[0, -1]], ends)
    assert (frames[2] != ends[0]).mean() > 0.5 and (frames[2] != ends[1]).mean() > 0.5


def test_middle_has_the_mean_latents(make_model, ends):
    model = make_model()
    first, last = (z for z in zip(*latents_of(model, ends), strict=True))
    middle = model.decode([tf.constant((a + b)[None, None] / 2) for a, b in zip(first, last, strict=True)])
    np.testing.assert_array_equal(interpolate(model, ends, 3, [0, 1]).frames[1], model.quantize(middle)[0, 0])


@pytest.mark.parametrize("level", [0, 1])
def test_one_level_alone_changes(make_model, ends, level):
    model = make_model()
    frames = interpolate(model, ends, 3, [level]).frames
    np.testing.assert_array_equal(frames[0], ends[0])
    first, last = (z for z in zip(*latents_of(model, ends), strict=True))
    mixed = [last[i] if i == level else first[i] for i in range(2)]
    expected = model.decode([tf.constant(z[None, None]) for z in mixed])
    np.testing.assert_array_equal(frames[-1], model.quantize(expected)[0, 0])
    assert (frames[-1] != ends[1]).any()


@pytest.mark.parametrize("rank", [1, 3, 12])
def test_ranked_channel_alone_changes(make_model, ends, rank):
    model = make_model()
    result = interpolate(model, ends, 2, [1], channel_rank=rank)
    first, last = (z for z in zip(*latents_of(model, ends), strict=True))
    order = np.argsort(-np.sum((last[1] - first[1]) ** 2, axis=(0, 1)))
    assert result.channels == {1: order[rank - 1]}
    mixed = first[1].copy()
    mixed[..., order[rank - 1]] = last[1][..., order[rank - 1]]
    expected = model.decode([tf.constant(z[None, None]) for z in (first[0], mixed)])
    np.testing.assert_array_equal(result.frames[-1], model.quantize(expected)[0, 0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, [0]), "at least 2 steps"),
        ((3, [2]), "no level 2: the model has levels 0 .bottom. to 1"),
        ((3, [1], 25), "level 1 has 24 channels"),
    ],
)
def test_mistakes(make_model, ends, arguments, message):
    with pytest.raises(UserError, match=message):
        interpolate(make_model(), ends, *arguments)


def test_frames_that_are_not_finite_are_one_line(make_model, ends):
    model = make_model()
    for variable in model.trainable_variables:
        variable.assign(variable * np.nan)
    with pytest.raises(UserError, match="^frame 1 between the two is not finite"):
        interpolate(model, ends, 3, [0, 1])


def test_levels_by_name(make_model):
    config = make_model(frame_size=8, levels=3).config
    assert [parse_levels(text, config) for text in ("all", "top", "bottom", "2,0")] == [[0, 1, 2], [2], [0], [0, 2]]
    with pytest.raises(UserError, match="--levels=middle must be"):
        parse_levels("middle", config)


def test_first_and_last_frame_of_one_or_two_videos(make_model):
    from videoflow_tf import data

    predictor = VideoFlowPredictor(make_model(frame_size=16))
    videos = data.eval_videos(predictor.config, None, "test", num_videos=3, num_frames=4)
    videos = [element["video"] for element in videos.as_numpy_iterator()]
    ends, protocol = read_ends(predictor, InterpolateArguments("", video=1))
    np.testing.assert_array_equal(ends, videos[1][[0, -1]])
    assert protocol.settings["last"] == {"video": 1, "frame": 4}
    ends, protocol = read_ends(predictor, InterpolateArguments("", video=2, other_video=0))
    np.testing.assert_array_equal(ends, [videos[2][0], videos[0][-1]])
