"""The page, clicked through in a browser; what is behind it is tested in tests/explorer."""

import base64
import contextlib
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import psutil
import pytest
from PIL import Image

from tests.checks import ROOT, run_python
from tests.chromium import Chromium, find_chromium
from tests.videos import panning
from videoflow_tf.explorer import parts
from videoflow_tf.explorer.clips import clip_of_files, clip_of_split
from videoflow_tf.explorer.futures import draw_futures, frame_bits
from videoflow_tf.media import strips
from videoflow_tf.predictors.video_flow import VideoFlowPredictor


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--workdir is required"),
        (["--workdir=nowhere"], "nowhere is not a workdir"),
        (["--workdir=shapes_two_frames", "--port=0"], "port"),
        (["--workdir=shapes_two_frames", "--data_dir=d"], "data_dir=d has no effect: dataset=shapes is generated"),
        (["--workdir=shapes_two_frames", "--checkpoint=7"], "has no checkpoint '7'"),
    ],
)
def test_mistakes_are_one_line(error, arguments, message):
    assert message in error("explore", *arguments)


def test_a_port_that_is_taken_is_one_line(error, micro_run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = error("explore", f"--workdir={micro_run}", f"--port={port}")
    assert said == f"error: cannot use port {port}: Address already in use; give another --port\n"


def test_without_gradio_it_says_how_to_install_it():
    script = """
import runpy, sys
sys.modules["gradio"] = None
sys.path.insert(0, "launch")
sys.argv = ["launch/explore.py", "--workdir=shapes_two_frames"]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
    done = run_python("-c", script)
    assert done.returncode == 2
    assert done.stderr == "error: the package gradio is not installed: pip install 'videoflow-tf[explore]'\n"


def test_nothing_but_the_page_imports_gradio():
    modules = ("explorer.parts", "explorer.serve", "metrics.evaluate", "studies.samples", "training.train")
    imports = ", ".join(f"videoflow_tf.{module}" for module in modules)
    run_python("-c", f"import sys, {imports}; assert 'gradio' not in sys.modules", check=True)


@contextlib.contextmanager
def served(temporary, *arguments):
    """The command's process and the address of its page."""
    port = free_port()
    command = [sys.executable, "launch/explore.py", f"--port={port}", *arguments]
    # A proxy that is not there must not matter.
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(temporary), "HTTP_PROXY": "http://127.0.0.1:9"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)
    try:
        line = next((line for line in process.stdout if not line.startswith("Data: ")), None)
        assert line == f"Explorer: http://127.0.0.1:{port} (Ctrl-C ends it)\n", process.stderr.read()
        yield process, f"http://127.0.0.1:{port}/"
    finally:
        process.kill()
        process.wait()


class Visitor:
    """Somebody before the page, with a mouse or a finger."""

    def __init__(self, browser: Chromium, touch: bool) -> None:
        self.browser, self._touch = browser, touch

    def press(self, selector: str) -> None:
        self.browser.evaluate(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
        (self.browser.tap if self._touch else self.browser.click)(selector)

    def enter(self, selector: str, value: float) -> None:
        """A value for a number or a slider."""
        self.browser.evaluate(
            f"(input => {{ input.value = {value};"
            " for (const kind of ['input', 'change']) input.dispatchEvent(new Event(kind, {bubbles: true})); })"
            f"(document.querySelector({json.dumps(selector)}))"
        )

    def captions(self, selector: str) -> list[str]:
        return self._texts(f"{selector} figcaption")

    def films(self, selector: str) -> list[str]:
        """Their addresses, which are their data."""
        films = f"[...document.querySelectorAll('{selector} .film')]"
        return self.browser.evaluate(f"{films}.map(film => film.style.backgroundImage.slice(5, -2))")

    def table(self) -> list[list[str]]:
        return [row.split("\t") for row in self._texts("#bits tr")]

    def sees(self, selector: str, text: str) -> None:
        """Waits for a text."""
        seen = f"document.querySelector('{selector}')?.innerText ?? ''"
        self.browser.wait_for(f"({seen}).includes({json.dumps(text)})", 120)

    def sees_clip(self, context: np.ndarray, future: np.ndarray) -> None:
        """Waits for a clip alone."""
        expected = films_of(parts.chosen_clip(context, future, []))
        for _ in range(600):
            if self.films("#futures") == expected:
                return
            time.sleep(0.1)
        raise AssertionError("the clip is not shown")

    def _texts(self, selector: str) -> list[str]:
        return self.browser.evaluate(f"[...document.querySelectorAll('{selector}')].map(part => part.innerText)")


def films_of(html: str) -> list[str]:
    """As `Visitor.films`."""
    return re.findall(r"url\((.*?)\)", html)


def read_film(address: str) -> np.ndarray:
    """float [height, width, 3]"""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))), float)


