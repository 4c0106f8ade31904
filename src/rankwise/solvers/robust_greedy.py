"""Greedy learning among gross errors: the rank grows while observations that do not fit are set aside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from rankwise.identifiability import determined
from rankwise.lowrank import LowRank, degrees_of_freedom
from rankwise.plain import Plain, check_given, checked, positive_integer
from rankwise.problems import Problem
from rankwise.problems.outliers import CUT, residual_scale
from rankwise.results import RESULTS
from rankwise.solvers.base import Solver
from rankwise.solvers.factor_least_squares import Fit, fit_factors, grow_factors
from rankwise.solvers.growth import append_pair, leading_pair
from rankwise.solvers.noise_level import LEAST_GAIN, exact_tolerance, gain
from rankwise.spectrum import root_mean_square

# A rank is exhausted when a fit leaves more than this share of the residuals' scale, the bound having come down to it.
EXHAUSTED = 0.7
# The bound falls by at most this factor from one fit to the next: rows that lag behind are not trimmed away.
SHRINK = 0.5
# The bound never falls below this share of the typical value, or so many rounding errors of it: they are no outliers.
FLOOR, ROUNDINGS = 1e-12, 16
ROUNDS, STATIONARY, POLISHED = 100, 1e-2, 1e-12


@dataclass(frozen=True, eq=False)
class Trimmed(Plain):
    """The state: the matrix, fitted to the observations `kept` (flags, shape (m,)), those within `bound` of it.

    scale: 1.4826 times the median |residual| over all observations. fits: least-squares fits so far.
    """

    matrix: LowRank
    kept: np.ndarray
    bound: float
    scale: float
    fits: int
    verdict: RESULTS


@dataclass(frozen=True)
class RobustGreedy(Solver):
    """Greedy low-rank learning by trimmed least squares: recovers L from values = L + S, S sparse and of any size.

    From L = 0, repeat: append the leading singular pair of the adjoint of the residuals clipped to the bound b; then
    in turn fit the factors by least squares to the observations with |residual| <= b, and lower
    b to max(cut * s, b / 2), s being 1.4826 times the median |residual|, until neither changes or s stops falling: then
    the rank is exhausted and grows. Less than half of the observations may be outliers. Stops when s is at most
    tolerance times that of the values (`explained`: more than half of all observations fit, and those kept are more
    than the parameters of the rank; else `underdetermined`), when another rank explains no more of those kept than
    noise would let it (`noise_level`; that rank is taken back), or would have as many parameters as there are
    observations kept (`underdetermined`).

    The last fit is a plain least-squares fit to the observations kept, exact to rounding errors without noise.
    `outliers(problem, solution.matrix)` gives S.

    Raises:
        ValueError: if a number is out of range.

    Source: concentration steps as in Rousseeuw, Van Driessen 2006 (`rousseeuw2006computing`); growing ranks and falling
    thresholds as in Netrapalli et al. 2014 (`netrapalli2014nonconvex`), algorithm 1.
    """

    max_rank: int | None = None
    cut: float = CUT
    tolerance: float | None = None

    driver: ClassVar[Literal["compiled", "host"]] = "host"
    recorded: ClassVar[tuple[str, ...]] = ("rank", "scale", "kept", "bound", "fits")

    def __post_init__(self) -> None:
        checked(self.cut, "cut", above=1)
        check_given(self, ("max_rank",), positive_integer)
        check_given(self, ("tolerance",), checked, least=0)

    @property
    def default_steps(self) -> int:
        """The step limit unless `solve` is told another: 10,000."""
        return 10_000

    def init(self, problem: Problem, key: Any) -> Trimmed:
        """The zero matrix."""
        del key
        zero = LowRank.zeros(problem.shape, problem.dtype)
        state = self._trimmed(problem, zero, np.inf, np.ones(problem.size, bool), 0)
        return replace(state, verdict=self._verdict(problem, state))

    def step(self, problem: Problem, state: Trimmed) -> Trimmed:
        """One rank more; or, if that rank only fits noise, the last precise fit of the present one."""
        grown = self._grow(problem, state)
        if state.matrix.rank < grown.matrix.rank and self._only_noise(problem, state, grown):
            return self._polish(problem, state, RESULTS.noise_level)
        verdict = self._verdict(problem, grown)
        if verdict in (RESULTS.running, RESULTS.explained, RESULTS.non_finite):
            return replace(grown, verdict=verdict)
        return self._polish(problem, grown, verdict)

    def outcome(self, problem: Problem, state: Trimmed) -> RESULTS:
        """Why to stop, or running."""
        return self._verdict(problem, state) if state.verdict is RESULTS.max_rank else state.verdict

    def matrix(self, state: Trimmed) -> LowRank:
        """The present matrix."""
        return state.matrix

    def record(self, state: Trimmed) -> dict[str, float]:
        """rank, scale (of the residuals), kept (how many observations), bound, fits."""
        kept = int(state.kept.sum())
        return {
            "rank": state.matrix.rank, "scale": state.scale, "kept": kept, "bound": state.bound, "fits": state.fits
        }  # fmt: skip

    def _grow(self, problem: Problem, state: Trimmed) -> Trimmed:
        """The next rank, fitted and trimmed in turn."""
        clipped = np.clip(problem.residual(state.matrix), -state.bound, state.bound)
        drive, u, v = leading_pair(problem, clipped, False)
        kept = problem.subset(np.nonzero(state.kept)[0])
        start = append_pair(kept, state.matrix, (u, v), False)
        tolerance = exact_tolerance(problem.dtype, self.tolerance)
        fit = grow_factors(kept, start.left, start.right, drive, tolerance=tolerance)
        now = self._trimmed(problem, _product(problem, fit), state.bound, state.kept, state.fits + 1)
        most = state.fits + ROUNDS
        while now.fits < most:
            lowest = self.cut * now.scale >= SHRINK * now.bound
            if (now.kept == state.kept).all():
                if lowest or now.bound <= self._floor(problem):
                    return now
                state, now = now, self._trimmed(problem, now.matrix, now.bound, now.kept, now.fits)
                continue
            fit = self._fit(problem, now, STATIONARY)
            state, now = now, self._trimmed(problem, _product(problem, fit), now.bound, now.kept, now.fits + 1)
            if lowest and now.scale > EXHAUSTED * state.scale:
                return now
        return now

    def _fit(self, problem: Problem, state: Trimmed, stationary: float) -> Fit:
        """Least squares on the observations kept."""
        kept = problem.subset(np.nonzero(state.kept)[0])
        tolerance = exact_tolerance(problem.dtype, self.tolerance)
        return fit_factors(kept, state.matrix.left, state.matrix.right, tolerance=tolerance, stationary=stationary)

    def _trimmed(self, problem: Problem, matrix: LowRank, bound: float, kept: np.ndarray, fits: int) -> Trimmed:
        """The state at a fitted matrix: the bound lowered, and who lies within it."""
        residual = np.asarray(problem.residual(matrix), float)
        if not np.isfinite(residual).all():
            return Trimmed(matrix, kept, bound, np.nan, fits, RESULTS.running)
        scale = residual_scale(residual)
        bound = max(self.cut * scale, self._floor(problem), SHRINK * bound if np.isfinite(bound) else 0.0)
        return Trimmed(matrix, np.abs(residual) <= bound, bound, scale, fits, RESULTS.running)

    def _polish(self, problem: Problem, state: Trimmed, verdict: RESULTS) -> Trimmed:
        """The fit to the observations kept carried to a precise minimum, and who is kept told anew."""
        if state.matrix.rank == 0:
            return replace(state, verdict=verdict)
        fit = self._fit(problem, state, POLISHED)
        return replace(state, matrix=_product(problem, fit), fits=state.fits + 1, verdict=verdict)

    def _verdict(self, problem: Problem, state: Trimmed) -> RESULTS:
        rank, kept = state.matrix.rank, problem.subset(np.nonzero(state.kept)[0])
        if not np.isfinite(state.scale):
            return RESULTS.non_finite
        if state.scale <= self._exact(problem):
            # Outliers are as free as parameters: only if those kept are more and hold the matrix is the fit no chance.
            return RESULTS.explained if rank == 0 or determined(kept, state.matrix) else RESULTS.underdetermined
        if rank >= (self.max_rank or min(problem.shape)):
            return RESULTS.max_rank
        too_few = degrees_of_freedom(rank + 1, problem.shape) >= kept.distinct()
        return RESULTS.underdetermined if too_few else RESULTS.running

    def _only_noise(self, problem: Problem, before: Trimmed, after: Trimmed) -> bool:
        """Whether the last rank explains no more of the observations kept than it would of noise."""
        fits = [problem.residual(state.matrix)[after.kept] for state in (before, after)]
        if not (np.isfinite(fits[1]).all() and after.scale > self._exact(problem)):
            return False
        parameters = [degrees_of_freedom(state.matrix.rank, problem.shape) for state in (before, after)]
        rmse = [root_mean_square(np.clip(fit, -after.bound, after.bound)) for fit in fits]
        return gain(rmse[0], rmse[1], int(after.kept.sum()), (parameters[0], parameters[1])) <= LEAST_GAIN

    def _exact(self, problem: Problem) -> float:
        """The scale of the residuals up to which a fit counts as exact."""
        return exact_tolerance(problem.dtype, self.tolerance) * residual_scale(problem.values)

    def _floor(self, problem: Problem) -> float:
        share = max(FLOOR, ROUNDINGS * float(np.finfo(problem.dtype).eps))
        return share * (residual_scale(problem.values) or float(np.abs(problem.values).max()))


def _product(problem: Problem, fit: Fit) -> LowRank:
    return LowRank(fit.left, fit.right).astype(problem.dtype)
