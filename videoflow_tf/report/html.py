"""Web pages of one file that need no network."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

_PICTURES = {".png": "image/png", ".gif": "image/gif", ".mp4": "video/mp4"}

_STYLE = """
body { margin: 0 auto; max-width: 76rem; padding: 1rem; font: 16px/1.5 system-ui, sans-serif; color: #1b1b1b; }
h1, h2, p { overflow-wrap: anywhere; } h1, h2 { line-height: 1.2; } h1 { font-size: clamp(1.4rem, 6vw, 2rem); }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #bbb; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
td, th { padding: 0.2rem 0.8rem 0.2rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #ddd; }
td.value { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
table.number { font-size: 0.85rem; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.number :is(td, th):first-child { position: sticky; left: 0; min-width: 8rem; background: #fff; }
.number td:first-child { white-space: normal; overflow-wrap: anywhere; }
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 1rem; }
.curves svg { width: 100%; height: auto; }
figure { margin: 1rem 0; overflow-x: auto; } figure :is(img, video) { display: block; max-width: max(100%, 48rem); }
figcaption { font-size: 0.9rem; color: #444; overflow-wrap: anywhere; }
pre { padding: 0.8rem; overflow-x: auto; background: #f2f2f2; white-space: pre-wrap; overflow-wrap: anywhere; }
summary { cursor: pointer; font-weight: 600; }
@media (max-width: 40rem) { table { font-size: 0.85rem; } td, th { padding-right: 0.4rem; } }
"""


def page(title: str, summary: str, sections: Mapping[str, str]) -> str:
    """A page: texts for its title and below it; HTML by the titles of sections, of which empty ones are left out."""
    body = "".join(f"<section><h2>{name}</h2>{content}</section>\n" for name, content in sections.items() if content)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1><p>{escape(summary)}</p>\n{body}</body></html>\n"
    )


def figure(path: Path) -> str:
    """A picture (PNG, GIF) or a video (MP4), in the page itself, and its name below it."""
    data = base64.b64encode(path.read_bytes()).decode()
    name = escape(path.name)
    source = f'src="data:{_PICTURES[path.suffix]};base64,{data}"'
    if path.suffix == ".mp4":
        shown = f'<video aria-label="{name}" controls loop muted autoplay playsinline {source}></video>'
    else:
        shown = f'<img alt="{name}" loading="lazy" {source}>'
    return f"<figure>{shown}<figcaption>{name}</figcaption></figure>"


def pictures(folder: Path) -> list[Path]:
    """The pictures in a folder, strips before the animations of the same name, and of one animation the smallest file.

    That is the video, a tenth of the GIF.
    """
    found = {path for path in folder.glob("*") if path.suffix in _PICTURES and not path.name.startswith(".")}
    twice = {path.with_suffix(".gif") for path in found if path.suffix == ".mp4"}
    return sorted(found - twice, key=lambda path: (path.stem, path.suffix != ".png"))


def folded(title: str, content: str) -> str:
    """HTML that is seen once its title is clicked."""
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def table(rows: Sequence[Sequence[str]], header: Sequence[str], kind: str = "value") -> str:
    """A table of texts: of the kind "words" they are broken between words, "value" anywhere, "number" nowhere."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    lines = ("".join(f'<td class="{kind}">{escape(cell)}</td>' for cell in row) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
