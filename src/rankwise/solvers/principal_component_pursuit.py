"""Robust principal components by convex optimization: the least nuclear norm plus the least absolute deviations."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from rankwise.lowrank import LowRank
from rankwise.plain import Plain, checked, positive_integer
from rankwise.problems import Completion, Problem
from rankwise.results import RESULTS
from rankwise.solvers.base import Solver

# Over-relaxation of the alternating direction method; the best between 1.5 and 1.8 in the literature's experience.
RELAXATION = 1.6
# The step is adapted for so long, where the two residuals are further apart than a factor of 4.
ADAPTED_FOR, BALANCED = 500, 4.0
# Values are clipped at this multiple of the typical one, and let out to this multiple of L where L comes half as far.
CLIP = 10.0


@dataclass(frozen=True, eq=False)
class Pursuit(Plain):
    """The state, in units in which the typical observed value is 1.

    size: that unit. dtype: the precision of the data. values: the observed ones, clipped, (m,). left, right: factors
    of L. rest: what is not L, (d1, d2): S at observed places, the filling of the others. multiplier: scaled dual
    variable, (d1, d2). strength: of the quadratic term. steps: taken so far; adapted: the step until which the
    strength is adapted. primal, dual: bounds of the least objective with these values. split:
    |values - L - S|_F / |values|.
    """

    size: float
    dtype: str
    values: np.ndarray
    left: np.ndarray
    right: np.ndarray
    rest: np.ndarray
    multiplier: np.ndarray
    strength: float
    steps: int
    adapted: int
    primal: float
    dual: float
    split: float
    verdict: RESULTS


@dataclass(frozen=True)
class PrincipalComponentPursuit(Solver):
    """Low rank plus sparse with missing entries: min |L|_* + weight |S|_1 over L + S = values where observed.

    S is values - L at the observed places, so that any L is feasible; `outliers(problem, solution.matrix)` reads it
    off. Stops when the relative duality gap is at most `gap` (`optimal`), which proves that no L has an objective
    lower by more than that. The dual: max <Y, values> over Y that vanishes where nothing is observed,
    |Y|_2 <= 1, |Y_ij| <= weight.

    Outliers may be of any size: optimality depends on the sign of S_ij, not on its size, so that an L that is optimal
    stays so when values move away from it. The program is solved with values clipped at ten times the median of their
    sizes that are not zero; a value that L comes half as far as is let out to ten times L. The gap, and primal and dual
    in the record, are those of the clipped values, in which no huge outlier hides what L does. They prove for the
    values as given that no L is better by more than the gap among those that stay within the clipped values, and at no
    gap that none is at all, for the objective is convex.

    weight: None means 1 / sqrt(p max(d1, d2)) with the share p of observed entries, at which most of a low-rank matrix
    without spiky entries is recovered exactly. A larger weight leaves less to S.
    Alternating directions with over-relaxation; a step takes one full decomposition of a (d1, d2) matrix, so this is
    for matrices that have one. The loss of the problem (its scale) plays no role.
    check_every: steps between two computations of the gap. `record` adds rank, primal, dual, gap and split.

    Raises:
        ValueError: if a number is out of range, or (from `check`) the problem is no completion.

    Source: Candes, Li, Ma, Wright 2011 (`candes2011robust`), theorem 1.2 and algorithm 1.
    """

    weight: float | None = None
    gap: float = 1e-7
    check_every: int = 10

    driver: ClassVar[Literal["compiled", "host"]] = "host"
    recorded: ClassVar[tuple[str, ...]] = ("rank", "primal", "dual", "gap", "split")

    def __post_init__(self) -> None:
        if self.weight is not None:
            checked(self.weight, "weight", above=0)
        checked(self.gap, "gap", above=0)
        positive_integer(self.check_every, "check_every")

    @property
    def default_steps(self) -> int:
        """The step limit unless `solve` is told another: 5,000."""
        return 5_000

    def check(self, problem: Problem) -> None:
        """Raise a ValueError unless single entries are observed."""
        if not isinstance(problem, Completion):
            raise ValueError(f"PrincipalComponentPursuit takes a Completion, not a {type(problem).__name__}")

    def init(self, problem: Problem, key: Any) -> Pursuit:
        """L = 0."""
        del key
        given = np.abs(np.asarray(problem.values, float))
        size = float(np.median(given[given > 0])) if given.any() else 0.0
        zero, (d1, d2) = np.zeros(problem.shape), problem.shape
        state = Pursuit(
            size, problem.dtype.name, np.zeros(problem.size), np.zeros((d1, 0)), np.zeros((d2, 0)), zero, zero,
            strength=1.0, steps=0, adapted=ADAPTED_FOR, primal=0.0, dual=0.0, split=0.0, verdict=RESULTS.optimal,
        )  # fmt: skip
        if size == 0.0:
            return state
        values = _clipped(problem, size, np.full(problem.size, CLIP))
        # The strength of the norm of the data without what is likely outlying.
        strength = 2 / float(np.linalg.norm(np.clip(_observed(problem, values), -3, 3), 2))
        primal = self._weight(problem) * float(np.abs(values).sum())
        return replace(state, values=values, strength=strength, primal=primal, split=1.0, verdict=RESULTS.running)

    def step(self, problem: Any, state: Pursuit) -> Pursuit:
        """One sweep: singular values, then residuals, moved towards 0; then the dual variable."""
        data, weight = _observed(problem, state.values), self._weight(problem)
        u, s, vt = np.linalg.svd(data - state.rest + state.multiplier, full_matrices=False)
        s = np.maximum(s - 1 / state.strength, 0)
        rank = int(np.count_nonzero(s))
        left, right = u[:, :rank] * s[:rank], vt[:rank].T
        matrix = left @ right.T
        relaxed = RELAXATION * matrix + (1 - RELAXATION) * (data - state.rest)
        excess = data - relaxed + state.multiplier
        rest = excess.copy()
        seen = (problem.rows, problem.cols)
        rest[seen] = np.sign(excess[seen]) * np.maximum(np.abs(excess[seen]) - weight / state.strength, 0)
        moved = replace(
            state, left=left, right=right, rest=rest, multiplier=excess - rest, steps=state.steps + 1,
            split=float(np.linalg.norm(data - matrix - rest) / np.linalg.norm(data)),
        )  # fmt: skip
        if moved.steps % self.check_every:
            return moved
        moved = self._bounded(problem, _let_out(problem, moved), float(s.sum()))
        drift = float(np.linalg.norm(rest - state.rest) / np.linalg.norm(data))
        return _balanced(moved, drift) if moved.steps <= moved.adapted else moved

    def outcome(self, problem: Problem, state: Pursuit) -> RESULTS:
        """optimal, non_finite, or running."""
        if state.verdict is RESULTS.running and state.primal - state.dual <= self.gap * state.primal:
            return RESULTS.optimal
        return state.verdict

    def matrix(self, state: Pursuit) -> LowRank:
        """L."""
        root = math.sqrt(state.size)
        return LowRank(state.left * root, state.right * root).astype(state.dtype)

    def record(self, state: Pursuit) -> dict[str, float]:
        """rank of L; primal and dual (of the clipped values, in their units), their relative gap, and split."""
        gap = (state.primal - state.dual) / state.primal if state.primal else 0.0
        primal, dual = state.primal * state.size, state.dual * state.size
        return {"rank": state.left.shape[1], "primal": primal, "dual": dual, "gap": gap, "split": state.split}

    def _weight(self, problem: Problem) -> float:
        d1, d2 = problem.shape
        return 1 / math.sqrt(problem.size / (d1 * d2) * max(d1, d2)) if self.weight is None else self.weight

    def _bounded(self, problem: Any, state: Pursuit, nuclear: float) -> Pursuit:
        """The state with its objective, and the greatest lower bound so far."""
        residual = state.values - LowRank(state.left, state.right).entries(problem.rows, problem.cols)
        primal = nuclear + self._weight(problem) * float(np.abs(residual).sum())
        prices = state.strength * state.multiplier[problem.rows, problem.cols]
        spectral = float(np.linalg.norm(problem.adjoint(prices), 2))
        dual = float(prices @ state.values) / max(1.0, spectral)
        finite = math.isfinite(primal) and math.isfinite(dual)
        verdict = RESULTS.running if finite else RESULTS.non_finite
        return replace(state, primal=primal, dual=max(dual, state.dual), verdict=verdict)


def _observed(problem: Any, values: np.ndarray) -> np.ndarray:
    """The values at their places, zero elsewhere."""
    data = np.zeros(problem.shape)
    data[problem.rows, problem.cols] = values
    return data


def _clipped(problem: Any, size: float, bound: np.ndarray) -> np.ndarray:
    """The observed values over their unit `size`, clipped to +-bound (m,)."""
    given = np.asarray(problem.values, float)
    with np.errstate(over="ignore"):  # beyond the floats lies above every bound
        return np.clip(given / size, -bound, bound)


def _let_out(problem: Any, state: Pursuit) -> Pursuit:
    """The state with the clipped values that L comes near further out; what is proved of others is forgotten then."""
    reached = np.sign(state.values) * LowRank(state.left, state.right).entries(problem.rows, problem.cols)
    bound = np.maximum(np.abs(state.values), np.where(2 * reached > np.abs(state.values), CLIP * reached, 0))
    values = _clipped(problem, state.size, bound)
    if (values == state.values).all():
        return state
    return replace(state, values=values, dual=0.0, adapted=state.steps + ADAPTED_FOR)


def _balanced(state: Pursuit, drift: float) -> Pursuit:
    """Another strength where what L and S leave over and how far S has moved are of different size."""
    ratio = state.split / max(drift, np.finfo(float).tiny)
    if 1 / BALANCED <= ratio <= BALANCED:
        return state
    factor = min(max(math.sqrt(ratio), 0.1), 10.0)
    return replace(state, strength=state.strength * factor, multiplier=state.multiplier / factor)
