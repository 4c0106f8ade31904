"""Which cases run together: batches of cases that differ in numbers only, the same whoever runs them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

from rankwise.studies.cases import Case
from rankwise.studies.tasks import TASKS

# The most bytes that the members of a batch may need together.
MEMORY = 2 << 30


@dataclass(frozen=True, eq=False)
class Batch:
    """Cases of one task to be run at once."""

    cases: tuple[Case, ...]

    @cached_property
    def name(self) -> str:
        """The hash of its members' addresses: the name of its file."""
        return hashlib.sha256(" ".join(case.address for case in self.cases).encode()).hexdigest()[:20]

    @property
    def task(self) -> str:
        """What its cases do."""
        return self.cases[0].settings["task"]

    @property
    def settings(self) -> list[dict]:
        """What the task reads, for every case."""
        return [case.of_task for case in self.cases]

    @property
    def alone(self) -> list[Batch]:
        """Each of its cases as a batch of its own; none if it has but one."""
        return [Batch((case,)) for case in self.cases] if len(self.cases) > 1 else []

    def without(self, done: Collection[str]) -> Batch | None:
        """The cases that are still to be run, None if there are none."""
        left = tuple(case for case in self.cases if case.address not in done)
        return Batch(left) if left else None


def batches(cases: Sequence[Case], most: int) -> list[Batch]:
    """All cases in batches of at most `most`; a case that stands in several grids once.

    The batches depend on the study alone, not on what has been run: what an interrupted run has left is then run in
    the batches of an undisturbed one, and so to the same bits.
    """
    groups: dict[Hashable, list[Case]] = {}
    for case in {case.address: case for case in cases}.values():
        # What may be ended must be alone.
        alike = None if case.limit else TASKS[case.settings["task"]].alike(case.of_task)
        groups.setdefault(case.address if alike is None else (case.settings["task"], alike), []).append(case)
    made = []
    for members in groups.values():
        size = min(most, _that_fit(members[0]))
        made += [Batch(tuple(members[first : first + size])) for first in range(0, len(members), size)]
    return made


def _that_fit(case: Case) -> int:
    """How many cases of its size memory holds."""
    needed = TASKS[case.settings["task"]].size(case.of_task)
    return max(MEMORY // max(needed, 1), 1)
