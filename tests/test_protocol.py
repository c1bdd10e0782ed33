import dataclasses
import math

import numpy as np
import pytest

from tests.checks import refused
from videoflow_tf.files import write_json
from videoflow_tf.predictors.video_flow import VideoFlowPredictor
from videoflow_tf.protocol import Protocol, identity_digest, videos_digest


def test_fields_that_are_none_are_left_out_and_settings_stand_beside_the_others():
    protocol = Protocol(split="test", videos=1, seed=0, temperature=0.0, settings={"draws": 2, "channel_rank": None})
    values = {"split": "test", "videos": 1, "temperature": 0.0, "seed": 0, "draws": 2, "channel_rank": None}
    assert protocol.to_json() == values
    assert Protocol.from_json(values) == protocol


def test_that_of_bits_per_pixel_stands_at_the_top_level():
    metrics = {"bits_per_pixel": {}, "protocol": {"seed": 1}, "psnr": {"protocol": {"seed": 2}}}
    assert [Protocol.of_metric(metrics, name).seed for name in ("bits_per_pixel", "psnr")] == [1, 2]


def test_of_a_model(make_model):
    predictor = VideoFlowPredictor(make_model())
    protocol = Protocol.of(predictor, split="test", context=None)
    assert protocol == Protocol(dataset="shapes", split="test", step=0, identity=identity_digest(predictor.identity))


def test_results_are_the_same_wherever_the_data_are(tmp_path):
    made = Protocol(data_dir="a", videos_digest="0a", settings={"first": {"video_file": "x/y.mp4", "frame": 1}})
    elsewhere = dataclasses.replace(made, data_dir="b", settings={"first": {"video_file": "y.mp4", "frame": 1}})
    others = [dataclasses.replace(made, **{name: "0b"}) for name in ("videos_digest", "identity", "split")]
    others.append(dataclasses.replace(made, settings={"first": {"frame": 2}}))
    stem = tmp_path / "a_temperature-0.5"
    assert made.own_stem(stem) == str(stem)
    write_json(f"{stem}.json", {"protocol": made.to_json()})
    for i, other in enumerate(others, start=2):
        assert made.own_stem(stem) == elsewhere.own_stem(stem) == str(stem)
        assert other.own_stem(stem) == f"{stem}_result-{i}"
        write_json(f"{stem}_result-{i}.json", {"protocol": other.to_json()})
    later = dataclasses.replace(made, step=3)
    assert later.own_stem(stem) == f"{stem}_step-0000003"
    write_json(f"{stem}_step-0000003.json", {"protocol": made.to_json()})
    assert later.own_stem(stem) == f"{stem}_step-0000003_result-2"
    assert [other.own_stem(stem) for other in others] == [f"{stem}_result-{i}" for i in range(2, 6)]


@pytest.mark.parametrize("text", ["{", "[1]", "{}", "3", '{"protocol": 3}', '{"protocol": {"videos": 0}}', "null"])
def test_what_is_no_result_is_not_replaced(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    assert Protocol(seed=0).own_stem(tmp_path / "a") == str(tmp_path / "a_result-2")


def test_digest_of_videos():
    a, b = np.zeros([2, 3], np.uint8), np.zeros([3, 2], np.uint8)
    assert videos_digest([a, b]) != videos_digest([b, a]) != videos_digest([b]) != videos_digest([a + 1])
    assert videos_digest([b], videos_digest([a])) != videos_digest([b])


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
