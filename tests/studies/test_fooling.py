import json
import re
import time

import numpy as np
import pytest

from tests.checks import refused
from tests.chromium import Chromium, find_chromium
from tests.conftest import TINY
from videoflow_tf.data.shapes import Shapes
from videoflow_tf.errors import UserError
from videoflow_tf.predictors.floors import CopyLast
from videoflow_tf.studies.arguments import StudyArguments
from videoflow_tf.studies.fooling import score, study_page, wilson_interval
from videoflow_tf.studies.fooling_clips import study_clips

# Clips a script can tell apart: real ones are red, generated ones blue.
RED, BLUE = (255, 0, 0), (0, 0, 255)


def clips(colour, count, frames=4, size=16):
    return np.broadcast_to(np.array(colour, np.uint8), (count, frames, size, size, 3))


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "study.html"
    html = study_page(clips(RED, 3), clips(BLUE, 4), seconds=0.2, frames_per_second=20.0, protocol={"seed": 0})
    path.write_text(html, encoding="utf-8")
    return path


@pytest.fixture
def write_result(tmp_path):
    """Writes a result file from (generated, answer) pairs."""

    def write(name, answers, study="s", visitor=None):
        path = tmp_path / f"{name}.json"
        answers = [{"generated": generated, "answer": answer} for generated, answer in answers]
        path.write_text(json.dumps({"study": study, "visitor": visitor or name, "answers": answers}))
        return path

    return write


def test_rate_counts_generated_clips_taken_for_real(write_result):
    a = write_result("a", [(True, "real"), (True, "generated"), (False, "real")])
    b = write_result("b", [(True, "generated"), (True, "generated"), (False, "generated")])
    result = score([a, b])
    assert result["fooling_rate"]["rate"] == 0.25
    assert (result["fooling_rate"]["taken_for_real"], result["fooling_rate"]["shown"]) == (1, 4)
    assert result["real_taken_for_real"]["rate"] == 0.5
    digest = result["protocol"].pop("answers_digest")
    assert digest == score([b, a])["protocol"]["answers_digest"] != score([a])["protocol"]["answers_digest"]
    assert result["protocol"] == {"study": "s", "visitors": 2, "answers": 6, "confidence": 0.95}
    assert (result["fooling_rate"]["low"], result["fooling_rate"]["high"]) == wilson_interval(1, 4)


@pytest.mark.parametrize(
    ("successes", "trials", "expected"),
    # Newcombe 1998, Statistics in Medicine 17, table I, method 3.
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0.0, 0.1611)), (1, 29, (0.0061, 0.1718))],
)
def test_wilson_interval_against_published_values(successes, trials, expected):
    np.testing.assert_allclose(wilson_interval(successes, trials), expected, atol=5e-5)


def test_mistakes(write_result, tmp_path):
    good = write_result("a", [(True, "real"), (False, "real")])
    with pytest.raises(UserError, match="give the result files"):
        score([])
    with pytest.raises(UserError, match="there is no file"):
        score([tmp_path / "none.json"])
    with pytest.raises(UserError, match="different studies, s, t"):
        score([good, write_result("b", [(True, "real")], study="t")])
    with pytest.raises(UserError, match="copy.json is the same session as .*a.json"):
        score([good, write_result("copy", [(True, "real")], visitor="a")])
    with pytest.raises(UserError, match="no answer about a real clip"):
        score([write_result("c", [(True, "real")])])
    for text in ("", "[]", "{}", '{"study": "s", "visitor": "v", "answers": [{"generated": 1, "answer": "real"}]}'):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(UserError, match="bad.json is not a result file"):
            score([tmp_path / "bad.json"])


def test_an_endless_clip_is_refused():
    with pytest.raises(UserError, match="seconds=inf and frames_per_second=8.0 must be finite"):
        study_page(clips(RED, 1), clips(BLUE, 1), seconds=float("inf"), frames_per_second=8.0, protocol={})


def test_page_is_self_contained(page):
    text = page.read_text(encoding="utf-8")
    assert "__STUDY__" not in text and text.count("data:image/png;base64,") == 7
    assert "http:" not in text and "https:" not in text and "src=" not in text


needs_chromium = pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")


