"""Ctrl-C and requests to end that cannot get lost, and end the process cleanly."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

# An exception raised in this callback of JAX is printed and forgotten.
SWALLOWING = "_xla_gc_callback"
# One raised while a module is imported may crash the module: those of jaxlib do not expect any.
IMPORTING = "<frozen importlib"
# After so many seconds a signal that came at such a time is tried again.
AGAIN = 0.05
# What asks a process to end, where the system has it: Ctrl-C, kill, a terminal that closes.
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interrupt:
    """Whether the process was asked to end; where KeyboardInterrupt cannot be raised at once, it is soon after.

    status: the exit status this asks for, 128 + the signal's number, or None.
    """

    def __init__(self) -> None:
        self.status: int | None = None
        self.again: threading.Timer | None = None

    def check(self, *_: object) -> None:
        """Raise KeyboardInterrupt if a signal came: a progress callback, whatever it is called with."""
        if self.status is not None:
            self.forget()
            raise KeyboardInterrupt(self.status)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Note the signal, and raise at once where this is heard and does no harm."""
        self.status = 128 + number
        self.forget()
        while frame is not None:
            if frame.f_code.co_name == SWALLOWING or frame.f_code.co_filename.startswith(IMPORTING):
                self.again = threading.Timer(AGAIN, _send, (number,))
                self.again.daemon = True
                self.again.start()
                return
            frame = frame.f_back
        raise KeyboardInterrupt(self.status)

    def forget(self) -> None:
        """Do not try again."""
        if self.again is not None:
            self.again.cancel()


def _send(number: int) -> None:
    """A signal to the main thread, which wakes it up where the system can."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        signal.raise_signal(number)


def interruption(error: BaseException | None) -> KeyboardInterrupt | None:
    """The interruption that an error is or stands for, as where one falls inside a class statement."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__
    return error


@contextlib.contextmanager
def leaving(words: Callable[[], str | None]) -> Iterator[None]:
    """Let an interruption say what it leaves, in these words; None: nothing."""
    try:
        yield
    except BaseException as error:
        stop = interruption(error)
        if stop is None or (left := words()) is None:
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
        interrupt.forget()
        for number in usual:
            signal.signal(number, before[number])
