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
# The step is adapted so long, where the two residuals are further apart than a factor of 4.
ADAPTED_UNTIL, BALANCED = 500, 4.0


@dataclass(frozen=True, eq=False)
class Pursuit(Plain):
    """The state, in units in which the typical observed value is 1.

    size: that unit. dtype: the precision of the data. left, right: factors of L. rest: what is not L, (d1, d2): S at
    observed places, the filling of the others. multiplier: scaled dual variable, (d1, d2). strength: of the quadratic
    term. steps: taken so far. primal, dual: bounds of the least objective. split: |observed - L - S|_F / |values|.
    """

    size: float
    dtype: str
    left: np.ndarray
    right: np.ndarray
    rest: np.ndarray
    multiplier: np.ndarray
    strength: float
    steps: int
    primal: float
    dual: float
    split: float
    verdict: RESULTS


@dataclass(frozen=True)
class PrincipalComponentPursuit(Solver):
    """Low rank plus sparse with missing entries: min |L|_* + weight |S|_1 over L + S = values where observed.

    S is values - L at the observed places, so that any L is feasible; `outliers(problem, solution.matrix)` reads it
    off. Stops when the relative duality gap is at most `gap` (`converged`), which proves that no L has an objective
    lower by more than that. The dual: max <Y, values> over Y that vanishes where nothing is observed,
    |Y|_2 <= 1, |Y_ij| <= weight.

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
        values = np.abs(np.asarray(problem.values, float))
        size = float(np.median(values)) or float(values.max())
        zero, (d1, d2) = np.zeros(problem.shape), problem.shape
        state = Pursuit(
            size, problem.dtype.name, np.zeros((d1, 0)), np.zeros((d2, 0)), zero, zero, strength=1.0, steps=0,
            primal=0.0, dual=0.0, split=0.0, verdict=RESULTS.converged,
        )  # fmt: skip
        if size == 0.0:
            return state
        # The strength of the norm of the data without what is surely outlying.
        strength = 2 / float(np.linalg.norm(np.clip(_observed(problem, size), -3, 3), 2))
        primal = self._weight(problem) * float((values / size).sum())
        return replace(state, strength=strength, primal=primal, split=1.0, verdict=RESULTS.running)

    def step(self, problem: Any, state: Pursuit) -> Pursuit:
        """One sweep: singular values, then residuals, moved towards 0; then the dual variable."""
        data, weight = _observed(problem, state.size), self._weight(problem)
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
        moved = self._bounded(problem, moved, float(s.sum()))
        drift = float(np.linalg.norm(rest - state.rest) / np.linalg.norm(data))
        return _balanced(moved, drift) if moved.steps <= ADAPTED_UNTIL else moved

    def outcome(self, problem: Problem, state: Pursuit) -> RESULTS:
        """converged, non_finite, or running."""
        if state.verdict is RESULTS.running and state.primal - state.dual <= self.gap * state.primal:
            return RESULTS.converged
        return state.verdict

    def matrix(self, state: Pursuit) -> LowRank:
        """L."""
        root = math.sqrt(state.size)
        return LowRank(state.left * root, state.right * root).astype(state.dtype)

    def record(self, state: Pursuit) -> dict[str, float]:
        """rank of L; primal and dual (in the units of the values), their relative gap, and split."""
        gap = (state.primal - state.dual) / state.primal if state.primal else 0.0
        primal, dual = state.primal * state.size, state.dual * state.size
        return {"rank": state.left.shape[1], "primal": primal, "dual": dual, "gap": gap, "split": state.split}

    def _weight(self, problem: Problem) -> float:
        d1, d2 = problem.shape
        return 1 / math.sqrt(problem.size / (d1 * d2) * max(d1, d2)) if self.weight is None else self.weight

    def _bounded(self, problem: Any, state: Pursuit, nuclear: float) -> Pursuit:
        """The state with its objective, and the greatest lower bound so far."""
        values = np.asarray(problem.values, float) / state.size
        residual = values - LowRank(state.left, state.right).entries(problem.rows, problem.cols)
        primal = nuclear + self._weight(problem) * float(np.abs(residual).sum())
        prices = state.strength * state.multiplier[problem.rows, problem.cols]
        spectral = float(np.linalg.norm(problem.adjoint(prices), 2))
        dual = float(prices @ values) / max(1.0, spectral)
        finite = math.isfinite(primal) and math.isfinite(dual)
        verdict = RESULTS.running if finite else RESULTS.non_finite
        return replace(state, primal=primal, dual=max(dual, state.dual), verdict=verdict)


def _observed(problem: Any, size: float) -> np.ndarray:
    """The observed values over their unit, zero elsewhere."""
    data = np.zeros(problem.shape)
    data[problem.rows, problem.cols] = np.asarray(problem.values, float) / size
    return data


def _balanced(state: Pursuit, drift: float) -> Pursuit:
    """Another strength where what L and S leave over and how far S has moved are of different size."""
    ratio = state.split / max(drift, np.finfo(float).tiny)
    if 1 / BALANCED <= ratio <= BALANCED:
        return state
    factor = min(max(math.sqrt(ratio), 0.1), 10.0)
    return replace(state, strength=state.strength * factor, multiplier=state.multiplier / factor)
