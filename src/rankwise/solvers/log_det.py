"""Log-det continuation: reweighted ridge fits of factors under a falling concave penalty; needs no rank."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from rankwise.identifiability import determined
from rankwise.lowrank import LowRank, degrees_of_freedom
from rankwise.plain import Plain, check_given, checked, positive_integer
from rankwise.problems import Problem
from rankwise.problems.independence import highest_rank, spare_observations
from rankwise.results import RESULTS
from rankwise.solvers.base import Solver
from rankwise.solvers.factor_least_squares import fit_factors
from rankwise.solvers.growth import leading_triples
from rankwise.solvers.noise_level import exact_tolerance, expected_rmse
from rankwise.spectrum import root_mean_square

# Directions enter at a drive this much above the level, at most so many at once and so often in one stage.
ENTRY, ENTRIES, ROUNDS = 1.05, 5, 3
# A column below this share of the level has left.
GONE = 1e-3
# The accuracy and the most steps of the fit of a stage, and of the plain fit at a rank that may be the right one.
STAGE_STATIONARY, STAGE_STEPS = 0.1, 30
PLAIN_STATIONARY, PLAIN_STEPS = 1e-2, 15
# A rank is tried plainly in every so many stages, and at most so often.
EVERY, TRIES = 2, 4
# The penalized matrix may be so many columns wider than any answer; so many stages more are spent at the last rank.
SURPLUS, LINGER = 3, 9


@dataclass(frozen=True, eq=False)
class Stage(Plain):
    """The state of log-det continuation.

    matrix: what the last level has led to, as a LowRank. level: the level of the stage that follows. top: the
    leading singular value of minus the gradient at W = 0. rank: how many singular values are spared. since: stages
    since that number rose. tries: (rank, plain fits tried, stage of the last). answer: the plain fit that ended the
    run, None before.
    """

    matrix: LowRank
    level: float
    top: float
    stage: int
    rank: int
    since: int
    tries: tuple[tuple[int, int, int], ...]
    answer: LowRank | None
    verdict: RESULTS


@dataclass(frozen=True)
class LogDet(Solver):
    """Log-det continuation on factors: the rank is not given, and observations may be few.

    The objective is l(W) + sum_a phi(s_a) over all ranks, s_a = (p scale / mu) sigma_a being the singular values
    relative to about the largest: mu = sigma_1(-grad l(0)) and p = sum_i |A_i|_F^2 / (d1 d2). The penalty's slope at s,
    as a ridge on the factors' columns, is mu e min(1, spared e / s): the nuclear norm below spared times the level e,
    a logarithm above it. So singular values larger than e are hardly shrunk, while smaller ones feel the whole of mu e.
    The level falls from `first` by the factor `ratio` per stage. A stage lowers the objective, not to its minimum: it
    is one reweighting, a rough ridge fit with the slopes at the last matrix, and up to two more while directions enter.
    They do where the leading singular values of -grad l(W) exceed mu e, the condition of optimality
    at sigma = 0, and leave when they vanish.
    A rank r = #{s_a > e} that two stages agree on is tried without penalty: the run ends when this explains the
    observations to tolerance * their root mean square, with fewer parameters than observations and a derivative of full
    rank (`explained`), or to the noise (`noise_level`). Else it ends when so many are spared that their parameters
    are as many as the observations (`underdetermined`), or when the level has fallen by `reach` since a direction
    was spared last (`stalled`).
    On completions every fit is a variable projection with sparse products; nothing of size d1 x d2 is formed.

    noise: the standard deviation of the noise, if known; the bound is that of `Greedy`.
    tolerance: None means eps^0.65 of the data's precision (7e-11 in float64, 3e-5 in float32).

    Raises:
        ValueError: if a number is out of range.

    Source: the penalty is that of Fazel, Hindi, Boyd 2003 (`fazel2003log`), its reweighting of Mohan and Fazel 2012
    (`mohan2012iterative`), smoothed as there by a level of its own in place of a ridge on W W^T.
    """

    ratio: float = 0.7
    first: float = 0.8
    spared: float = 1.0
    reach: float = 1e-3
    max_rank: int | None = None
    tolerance: float | None = None
    noise: float | None = None

    driver: ClassVar[Literal["compiled", "host"]] = "host"
    recorded: ClassVar[tuple[str, ...]] = ("level", "rank", "width")

    def __post_init__(self) -> None:
        checked(self.ratio, "ratio", above=0, most=0.99)
        checked(self.first, "first", above=0, most=1)
        checked(self.spared, "spared", above=0)
        checked(self.reach, "reach", above=0, most=0.5)
        check_given(self, ("tolerance", "noise"), checked, least=0)
        check_given(self, ("max_rank",), positive_integer)

    @property
    def default_steps(self) -> int:
        """1,000 stages; the level reaches rounding long before."""
        return 1_000

    def init(self, problem: Problem, key: Any) -> Stage:
        """The zero matrix, at the first level."""
        del key
        zero = LowRank.zeros(problem.shape)
        top = float(leading_triples(problem, -problem.values, 1)[1][0])
        size = root_mean_square(problem.values)
        # A drive of zero from values that are not zero: no matrix fits them better than the zero matrix.
        still = RESULTS.converged if size > 0 else RESULTS.explained
        finite = math.isfinite(top) and math.isfinite(size)
        verdict = RESULTS.non_finite if not finite else RESULTS.running if top > 0 else still
        return Stage(zero, self.first, top, 0, 0, 0, (), zero if top == 0 else None, verdict)

    def step(self, problem: Problem, state: Stage) -> Stage:
        """One stage: the fits at the level, the plain fit if a rank is agreed on, the next level."""
        matrix = self._reweighted(problem, state)
        relative = self._relative(problem, state, matrix)
        rank = int(np.count_nonzero(relative > state.level))
        since = 0 if rank > state.rank else state.since + 1
        moved = replace(state, matrix=matrix, level=state.level * self.ratio, stage=state.stage + 1, since=since)
        if rank and rank == state.rank and self._due(state, rank):
            moved = self._try(problem, moved, rank)
        moved = replace(moved, rank=rank)
        return replace(moved, verdict=self._verdict(problem, moved)) if moved.answer is None else moved

    def outcome(self, problem: Problem, state: Stage) -> RESULTS:
        """Why to stop, or running."""
        del problem
        return state.verdict

    def matrix(self, state: Stage) -> LowRank:
        """The plain fit that ended the run, or what the last level has led to."""
        return state.matrix if state.answer is None else state.answer

    def record(self, state: Stage) -> dict[str, float]:
        """level, rank (spared singular values), width (columns of the penalized matrix)."""
        return {"level": state.level, "rank": state.rank, "width": state.matrix.rank}

    def _reweighted(self, problem: Problem, state: Stage) -> LowRank:
        """One ridge fit at the present level, and up to two more while directions enter."""
        matrix, ridge = state.matrix, state.level * state.top
        for again in range(ROUNDS):
            grown = self._enter(problem, state, matrix)
            if again and grown.rank == matrix.rank:
                return matrix
            relative = self._relative(problem, state, grown)
            shares = np.minimum(1.0, self.spared * state.level / np.maximum(relative, np.finfo(float).tiny))
            fit = fit_factors(
                problem, grown.left, grown.right, ridge=ridge * np.sort(shares), stationary=STAGE_STATIONARY,
                tolerance=exact_tolerance(problem.dtype, self.tolerance), max_steps=STAGE_STEPS,
            )  # fmt: skip
            if fit.outcome == "non_finite":
                return matrix
            fitted = LowRank(fit.left, fit.right)
            kept = int(np.count_nonzero(self._relative(problem, state, fitted) > GONE * state.level))
            matrix = fitted.truncate(kept) if kept < fitted.rank else fitted
        return matrix

    def _enter(self, problem: Problem, state: Stage, matrix: LowRank) -> LowRank:
        """The matrix with the directions appended whose drive exceeds the ridge, at the sizes their drives suggest."""
        surplus = 0 if self._most(problem) == self.max_rank else SURPLUS
        ridge, room = (
            state.level * state.top,
            min(min(self._most(problem) + surplus, *problem.shape) - matrix.rank, ENTRIES),
        )
        if room <= 0:
            return matrix
        u, s, v = leading_triples(problem, problem.residual(matrix), room)
        entering = s > ENTRY * ridge
        root = np.sqrt((s[entering] - ridge) / self._stiffness(problem))
        left, right = u[:, entering] * root, v[:, entering] * root
        return LowRank(np.hstack([matrix.left, left]), np.hstack([matrix.right, right]))

    def _due(self, state: Stage, rank: int) -> bool:
        """Whether the plain fit of a rank is worth another try."""
        tried = {of: (times, last) for of, times, last in state.tries}
        times, last = tried.get(rank, (0, -EVERY))
        return times < TRIES and state.stage - last >= EVERY

    def _try(self, problem: Problem, state: Stage, rank: int) -> Stage:
        """The plain fit at a rank, and the end of the run if it is an answer."""
        times = sum(count for of, count, _ in state.tries if of == rank)
        others = tuple(one for one in state.tries if one[0] != rank)
        state = replace(state, tries=(*others, (rank, times + 1, state.stage)))
        if highest_rank(problem) < rank < min(problem.shape):
            return state
        start, tolerance = state.matrix.truncate(rank), exact_tolerance(problem.dtype, self.tolerance)
        fit = fit_factors(
            problem, start.left, start.right, tolerance=tolerance, stationary=PLAIN_STATIONARY, max_steps=PLAIN_STEPS
        )
        matrix, rmse = LowRank(fit.left, fit.right), fit.residual_norm / math.sqrt(problem.size)
        if rmse <= tolerance * root_mean_square(problem.values) and determined(problem, matrix):
            return replace(state, answer=matrix.astype(problem.dtype), verdict=RESULTS.explained)
        parameters = degrees_of_freedom(rank, problem.shape)
        if self.noise is not None and rmse <= expected_rmse(self.noise, problem.size, parameters):
            return replace(state, answer=matrix.astype(problem.dtype), verdict=RESULTS.noise_level)
        return state

    def _verdict(self, problem: Problem, state: Stage) -> RESULTS:
        if not np.isfinite(state.matrix.left).all():
            return RESULTS.non_finite
        if state.rank >= self._most(problem) and state.since >= LINGER:
            return RESULTS.max_rank if self._most(problem) == self.max_rank else RESULTS.underdetermined
        if self.ratio**state.since < self.reach or state.level < np.finfo(float).eps:
            spare = spare_observations(problem, max(state.rank, 1))
            return RESULTS.stalled if spare else RESULTS.underdetermined
        return RESULTS.running

    def _most(self, problem: Problem) -> int:
        """The highest rank that could be an answer, at least 1."""
        return min(max(highest_rank(problem), 1), self.max_rank or min(problem.shape))

    def _stiffness(self, problem: Problem) -> float:
        """The average second derivative of the loss: scale * sum_i |A_i|_F^2 / (d1 d2)."""
        d1, d2 = problem.shape
        return float(problem.scale) * float(problem.energy()) / (d1 * d2)

    def _relative(self, problem: Problem, state: Stage, matrix: LowRank) -> np.ndarray:
        """The singular values of the matrix relative to about the largest of the truth, descending."""
        if matrix.rank == 0:
            return np.zeros(0)
        return matrix.singular_values() * (self._stiffness(problem) / state.top)
