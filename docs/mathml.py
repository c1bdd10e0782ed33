"""Formulas of the pages as MathML, which browsers draw by themselves: ```math blocks and `#!math ...` in a line."""

from __future__ import annotations

from typing import Any

from latex2mathml.converter import convert


def block(source: str, *_: Any, **__: Any) -> str:
    """A formula in LaTeX, on lines of its own."""
    return f'<div class="math">{convert(source, display="block")}</div>'


def inline(source: str, *_: Any, **__: Any) -> str:
    """A formula in LaTeX, within a line."""
    return convert(source)
