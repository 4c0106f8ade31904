"""One trial in a process of its own: settings on standard input, what came out on standard output, both JSON."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from typing import Any

import numpy as np
from benchmarks.recovery.cases import Case
from benchmarks.recovery.methods import METHODS

import rankwise as rw
from rankwise.identifiability import completable
from rankwise.lowrank import dense
from rankwise.solvers.factor_least_squares import fit_factors

# What `instance` is asked for in place of a method: what any method could know of it. Seconds it may take.
INSTANCE, INSTANCE_LIMIT = "instance", 900.0


def hard_limit(limit: float) -> float:
    """When a trial is killed: a solver may finish the step it is in."""
    return 1.1 * limit + 1


def case_of(settings: dict[str, Any]) -> Case:
    """The instance that settings describe."""
    return Case(
        tuple(settings["shape"]), settings["rank"], settings["kappa"], settings["rho"], settings["noise"]
    )  # fmt: skip


def run(settings: dict[str, Any]) -> dict[str, Any]:
    """Draw the instance and run the method, or look at the instance; numbers and words for the record."""
    case = case_of(settings)
    truth, problem = case.draw(settings["seed"])
    if settings["method"] == INSTANCE:
        _alarm(INSTANCE_LIMIT)
        return look_at(case, truth, problem)
    method = METHODS[settings["method"]]
    _warm_up(settings)
    _alarm(hard_limit(settings["limit"]))
    begun = time.perf_counter()
    answer = method.run(case, problem, settings["seed"], settings["limit"], settings["budget"])
    seconds = time.perf_counter() - begun
    _alarm(0)
    error, beside_largest = errors(answer.matrix, truth)
    return {
        "outcome": "done", "seconds": seconds, "error": error, "error_sigma": beside_largest, "rank": answer.rank,
        "certified": answer.certified, "words": answer.words,
    }  # fmt: skip


def look_at(case: Case, truth: rw.LowRank, problem: rw.Completion) -> dict[str, Any]:
    """Whether the pattern is finitely completable; with noise the errors of two fits that know the truth."""
    begun = time.perf_counter()
    found: dict[str, Any] = {"outcome": "done", "completable": bool(completable(problem, case.rank))}
    if case.noise:
        best = fit_factors(problem, truth.left, truth.right, stationary=1e-12, max_steps=100)
        found["error_from_truth"] = errors(rw.LowRank(best.left, best.right), truth)[0]
        found["error_knowing_columns"] = errors(knowing_columns(problem, truth), truth)[0]
    return {**found, "seconds": time.perf_counter() - begun}


def knowing_columns(problem: rw.Completion, truth: rw.LowRank) -> rw.LowRank:
    """Least squares of the right factor, the true column space given."""
    basis = np.linalg.qr(truth.left)[0]
    right = np.zeros((problem.shape[1], truth.rank))
    for column in range(problem.shape[1]):
        here = problem.cols == column
        right[column] = np.linalg.lstsq(basis[problem.rows[here]], problem.values[here], rcond=None)[0]
    return rw.LowRank(basis, right)


def errors(matrix: Any, truth: rw.LowRank) -> tuple[float | None, float | None]:
    """|W - W*|_F relative to |W*|_F and to sigma_1; None if the matrix is not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        difference = float(np.linalg.norm(np.asarray(dense(matrix)) - truth.dense()))
    sigma = truth.singular_values()
    relative = (difference / float(np.linalg.norm(sigma)), difference / float(sigma[0]))
    return relative if math.isfinite(relative[0]) else (None, None)


def _warm_up(settings: dict[str, Any]) -> None:
    """Everything imported, on a tiny instance, so that the clock measures the method alone."""
    tiny = Case((12, 12), 1, 1.0, 4.0, settings["noise"])
    METHODS[settings["method"]].run(tiny, tiny.draw(0)[1], 0, 1.0, 1.0)


def _alarm(seconds: float) -> None:
    """The system ends this process after so many seconds, whatever it is doing; 0: it does not."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def main() -> None:
    """Answer on what was standard output; what others print there goes to standard error."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    json.dump(run(json.load(sys.stdin)), answer, allow_nan=False)
    answer.close()


if __name__ == "__main__":
    main()
