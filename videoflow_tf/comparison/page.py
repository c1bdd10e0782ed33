"""The web page of a comparison: the table, the figure, and everyone's samples side by side."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from videoflow_tf.comparison.table import Row, cells, describe, in_words
from videoflow_tf.protocol import Protocol
from videoflow_tf.report import html


def comparison_page(
    rows: Sequence[Row], protocol: Protocol, not_measured: Sequence[str], figure: Path, animations: Sequence[Path]
) -> str:
    """HTML of one file that needs no network.

    Args:
      rows: of the table.
      protocol: by which all were measured.
      not_measured: why metrics are not in the table.
      figure: its picture.
      animations: of single videos.
    """
    titles, *lines = cells(rows)
    notes = in_words(not_measured)
    sections = {
        "Numbers": html.table(lines, titles, "number") + "".join(f"<p>{escape(note)}</p>" for note in notes),
        "Samples": "".join(html.figure(path) for path in animations),
        "Metric by metric": html.figure(figure),
    }
    return html.page("Comparison: " + ", ".join(row["model"] for row in rows), describe(protocol), sections)
