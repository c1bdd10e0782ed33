"""Measures several models by one protocol."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from videoflow_tf import data
from videoflow_tf.arguments import takes
from videoflow_tf.comparison import table
from videoflow_tf.comparison.arguments import DEFAULT_METRICS, CompareArguments
from videoflow_tf.comparison.contenders import Contender, PredictionsContender, contenders
from videoflow_tf.comparison.figure import save_figure
from videoflow_tf.comparison.page import comparison_page
from videoflow_tf.config import PARTS
from videoflow_tf.errors import UserError
from videoflow_tf.files import own_stem, write_json, write_text
from videoflow_tf.media import strips
from videoflow_tf.metrics.metric import Clips, MetricOptions, SampleMetric
from videoflow_tf.protocol import videos_digest
from videoflow_tf.registry import METRICS

# The fields of a configuration that a message names.
_OF_CLIPS = {"frame_size", "channels", *PARTS["data"]}
_MOST_VIDEOS, _MOST_SAMPLES = 256, 100  # Where nothing else is asked for.


@takes(CompareArguments)
def compare(arguments: CompareArguments) -> list[Path]:
    """Measures runs, predictors and samples that are drawn already by one protocol, all on the very same videos.

    Writes a table (compare.md, .csv, .json), a figure (.png) and a page with everyone's samples side by side (.html) to
    `output_dir`, and beside them what `evaluate` writes of each, in a folder by its name. A number is added to the
    names where another comparison has them. Shows progress bars; stopped and started again it goes on where it was.

    Args: the fields of `CompareArguments`.

    Returns:
      The files written.

    Raises:
      UserError: a run or a file cannot be read; models are not about the same videos, or their bits per pixel are not
        the same thing; a file says another temperature; a metric cannot be computed.
    """
    rivals = list(contenders(arguments))
    arguments = _with_counts(arguments, rivals)
    arguments, not_measured = _with_metrics(arguments, rivals)
    _check_same_temperature(rivals, arguments)
    _check_same_videos(rivals, arguments)
    if "bits_per_pixel" in arguments.metrics:
        _check_same_bits(rivals)
    lengths = [rival.config.num_eval_frames for rival in rivals if rival.config is not None]
    rows = []
    for rival in rivals:
        print(f"{rival.name}:", flush=True)
        rows.append(rival.row(arguments, min(lengths)))
    protocol = table.shared_protocol(rows)
    stem = own_stem(arguments.results_dir / "compare", lambda content: table.is_of(content["models"], rows))
    pictures = list(_pictures(rivals, arguments, stem))
    figure = save_figure(Path(f"{stem}.png"), rows, protocol)
    content = {"protocol": protocol.to_json(), "models": rows, "not_measured": not_measured, "argv": arguments.argv()}
    return [
        write_json(f"{stem}.json", content),
        write_text(f"{stem}.csv", table.as_csv(rows)),
        write_text(f"{stem}.md", table.as_markdown(rows, protocol, not_measured)),
        figure,
        *pictures,
        write_text(f"{stem}.html", comparison_page(rows, protocol, not_measured, figure, pictures)),
    ]


def _with_counts(arguments: CompareArguments, rivals: Sequence[Contender]) -> CompareArguments:
    """With the numbers of videos, samples and frames that are not given: as many as all have."""
    configs = [rival.config for rival in rivals if rival.config is not None]
    predicted = [config.num_eval_frames - config.num_context for config in configs]
    drawn = [rival.predictions for rival in rivals if isinstance(rival, PredictionsContender)]
    there = data.num_eval_videos(configs[0], arguments.data_dir, arguments.split)
    found = {
        "num_videos": min([_MOST_VIDEOS, there, *(p.num_videos for p in drawn)]),
        "num_samples": min([_MOST_SAMPLES, *(p.num_samples for p in drawn)]),
        "num_frames": min([*predicted, *(p.num_frames for p in drawn)]),
    }
    return dataclasses.replace(arguments, **{n: v for n, v in found.items() if getattr(arguments, n) is None})


def _with_metrics(arguments: CompareArguments, rivals: Sequence[Contender]) -> tuple[CompareArguments, list[str]]:
    """With the metrics, where none are given: all that can be measured here; and why the others cannot be."""
    if arguments.metrics is not None:
        return arguments, []
    config = next(rival.config for rival in rivals if rival.config is not None)
    clips = Clips.of(config, arguments.num_frames, arguments.num_videos)
    options = MetricOptions(clips, arguments, arguments.num_samples)
    names, reasons = [], []
    for name in DEFAULT_METRICS:
        try:
            if issubclass(METRICS[name], SampleMetric):
                metric = METRICS[name].from_options(options)
                metric.check(clips)
                for rival in rivals:
                    if isinstance(rival, PredictionsContender):
                        rival.predictions.check_samples(metric.num_samples, name)
            names.append(name)
        except UserError as error:
            reasons.append(str(error).partition("; leave it out")[0])
    return dataclasses.replace(arguments, metrics=names), reasons


def _check_same_temperature(rivals: Sequence[Contender], arguments: CompareArguments) -> None:
    """Raises `UserError` if samples that are drawn already say another temperature than those that are drawn."""
    for rival in rivals:
        if isinstance(rival, PredictionsContender):
            at = rival.predictions.drawn_with.get("temperature")
            remedy = f"compare at --temperature={at}, or leave it out"
            rival.predictions.check_temperature(arguments.temperature, remedy)


def _check_same_videos(rivals: Sequence[Contender], arguments: CompareArguments) -> None:
    """Raises `UserError` unless all are measured on the same frames, pixel by pixel."""
    first, *others = rivals
    expected = _digest(first, arguments)
    for other in others:
        differences = {} if other.config is None else first.config.differences(other.config)
        told = ", ".join(f"{n} ({a} there, {b} here)" for n, (a, b) in differences.items() if n in _OF_CLIPS)
        # Of the same configuration the videos are the same; of another one they may be.
        if other.config != first.config and _digest(other, arguments) != expected:
            raise UserError(
                f"{other.name} is not about the same videos as {first.name}{': ' + told if told else ''}; compare what "
                f"is given the same frames of the same {arguments.split} videos"
            )


def _check_same_bits(rivals: Sequence[Contender]) -> None:
    """Raises `UserError` unless bits per pixel are the same thing of all that have a likelihood."""
    for first, other in itertools.pairwise(rival for rival in rivals if rival.bits):
        differing = [name for name in other.bits if other.bits[name] != first.bits[name]]
        if differing:
            told = ", ".join(f"{name} ({first.bits[name]} there, {other.bits[name]} here)" for name in differing)
            raise UserError(
                f"bits per pixel of {other.name} and {first.name} do not compare: {told}; leave one out of --workdirs "
                "or --predictors, or give --metrics without bits_per_pixel"
            )


def _digest(rival: Contender, arguments: CompareArguments) -> str:
    """Of every pixel that is given or compared with."""
    return videos_digest(part for frames in rival.clips(arguments, arguments.num_videos) for part in frames)


def _pictures(rivals: Sequence[Contender], arguments: CompareArguments, stem: str) -> Iterator[Path]:
    """Of the first videos, the real future and everyone's first samples side by side, moving."""
    count = min(arguments.shown_videos, arguments.num_videos)
    shown = min(arguments.shown_samples, arguments.num_samples)
    if count == 0:
        return
    title = f"temperature {arguments.temperature:g}"
    samples = [list(rival.samples(arguments, count, shown)) for rival in rivals]
    for i, (context, future) in enumerate(rivals[0].clips(arguments, count)):
        of_all = {rival.name: found[i] for rival, found in zip(rivals, samples, strict=True)}
        path = Path(f"{stem}_video-{i}.gif")
        strips.save_gif(path, strips.models(context, of_all, future, title))
        yield path
