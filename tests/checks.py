"""What many tests check in the same way, and how they run programs of their own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from videoflow_tf.errors import UserError

ROOT = Path(__file__).parent.parent


def assert_all_close(found: Iterable, expected: Iterable, rtol: float = 0.0, atol: float = 0.0) -> None:
    """Array by array, shapes included; to the last bit unless told."""
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)
        assert np.shape(a) == np.shape(b)


def all_equal(found: Iterable, expected: Iterable) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def assert_normalized(y: np.ndarray, axes: tuple[int, ...] = (0, 1, 2)) -> None:
    """As after the initialisation of an actnorm."""
    np.testing.assert_allclose(np.mean(y, axes), 0.0, atol=1e-8)
    np.testing.assert_allclose(np.var(y, axes), 1.0, atol=2e-3)


def assert_follows_seed(draw: Callable[[tf.Tensor | None], tf.Tensor]) -> np.ndarray:
    """`draw(seed)` is a function of the seed; returned: what it gives without one, always the same."""
    seeds = (None, None, [1, 2], [1, 2], [3, 4])
    plain, plain_again, seeded, again, other = (draw(seed and tf.constant(seed)).numpy() for seed in seeds)
    np.testing.assert_array_equal(plain, plain_again)
    np.testing.assert_array_equal(seeded, again)
    assert not np.allclose(seeded, plain) and not np.allclose(seeded, other)
    return plain


@contextlib.contextmanager
def refused(message: str) -> Iterator[None]:
    """Expects a `UserError` of one line that matches."""
    with pytest.raises(UserError, match=message) as caught:
        yield
    assert "\n" not in str(caught.value)


def bits_and_gradients(model, video: np.ndarray, jit_compile: bool = False) -> tuple[np.ndarray, list[np.ndarray]]:
    """Those of a training step, with the noise given: from the same seed XLA draws other numbers."""
    seed = tf.constant([0, 1])
    noise = tf.random.stateless_uniform(video.shape, seed)
    function = tf.function(model._bits_and_gradients, autograph=False, jit_compile=jit_compile)
    bits, pairs = function(tf.constant(video), noise, seed)
    return bits.numpy(), [gradient.numpy() for gradient, _ in pairs]


def run_python(*arguments: object, **options) -> subprocess.CompletedProcess:
    """Runs Python in a process of its own, in the repository, and returns its output as text."""
    options = {"cwd": ROOT, "env": {**os.environ, "PYTHONPATH": str(ROOT)}, "timeout": 600} | options
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, **options)


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A file system of its own in `folder`, made for it: small with "size=...", read-only with "ro"."""
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)
    if mount.returncode:
        pytest.skip("only root may mount a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)  # TensorFlow may have a file of it open.
