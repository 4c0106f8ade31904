"""Rank 2r iterative least squares: least squares over rank-2r matrices around two bases, which are then averaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rankwise.lowrank import LowRank
from rankwise.plain import checked, positive_integer
from rankwise.problems import Problem
from rankwise.solvers.gauss_newton import least_norm, tangent_step
from rankwise.solvers.ranked import Ranked


@dataclass(frozen=True)
class R2RILS(Ranked):
    """Rank 2r iterative least squares (R2RILS) at a known or growing rank.

    With U (d1, r), V (d2, r) of unit columns, each step takes the least-squares solution (A, B), that of least norm
    where the derivative has its full rank and else of least norm in LSQR's unknowns, as in `GaussNewton`, of
    |measure(A V^T + U B^T) - values|, the matrix of the step being the best approximation of rank r to A V^T + U B^T.
    Then U <- norm(U + norm(A)), V <- norm(V + norm(B)), where norm scales every column to length 1. The residual may
    rise before it falls, and with it the norm of the matrix, hence the high `norm_limit`; the bases cannot diverge.

    inner_steps: the most iterations of LSQR. The published 1,000 are meant for unscaled unknowns; on those of
    `GaussNewton` they solve so exactly that directions the observations barely see carry the bases away.
    accuracy: the relative accuracy at which LSQR ends.
    default_steps is 1,000.

    Raises:
        ValueError: as `Ranked`, and if inner_steps is not positive or accuracy is not above 0 and at most
            1.

    Source: Bauch, Nadler, Zilber 2021 (`bauch2021rank`), algorithm 1.
    """

    inner_steps: int = 200
    accuracy: float = 1e-15
    patience: int | None = None
    norm_limit: float = 1e10

    def __post_init__(self) -> None:
        super().__post_init__()
        positive_integer(self.inner_steps, "inner_steps")
        checked(self.accuracy, "accuracy", above=0, most=1)

    @property
    def default_steps(self) -> int:
        """1,000."""
        return 1_000

    def begin(self, problem: Problem, matrix: LowRank) -> tuple[LowRank, LowRank]:
        """Balanced factors; the memory is U, V: the singular vectors."""
        balanced = matrix.balanced()
        return balanced, LowRank(_unit(balanced.left), _unit(balanced.right))

    def iterate(self, problem: Problem, matrix: LowRank, memory: Any) -> tuple[LowRank, Any]:
        """One least-squares problem around U, V, and their average with its solution."""
        found = least_norm(memory, tangent_step(problem, memory, -problem.values, self.inner_steps, self.accuracy))
        fit = LowRank(np.hstack([found.left, memory.left]), np.hstack([memory.right, found.right]))
        averaged = (_unit(old + _unit(new)) for old, new in ((memory.left, found.left), (memory.right, found.right)))
        return fit.truncate(matrix.rank), LowRank(*averaged)


def _unit(factor: np.ndarray) -> np.ndarray:
    """The factor with columns of length 1."""
    return factor / np.maximum(np.linalg.norm(factor, axis=0), np.finfo(float).tiny)
