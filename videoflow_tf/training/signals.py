"""SIGTERM and Ctrl-C while training: what is done is saved before the process ends."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import tf_keras

from videoflow_tf.workdir import latest_checkpoint


class Stopped(BaseException):
    """Training was asked to stop by this signal. As with `KeyboardInterrupt`, nothing on the way may catch it."""


class StopOnSignal(tf_keras.callbacks.Callback):
    """Inside `with`, SIGTERM and SIGINT (Ctrl-C) raise `Stopped` after the batch under way, in training and evaluation.

    As long as no step is done there is nothing to save, and they raise it at once. The `with` then says how to go on
    and ends the process: after SIGTERM with status 0, as cluster managers expect, after Ctrl-C as Python does; a second
    Ctrl-C does so without saving. Python delivers signals to the main thread alone; in another nothing changes.
    """

    def __init__(self, workdir: str | Path) -> None:
        super().__init__()
        self.has_work = False  # Whether steps were done that may not be saved yet.
        self._workdir = workdir
        self._received: int | None = None
        self._former: dict[int, Any] = {}

    def __enter__(self) -> StopOnSignal:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                if signal.getsignal(number) != signal.SIG_IGN:  # As for a job in the background.
                    self._former[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        if kind is Stopped:
            saved = latest_checkpoint(self._workdir)
            where = "the beginning" if saved is None else f"step {saved[1]}, which is saved"
            print(f"\nStopped; started again in {self._workdir}, training goes on from {where}", flush=True)
            raise KeyboardInterrupt if self._received == signal.SIGINT else SystemExit(0)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        again = self._received is not None
        self._received = number
        if again and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self.has_work:
            raise Stopped

    def check(self) -> None:
        """Raises `Stopped` if a signal came."""
        if self._received is not None:
            raise Stopped

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.has_work = True
        self.check()

    def on_test_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.check()
