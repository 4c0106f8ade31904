"""Low-rank completion with everything chosen by held-out error, scaling, ridge and rank, or by an exact fit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from rankwise.estimators.scaling import ONE_SCALE, SCALINGS, Scaling, averages, centre_columns, root_mean_squares
from rankwise.keys import as_generator
from rankwise.loop import solve
from rankwise.lowrank import LowRank, degrees_of_freedom
from rankwise.portfolio import Certificate, Recovery, certify, low_rank, recover, solve_until
from rankwise.problems import Completion
from rankwise.results import RESULTS
from rankwise.solution import Solution
from rankwise.solvers import Greedy
from rankwise.solvers.greedy import Growth, RankFit
from rankwise.solvers.growth import leading_pair
from rankwise.solvers.noise_level import exact_tolerance
from rankwise.spectrum import root_mean_square

# Ridges tried, as shares of the least ridge at which the fitted matrix is zero; and the one scalings are compared at.
RIDGE_SHARES = (0.0, 0.03, 0.3)
MIDDLE_SHARE = 0.1
# Columns whose standard deviations differ by more than this factor are not tried with one scale for all.
ONE_UNIT = 1000.0
# Held-out errors, in column standard deviations: an exact fit, and one that explains little.
EXACT, LITTLE = 1e-6, 0.3
# A further exact fit is looked for up to this rank, where there are fewer observations than SCARCE per row and column
# together and at least half of them are different numbers; by so many members of the portfolio without a budget.
EXACT_RANKS, SCARCE, EXACT_TRIES = 10, 20, 2
# The relative error that rounding may leave of the smallest row or column of a certified table.
KNOWN = 1e-6


@dataclass(frozen=True, eq=False)
class Candidate:
    """One choice of scaling and ridge, at its best rank, or one member of the portfolio that sought an exact fit.

    Errors are in column standard deviations. train_rmse: of the fit. holdout_rmse: on the observations set aside for
    the choice; None where a fit of all observations was sought. path: the fits at every rank tried, of which this is
    the best. exact_by: the member of the portfolio. certificate: of what that found; None where nothing varies, and
    without such a member. fitted: what it found, if certified. seconds: what it took. cut: whether the budget ended it,
    or the search it belongs to, before a search without a budget would have ended.
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
    cut: bool = False

    @property
    def certified(self) -> bool:
        """Whether it is an exact fit with a certificate."""
        return self.fitted is not None

    @property
    def stopped(self) -> RESULTS:
        """Why no higher rank was fitted: the budget, or held-out error."""
        return RESULTS.budget if self.cut else RESULTS.holdout_stopped

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
) -> tuple[list[Candidate], int]:
    """The candidates tried on the observations of a problem, best first, and how many were left out for lack of time.

    First without ridge, judged on observations set aside: an exact fit ends the search. Where this explains
    little, too few observations may be the reason: then the portfolio looks for an exact fit of all of them, up to rank
    `EXACT_RANKS`; a certified one leaves nothing to choose. Else the scalings by columns are compared at a middle
    ridge, other ridges for the best of these, and the best with one scale for all columns instead, unless their units
    are plainly others.
    budget: seconds; half is for exact fits, and no step of a candidate begins that would end later if it took as long
    as the one before, but for the first.
    """
    deadline = math.inf if budget is None else time.perf_counter() + budget
    # Scalings are fitted to what a solver with this key and share will not hold out for its choices.
    kept, exact = problem.split(share, as_generator(key))[0], list[Candidate]()
    tried: dict[tuple[str, float], Candidate] = {}
    left_out = set[tuple[str, float]]()

    def attempt(scaling: str, ridge_share: float) -> Candidate:
        if (scaling, ridge_share) not in tried:
            step(f"{scaling}, ridge {ridge_share:g}")
            tried[scaling, ridge_share] = _try(problem, kept, scaling, ridge_share, key, share, max_rank, deadline)
        return tried[scaling, ridge_share]

    plain = [attempt(scaling, 0.0) for scaling in ("scaled", "centred")]
    for one in plain:
        if _held_out(one) <= EXACT:
            return [one], 0
    if min(map(_held_out, plain)) > LITTLE and may_be_exact(problem):
        exact = exact_fits(problem, key, max_rank, budget and budget / 4, step)
        if exact and exact[0].certified:
            return [exact[0], *plain, *exact[1:]], 0

    def attempt_in_time(scaling: str, ridge_share: float) -> None:
        if (scaling, ridge_share) in tried or time.perf_counter() < deadline:
            attempt(scaling, ridge_share)
        else:
            left_out.add((scaling, ridge_share))

    for scaling in ONE_SCALE:
        attempt_in_time(scaling, MIDDLE_SHARE)
    best = min(tried.values(), key=_held_out)
    for ridge_share in RIDGE_SHARES:
        attempt_in_time(best.scaling, ridge_share)
    best = min(tried.values(), key=_held_out)
    scales = centre_columns(kept).scales
    if scales.max() <= ONE_UNIT * min(scales[scales > 0], default=0.0):
        attempt_in_time(ONE_SCALE[best.scaling], best.ridge_share)
    return [*sorted(tried.values(), key=_held_out), *exact], len(left_out)


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
    """The certificate of a table's fit, means and effects counted among what was fitted; None if nothing varies.

    A row or a column may be so much larger than others that these are as good as zero beside it: every one has to fit.
    """
    whole = scaling.whole(problem, matrix)
    if whole is None:
        return None
    proof = certify(*whole)
    missed = _missed(*whole) if proof.fits else None
    return proof if missed is None else replace(proof, rmse=missed, fits=False, held=None)


