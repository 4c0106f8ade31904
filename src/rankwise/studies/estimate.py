"""What a study will cost: the arithmetic of its dynamics against this machine's rate of matrix products."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from rankwise.studies.limited import hard_limit
from rankwise.studies.plan import Batch
from rankwise.studies.tasks import TASKS

# Matrix products of this size are timed, for about so many seconds.
SIZE, SECONDS = 100, 0.1


@dataclass(frozen=True)
class Estimate:
    """seconds: the most that the cases take whose steps are counted beforehand, or that have a limit.

    unknown: how many others there are. bytes: the most that a batch needs in memory.
    """

    seconds: float
    unknown: int
    bytes: int


def estimate(waiting: Sequence[Batch]) -> Estimate:
    """The cost of batches, if every run takes all its steps and arithmetic runs at the rate of matrix products.

    A case with a limit takes no longer than that, beside the start of its process.
    """
    seconds, unknown, largest, rate = 0.0, 0, 0, cache(products_per_second)
    for batch in waiting:
        task = TASKS[batch.task]
        largest = max(largest, len(batch.cases) * task.size(batch.settings[0]))
        for case in batch.cases:
            operations = task.operations(case.of_task)
            bounds = [] if operations is None else [operations / rate()]
            bounds += [] if case.limit is None else [hard_limit(case.limit)]
            unknown += not bounds
            seconds += min(bounds, default=0.0)
    return Estimate(seconds, unknown, largest)


def products_per_second() -> float:
    """Floating-point operations per second of 100 x 100 matrix products here."""
    a = np.random.default_rng(0).standard_normal((SIZE, SIZE))
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < SECONDS:
        np.matmul(a, a)
        count += 1
    return 2.0 * SIZE**3 * count / (time.perf_counter() - begun)
