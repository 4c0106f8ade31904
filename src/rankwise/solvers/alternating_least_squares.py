"""Alternating least squares: each factor in turn is the exact minimizer for the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import scipy

from rankwise.lowrank import LowRank
from rankwise.plain import boolean, checked
from rankwise.problems import Completion, Problem
from rankwise.solvers.ranked import AtRank, Ranked

# Regularization of the small systems relative to their trace; the refinement takes its effect out again.
BLOCK_SHIFT, REFINEMENTS = 1e-12, 2
# From this ridge on, in units of the values, the minimizer is zero; further ones would overflow.
HEAVY = 1e100


class Penalized(NamedTuple):
    """The ridge in the units of the state, and the last `patience` + 1 objectives at this rank."""

    weight: float
    recent: tuple[float, ...]


@dataclass(frozen=True)
class AlternatingLeastSquares(Ranked):
    """Alternating least squares (ALS) on two factors of a known or growing rank.

    One step: left <- argmin loss(left right^T) + ridge/2 sum_i n_i |left_i|^2, then the same for right with the new
    left. On a `Completion` that is one r x r system per row and per column, O(m r^2 + (d1 + d2) r^3); any
    other problem is solved through the normal equations of its Jacobian, of size d1 r and d2 r.

    ridge: as in `Greedy`, a penalty ridge |W|_* on the matrices of this rank (n_i = 1).
    by_count: n_i is the number of observations in row i, instead of 1 (weighted-lambda regularization); on problems
    other than completion it is refused.
    With a ridge nothing is explained exactly: the rank given ends `flat`, a growing one where another pair gains
    less than `stationary`. default_steps is 2,000.

    Raises:
        ValueError: as `Ranked`, and if the ridge is negative or (from `check`) by_count needs rows that are observed.

    Source: Jain, Netrapalli, Sanghavi 2013 (`jain2013lowrank`), algorithm 1 without splitting the observations; the
    ridge of Koren, Bell, Volinsky 2009 (`koren2009matrix`); by_count as Zhou et al. 2008 (`zhou2008largescale`).
    """

    ridge: float = 0.0
    by_count: bool = False
    stationary: float = 1e-2
    patience: int | None = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self.ridge, "ridge", least=0)
        boolean(self.by_count, "by_count")

    @property
    def default_steps(self) -> int:
        """2,000."""
        return 2000

    def check(self, problem: Problem) -> None:
        """Raise a ValueError if the rank does not fit the shape or rows have no observations of their own."""
        super().check(problem)
        if self.by_count and not isinstance(problem, Completion):
            raise ValueError(f"by_count needs a Completion, whose rows are observed, not a {type(problem).__name__}")

    def begin(self, problem: Problem, matrix: LowRank) -> tuple[LowRank, Any]:
        """The matrix in the factors of least ridge; the memory follows in `_enter`."""
        return self._balanced(problem, matrix), None

    def iterate(self, problem: Problem, matrix: LowRank, memory: Penalized) -> tuple[LowRank, Penalized]:
        """The best left factor, then the best right one."""
        for side in (0, 1):
            if isinstance(problem, Completion):
                matrix = self._best_rows(problem, matrix, side, memory.weight)
            else:
                matrix = self._best_factor(problem, matrix, side, memory.weight)
        matrix = self._balanced(problem, matrix)
        return matrix, memory._replace(recent=self._recent(problem, matrix, memory))

    def _balanced(self, problem: Problem, matrix: LowRank) -> LowRank:
        """The same matrix in the factors of least sum_i n_i |left_i|^2 + sum_j n_j |right_j|^2."""
        if not self.by_count:
            return matrix.balanced()
        # Rows without observations weigh nothing, and are zero from the spectral start on.
        roots = [np.sqrt(np.maximum(self._counts(problem, side), 1))[:, None] for side in (0, 1)]
        weighted = LowRank(roots[0] * matrix.left, roots[1] * matrix.right).balanced()
        return LowRank(weighted.left / roots[0], weighted.right / roots[1])

    def _enter(self, problem: Problem, state: AtRank, matrix: LowRank) -> AtRank:
        """The start of a rank, with the ridge in the units of the state."""
        entered = super()._enter(problem, state, matrix)
        weight = min(self.ridge / float(problem.scale) / state.size, HEAVY)
        memory = Penalized(weight, ())
        return replace(entered, memory=memory._replace(recent=self._recent(state.problem, entered.matrix, memory)))

    def _recent(self, problem: Problem, matrix: LowRank, memory: Penalized) -> tuple[float, ...]:
        """The objectives since the rank was reached, with that at the matrix."""
        residual = problem.residual(matrix)
        squares = 0.0
        for side, factor in enumerate((matrix.left, matrix.right) if memory.weight else ()):
            squares += float((self._counts(problem, side)[:, None] * factor**2).sum())
        objective = float(residual @ residual) / 2 + memory.weight / 2 * squares
        return (*memory.recent, objective)[-self._patience() - 1 :]

    def _counts(self, problem: Problem, side: int) -> np.ndarray:
        """n_i for the rows of a factor."""
        if not self.by_count or not isinstance(problem, Completion):
            return np.ones(problem.shape[side])
        return np.bincount((problem.rows, problem.cols)[side], minlength=problem.shape[side])

    def _exhausted(self, state: AtRank) -> bool:
        """With a ridge it is the objective that falls, not the residual."""
        if not self.ridge or state.memory is None:
            return super()._exhausted(state)
        recent = state.memory.recent
        return len(recent) > self._patience() and not recent[-1] < (1 - self.stationary) * recent[0]

    def _settled(self, problem: Problem, state: AtRank) -> AtRank:
        """With a ridge the best fit is not what is looked for."""
        return state if self.ridge else super()._settled(problem, state)

    def _tolerance(self, problem: Problem) -> float:
        """With a ridge no residual is small enough to stop at: an exact fit is not the minimizer."""
        return -1.0 if self.ridge else super()._tolerance(problem)

    def _best_rows(self, problem: Completion, matrix: LowRank, side: int, weight: float) -> LowRank:
        """Row by row: one small system each."""
        pattern = problem.adjoint_operator(np.ones(problem.size))
        residual = problem.adjoint_operator(problem.residual(matrix))
        moved, other = (matrix.right, matrix.left) if side else (matrix.left, matrix.right)
        pattern, residual = (pattern.T, residual.T) if side else (pattern, residual)
        r = other.shape[1]
        ridge = (weight * self._counts(problem, side))[:, None]
        outer = (other[:, :, None] * other[:, None, :]).reshape(len(other), -1)
        blocks = (pattern @ outer).reshape(-1, r, r) + ridge[:, :, None] * np.eye(r)
        trace = np.trace(blocks, axis1=1, axis2=2) / r
        shift = BLOCK_SHIFT * np.maximum(trace, trace.mean()) + np.finfo(float).tiny
        inverse = np.linalg.inv(blocks + shift[:, None, None] * np.eye(r))
        best = moved
        for _ in range(REFINEMENTS):
            gradient = residual @ other + np.einsum("iab,ib->ia", blocks, best - moved) + ridge * moved
            best = best - np.einsum("iab,ib->ia", inverse, gradient)
        return LowRank(matrix.left, best) if side else LowRank(best, matrix.right)

    def _best_factor(self, problem: Problem, matrix: LowRank, side: int, weight: float) -> LowRank:
        """All rows of a factor at once, from the normal equations of the Jacobian."""
        moved = matrix.right if side else matrix.left
        jacobian = problem.factor_jacobian(matrix.left, matrix.right)
        half = matrix.left.size
        part = slice(half, None) if side else slice(half)
        if isinstance(jacobian, scipy.sparse.linalg.LinearOperator):
            image = jacobian @ np.eye(jacobian.shape[1])[:, part]
        else:
            image = jacobian[:, part].toarray() if scipy.sparse.issparse(jacobian) else jacobian[:, part]
        normal = image.T @ image + weight * np.eye(moved.size)
        shift = BLOCK_SHIFT * np.trace(normal) / moved.size + np.finfo(float).tiny
        factor = scipy.linalg.cho_factor(normal + shift * np.eye(moved.size))
        best = start = moved.ravel()
        residual = problem.residual(matrix)
        for _ in range(REFINEMENTS):
            gradient = image.T @ residual + (normal @ (best - start)) + weight * start
            best = best - scipy.linalg.cho_solve(factor, gradient)
        best = best.reshape(moved.shape)
        return LowRank(matrix.left, best) if side else LowRank(best, matrix.right)
