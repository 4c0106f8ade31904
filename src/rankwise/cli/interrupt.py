"""Ctrl-C and requests to end that cannot get lost, and end the process cleanly."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

# An exception raised in this callback of JAX is printed and forgotten.
SWALLOWING = "_xla_gc_callback"
# One raised while a module is imported may crash the process: the modules of jaxlib do not expect any.
IMPORTING = "<frozen importlib"
# A signal that came at such a time is sent again every so many seconds, and after so many the process is ended.
AGAIN, LONGEST = 0.05, 2.0
# What asks a process to end, where the system has it: Ctrl-C, kill, a terminal that closes.
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interrupt:
    """Whether the process was asked to end; where KeyboardInterrupt cannot be raised at once, it is soon after.

    status: the exit status this asks for, 128 + the signal's number, or None. waiting: stands for a signal that has not
    been raised yet; None if there is none. closed: signals are noted only.
    """

    def __init__(self) -> None:
        self.status: int | None = None
        self.waiting: object | None = None
        self.closed = self.resent = False
        # Held while a signal is sent again, so that none is on its way once `close` has had it.
        self.sending = threading.Lock()

    def check(self, *_: object) -> None:
        """Raise KeyboardInterrupt if a signal came: a progress callback, whatever it is called with."""
        if self.status is not None:
            self.waiting = None
            raise KeyboardInterrupt(self.status)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Note the signal, and raise at once where this is heard and does no harm; a user's second will not wait."""
        # Another signal may come at any line. No lock is taken here, and no thread waited for, which that could block.
        resent, self.resent = self.resent, False
        self.status = 128 + number
        place = _place(frame)
        if self.closed:
            self.waiting = self.waiting or object()
        elif place is None:
            self.waiting = None
            raise KeyboardInterrupt(self.status)
        elif self.waiting is None:
            self.waiting = waiting = object()
            _thread.start_new_thread(self._insist, (number, threading.get_ident(), waiting))
        elif place == IMPORTING and not resent:
            _end(self.status)

    def _insist(self, number: int, thread: int, waiting: object) -> None:
        """Send a signal again until it is raised; where this takes too long, as in a module that hangs, end it all."""
        end = time.monotonic() + LONGEST
        while True:
            time.sleep(AGAIN)
            with self.sending:
                if self.closed or self.waiting is not waiting:
                    return
                if time.monotonic() > end:
                    _end(128 + number)
                self.resent = True
                _send(number, thread)

    def close(self) -> None:
        """Raise nothing from now on: a signal that waits, or comes yet, is noted in `waiting`."""
        self.closed = True
        with self.sending:
            pass


def _place(frame: FrameType | None) -> str | None:
    """Where an exception would be swallowed or do harm; None where it may be raised."""
    while frame is not None:
        if frame.f_code.co_name == SWALLOWING:
            return SWALLOWING
        if frame.f_code.co_filename.startswith(IMPORTING):
            return IMPORTING
        frame = frame.f_back
    return None


def _send(number: int, thread: int) -> None:
    """A signal to the thread that handles signals, which wakes it up where the system can."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(thread, number)
    else:
        signal.raise_signal(number)


def _end(status: int) -> None:
    """End the process from whatever thread, without an exception and without what Python does at its end."""
    with contextlib.suppress(OSError):
        os.write(2, b"rankwise: interrupted while a module was imported\n")
    os._exit(status)


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
    """Take over the signals that are neither ignored nor handled by someone else already.

    Raises:
        KeyboardInterrupt: at the end, if a signal waits still.
    """
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
        interrupt.close()
        for number in usual:
            signal.signal(number, before[number])
    if interrupt.waiting is not None:
        raise KeyboardInterrupt(interrupt.status)
