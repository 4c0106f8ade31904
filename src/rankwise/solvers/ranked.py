"""The plan of the methods that work at one rank at a time: the rank is given, or grows when a rank is exhausted."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from rankwise.lowrank import LowRank, degrees_of_freedom
from rankwise.plain import Plain, check_given, checked, positive_integer
from rankwise.problems import Problem
from rankwise.problems.independence import highest_rank, spare_observations
from rankwise.results import RESULTS
from rankwise.solvers.base import Solver
from rankwise.solvers.factor_least_squares import fit_factors
from rankwise.solvers.growth import append_pair, leading_pair, leading_triples
from rankwise.solvers.noise_level import exact_tolerance, expected_rmse
from rankwise.spectrum import root_mean_square

# A drive for another rank below this share of the first counts as none.
NO_DRIVE = 1e-14
# The relative residual and the most steps of the fit that ends a rank.
FITTED, FIT_STEPS = 1e-15, 20
# The patience that None means: where the rank grows, and where it is given, so that no other rank is waiting.
PATIENCE_GROWING, PATIENCE_GIVEN = 20, 300


@dataclass(frozen=True, eq=False)
class AtRank(Plain):
    """The state of a method that works at one rank at a time, in float64 and in units of the largest |value|.

    problem: the problem with values divided by `size`, and scale 1. matrix: the present LowRank, to be multiplied by
    `size`. memory: what the method itself keeps between steps, None if nothing.
    recent: the root mean square residuals since the rank was reached, the last patience + 1 of them at most.
    drive: the leading singular value of minus the gradient at W = 0. verdict: why to stop, or running.
    size, dtype: the unit, and the precision of the data.
    """

    problem: Problem
    size: float
    dtype: Any
    matrix: LowRank
    memory: Any
    recent: tuple[float, ...]
    drive: float
    verdict: RESULTS


@dataclass(frozen=True)
class Ranked(Solver):
    """A method at one rank: `begin` prepares a rank, `iterate` takes one step there.

    rank: the rank of the matrix, where it is known: the start is then the best approximation of that rank to the
    adjoint of the values, scaled by d1 d2 / sum_i |A_i|_F^2 (spectral start). None: the rank grows from 1. Whenever
    none of the last `patience` residuals is below the one before them by the share `stationary`, the leading
    singular pair of minus the gradient is appended, with the step along it that reduces the loss most.
    Stops when the root mean square residual is at most tolerance * that of the values (`explained`; if the rank has as
    many parameters as there are independent observations, `underdetermined`), is no more than the noise
    (`noise_level`), stops falling at the last rank allowed (`flat` if the rank was given, `max_rank`, or
    `underdetermined`), when the matrix outgrows `norm_limit` times the problem's norm estimate (`diverging_norm`, or
    `underdetermined`), or when no pair lowers the loss (`converged`: no matrix fits better, however large the
    residual). Observations that are all zero are `explained` by rank 0.

    noise: the standard deviation of the noise, if known; the bound is that of `Greedy`, with the degrees of freedom
        that the rank leaves. What has reached it is replaced by the best fit of its rank next to it.
    tolerance: None means eps^0.65 of the data's precision (7e-11 in float64, 3e-5 in float32).
    patience: None means 20 steps where the rank grows and 300 where it is given: plateaus may be long, and no other
        rank is waiting.

    Raises:
        ValueError: if a number is out of range, the rank is above max_rank, or (from `check`) does not fit the shape.
    """

    rank: int | None = None
    max_rank: int | None = None
    tolerance: float | None = None
    noise: float | None = None
    stationary: float = 1e-3
    patience: int | None = 5
    norm_limit: float = 1e4

    driver: ClassVar[Literal["compiled", "host"]] = "host"
    recorded: ClassVar[tuple[str, ...]] = ("rank", "train_rmse")

    def __post_init__(self) -> None:
        check_given(self, ("rank", "max_rank", "patience"), positive_integer)
        check_given(self, ("tolerance", "noise"), checked, least=0)
        if self.rank is not None and self.max_rank is not None and self.rank > self.max_rank:
            raise ValueError(f"rank is {self.rank}, above max_rank, which is {self.max_rank}")
        checked(self.stationary, "stationary", least=0)
        checked(self.norm_limit, "norm_limit", above=0)

    def begin(self, problem: Problem, matrix: LowRank) -> tuple[LowRank, Any]:
        """The matrix in the form the method works on, balanced, and its memory, none, at the start of a rank.

        Here and in `iterate` the problem is in float64, its largest |value| is 1, and so is its scale.
        """
        del problem
        return matrix.balanced(), None

    @abstractmethod
    def iterate(self, problem: Problem, matrix: LowRank, memory: Any) -> tuple[LowRank, Any]:
        """One step at the present rank; the matrix keeps its rank."""

    def check(self, problem: Problem) -> None:
        """Raise a ValueError if the rank does not fit the shape."""
        if self.rank is not None and self.rank > min(problem.shape):
            raise ValueError(f"rank must be at most {min(problem.shape)}, the smaller side, not {self.rank}")

    def init(self, problem: Problem, key: Any) -> AtRank:
        """The spectral start at the rank given, or the leading pair."""
        del key
        size = float(np.max(np.abs(problem.values))) or 1.0
        unit = problem.in_units(size)
        zero = AtRank(unit, size, problem.dtype, LowRank.zeros(problem.shape), None, (), 0.0, RESULTS.running)
        if not unit.values.any():
            return replace(zero, recent=(0.0,), verdict=RESULTS.explained)
        zero = replace(zero, drive=leading_pair(unit, -unit.values, False)[0])
        if self.rank is None or zero.drive == 0.0:
            return self._settled(problem, self._grown(problem, zero))
        d1, d2 = problem.shape
        u, s, v = leading_triples(unit, -unit.values, self.rank)
        root = np.sqrt(s * (d1 * d2 / float(unit.energy())))
        return self._settled(problem, self._enter(problem, zero, LowRank(u * root, v * root)))

    def step(self, problem: Problem, state: AtRank) -> AtRank:
        """One step at the present rank, or the next rank if this one is exhausted."""
        if self._exhausted(state):
            return self._settled(problem, self._grown(problem, state))
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            matrix, memory = self.iterate(state.problem, state.matrix, state.memory)
            rmse = _rmse(state.problem, matrix)
        recent = (*state.recent, rmse)[-self._patience() - 1 :]
        moved = replace(state, matrix=matrix, memory=memory, recent=recent)
        return self._settled(problem, replace(moved, verdict=self._verdict(problem, moved)))

    def outcome(self, problem: Problem, state: AtRank) -> RESULTS:
        """Why to stop, or running."""
        # The limits may have been raised since: only a limit's verdict can change.
        return self._verdict(problem, state) if state.verdict is RESULTS.max_rank else state.verdict

    def matrix(self, state: AtRank) -> LowRank:
        """The present matrix, in the units and the precision of the data."""
        root = math.sqrt(state.size)
        return LowRank(state.matrix.left * root, state.matrix.right * root).astype(state.dtype)

    def record(self, state: AtRank) -> dict[str, float]:
        """rank and train_rmse, the root mean square residual."""
        return {"rank": state.matrix.rank, "train_rmse": state.recent[-1] * state.size}

    def _enter(self, problem: Problem, state: AtRank, matrix: LowRank) -> AtRank:
        """The state at the start of a rank."""
        matrix, memory = self.begin(state.problem, matrix)
        begun = replace(state, matrix=matrix, memory=memory, recent=(_rmse(state.problem, matrix),))
        return replace(begun, verdict=self._verdict(problem, begun))

    def _grown(self, problem: Problem, state: AtRank) -> AtRank:
        """The state at the next rank."""
        unit, matrix = state.problem, state.matrix
        drive, u, v = leading_pair(unit, unit.residual(matrix), False)
        if drive <= NO_DRIVE * state.drive:
            return replace(state, recent=state.recent or (_rmse(unit, matrix),), verdict=RESULTS.converged)
        return self._enter(problem, state, append_pair(unit, matrix, (u, v), False))

    def _settled(self, problem: Problem, state: AtRank) -> AtRank:
        """At the noise the best fit of the rank: the bound leaves room for chance, and a step ends just below it."""
        del problem
        if state.verdict is not RESULTS.noise_level:
            return state
        matrix, rmse = self._fitted(state, state.matrix)
        return replace(state, matrix=matrix, recent=(*state.recent[:-1], rmse)) if rmse < state.recent[-1] else state

    def _fitted(self, state: AtRank, start: LowRank) -> tuple[LowRank, float]:
        """The best fit of a start's rank next to it, and its root mean square residual."""
        fit = fit_factors(state.problem, start.left, start.right, tolerance=FITTED, max_steps=FIT_STEPS)
        matrix = LowRank(fit.left, fit.right)
        return matrix, _rmse(state.problem, matrix)

    def _exhausted(self, state: AtRank) -> bool:
        """Whether the last patience steps have gained next to nothing on the residual before them."""
        full = len(state.recent) > self._patience()
        return full and not min(state.recent[1:]) < (1 - self.stationary) * state.recent[0]

    def _patience(self) -> int:
        if self.patience is not None:
            return self.patience
        return PATIENCE_GROWING if self.rank is None else PATIENCE_GIVEN

    def _verdict(self, problem: Problem, state: AtRank) -> RESULTS:
        rmse, rank = state.recent[-1], state.matrix.rank
        if not math.isfinite(rmse):
            return RESULTS.non_finite
        if rmse <= self._tolerance(problem) * root_mean_square(state.problem.values):
            return RESULTS.explained if spare_observations(problem, rank) else RESULTS.underdetermined
        if rmse <= self._noise_bound(problem, state, rank):
            return RESULTS.noise_level
        if state.matrix.norm() > self.norm_limit * float(state.problem.norm_estimate()):
            # That observations are too few is why fits diverge.
            return RESULTS.underdetermined if rank > highest_rank(problem) else RESULTS.diverging_norm
        if not self._exhausted(state):
            return RESULTS.running
        if self.rank is not None:
            return RESULTS.flat
        if rank >= (self.max_rank or min(problem.shape)):
            return RESULTS.max_rank
        return RESULTS.underdetermined if rank >= highest_rank(problem) < min(problem.shape) else RESULTS.running

    def _noise_bound(self, problem: Problem, state: AtRank, rank: int) -> float:
        """The root mean square residual that noise leaves at a rank, in units of the state; negative if not known."""
        if self.noise is None:
            return -1.0
        return expected_rmse(self.noise / state.size, problem.size, degrees_of_freedom(rank, problem.shape))

    def _tolerance(self, problem: Problem) -> float:
        return exact_tolerance(problem.dtype, self.tolerance)


