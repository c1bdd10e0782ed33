"""The page: what is chosen on the left, what comes of it on the right; below each other on a phone."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import tensorflow as tf

from videoflow_tf import data
from videoflow_tf.arguments import TEMPERATURE
from videoflow_tf.config import MAX_SEED
from videoflow_tf.errors import UserError, memory_fault
from videoflow_tf.explorer import parts
from videoflow_tf.explorer.arguments import ExploreArguments
from videoflow_tf.explorer.clips import Clip, clip_of_files, clip_of_split, has_videos
from videoflow_tf.explorer.futures import REAL, Between, Futures, draw_futures, frame_bits
from videoflow_tf.predictors.video_flow import VideoFlowPredictor
from videoflow_tf.units import counted

_MOST_SAMPLES, _MOST_FRAMES, _MOST_TEMPERATURE = 8, 50, 1.5
_DEFAULT_SAMPLES = 3
_CACHE = (600, 3600)  # Seconds: how often uploads are looked through, and how old those are that go.
# One computation at a time, whichever it is.
_EVENT = {"concurrency_id": "model", "concurrency_limit": 1, "api_visibility": "private"}


def build_page(predictor: VideoFlowPredictor, arguments: ExploreArguments) -> gr.Blocks:
    """The page about a trained model, to be launched."""
    config = predictor.config
    in_split = has_videos(config, arguments.data_dir)
    hidden = gr.update(visible=False)

    def clip(video: int | None, files: list[str] | None, num_frames: int) -> Clip:
        if files:
            return clip_of_files(config, files, num_frames)
        if not in_split:
            raise UserError("upload a video, a GIF or pictures")
        if video is None:
            raise UserError("give the number of a video, from 0")
        return clip_of_split(config, arguments.data_dir, arguments.split, video, num_frames)

    @_shows_faults("", hidden, None)
    def choose(video: int | None, files: list[str] | None, num_frames: int) -> tuple[Any, ...]:
        chosen = clip(video, files, num_frames)
        shown = parts.chosen_clip(chosen.context, chosen.future, chosen.notes)
        return shown, "", hidden, None

    @_shows_faults("", hidden, None, gr.skip(), gr.skip())
    def draw(
        video: int | None, files: list[str] | None, num_frames: int, temperature: float, count: int, seed: int | None
    ) -> tuple[Any, ...]:
        if seed is None or not 0 <= seed <= MAX_SEED:
            raise UserError(f"give a seed from 0 to {MAX_SEED}")
        how = {"count": count, "num_frames": num_frames, "temperature": temperature, "seed": seed}
        drawn = draw_futures(predictor, clip(video, files, num_frames), **how)
        labels = list(drawn.clips)
        first = next(label for label in labels if label != REAL)
        ends = [gr.update(choices=labels, value=label) for label in (first, labels[-1] if count > 1 else labels[0])]
        return parts.drawn_futures(drawn), "", gr.update(visible=True), drawn, *ends

    # Of what follows, the clip may have been changed, or fewer futures drawn, meanwhile.

    @_shows_faults(None)
    def set_out(weight: float, drawn: Futures | None, first: str, last: str) -> tuple[str, Between | None]:
        there = drawn is not None and {first, last} <= drawn.clips.keys()
        between = Between(predictor.model, drawn, first, last) if there else None
        return slide(weight, between), between

    @_shows_faults()
    def slide(weight: float, between: Between | None) -> str:
        return "" if between is None else parts.way_between(between, weight)

    @_shows_faults()
    def score(drawn: Futures | None) -> str:
        return "" if drawn is None else parts.bits_by_frame(drawn, frame_bits(predictor, drawn))

    title = f"VideoFlow: {Path(arguments.workdir).name}"
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=_CACHE) as page:
        gr.HTML(parts.header(title, _about(predictor)), apply_default_css=False)
        drawn, between = gr.State(), gr.State()
        whole, films = {"step": 1, "precision": 0}, {"apply_default_css": False, "js_on_load": parts.IN_STEP}
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                video = _video_number(arguments, predictor) if in_split else gr.State()
                files = gr.File(label="Your own: a video, a GIF, pictures", file_count="multiple", height=150)
                temperature = gr.Slider(0, _MOST_TEMPERATURE, TEMPERATURE, step=0.05, label="Temperature")
                count = gr.Slider(1, _MOST_SAMPLES, _DEFAULT_SAMPLES, **whole, label="Samples")
                length = max(1, config.num_eval_frames - config.num_context)
                num_frames = gr.Slider(1, max(length, _MOST_FRAMES), length, **whole, label="Frames to draw")
                seed = gr.Number(0, precision=0, label="Seed", elem_id="seed")
                button = gr.Button("Draw futures", variant="primary", elem_id="draw")
            with gr.Column(scale=3, min_width=320):
                futures = gr.HTML(**films, elem_id="futures", min_height=200)
                with gr.Column(visible=False) as way:
                    shown_between = gr.HTML(**films, elem_id="between")
                    weight = gr.Slider(0, 1, 0.5, step=0.05, label="Way from the one to the other", elem_id="weight")
                    with gr.Row():
                        first, last = (gr.Dropdown(label=label, min_width=140) for label in ("From", "To"))
                bits = gr.HTML(apply_default_css=False, elem_id="bits")

        chosen = [video, files, num_frames]
        results = [futures, bits, way, drawn]
        triggers = [files.change, *([page.load, video.change] if in_split else [])]
        gr.on(triggers, choose, chosen, results, trigger_mode="always_last", **_EVENT)
        asked = [*chosen, temperature, count, seed]
        drawing = button.click(draw, asked, [*results, first, last], **_EVENT)
        for changed in (drawing.success, first.input, last.input):
            changed(set_out, [weight, drawn, first, last], [shown_between, between], **_EVENT)
        drawing.success(score, drawn, bits, **_EVENT)
        if in_split:  # The last choice counts.
            video.input(lambda: None, None, files, queue=False, api_visibility="private")
        quiet = {"trigger_mode": "always_last", "show_progress": "hidden"}
        weight.input(slide, [weight, between], shown_between, **quiet, **_EVENT)
    return page


def _shows_faults(*others: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Shows what the user can mend in the place of the first output of an event; `others`: what the others become."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*values: Any) -> Any:
            try:
                return function(*values)
            except UserError as error:
                message = str(error)
            except (tf.errors.OpError, MemoryError) as error:
                message = memory_fault(error, "ask for fewer samples or frames") or data.reading_fault(error)
                if message is None:
                    raise
            return (parts.fault(message), *others) if others else parts.fault(message)

        return call

    return decorate


def _video_number(arguments: ExploreArguments, predictor: VideoFlowPredictor) -> gr.Number:
    there = data.num_eval_videos(predictor.config, arguments.data_dir, arguments.split)
    return gr.Number(0, precision=0, label=f"Video of split {arguments.split}, 0 to {there - 1}", elem_id="video")


def _about(predictor: VideoFlowPredictor) -> str:
    """What the model is, in words."""
    config = predictor.config
    height, width, channels = config.frame_shape
    given = f"{counted(config.num_context, 'frame')} given"
    kind = "pixels" if channels == 3 else "grey pixels"
    return f"{config.dataset}, {height} x {width} {kind}, {given}; {counted(predictor.step, 'training step')}."
