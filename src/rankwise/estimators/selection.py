"""Low-rank completion with everything chosen by held-out error, scaling, ridge and rank, or by an exact fit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rankwise.estimators.scaling import SCALINGS, Scaling
from rankwise.keys import as_generator
from rankwise.loop import solve
from rankwise.lowrank import LowRank, degrees_of_freedom
from rankwise.portfolio import Certificate, certify, low_rank, recover, solve_until
from rankwise.problems import Completion
from rankwise.results import RESULTS
from rankwise.solution import Solution
from rankwise.solvers import Greedy
from rankwise.solvers.greedy import RankFit
from rankwise.solvers.growth import leading_pair

# Ridges tried, as shares of the least ridge at which the fitted matrix is zero; and the one scalings are compared at.
RIDGE_SHARES = (0.0, 0.03, 0.3)
MIDDLE_SHARE = 0.1
# Held-out errors, in column standard deviations: an exact fit, and one that explains little.
EXACT, LITTLE = 1e-6, 0.3
# A further exact fit is looked for up to this rank, where there are fewer observations than SCARCE per row and column
# together and at least half of them are different numbers; by so many members of the portfolio without a budget.
EXACT_RANKS, SCARCE, EXACT_TRIES = 10, 20, 2


@dataclass(frozen=True, eq=False)
class Candidate:
    """One choice of scaling and ridge, at its best rank, or one member of the portfolio that sought an exact fit.

    Errors are in column standard deviations. train_rmse: of the fit. holdout_rmse: on the observations set aside for
    the choice; None where a fit of all observations was sought. path: the fits at every rank tried, of which this is
    the best. exact_by: the member of the portfolio. certificate: of what that found; None where nothing varies, and
    without such a member. fitted: what it found, if certified. seconds: what it took.
    """

    scaling: str
    ridge_share: float
    rank: int
    train_rmse: float
    holdout_rmse: float | None
    result: RESULTS
    seconds: float
    path: tuple[RankFit, ...] = ()
    exact_by: str | None = None
    certificate: Certificate | None = None
    fitted: tuple[Scaling, Solution] | None = None

    @property
    def certified(self) -> bool:
        """Whether it is an exact fit with a certificate."""
        return self.fitted is not None

    @property
    def name(self) -> str:
        """What was tried, in words."""
        if self.exact_by is not None:
            return f"{self.scaling}, exact fit by {self.exact_by}"
        if self.result is RESULTS.explained:
            return f"{self.scaling}, exact fit"
        ridge = f"ridge {self.ridge_share:g}" if self.ridge_share else "no ridge"
        return f"{self.scaling}, {ridge}"


def choose(
    problem: Completion,
    key: int,
    share: float,
    max_rank: int | None,
    step: Callable[[str], None],
    budget: float | None = None,
) -> list[Candidate]:
    """The candidates tried on the observations of a problem, best first.

    First without ridge, judged on observations set aside: an exact fit ends the search. Where this explains
    little, too few observations may be the reason: then the portfolio looks for an exact fit of all of them, up to rank
    `EXACT_RANKS`; a certified one leaves nothing to choose. Else all scalings are compared at a middle ridge, and other
    ridges for the best of these.
    budget: seconds; half is for exact fits, and no step of a candidate begins later (see `solve_until`).
    """
    deadline = math.inf if budget is None else time.perf_counter() + budget
    # Scalings are fitted to what a solver with this key and share will not hold out for its choices.
    kept, exact = problem.split(share, as_generator(key))[0], list[Candidate]()
    tried: dict[tuple[str, float], Candidate] = {}

    def attempt(scaling: str, ridge_share: float) -> Candidate:
        if (scaling, ridge_share) not in tried:
            step(f"{scaling}, ridge {ridge_share:g}")
            tried[scaling, ridge_share] = _try(problem, kept, scaling, ridge_share, key, share, max_rank, deadline)
        return tried[scaling, ridge_share]

    plain = [attempt(scaling, 0.0) for scaling in ("scaled", "centred")]
    for one in plain:
        if _held_out(one) <= EXACT:
            return [one]
    if min(map(_held_out, plain)) > LITTLE and may_be_exact(problem):
        exact = exact_fits(problem, key, max_rank, budget and budget / 4, step)
        if exact and exact[0].certified:
            return [exact[0], *plain, *exact[1:]]

    def in_time() -> bool:
        return time.perf_counter() < deadline

    for scaling in SCALINGS:
        if in_time():
            attempt(scaling, MIDDLE_SHARE)
    best = min(tried.values(), key=_held_out)
    for ridge_share in RIDGE_SHARES:
        if in_time():
            attempt(best.scaling, ridge_share)
    return [*sorted(tried.values(), key=_held_out), *exact]


def fit(problem: Completion, candidate: Candidate, key: int) -> tuple[Scaling, Solution]:
    """The candidate's scaling and greedy solution on all observations of a problem, at the candidate's rank."""
    if candidate.fitted is not None:
        # Found on a part of the observations, it may well fit them all.
        proof = certified(candidate.fitted[0], problem, low_rank(candidate.fitted[1]))
        if proof is not None and proof.holds:
            return candidate.fitted
    scaling = SCALINGS[candidate.scaling](problem)
    standardized = scaling.standardize(problem)
    if candidate.fitted is not None:
        found = recover(standardized, max_rank=candidate.rank, key=key, compare=False)
        if found.certified:
            return scaling, found.solution
    solver = Greedy(ridge=candidate.ridge_share * _top(standardized), max_rank=max(candidate.rank, 1))
    return scaling, solve(standardized, solver, key=key, max_steps=candidate.rank)


def certified(scaling: Scaling, problem: Completion, matrix: LowRank) -> Certificate | None:
    """The certificate of a table's fit, means and effects counted among what was fitted; None if nothing varies."""
    whole = scaling.whole(problem, matrix)
    return None if whole is None else certify(*whole)


