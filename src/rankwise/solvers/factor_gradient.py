"""Small-step gradient descent on two factors: the faithful inner trajectory of greedy low-rank learning."""

from __future__ import annotations

import numpy as np

from rankwise.lowrank import LowRank
from rankwise.problems import Problem
from rankwise.spectrum import root_mean_square

STATIONARY = 1e-10


def descend_factors(
    problem: Problem,
    matrix: LowRank,
    direction: tuple[np.ndarray, np.ndarray],
    *,
    epsilon: float,
    step_size: float,
    ridge: float,
    max_steps: int,
    norm_limit: float,
    symmetric: bool,
) -> tuple[LowRank, int]:
    """Gradient descent from the saddle `matrix` along sqrt(epsilon) * direction until stationary.

    Steps W = left right^T by left <- left - step_size (grad l(W) right + ridge left), and likewise right
    (symmetric: left = right = Z and the gradient's symmetric part). Ends when the factors' gradient has fallen
    to 1e-10 of the largest seen since the saddle, when |W|_F exceeds norm_limit (the step is too large), or after
    max_steps; returns the matrix and the steps taken.

    Source: Li, Luo, Lyu 2021 (`li2021greedy`).
    """
    start = matrix.balanced() if matrix.rank else matrix
    u, v = direction
    left = np.hstack([start.left, epsilon**0.5 * u[:, None]])
    right = left if symmetric else np.hstack([start.right, epsilon**0.5 * v[:, None]])
    largest = 0.0
    for step in range(max_steps):
        residual = problem.residual(LowRank(left, right))
        gradient = problem.scale * problem.adjoint_operator(problem.misfit.slope(residual))
        if symmetric:
            gradient = (gradient + gradient.T) / 2
        by_left, by_right = gradient @ right + ridge * left, gradient.T @ left + ridge * right
        size = root_mean_square(np.vstack([by_left, by_right]))
        largest = max(largest, size)
        if size <= STATIONARY * largest:
            return LowRank(left, right), step
        left = left - step_size * by_left
        right = left if symmetric else right - step_size * by_right
        if not LowRank(left, right).norm() <= norm_limit:
            return LowRank(left, right), step + 1
    return LowRank(left, right), max_steps