def _missed(problem: Completion, matrix: LowRank) -> float | None:
    """The root mean square residual of a row, or of a column, that is not fitted to the rounding of its own numbers.

    Those of a column about its mean: what is common to them is no structure.
    """
    residual, tolerance = problem.residual(matrix), exact_tolerance(problem.dtype)
    rounding = float(np.finfo(problem.dtype).eps)
    for places, length, centre in ((problem.rows, problem.shape[0], False), (problem.cols, problem.shape[1], True)):
        means = averages(problem.values, places, length) * centre
        sizes, left, varied = (
            root_mean_squares(numbers, places, length)
            for numbers in (problem.values, residual, problem.values - means[places])
        )
        # What is small beside the rest is fitted to the rounding of that, if this leaves it known.
        beside = np.where(varied > 0, np.minimum(rounding * sizes.max(), KNOWN * varied), tolerance * sizes.max())
        over = left > np.maximum(tolerance * varied + rounding * sizes, beside)
        if over.any():
            return float(left[over].max())
    return None


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
        cut = budget is not None and _ended_early(recovery)
        for one in recovery.members:
            proof = certified(made, problem, low_rank(one.solution))
            fitted = (made, one.solution) if proof is not None and proof.holds else None
            result = one.result if budget is None else _by_budget(one.result)
            reached = scaling, 0.0, one.rank, one.train_rmse, None, result, one.seconds
            found.append(Candidate(*reached, exact_by=one.name, certificate=proof, fitted=fitted, cut=cut))
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
    made = SCALINGS[scaling](kept)
    standardized, weights = made.standardize(problem), _in_deviations(made, kept)
    ridge = ridge_share * _top(standardized)
    solver = Greedy(ridge=ridge, max_rank=max_rank, holdout=share, refit=False)
    path, result = _grown(standardized, solver, deadline, key, weights)
    best = min(path, key=lambda one: one.holdout_rmse)
    seconds = time.perf_counter() - begun
    return Candidate(
        scaling, ridge_share, best.rank, best.train_rmse, best.holdout_rmse, result, seconds, path,
        cut=result is RESULTS.budget,
    )  # fmt: skip


def _grown(
    problem: Completion, solver: Greedy, deadline: float, key: int, weights: np.ndarray
) -> tuple[tuple[RankFit, ...], RESULTS]:
    """What `solve_until` reaches rank by rank, errors multiplied by the weights of the columns, and why it stopped."""
    if (weights == 1).all():
        solution = solve_until(problem, solver, deadline, key)
        return solution.state[0].path, _by_budget(solution.result)
    last = solve(problem, solver, key=key, max_steps=0)
    path = [_weighed(last.state[0], weights)]
    while last.result is RESULTS.max_steps and (not last.steps or time.perf_counter() + last.seconds <= deadline):
        last = solve(problem, solver, state=last.state, max_steps=last.steps + 1)
        path.append(_weighed(last.state[0], weights))
    return tuple(path), _by_budget(last.result)


def _in_deviations(made: Scaling, problem: Completion) -> np.ndarray:
    """What numbers of each column of a standardized table are to be multiplied by, to be in its standard deviations."""
    scales = centre_columns(problem).scales
    return np.where(scales > 0, made.scales, 1.0) / np.where(scales > 0, scales, 1.0)


def _weighed(state: Growth, weights: np.ndarray) -> RankFit:
    """The last rank reached, its errors multiplied by the weights of the columns."""

    def rmse(problem: Completion) -> float:
        return root_mean_square(weights[problem.cols] * problem.residual(state.matrix))

    kept, held = cast("tuple[Completion, Completion]", (state.kept, state.held))
    return replace(state.path[-1], train_rmse=rmse(kept), holdout_rmse=rmse(held))


def _by_budget(result: RESULTS) -> RESULTS:
    """The result of a search for which only the budget sets a limit of steps."""
    return RESULTS.budget if result is RESULTS.max_steps else result


def _ended_early(recovery: Recovery) -> bool:
    """Whether time let fewer members end than a search without a budget tries, and none settled the matter."""
    ended = sum(one.result is not RESULTS.max_steps for one in recovery.members)
    settled = recovery.certified or recovery.members[-1].certificate.expected_error == math.inf
    return ended < EXACT_TRIES and not settled


def _held_out(candidate: Candidate) -> float:
    return math.inf if candidate.holdout_rmse is None else candidate.holdout_rmse


def _top(problem: Completion) -> float:
    return leading_pair(problem, -problem.values, symmetric=False)[0]
