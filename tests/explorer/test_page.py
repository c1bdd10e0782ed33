"""What the events of the page give, without a server; tests/launch/test_explore.py clicks through the page."""

from unittest.mock import Mock

import gradio as gr
import pytest
import tensorflow as tf

from videoflow_tf.explorer.arguments import ExploreArguments
from videoflow_tf.explorer.futures import Between
from videoflow_tf.explorer.page import build_page
from videoflow_tf.predictors.video_flow import VideoFlowPredictor


@pytest.fixture(scope="module")
def predictor(make_model):
    return VideoFlowPredictor(make_model())


@pytest.fixture(scope="module")
def page(predictor):
    return build_page(predictor, ExploreArguments("runs/mine"))


@pytest.fixture(scope="module")
def events(page):
    return {event.name: event.fn for event in page.fns.values()}


def test_choose_then_draw_then_slide_then_read_bits(events):
    shown, bits, way, drawn = events["choose"](2, None, 3)
    assert "The clip" in shown and (bits, drawn, way["visible"]) == ("", None, False)
    shown, bits, way, drawn, first, last = events["draw"](2, None, 3, 0.5, 2, 0)
    assert "Futures at temperature 0.5" in shown and (bits, way["visible"]) == ("", True)
    assert first["choices"] == last["choices"] == ["real", "sample 1", "sample 2"]
    assert (first["value"], last["value"]) == ("sample 1", "sample 2")
    shown, between = events["set_out"](0.25, drawn, "sample 2", "real")
    assert isinstance(between, Between) and "at 0.25" in shown and "at 1.00" in events["slide"](1.0, between)
    assert "<svg" in events["score"](drawn)


def test_a_single_sample_has_the_real_future_to_go_to(events):
    *_, first, last = events["draw"](0, None, 2, 0.0, 1, 0)
    assert (first["value"], last["value"]) == ("sample 1", "real")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((-1, None, 3), "there is no video -1"),
        ((None, None, 3), "give the number of a video, from 0"),
        ((0, ["nowhere/<b>.gif"], 3), "there is no file &lt;b&gt;.gif"),
    ],
)
def test_a_wrong_choice_is_a_line_in_the_place_of_the_clip(events, values, message):
    for shown, *others in (events["choose"](*values), events["draw"](*values, 0.5, 2, 0)[:4]):
        assert f'role="alert">{message}' in shown
        assert others == ["", gr.update(visible=False), None]


@pytest.mark.parametrize("seed", [None, -1, 2**31])
def test_a_wrong_seed_is_a_line(events, seed):
    assert "give a seed from 0 to 2147483647" in events["draw"](0, None, 3, 0.5, 2, seed)[0]


def test_what_was_drawn_before_the_clip_changed_is_not_shown(events):
    assert events["set_out"](0.5, None, "sample 1", "sample 2") == ("", None)
    assert events["slide"](0.5, None) == events["score"](None) == ""
    drawn = events["draw"](0, None, 2, 0.5, 1, 0)[3]
    assert events["set_out"](0.5, drawn, "sample 1", "sample 2") == ("", None)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            tf.errors.DataLossError(None, None, "{{node IteratorGetNext}} corrupted record at 12\n\t [[node]]"),
            "a video cannot be read any more, its file is damaged",
        ),
        (
            tf.errors.ResourceExhaustedError(None, None, "{{node IteratorGetNext}} OOM when allocating\n\t [[node]]"),
            "there is not enough memory: ask for fewer samples or frames",
        ),
        (MemoryError(), "there is not enough memory: ask for fewer samples or frames"),
    ],
    ids=["damaged", "memory of the device", "memory"],
)
def test_a_video_that_cannot_be_read_is_a_line(events, monkeypatch, error, message):
    monkeypatch.setattr("videoflow_tf.explorer.page.clip_of_split", Mock(side_effect=error))
    assert message in events["choose"](0, None, 3)[0]


def test_without_the_dataset_there_are_uploads_alone(make_model):
    predictor = VideoFlowPredictor(make_model(dataset="videos"))
    page = build_page(predictor, ExploreArguments("runs/mine"))
    labels = [getattr(block, "label", None) for block in page.blocks.values()]
    assert "Seed" in labels and not any(str(label).startswith("Video of split") for label in labels)
    events = {event.name: event.fn for event in page.fns.values()}
    assert "upload a video, a GIF or pictures" in events["draw"](None, None, 3, 0.5, 2, 0)[0]


def test_title_and_header(page):
    assert page.title == "VideoFlow: mine"
    (header,) = [block.value for block in page.blocks.values() if "training steps" in str(getattr(block, "value", ""))]
    assert "shapes, 8 x 8 pixels, 2 frames given; 0 training steps." in header
