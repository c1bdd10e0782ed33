"""What numbers are called where they are shown to people."""

from __future__ import annotations

# "Bits per pixel" is here, as in the paper, a mean over pixels and colours.
BITS_UNIT = "per colour component"
BITS_LABEL = f"bits per pixel ({BITS_UNIT})"


def counted(number: int, noun: str) -> str:
    """A number with what it counts: "1 frame", "1,200 frames"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
