"""Greedy completion with everything chosen by held-out error: scaling, ridge and rank."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rankwise.estimators.scaling import SCALINGS, Scaling
from rankwise.loop import solve
from rankwise.problems import Completion
from rankwise.results import RESULTS
from rankwise.solution import Solution
from rankwise.solvers import Greedy
from rankwise.solvers.greedy import RankFit, leading_pair

# Ridges tried, as shares of the least ridge at which the fitted matrix is zero; and the one scalings are compared at.
RIDGE_SHARES = (0.0, 0.03, 0.3)
MIDDLE_SHARE = 0.1
# A validation error below this share of the standard deviation is an exact fit: nothing can be gained.
EXACT = 1e-6


@dataclass(frozen=True, eq=False)
class Candidate:
    """One choice of scaling and ridge, with the held-out error it reached at its best rank (in column standard deviations)."""

    scaling: str
    ridge_share: float
    rank: int
    error: float
    path: tuple[RankFit, ...]
    result: RESULTS

    @property
    def sentence(self) -> str:
        """What was tried, in words."""
        ridge = f"ridge {self.ridge_share:g}" if self.ridge_share else "no ridge"
        return f"{self.scaling}, {ridge}"


def choose(
    problem: Completion, key: int, share: float, max_rank: int | None, step: Callable[[str], None]
) -> list[Candidate]:
    """The candidates tried on the observations of a problem, best first.

    First without ridge on the scaled columns, where an exactly low-rank table shows; then all scalings at a middle
    ridge; then other ridges for the best of these.
    """
    tried: dict[tuple[str, float], Candidate] = {}

    def attempt(scaling: str, ridge_share: float) -> Candidate:
        if (scaling, ridge_share) not in tried:
            step(f"{scaling}, ridge {ridge_share:g}")
            tried[scaling, ridge_share] = _try(problem, scaling, ridge_share, key, share, max_rank)
        return tried[scaling, ridge_share]

    for scaling in ("scaled", "centred"):
        if attempt(scaling, 0.0).error <= EXACT:
            return _ranked(tried)
    best = min((attempt(scaling, MIDDLE_SHARE) for scaling in SCALINGS), key=lambda one: one.error)
    for ridge_share in RIDGE_SHARES:
        attempt(best.scaling, ridge_share)
    return _ranked(tried)


def fit(problem: Completion, candidate: Candidate, key: int) -> tuple[Scaling, Solution]:
    """The candidate's scaling and greedy solution on all observations of a problem, at the candidate's rank."""
    scaling = SCALINGS[candidate.scaling](problem)
    standardized = scaling.standardize(problem)
    solver = Greedy(ridge=candidate.ridge_share * _top(standardized), max_rank=max(candidate.rank, 1))
    return scaling, solve(standardized, solver, key=key, max_steps=candidate.rank)


def _try(
    problem: Completion, scaling: str, ridge_share: float, key: int, share: float, max_rank: int | None
) -> Candidate:
    standardized = SCALINGS[scaling](problem).standardize(problem)
    ridge = ridge_share * _top(standardized)
    solution = solve(standardized, Greedy(ridge=ridge, max_rank=max_rank, holdout=share), key=key)
    path = solution.state[0].path
    best = min(path, key=lambda one: one.holdout_rmse)
    return Candidate(scaling, ridge_share, best.rank, best.holdout_rmse, path, solution.result)


def _top(problem: Completion) -> float:
    return leading_pair(problem, -problem.values, symmetric=False)[0]


def _ranked(tried: dict[Any, Candidate]) -> list[Candidate]:
    return sorted(tried.values(), key=lambda one: one.error)
