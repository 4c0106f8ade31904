"""What a study will cost: what its dynamics compute, times what that takes on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from rankwise.factorizations import Full
from rankwise.measures import MEASURES
from rankwise.penalties import Penalty, SpectralPenalty, Total
from rankwise.solvers import GradientDescent
from rankwise.spec import build_arguments, build_solver
from rankwise.studies.limited import hard_limit
from rankwise.studies.plan import Batch
from rankwise.studies.tasks import TASKS

# Each kind of arithmetic is timed on square matrices of at most so many rows, for about so many seconds.
SIZE, SECONDS = 200, 0.02
# Measured on two cores, d = 10 to 100, depths 1 to 3, in the times of such arithmetic on a d x d matrix. A step: two
# products for each layer but one, three sums of two matrices for each layer, and a call. The penalties: one
# decomposition, or with a resolution so many products. L-BFGS evaluates a step so often. A final matrix: so many
# decompositions.
PRODUCTS, SUMS, CALL, POLAR, LINE_SEARCH, FINAL = 2, 3, 1e-6, 15, 10, 2
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
    task, settings, limit = TASKS[batch.task], batch.settings[0], batch.cases[0].limit
    seconds, early = None, False
    if batch.task == "solve":
        solver = build_solver(settings["solver"])
        if isinstance(solver, GradientDescent) and "truth" in settings["problem"]:
            seconds = _descent(settings, solver)
            early = solver.tolerance is not None or solver.stationary is not None
    elif (operations := task.operations(settings)) is not None:
        seconds = operations / (2 * 100**3 / _taken(_product, 100))
    if limit is not None:
        return min(seconds or np.inf, hard_limit(limit)) + PROCESS, True
    return seconds, early


def _descent(settings: dict[str, Any], solver: GradientDescent) -> float:
    """All steps of a run of gradient descent, what it measures on its way, and its final numbers."""
    d1, d2 = _shape(settings)
    problem, given = settings["problem"], build_arguments(settings, solver)
    side = max(min(d1, d2, SIZE), 1)
    entries, products = d1 * d2 / side**2, d1 * d2 * min(d1, d2) / side**3
    product, addition = _taken(_product, side) * products, _taken(_sum, side) * entries
    decomposition = _taken(_decomposition, side) * products
    layers = 1 if isinstance(solver.factorization, Full) else int(getattr(solver.factorization, "depth", 2))
    sensors = int(problem.get("count", 0)) if problem.get("name") == "sensing" else 0
    polar, exact = _of_penalty(solver.penalty)
    step = PRODUCTS * (layers - 1) * product + (SUMS * layers + sensors) * addition + CALL
    step += polar * product + exact * decomposition
    steps = given.get("max_steps", solver.default_steps)
    measured = given.get("checkpoints", solver.default_checkpoints)
    spectral = any(MEASURES[name].spectral for name in given.get("track", ()))
    times = (measured if isinstance(measured, int) else len(measured)) * spectral + FINAL
    return steps * step * (LINE_SEARCH if solver.optimizer.name == "lbfgs" else 1) + times * decomposition


def _of_penalty(penalty: Penalty | None) -> tuple[int, int]:
    """The products and the decompositions that a penalty costs in a step."""
    if isinstance(penalty, Total):
        parts = [_of_penalty(term) for term in penalty.terms]
        return sum(part[0] for part in parts), sum(part[1] for part in parts)
    if not isinstance(penalty, SpectralPenalty):
        return 0, 0
    return (POLAR, 0) if getattr(penalty, "resolution", 0) else (0, 1)


def _shape(settings: dict[str, Any]) -> tuple[int, int]:
    truth = settings["problem"]["truth"]
    shape = truth["shape"] if "matrix" not in truth else np.shape(truth["matrix"])
    return int(shape[0]), int(shape[1])


def _program(batch: Batch) -> Hashable | None:
    """What batches have in common that are compiled once; None if nothing is, or in the process of a case."""
    if batch.task != "solve" or batch.cases[0].limit is not None:
        return None
    return TASKS[batch.task].alike(batch.settings[0]), len(batch.cases)


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
