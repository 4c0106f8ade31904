"""Scaled gradient descent: both factors move along gradients preconditioned by one another's Gram matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rankwise.lowrank import LowRank
from rankwise.problems import Problem
from rankwise.solvers.ranked import Stepped, best_step


@dataclass(frozen=True)
class ScaledGD(Stepped):
    """Scaled gradient descent (ScaledGD) on two factors of a known or growing rank.

    With residual e, G = sum_i e_i A_i and p = sum_i |A_i|_F^2 / (d1 d2),
    left <- left - t/p G right (right^T right)^-1 and right <- right - t/p G^T left (left^T left)^-1,
    so that the rate does not depend on the condition number of the matrix. The factors are kept balanced.

    rate: t; None takes the t that reduces the loss most, exactly, in each step.
    default_steps is 10,000.

    Raises:
        ValueError: as `Ranked`, and if the rate is not positive.

    Source: Tong, Ma, Chi 2021 (`tong2021accelerating`), algorithm 1.
    """

    def iterate(self, problem: Problem, matrix: LowRank, memory: Any) -> tuple[LowRank, None]:
        """One step along the scaled gradients."""
        residual = problem.residual(matrix)
        # Where the data are dense enough, 1/p makes a step of 1 the projection onto the matrices that fit.
        share = matrix.shape[0] * matrix.shape[1] / float(problem.energy())
        gradient = share * problem.adjoint_operator(residual)
        # Balanced factors: both Gram matrices are diagonal.
        weights = np.maximum((matrix.left**2).sum(axis=0), np.finfo(float).tiny)
        move = LowRank(-(gradient @ matrix.right) / weights, -(gradient.T @ matrix.left) / weights)
        t = best_step(problem, matrix, move, residual) if self.rate is None else self.rate
        return LowRank(matrix.left + t * move.left, matrix.right + t * move.right).balanced(), None
