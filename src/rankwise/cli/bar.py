"""The bar of `rankwise study run`: how far the study is, on standard error."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from typing import Any


class _Bar:
    """A progress bar of cases on standard error, shown once batches run: what is refused before is one line alone."""

    def __init__(self, interrupt: Any, total: int) -> None:
        from rich import progress
        from rich.console import Console

        columns = (
            progress.TextColumn("cases"), progress.BarColumn(), progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(), progress.TimeRemainingColumn(),
        )  # fmt: skip
        self.drawn, self.interrupt, self.done = progress.Progress(*columns, console=Console(stderr=True)), interrupt, 0
        self.line = self.drawn.add_task("cases", total=total)

    def advance(self, done: int) -> None:
        """So many cases more are on record."""
        self.done += done
        self.share(0.0)

    def share(self, cases: float) -> None:
        """So much of the batch in hand is done, counted in cases."""
        self.drawn.update(self.line, completed=self.done + cases)

    def check(self) -> None:
        """Called while batches run: they may be interrupted from now on, and the bar is shown."""
        self.interrupt.check()
        self.drawn.start()


class _NoBar:
    """Nothing to see."""

    advance = share = None

    def __init__(self, interrupt: Any) -> None:
        self.check = interrupt.check


@contextlib.contextmanager
def bar_of(options: argparse.Namespace, total: int) -> Iterator[Any]:
    """What is told how far the study is."""
    if options.quiet or options.json:
        yield _NoBar(options.interrupt)
        return
    bar = _Bar(options.interrupt, total)
    try:
        yield bar
    finally:
        if bar.drawn.live.is_started:
            bar.drawn.stop()
