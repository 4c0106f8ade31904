"""Ctrl-C that cannot get lost, and ends the process cleanly."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

# An exception raised in this callback of JAX is printed and forgotten.
SWALLOWING = "_xla_gc_callback"


class Interrupt:
    """Whether Ctrl-C was pressed; `check` raises KeyboardInterrupt wherever the first one was swallowed."""

    def __init__(self) -> None:
        self.asked = False

    def check(self, *_: object) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed: a progress callback, whatever it is called with."""
        if self.asked:
            raise KeyboardInterrupt

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Note the signal, and raise at once where this is heard."""
        self.asked = True
        while frame is not None:
            if frame.f_code.co_name == SWALLOWING:
                return
            frame = frame.f_back
        raise KeyboardInterrupt


@contextlib.contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Take over Ctrl-C, unless it is ignored or handled by someone else already."""
    interrupt = Interrupt()
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not usual or threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    signal.signal(signal.SIGINT, interrupt.handle)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
