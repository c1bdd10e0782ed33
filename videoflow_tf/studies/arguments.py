"""Which pictures of samples to write, checked without TensorFlow: a mistake need not wait for its import."""

from __future__ import annotations

from collections.abc import Sequence

from videoflow_tf.errors import UserError

PICTURES = ("gif", "mp4", "png")
SIMILARITIES = ("psnr", "ssim")  # What the best and the worst sample can be chosen by: metrics that need no file.


def check_pictures(pictures: Sequence[str], grid: bool, choose: str | None) -> None:
    """Raises `UserError` if `sample` cannot write such pictures."""
    if not set(pictures) <= set(PICTURES):
        raise UserError("--pictures must be a list of gif, mp4 and png, for example png,gif")
    if choose is not None and choose not in SIMILARITIES:
        raise UserError(f"--choose={choose} must be one of {', '.join(SIMILARITIES)}")
    if grid and choose is not None:
        raise UserError("--grid shows all samples; leave out --choose or --grid")
