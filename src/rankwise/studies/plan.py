"""Which cases run together: batches of cases that differ in numbers only, the same whoever runs them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rankwise.studies.cases import Case
from rankwise.studies.tasks import TASKS
from rankwise.studies.tasks.memory import drawing

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


def memory() -> int:
    """The bytes of this machine's memory; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def too_large(cases: Sequence[Case]) -> Iterator[tuple[Case, int]]:
    """The cases that need more memory than this machine has, with about how much they need."""
    there = memory()
    for case in cases:
        needed = TASKS[case.settings["task"]].size(case.of_task)
        if 0 < there < needed:
            yield case, needed


def refuse_vast(settings: Mapping[str, Any]) -> None:
    """Refuse an instance that this machine cannot hold, before it is drawn.

    Raises:
        ValueError: with the path of its shape, and what it would need.
    """
    problem = settings.get("problem")
    truth = problem.get("truth") if isinstance(problem, Mapping) else None
    shape = truth.get("shape") if isinstance(truth, Mapping) else None
    if not isinstance(problem, Mapping) or not isinstance(shape, list | tuple) or len(shape) != 2:
        return  # which is refused, or needs nothing, where it is read
    if any(type(side) is not int or side < 1 for side in shape):
        return
    needed, there = drawing(problem, shape[0] * shape[1]), memory()
    if 0 < there < needed:
        raise ValueError(
            f"problem.truth.shape: drawing observations of a matrix of shape {list(shape)} needs "
            f"{needed / 2**30:,.0f} GiB, and this machine has {there / 2**30:,.0f} GiB"
        )


def _that_fit(case: Case) -> int:
    """How many cases of its size memory holds."""
    needed = TASKS[case.settings["task"]].size(case.of_task)
    return max(MEMORY // max(needed, 1), 1)
