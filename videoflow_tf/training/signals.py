"""SIGTERM and Ctrl-C while training: what is done is saved before the process ends."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from videoflow_tf.workdir import goes_on_from

# Cluster managers kill half a minute after SIGTERM.
_SECONDS_TO_STOP = 25.0


class Stopped(BaseException):
    """Training was asked to stop by a signal. As with `KeyboardInterrupt`, nothing on the way may catch it."""


class StopOnSignal:
    """Inside `with`, SIGTERM and SIGINT (Ctrl-C) are awaited, and end the process with a line that says how to go on.

    As long as no step is done there is nothing to save: they raise `Stopped` at once. Later `check` raises it, which is
    to be called where the weights are whole. The `with` then ends the process: after SIGTERM with status 0, as cluster
    managers expect, after Ctrl-C as Python does. Where no `check` comes within 25 seconds of SIGTERM (a step or a
    compilation may take minutes) the process ends without saving, and so does a second Ctrl-C. Python delivers signals
    to the main thread alone; in another nothing changes.

    Attributes:
      received: the signal that came, None if none did.
      has_work: whether steps were done that may not be saved yet.
    """

    def __init__(self, workdir: str | Path) -> None:
        self.received: int | None = None
        self.has_work = False
        self._workdir = workdir
        self._former: dict[int, Any] = {}
        self._ended = threading.Event()

    def __enter__(self) -> StopOnSignal:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                if signal.getsignal(number) != signal.SIG_IGN:  # As for a job in the background.
                    self._former[number] = signal.signal(number, self._receive)
            # Python calls a handler when an operation of TensorFlow is over; a byte comes through at once.
            reader, self._writer = os.pipe()
            os.set_blocking(self._writer, False)
            self._former_writer = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
            threading.Thread(target=self._watch, args=[reader], daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._ended.set()
        for number, handler in self._former.items():
            signal.signal(number, handler)
        if threading.current_thread() is threading.main_thread():
            signal.set_wakeup_fd(self._former_writer)
            os.close(self._writer)
        # Raised while a module in C is imported, `Stopped` comes out as an ImportError.
        lost = self.received is not None and not self.has_work and kind is not None and issubclass(kind, ImportError)
        if kind is Stopped or lost:
            self._say()
            raise KeyboardInterrupt if self.received == signal.SIGINT else SystemExit(0)

    def check(self) -> None:
        """Raises `Stopped` if a signal came."""
        if self.received is not None:
            raise Stopped

    def _receive(self, number: int, frame: FrameType | None) -> None:
        again = self.received is not None
        self.received = number
        if again and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self.has_work:
            raise Stopped

    def _watch(self, reader: int) -> None:
        """Ends the process a while after SIGTERM if it is still there."""
        with open(reader, "rb", buffering=0) as signals:
            while number := signals.read(1):
                if number[0] == signal.SIGTERM and not self._ended.wait(_SECONDS_TO_STOP):
                    self._say()
                    os._exit(0)

    def _say(self) -> None:
        where = goes_on_from(self._workdir)
        print(f"\nStopped; started again in {self._workdir}, training goes on from {where}", flush=True)
