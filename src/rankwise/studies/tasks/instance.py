"""`instance`: what any method could know of a completion: if it has an answer, and what fits of the truth reach."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rankwise.identifiability import completable
from rankwise.lowrank import LowRank
from rankwise.measures import relative_error
from rankwise.problems import Completion
from rankwise.solvers.factor_least_squares import fit_factors
from rankwise.spec import build_problem
from rankwise.spec.reading import refuse_unknown, section
from rankwise.studies.tasks.base import Outcome, Progress, Settings, Task
from rankwise.studies.tasks.measuring import number
from rankwise.studies.tasks.memory import instance
from rankwise.studies.tasks.solve import Solve

# The numbers it records; the errors with noise only.
OF_INSTANCE = ("completable", "error_from_truth", "error_knowing_columns")


class Instance(Task):
    """A completion whose truth is known.

    completable: 1 if its pattern is finitely completable at the rank of the truth, else 0. With noise also the relative
    errors of two fits that know what no method can: error_from_truth, of the local minimum next to the truth, and
    error_knowing_columns, of least squares that is given the true column space.
    """

    keys = ("problem", "key")

    def seeded(self, settings: Settings, seed: int) -> Settings:
        """As for `solve`."""
        return Solve().seeded(settings, seed)

    def check(self, settings: Settings, folder: Path) -> None:
        """The problem must be a completion with a truth."""
        refuse_unknown(settings, self.keys, "")
        drawn(settings, folder)

    def size(self, settings: Settings) -> int:
        """That of its observations; with noise also of fits, which are compared with the truth."""
        problem = settings["problem"]
        return instance(problem) if problem.get("noise") else instance(problem, entry=0)

    def run(self, many: Sequence[Settings], folder: Path, progress: Progress | None = None) -> list[Outcome]:
        """One after the other."""
        del progress
        return [_one(settings, folder) for settings in many]


def drawn(settings: Settings, folder: Path) -> tuple[Completion, LowRank]:
    """The completion that settings describe, and its truth.

    Raises:
        ValueError: if it is none, or its truth is not known or zero.
    """
    problem, truth, _ = build_problem(section(settings, "problem", ""), folder)
    if truth is None or not isinstance(problem, Completion):
        raise ValueError("problem must be a completion whose truth is known")
    if truth.rank == 0:
        raise ValueError("problem.truth.matrix must not be zero")
    return problem, truth


def _one(settings: Settings, folder: Path) -> Outcome:
    problem, truth = drawn(settings, folder)
    begun = time.perf_counter()
    whole = completable(problem, truth.rank)
    numbers: dict[str, float | None] = {"completable": float(whole)}
    if settings["problem"].get("noise"):
        best = fit_factors(problem, truth.left, truth.right, stationary=1e-12, max_steps=100)
        numbers["error_from_truth"] = number(relative_error(LowRank(best.left, best.right), truth))
        numbers["error_knowing_columns"] = number(relative_error(knowing_columns(problem, truth), truth))
    result = "completable" if whole else "not_completable"
    words = "the pattern is finitely completable" if whole else "infinitely many matrices of its rank agree there"
    return Outcome(result, words, time.perf_counter() - begun, rank=truth.rank, numbers=numbers)


def knowing_columns(problem: Completion, truth: LowRank) -> LowRank:
    """Least squares of the right factor, the true column space given."""
    basis = np.linalg.qr(truth.left)[0]
    right = np.zeros((problem.shape[1], truth.rank))
    for column in range(problem.shape[1]):
        here = problem.cols == column
        right[column] = np.linalg.lstsq(basis[problem.rows[here]], problem.values[here], rcond=None)[0]
    return LowRank(basis, right)
