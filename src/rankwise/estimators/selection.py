"""Greedy completion with everything chosen by held-out error: scaling, ridge and rank."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

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
# Held-out errors, in column standard deviations: an exact fit, and one that explains little.
EXACT, LITTLE = 1e-6, 0.3
# A further exact fit is looked for up to this rank, with so many steps per rank, where there are fewer observations
# than SCARCE per row and column together and at least half of them are different numbers.
EXACT_RANKS, EXACT_STEPS, SCARCE = 10, 50, 20


@dataclass(frozen=True, eq=False)
class Candidate:
    """One choice of scaling and ridge, with the held-out error of its best rank.

    Errors are in column standard deviations.
    """

    scaling: str
    ridge_share: float
    rank: int
    error: float
    path: tuple[RankFit, ...]
    result: RESULTS

    @property
    def sentence(self) -> str:
        """What was tried, in words."""
        if self.result is RESULTS.explained:
            return f"{self.scaling}, exact fit"
        ridge = f"ridge {self.ridge_share:g}" if self.ridge_share else "no ridge"
        return f"{self.scaling}, {ridge}"


def choose(
    problem: Completion, key: int, share: float, max_rank: int | None, step: Callable[[str], None]
) -> list[Candidate]:
    """The candidates tried on the observations of a problem, best first.

    First without ridge, judged on observations set aside: an exact fit ends the search. Where this explains
    little, too few observations may be the reason: then an exact fit is looked for on all of them, up to rank
    `EXACT_RANKS`; one with fewer parameters than observations leaves nothing to choose. Else all scalings are
    compared at a middle ridge, and other ridges for the best of these.
    """
    tried: dict[tuple[str, float], Candidate] = {}

    def attempt(scaling: str, ridge_share: float) -> Candidate:
        if (scaling, ridge_share) not in tried:
            step(f"{scaling}, ridge {ridge_share:g}")
            tried[scaling, ridge_share] = _try(problem, scaling, ridge_share, key, share, max_rank)
        return tried[scaling, ridge_share]

    plain = [attempt(scaling, 0.0) for scaling in ("scaled", "centred")]
    for one in plain:
        if one.error <= EXACT:
            return [one]
    if min(one.error for one in plain) > LITTLE and _may_be_exact(problem):
        for scaling in ("scaled", "centred"):
            step(f"{scaling}, exact fit")
            exact = _exact(problem, scaling, key, max_rank)
            if exact is not None:
                return [exact]
    best = min((attempt(scaling, MIDDLE_SHARE) for scaling in SCALINGS), key=lambda one: one.error)
    for ridge_share in RIDGE_SHARES:
        attempt(best.scaling, ridge_share)
    return sorted(tried.values(), key=lambda one: one.error)


def fit(problem: Completion, candidate: Candidate, key: int) -> tuple[Scaling, Solution]:
    """The candidate's scaling and greedy solution on all observations of a problem, at the candidate's rank."""
    scaling = SCALINGS[candidate.scaling](problem)
    standardized = scaling.standardize(problem)
    solver = Greedy(ridge=candidate.ridge_share * _top(standardized), max_rank=max(candidate.rank, 1))
    return scaling, solve(standardized, solver, key=key, max_steps=candidate.rank)


def _may_be_exact(problem: Completion) -> bool:
    """Whether too few observations may hide an exact fit; rounded numbers (ratings) have none."""
    distinct = len(np.unique(problem.values))
    return problem.size < SCARCE * sum(problem.shape) and 2 * distinct >= problem.size


def _exact(problem: Completion, scaling: str, key: int, max_rank: int | None) -> Candidate | None:
    standardized = SCALINGS[scaling](problem).standardize(problem)
    limit = min(EXACT_RANKS, max_rank or EXACT_RANKS)
    solution = solve(standardized, Greedy(max_rank=limit, inner_steps=EXACT_STEPS, polish=False), key=key)
    if solution.result is not RESULTS.explained or solution.rank == 0:
        return None
    path = solution.state[0].path
    return Candidate(scaling, 0.0, path[-1].rank, path[-1].train_rmse, path, solution.result)


def _try(
    problem: Completion, scaling: str, ridge_share: float, key: int, share: float, max_rank: int | None
) -> Candidate:
    standardized = SCALINGS[scaling](problem).standardize(problem)
    ridge = ridge_share * _top(standardized)
    solution = solve(standardized, Greedy(ridge=ridge, max_rank=max_rank, holdout=share, refit=False), key=key)
    path = solution.state[0].path
    best = min(path, key=lambda one: one.holdout_rmse)
    return Candidate(scaling, ridge_share, best.rank, best.holdout_rmse, path, solution.result)


def _top(problem: Completion) -> float:
    return leading_pair(problem, -problem.values, symmetric=False)[0]