@dataclass(frozen=True)
class Stepped(Ranked):
    """A method of small, cheap steps along a gradient: many of them, and a rate that None leaves to a line search.

    Raises:
        ValueError: as `Ranked`, and if the rate is not positive.
    """

    rate: float | None = None
    stationary: float = 1e-3
    patience: int | None = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        check_given(self, ("rate",), checked, above=0)

    @property
    def default_steps(self) -> int:
        """10,000."""
        return 10_000


def best_step(problem: Problem, matrix: LowRank, move: LowRank, residual: np.ndarray) -> float:
    """The t > 0 of least |measure((left + t dleft)(right + t dright)^T) - values|, exactly: a quartic in t.

    matrix holds (left, right), move (dleft, dright) of the same shapes; residual is that at the matrix. 0 if no
    positive t lowers it.
    """
    first = problem.measure(LowRank(np.hstack([matrix.left, move.left]), np.hstack([move.right, matrix.right])))
    second = problem.measure(move)
    # 1/2 |residual + t first + t^2 second|^2, highest power first; its derivative's real roots.
    quartic = np.array([
        second @ second / 2, first @ second, first @ first / 2 + residual @ second, residual @ first, 0.0
    ])  # fmt: skip
    if not np.isfinite(quartic).all():
        return math.nan
    roots = np.roots(np.polyder(quartic))
    ahead = [0.0, *(root.real for root in roots if abs(root.imag) <= 1e-8 * abs(root) and root.real > 0)]
    return float(min(ahead, key=lambda t: np.polyval(quartic, t)))


def _rmse(problem: Problem, matrix: LowRank) -> float:
    return float(root_mean_square(problem.residual(matrix)))
