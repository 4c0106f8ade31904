"""The ratio penalty with a cap on the norm, minimized over factors through a falling weight; needs no rank."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import scipy

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

# The factors are so many columns wider than the highest rank that could be an answer.
SURPLUS = 3
# The steps whose curvature L-BFGS remembers.
MEMORY = 20
# The accuracy and the most steps of the plain fit at a rank that may be the right one.
PLAIN_STATIONARY, PLAIN_STEPS = 1e-2, 40
# Norms, for values of size one, are at least this and at most its inverse: their cubes are numbers.
SMALLEST = 1e-90


@dataclass(frozen=True, eq=False)
class RatioStage(Plain):
    """The state of ratio continuation.

    matrix: the minimizer at the last weight, in units of `size`, the largest |value|. weight: that of the stage that
    follows. ratio: |W|_* / |W|_F of the matrix. evaluations: of the objective so far. answer: the plain fit that ended
    the run, in the same units, None before. dtype: the precision of the data. verdict: why to stop, or running.
    """

    matrix: LowRank
    size: float
    weight: float
    ratio: float
    evaluations: int
    answer: LowRank | None
    dtype: Any
    verdict: RESULTS


@dataclass(frozen=True)
class RatioContinuation(Solver):
    """The ratio of the nuclear to the Frobenius norm, capped, through a falling weight, and plain fits at each rank.

    Each stage minimizes over factors left (d1, k), right (d2, k), in the end balanced,

        |measure(W) - values|^2 / |values|^2 + weight N / |W|_F + cap max(|W|_F / F - 1, 0)^2,
        W = left right^T,   N = (|left|_F^2 + |right|_F^2) / 2,   F = problem.norm_estimate(),

    by L-BFGS. The least N over the factors of W is |W|_*: this is `Ratio(weight)` + `NormCap(cap, F)` beside the mean
    square residual of values of mean square 1, without a singular value decomposition and without its kink at zero.
    The weight falls from `first` to `last` by the factor `step_factor`. After every stage the ranks r = 1, 2, ... are
    tried in ascending order: the leading r triples are fitted to the observations without penalty. The run ends with
    the first that explains them to tolerance * their root mean square, with fewer parameters than observations and a
    derivative of full rank (`explained`), or to the noise (`noise_level`). If none has at the last weight, it ends
    as `stalled`, or `underdetermined` if already rank one has as many parameters as there are observations.
    Nothing dense of size d1 x d2 is formed on completions; one evaluation costs O(m k + (d1 + d2) k^2).

    width: k; None means the highest rank that could be an answer and 3 more.
    resolution: ranks whose least singular value is below this share of |W|_F are not tried.
    stationary: a step that lowers the objective by less than this share ends the stage.
    inner_steps: the most steps of L-BFGS in one stage.
    noise: the standard deviation of the noise, if known; the bound is that of `Greedy`.
    tolerance: None means eps^0.65 of the data's precision (7e-11 in float64, 3e-5 in float32).

    Raises:
        ValueError: if a number is out of range.

    Source: the penalty is that of Zhao 2022 (`zhao2022combining`); cap, continuation and plain fits are ours.
    """

    first: float = 0.1
    last: float = 1e-3
    step_factor: float = 0.3
    cap: float = 1.0
    width: int | None = None
    resolution: float = 1e-3
    stationary: float = 1e-7
    inner_steps: int = 300
    max_rank: int | None = None
    tolerance: float | None = None
    noise: float | None = None

    driver: ClassVar[Literal["compiled", "host"]] = "host"
    recorded: ClassVar[tuple[str, ...]] = ("weight", "ratio", "evaluations")

    def __post_init__(self) -> None:
        checked(self.first, "first", above=0)
        checked(self.last, "last", above=0, most=self.first)
        checked(self.step_factor, "step_factor", above=0, most=0.99)
        checked(self.cap, "cap", above=0)
        checked(self.resolution, "resolution", least=0, most=1)
        checked(self.stationary, "stationary", least=0)
        positive_integer(self.inner_steps, "inner_steps")
        check_given(self, ("width", "max_rank"), positive_integer)
        check_given(self, ("tolerance", "noise"), checked, least=0)

    @property
    def default_steps(self) -> int:
        """1,000 stages; the last weight is reached long before."""
        return 1_000

    def init(self, problem: Problem, key: Any) -> RatioStage:
        """The leading triples of the adjoint of the values, at the norm that the observations suggest."""
        del key
        values = np.asarray(problem.values, np.float64)
        size = float(np.max(np.abs(values)))
        zero = LowRank.zeros(problem.shape)
        if not (math.isfinite(size) and size > 0):
            verdict = RESULTS.explained if size == 0 else RESULTS.non_finite
            return RatioStage(zero, 1.0, self.first, math.nan, 0, zero, problem.dtype, verdict)
        unit = problem.in_units(size)
        u, s, v = leading_triples(unit, -unit.values, self._columns(problem))
        norm = float(unit.norm_estimate())
        if s[0] == 0 or not SMALLEST < norm < 1 / SMALLEST:
            # No matrix fits better than zero; or measurements so large or small that the objective has no number.
            verdict = RESULTS.converged if s[0] == 0 else RESULTS.non_finite
            return RatioStage(zero, 1.0, self.first, math.nan, 0, zero, problem.dtype, verdict)
        root = np.sqrt(s * (norm / float(np.linalg.norm(s))))
        start = LowRank(u * root, v * root)
        return RatioStage(start, size, self.first, _ratio(start), 0, None, problem.dtype, RESULTS.running)

    def step(self, problem: Problem, state: RatioStage) -> RatioStage:
        """One stage: the minimizer at the weight, then plain fits at ascending ranks."""
        unit, start = problem.in_units(state.size), state.matrix
        objective = CappedRatio(unit, state.weight, self.cap)
        found = scipy.optimize.minimize(
            objective, objective.flat(start), jac=True, method="L-BFGS-B",
            options={"maxiter": self.inner_steps, "maxcor": MEMORY, "ftol": self.stationary, "gtol": 0.0},
        )  # fmt: skip
        matrix = objective.matrix(found.x).balanced()
        moved = replace(
            state, matrix=matrix, ratio=_ratio(matrix), evaluations=state.evaluations + int(found.nfev),
            weight=max(state.weight * self.step_factor, self.last),
        )  # fmt: skip
        for rank in range(1, self._tried(problem, matrix) + 1):
            moved = self._try(problem, unit, moved, rank)
            if moved.answer is not None:
                return moved
        if state.weight > self.last:
            return moved
        return replace(moved, verdict=RESULTS.stalled if spare_observations(problem, 1) else RESULTS.underdetermined)

    def outcome(self, problem: Problem, state: RatioStage) -> RESULTS:
        """Why to stop, or running."""
        del problem
        return state.verdict

    def matrix(self, state: RatioStage) -> LowRank:
        """The plain fit that ended the run, or the minimizer at the present weight."""
        matrix, root = state.matrix if state.answer is None else state.answer, math.sqrt(state.size)
        return LowRank(matrix.left * root, matrix.right * root).astype(state.dtype)

    def record(self, state: RatioStage) -> dict[str, float]:
        """weight (of the next stage), ratio (|W|_* / |W|_F of the minimizer) and evaluations of the objective."""
        return {"weight": state.weight, "ratio": state.ratio, "evaluations": state.evaluations}

    def _try(self, problem: Problem, unit: Problem, state: RatioStage, rank: int) -> RatioStage:
        """The plain fit at a rank, and the end of the run if it is an answer."""
        tolerance, start = exact_tolerance(problem.dtype, self.tolerance), state.matrix.truncate(rank)
        fit = fit_factors(
            unit, start.left, start.right, tolerance=tolerance, stationary=PLAIN_STATIONARY, max_steps=PLAIN_STEPS
        )
        matrix, rmse = LowRank(fit.left, fit.right), fit.residual_norm / math.sqrt(problem.size)
        verdict = None
        if rmse <= tolerance * root_mean_square(unit.values):
            verdict = RESULTS.explained if determined(unit, matrix) else None
        elif self.noise is not None:
            degrees = degrees_of_freedom(rank, problem.shape)
            bound = expected_rmse(self.noise / state.size, problem.size, degrees)
            verdict = RESULTS.noise_level if rmse <= bound else None
        return state if verdict is None else replace(state, answer=matrix, verdict=verdict)

    def _tried(self, problem: Problem, matrix: LowRank) -> int:
        """The highest rank worth a plain fit."""
        sigma = matrix.singular_values()
        return min(self._most(problem), int((sigma > self.resolution * np.linalg.norm(sigma)).sum()))

    def _most(self, problem: Problem) -> int:
        """The highest rank that could be an answer, 0 if none."""
        return min(highest_rank(problem), self.max_rank or min(problem.shape))

    def _columns(self, problem: Problem) -> int:
        return min(self.width or self._most(problem) + SURPLUS, *problem.shape)


class CappedRatio:
    """The objective of one stage divided by its weight, with its gradient, on both factors in one flat vector."""

    def __init__(self, problem: Problem, weight: float, cap: float) -> None:
        self.problem, self.weight, self.cap = problem, weight, cap
        self.norm = float(problem.norm_estimate())
        self.square = float(problem.values @ problem.values)

    def __call__(self, flat: np.ndarray) -> tuple[float, np.ndarray]:
        matrix = self.matrix(flat)
        left, right = matrix.left, matrix.right
        residual = self.problem.residual(matrix)
        gram_left, gram_right = left.T @ left, right.T @ right
        # Columns that cancel leave a sum that is negative by rounding.
        norm = max(math.sqrt(max(float((gram_left * gram_right).sum()), 0.0)), SMALLEST)
        nuclear = float(np.trace(gram_left) + np.trace(gram_right)) / 2
        excess = max(norm / self.norm - 1, 0.0)
        value = nuclear / norm + (float(residual @ residual) / self.square + self.cap * excess**2) / self.weight
        # d|W|_F = <W, dW> / |W|_F; what multiplies W and what multiplies the factors themselves.
        along = 2 * self.cap * excess / (self.weight * self.norm * norm) - nuclear / norm**3
        misfit = self.problem.adjoint_operator(residual * (2 / (self.square * self.weight)))
        by_left = misfit @ right + left / norm + along * (left @ gram_right)
        by_right = misfit.T @ left + right / norm + along * (right @ gram_left)
        return value, np.concatenate([by_left.ravel(), by_right.ravel()])

    def matrix(self, flat: np.ndarray) -> LowRank:
        """The factors in a flat vector."""
        d1, d2 = self.problem.shape
        both = flat.reshape(d1 + d2, -1)
        return LowRank(both[:d1], both[d1:])

    def flat(self, matrix: LowRank) -> np.ndarray:
        """The factors as one flat vector."""
        return np.vstack([matrix.left, matrix.right]).ravel()


def _ratio(matrix: LowRank) -> float:
    sigma = matrix.singular_values()
    return float(sigma.sum() / np.linalg.norm(sigma))
