import math

import pytest

from tests.checks import refused
from videoflow_tf.protocol import Protocol


def test_fields_that_are_none_are_left_out_and_settings_stand_beside_the_others():
    protocol = Protocol(split="test", videos=1, seed=0, temperature=0.0, settings={"draws": 2, "channel_rank": None})
    values = {"split": "test", "videos": 1, "temperature": 0.0, "seed": 0, "draws": 2, "channel_rank": None}
    assert protocol.to_json() == values
    assert Protocol.from_json(values) == protocol


def test_that_of_bits_per_pixel_stands_at_the_top_level():
    metrics = {"bits_per_pixel": {}, "protocol": {"seed": 1}, "psnr": {"protocol": {"seed": 2}}}
    assert [Protocol.of_metric(metrics, name).seed for name in ("bits_per_pixel", "psnr")] == [1, 2]


def test_of_a_model(make_model):
    protocol = Protocol.of(make_model(), split="test", context=None)
    assert protocol == Protocol(dataset="shapes", split="test", step=0)


def test_words():
    assert Protocol(split="test", videos=1).videos_text == "1 test video"
    assert Protocol(split="train", videos=256).videos_text == "256 train videos"
    assert Protocol(videos=4, samples=1).videos_text == "4 videos, 1 sample each"  # Of somebody's file.
    assert Protocol(context=3, frames=13).num_predicted == 10


COUNTS, TEMPERATURES = [("videos", 0), ("samples", -1), ("frames", 0)], [-0.1, math.nan, math.inf]


@pytest.mark.parametrize(("field", "value"), [*COUNTS, *(("temperature", value) for value in TEMPERATURES)])
def test_mistakes(field, value):
    with refused(f"^{field}={value} must be"):
        Protocol(**{field: value})
