"""What a case of a study does: checked before anything runs, batched where cases differ in numbers only."""

from __future__ import annotations

import abc
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from rankwise.studies.tasks.work import Work

Settings = dict[str, Any]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a case came to.

    result, sentence: why it ended, as a name and in words. steps, rank: of the run, None where there are none.
    seconds: wall time, that of a batch shared equally. numbers: final values by name. at: the steps of the curves.
    curves: by name one number per step in `at`; vectors: one list per step. details: anything else, as JSON.
    """

    result: str
    sentence: str
    seconds: float
    steps: int | None = None
    rank: int | None = None
    numbers: dict[str, float | None] = field(default_factory=dict)
    at: list[int] = field(default_factory=list)
    curves: dict[str, list[float | None]] = field(default_factory=dict)
    vectors: dict[str, list[list[float | None]]] = field(default_factory=dict)
    details: str | None = None


class Task(abc.ABC):
    """A kind of case. All methods take the settings without `task`; file names start from `folder`.

    keys: what it reads. resumable: whether `run` takes a file `keep` from which long runs go on after a kill.
    limited: whether `run` takes a `limit` in seconds, at which it hands over what it has.
    """

    keys: ClassVar[tuple[str, ...]]
    resumable: ClassVar[bool] = False
    limited: ClassVar[bool] = False

    @abc.abstractmethod
    def seeded(self, settings: Settings, seed: int) -> Settings:
        """The settings with every random key in them decided by one seed."""

    @abc.abstractmethod
    def check(self, settings: Settings, folder: Path) -> None:
        """Raise a ValueError with the path of the key that is unknown, wrong or impossible."""

    def alike(self, settings: Settings) -> Hashable | None:
        """What cases must have in common to be run as one batch; None: it runs alone."""
        del settings
        return None

    def size(self, settings: Settings) -> int:
        """About how many bytes a case needs while it runs."""
        del settings
        return 0

    def sized_by(self, settings: Settings) -> tuple[str, ...]:
        """The paths of the keys that this depends on the most."""
        del settings
        return ("problem.truth.shape",)

    def work(self, settings: Settings) -> Work | None:
        """The most arithmetic that a case takes, None where that depends on the data."""
        del settings
        return None

    @abc.abstractmethod
    def run(self, many: Sequence[Settings], folder: Path, progress: Progress | None = None) -> list[Outcome]:
        """Run cases that are alike, in their order."""