def status(address: str, **headers: str) -> int:
    try:
        # Not through the proxy of this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(urllib.request.Request(address, headers=headers), timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.slow
@pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")
@pytest.mark.parametrize(
    ("size", "touch", "ending", "left"),
    [((1280, 800), False, signal.SIGTERM, (0, "")), ((390, 844), True, signal.SIGINT, (130, "\ninterrupted\n"))],
)
def test_clicked_through(micro_run, tmp_path, size, touch, ending, left):
    predictor = VideoFlowPredictor.of_run(micro_run, "latest")
    drawn = draw_futures(
        predictor, clip_of_split(predictor.config, None, "test", 1, 4), count=3, num_frames=4, temperature=0.5, seed=7
    )
    (tmp_path / "notes <b>.txt").write_text("no video")
    strips.save_gif(tmp_path / "mine.gif", panning(9, 16, 16))
    uploaded = clip_of_files(predictor.config, [str(tmp_path / "mine.gif")], 4)
    with served(tmp_path, f"--workdir={micro_run}") as (process, page):
        with Chromium(tmp_path, *size, touch=touch) as browser:
            visitor = Visitor(browser, touch)
            browser.open(page)
            visitor.sees("#futures", "The clip")
            browser.choose_files("input[type=file]", tmp_path / "mine.gif")
            visitor.sees_clip(uploaded.context, uploaded.future)
            visitor.enter("#video input", 1)  # The last choice counts.
            visitor.sees_clip(drawn.context, drawn.clips["real"])

            visitor.enter("#seed input", 7)
            visitor.press("#draw")
            visitor.sees("#futures", "Futures at temperature 0.5")
            assert visitor.captions("#futures") == list(drawn.clips) == ["real", "sample 1", "sample 2", "sample 3"]
            for mine, theirs in zip(visitor.films("#futures"), films_of(parts.drawn_futures(drawn)), strict=True):
                # Sums in another order may differ in the last bits.
                assert np.abs(read_film(mine) - read_film(theirs)).mean() < 0.5

            visitor.sees("#between", "at 0.50")
            assert visitor.captions("#between") == ["sample 1", "at 0.50", "sample 3"]
            assert len(set(visitor.films("#between"))) == 3
            for weight, end in ((0, 0), (1, 2)):
                visitor.enter("#weight input[type=range]", weight)
                visitor.sees("#between", f"at {weight:.2f}")
                shown = visitor.films("#between")
                assert shown[1] == shown[end] != shown[2 - end]

            films = "document.getAnimations().filter(one => one.animationName === 'film')"
            assert browser.evaluate(f"{films}.map(film => [film.playState, film.startTime])") == [["running", 0]] * 7

            visitor.sees("#bits", "Bits per pixel (per colour component) by frame, futures at temperature 0.5")
            header, *rows = visitor.table()
            assert header == ["future", "mean", "frame 2", "frame 3", "frame 4", "frame 5"]
            bits = frame_bits(predictor, drawn)
            assert [row[0] for row in rows] == list(bits)
            np.testing.assert_allclose([[*map(float, row[2:])] for row in rows], [*bits.values()], atol=2e-3)
            assert browser.evaluate("document.querySelector('#bits .chart svg').getBoundingClientRect().width") > 250

            assert browser.evaluate("document.documentElement.scrollWidth") <= size[0]
            elsewhere = "performance.getEntriesByType('resource').filter(r => !r.name.startsWith(location.origin))"
            assert browser.evaluate(f"{elsewhere}.map(r => r.name)") == []
            browser.screenshot(tmp_path / "page.png", whole_page=True)

            browser.choose_files("input[type=file]", tmp_path / "notes <b>.txt")
            visitor.sees("#futures [role=alert]", ".txt is not a video that can be read")
            assert visitor.captions("#futures") == visitor.table() == []

        assert {at.laddr.ip for at in psutil.Process(process.pid).net_connections("inet")} == {"127.0.0.1"}
        for path in ("/etc/hostname", micro_run / "config.json", "README.md"):
            assert status(f"{page}gradio_api/file={path}") == 403
        assert (status(page), status(page, Host="example.org")) == (200, 400)
        process.send_signal(ending)
        said = process.communicate(timeout=60)
    assert (process.returncode, said[1]) == left
    assert not list(tmp_path.glob("videoflow-explore-*"))