def may_be_exact(problem: Completion) -> bool:
    """Whether too few observations may hide an exact fit; rounded numbers (ratings) have none."""
    distinct = len(np.unique(problem.values))
    return problem.size < SCARCE * sum(problem.shape) and 2 * distinct >= problem.size


def exact_fits(
    problem: Completion, key: int, max_rank: int | None, budget: float | None, step: Callable[[str], None]
) -> list[Candidate]:
    """What the portfolio reaches on all observations of a problem, a certified fit first; nothing after that is tried.

    budget: seconds for each scaling; None: a fixed number of members, whatever the clock.
    """
    if problem.distinct() < degrees_of_freedom(1, problem.shape):
        return []
    limit, found = min(EXACT_RANKS, max_rank or EXACT_RANKS), []
    for scaling in ("scaled", "centred"):
        step(f"{scaling}, exact fit")
        made = SCALINGS[scaling](problem)
        standardized = made.standardize(problem)
        tries = EXACT_TRIES if budget is None else None
        recovery = recover(standardized, budget=budget, max_rank=limit, tries=tries, key=key, compare=False)
        for one in recovery.members:
            proof = certified(made, problem, low_rank(one.solution))
            fitted = (made, one.solution) if proof is not None and proof.holds else None
            reached = scaling, 0.0, one.rank, one.train_rmse, None, one.result, one.seconds
            found.append(Candidate(*reached, exact_by=one.name, certificate=proof, fitted=fitted))
        if any(one.certified for one in found):
            break
    return sorted(found, key=lambda one: not one.certified)


def _try(
    problem: Completion,
    kept: Completion,
    scaling: str,
    ridge_share: float,
    key: int,
    share: float,
    max_rank: int | None,
    deadline: float,
) -> Candidate:
    begun = time.perf_counter()
    standardized = SCALINGS[scaling](kept).standardize(problem)
    ridge = ridge_share * _top(standardized)
    solver = Greedy(ridge=ridge, max_rank=max_rank, holdout=share, refit=False)
    solution = solve_until(standardized, solver, deadline, key)
    path = solution.state[0].path
    best = min(path, key=lambda one: one.holdout_rmse)
    seconds = time.perf_counter() - begun
    return Candidate(
        scaling, ridge_share, best.rank, best.train_rmse, best.holdout_rmse, solution.result, seconds, path
    )


def _held_out(candidate: Candidate) -> float:
    return math.inf if candidate.holdout_rmse is None else candidate.holdout_rmse


def _top(problem: Completion) -> float:
    return leading_pair(problem, -problem.values, symmetric=False)[0]
