"""Ctrl-C and requests to end that cannot get lost, and end the process cleanly."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

# An exception raised in this callback of JAX is printed and forgotten.
SWALLOWING = "_xla_gc_callback"
# What asks a process to end, where the system has it: Ctrl-C, kill, a terminal that closes.
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interrupt:
    """Whether the process was asked to end; `check` raises KeyboardInterrupt wherever the first one was swallowed.

    status: the exit status this asks for, 128 + the signal's number, or None.
    """

    def __init__(self) -> None:
        self.status: int | None = None

    def check(self, *_: object) -> None:
        """Raise KeyboardInterrupt if a signal came: a progress callback, whatever it is called with."""
        if self.status is not None:
            raise KeyboardInterrupt(self.status)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Note the signal, and raise at once where this is heard."""
        self.status = 128 + number
        while frame is not None:
            if frame.f_code.co_name == SWALLOWING:
                return
            frame = frame.f_back
        raise KeyboardInterrupt(self.status)


@contextlib.contextmanager
def leaving(words: Callable[[], str | None]) -> Iterator[None]:
    """Let an interruption say what it leaves, in these words; None: nothing."""
    try:
        yield
    except KeyboardInterrupt as stop:
        if (left := words()) is None:
            raise
        raise KeyboardInterrupt(stop.args[0] if stop.args else 130, left) from None


@contextlib.contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Take over the signals that are neither ignored nor handled by someone else already."""
    interrupt = Interrupt()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    usual = [number for number, handler in before.items() if handler in (signal.SIG_DFL, signal.default_int_handler)]
    if threading.current_thread() is not threading.main_thread():
        usual = []
    for number in usual:
        signal.signal(number, interrupt.handle)
    try:
        yield interrupt
    finally:
        for number in usual:
            signal.signal(number, before[number])
