"""What a study will cost: what its dynamics compute, times what that takes on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from rankwise.studies.limited import hard_limit
from rankwise.studies.plan import Batch
from rankwise.studies.tasks import TASKS
from rankwise.studies.tasks.work import Work

# Each kind of arithmetic is timed on square matrices of at most so many rows, for about so many seconds.
SIZE, SECONDS = 200, 0.02
# A call of what does nothing, in seconds.
CALL = 1e-6
# The programs of a batch are compiled in the time of so many turns of an empty loop in Python; more for several runs.
TURNS, SEVERAL = 9e7, 1.6
# A process of its own imports everything and runs a tiny instance first.
PROCESS = 3.0


@dataclass(frozen=True)
class Estimate:
    """Seconds in one process: about `seconds` for `fixed` cases, at most about `most` for `bounded` ones.

    The first take all their steps unless they fail; the second may stop before, or are ended at their limit. unknown:
    how many others there are. bytes: the most that a batch needs in memory.
    """

    seconds: float = 0.0
    fixed: int = 0
    most: float = 0.0
    bounded: int = 0
    unknown: int = 0
    bytes: int = 0


def estimate(waiting: Sequence[Batch], cores: int = 1) -> Estimate:
    """The cost of batches, if every run takes all its steps. cores: over how many a batch is spread."""
    cost, compiled = Estimate(), set()
    for batch in waiting:
        task, settings, many = TASKS[batch.task], batch.settings[0], len(batch.cases)
        cost = replace(cost, bytes=max(cost.bytes, many * task.size(settings)))
        seconds, early = _of_case(batch)
        if seconds is None:
            cost = replace(cost, unknown=cost.unknown + many)
            continue
        seconds *= many / min(many, cores)
        if (program := _program(batch)) not in compiled:
            compiled.add(program)
            seconds += _compiling(program, many)
        if early:
            cost = replace(cost, most=cost.most + seconds, bounded=cost.bounded + many)
        else:
            cost = replace(cost, seconds=cost.seconds + seconds, fixed=cost.fixed + many)
    return cost


def _of_case(batch: Batch) -> tuple[float | None, bool]:
    """The seconds of a case of a batch, None if nobody knows; and whether it may end before."""
    work, limit = TASKS[batch.task].work(batch.settings[0]), batch.cases[0].limit
    seconds = None if work is None else _seconds(work)
    if limit is not None:
        return min(seconds or np.inf, hard_limit(limit)) + PROCESS, True
    return seconds, work is not None and work.early


def _seconds(work: Work) -> float:
    """What arithmetic takes on this machine, in one thread."""
    (d1, d2), least = work.shape, min(work.shape)
    side = max(min(least, SIZE), 1)
    entries, cubes = d1 * d2 / side**2, d1 * d2 * least / side**3
    of_products = work.products * _taken(_product, side) + work.decompositions * _taken(_decomposition, side)
    return of_products * cubes + work.sums * _taken(_sum, side) * entries + work.calls * CALL


def _program(batch: Batch) -> Hashable | None:
    """What batches have in common that are compiled once; None if nothing is, or in the process of a case."""
    alike = None if batch.cases[0].limit is not None else TASKS[batch.task].alike(batch.settings[0])
    return None if alike is None else (alike, len(batch.cases))


def _compiling(program: Hashable | None, many: int) -> float:
    if program is None:
        return 0.0
    return TURNS * _taken(_turns, 1) / 1000 * (SEVERAL if many > 1 else 1)


@cache
def _taken(what: Callable[[np.ndarray], Any], side: int) -> float:
    """The seconds that something takes with a square matrix, in one thread."""
    matrix = np.random.default_rng(0).standard_normal((side, side))
    with threadpool_limits(1, user_api="blas"):
        what(matrix)
        # Of the processor, not of the clock: what else runs on the machine now may not run then.
        begun, count = time.process_time(), 0
        while (taken := time.process_time() - begun) < SECONDS:
            what(matrix)
            count += 1
    return taken / count


def _product(matrix: np.ndarray) -> Any:
    return matrix @ matrix


def _sum(matrix: np.ndarray) -> Any:
    return matrix + matrix


def _decomposition(matrix: np.ndarray) -> Any:
    return np.linalg.svd(matrix)


def _turns(matrix: np.ndarray) -> Any:
    del matrix
    for _ in range(1000):
        pass