def go_through(browser, page, answer):
    """A session in which `answer(browser, is_red, number)` answers; returns what was shown, in order."""
    browser.open(page)
    browser.wait_for("!document.getElementById('start').disabled")
    shown = []
    browser.evaluate("document.getElementById('start').click()")
    for number in range(7):
        assert browser.evaluate("document.getElementById('status').textContent") == f"{number + 1} of 7"
        # The visitor looks at the screen, not at the answers in the page.
        pixel = "Array.from(brush.getImageData(8, 8, 1, 1).data)"
        browser.wait_for(f"{pixel}[3] === 255 || ready")
        colour = browser.evaluate(pixel)
        browser.wait_for("ready")
        assert browser.evaluate(pixel)[3] == 0, "the clip is still to be seen"
        if colour[3] == 0:  # Missed it: this machine was too busy.
            pytest.skip("too slow to see a clip")
        shown.append(tuple(colour[:3]))
        answer(browser, shown[-1] == RED, number)
    browser.wait_for("!document.getElementById('end').hidden")
    browser.evaluate("document.getElementById('download').click()")
    return shown


def downloaded(folder):
    for _ in range(200):
        files = sorted(folder.glob("*.json"))
        if files:
            return files
        time.sleep(0.05)
    raise AssertionError("nothing was downloaded")


@pytest.mark.slow
@needs_chromium
def test_whole_sessions_by_keyboard_and_touch(page, tmp_path):
    """One visitor tells all clips right but the second generated one; the other takes all for generated."""
    seen_blue = []

    def by_keyboard(browser, is_red, number):
        seen_blue.append(not is_red)
        fooled = not is_red and sum(seen_blue) == 2
        browser.press(("r", "ArrowLeft")[number % 2] if is_red or fooled else ("G", "ArrowRight")[number % 2])

    def by_touch(browser, is_red, number):
        browser.tap("#generated")

    files = []
    for name, answer, phone in (("keyboard", by_keyboard, False), ("touch", by_touch, True)):
        (tmp_path / name).mkdir()
        size = {"width": 390, "height": 844} if phone else {"width": 1280, "height": 800}
        with Chromium(tmp_path / name, **size, touch=phone) as browser:
            shown = go_through(browser, page, answer)
            files += downloaded(tmp_path / name)
            assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert sorted(shown) == sorted([RED] * 3 + [BLUE] * 4)
    assert score(files[:1])["fooling_rate"]["rate"] == 0.25
    assert score(files[:1])["real_taken_for_real"]["rate"] == 1.0
    assert score(files[1:])["fooling_rate"]["rate"] == score(files[1:])["real_taken_for_real"]["rate"] == 0.0
    both = score(files)
    assert both["fooling_rate"]["rate"] == 0.125
    assert both["protocol"]["visitors"] == 2


@pytest.mark.slow
@needs_chromium
def test_no_answer_before_the_clip_is_over(tmp_path):
    path = tmp_path / "study.html"
    protocol = {"temperature": 0.5}
    html = study_page(clips(RED, 1), clips(BLUE, 1), seconds=5.0, frames_per_second=5.0, protocol=protocol)
    path.write_text(html, encoding="utf-8")
    with Chromium(tmp_path) as browser:
        browser.open(path)
        # Nothing of the model: visitors see it.
        assert browser.evaluate("document.title") == "Real or generated?"
        browser.wait_for("!document.getElementById('start').disabled")
        browser.press("r")
        browser.click("#start")
        browser.press("r")
        browser.click("#real")
        assert browser.evaluate("answers.length") == 0
        assert browser.evaluate("document.getElementById('status').textContent") == "1 of 2"


@pytest.mark.parametrize("study", ["../../x", "a b", "", "x" * 80, 3, None])
def test_a_study_whose_name_could_not_be_a_files_is_refused(tmp_path, study):
    answers = [{"generated": True, "answer": "real"}, {"generated": False, "answer": "real"}]
    (tmp_path / "a.json").write_text(json.dumps({"study": study, "visitor": "v", "answers": answers}))
    with pytest.raises(UserError, match="is not a result file of the study page"):
        score([tmp_path / "a.json"])


def test_no_text_ends_the_script_of_the_page():
    protocol = {"data": "</script><!--<script>"}
    page = study_page(clips(RED, 1), clips(BLUE, 1), seconds=1.0, frames_per_second=8.0, protocol=protocol)
    assert json.loads(re.search(r'id="study">(.*?)</script>', page)[1])["protocol"] == protocol
    assert "<!--" not in page


def test_too_few_videos_are_said_in_the_words_of_the_study(make_model, monkeypatch):
    """Of other videos than those shown real as many again are needed: the number that was given is in the message."""
    monkeypatch.setattr(Shapes, "num_videos", lambda self, split, num_frames: 5)
    with refused("4 real clips and as many generated from other videos take 8: .*--same_videos"):
        study_clips(CopyLast(TINY.replace(frame_size=16), None), StudyArguments("", num_videos=4, num_frames=2))
