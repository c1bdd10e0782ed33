"""The table of a comparison: a row for each model."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from videoflow_tf.metrics.figures import spread
from videoflow_tf.protocol import Protocol
from videoflow_tf.registry import METRICS
from videoflow_tf.units import BITS_UNIT, counted

Row = Mapping[str, Any]  # As `Contender.row` gives it.


class Column(NamedTuple):
    """A number of each model."""

    name: str
    title: str
    values: list[float | None]  # By the row; None where a model has no such number.
    errors: list[float | None]


def columns(rows: Sequence[Row]) -> Iterator[Column]:
    """Metrics, of samples the best of each video where there is one, then what the models are."""
    for name in dict.fromkeys(name for row in rows for name in row["metrics"] if name in METRICS):
        found = [row["metrics"].get(name) for row in rows]
        best = any(result is not None and "best" in result for result in found)
        numbers = [result and (result["best"] if best else result) for result in found]
        title = f"{'Best ' if best else ''}{METRICS[name].label} ({METRICS[name].unit})".replace(" ()", "")
        values = [result and result["mean"] for result in numbers]
        yield Column(name, title, values, [result and spread(result) for result in numbers])
        debiased = [result and result.get("debiased") for result in found]
        if any(debiased):
            values = [result and result["mean"] for result in debiased]
            errors = [result and spread(result) for result in debiased]
            yield Column(f"{name}_debiased", f"Debiased {title}", values, errors)
    for name, title in (
        ("seconds_per_frame", "Seconds per sampled frame"),
        ("parameters", "Parameters"),
        ("steps", "Training steps"),
    ):
        yield Column(name, title, [row.get(name) for row in rows], [None] * len(rows))


def shared_protocol(rows: Sequence[Row]) -> Protocol:
    """How all rows were measured: on which videos, and with how many samples at which temperature."""
    found = [row["metrics"] for row in rows if "steps" in row]
    protocols = [Protocol.of_metric(metrics, name) for metrics in found for name in metrics if name in METRICS]
    protocol = next((protocol for protocol in protocols if protocol.samples is not None), protocols[0])
    names = ("dataset", "data_dir", "split", "videos", "samples", "context", "frames", "temperature", "seed")
    return Protocol(**{name: getattr(protocol, name) for name in names})


def is_of(earlier: Sequence[Row], rows: Sequence[Row]) -> bool:
    """Whether the rows of an earlier table are about the same models, metrics and videos."""
    if [row["model"] for row in earlier] != [row["model"] for row in rows]:
        return False
    pairs = [(old["metrics"], new["metrics"]) for old, new in zip(earlier, rows, strict=True)]
    return all(
        old.keys() == new.keys()
        and all(Protocol.of_metric(old, n).is_like(Protocol.of_metric(new, n)) for n in METRICS if n in new)
        for old, new in pairs
    )


def cells(rows: Sequence[Row]) -> Iterator[list[str]]:
    """The table as it is shown: titles, then a line for each model, numbers with their standard errors."""
    found = list(columns(rows))
    yield ["Model", *(column.title for column in found)]
    for i, row in enumerate(rows):
        yield [row["model"], *(_cell(column.values[i], column.errors[i]) for column in found)]


def as_markdown(rows: Sequence[Row], protocol: Protocol, not_measured: Sequence[str] = ()) -> str:
    """The protocol in words, the table, and why metrics are not in it."""
    titles, *lines = cells(rows)
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in (titles, ["---"] * len(titles), *lines)]
    lines = (f"| {' | '.join(line)} |\n" for line in escaped)
    notes = (f"\n{note}\n" for note in in_words(not_measured))
    return "".join([f"{describe(protocol)}\n\n", *lines, *notes])


def in_words(not_measured: Sequence[str]) -> list[str]:
    """A line for each reason why a metric is not in the table."""
    return [f"Not measured: {reason}." for reason in not_measured]


def as_csv(rows: Sequence[Row]) -> str:
    """The numbers in full, each followed by its standard error where there are any; those of bits by name and unit."""
    series: dict[str, list] = {"model": [row["model"] for row in rows]}
    for column in columns(rows):
        in_bits = column.name in METRICS and METRICS[column.name].unit == BITS_UNIT
        series[f"{column.name} ({BITS_UNIT})" if in_bits else column.name] = column.values
        if any(error is not None for error in column.errors):
            series[f"{column.name}_error"] = column.errors
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([series, *zip(*series.values(), strict=True)])
    return text.getvalue()


def describe(protocol: Protocol) -> str:
    """One sentence on how all were measured."""
    given = f"{counted(protocol.context, 'frame')} given, {protocol.num_predicted} predicted"
    dataset = "" if protocol.dataset is None else f"{protocol.dataset}: "
    return f"{dataset}{protocol.videos_text}, {given}."


def _cell(value: float | None, error: float | None) -> str:
    if value is None:
        return "-"
    text = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
    if error is None:
        return text
    rounding = 1e-12 * abs(value)  # That is left of the spread of equal numbers.
    return f"{text}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{error if error > rounding else 0:.2g}"
