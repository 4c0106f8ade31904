"""Newton's method on both factors of a completion with a nuclear norm penalty, for the last digits of a fit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy

from rankwise.lowrank import LowRank
from rankwise.plain import Plain
from rankwise.problems import Completion

# Damping: the first, its range, and the share of the predicted decrease from which a step counts.
FIRST_DAMPING, LEAST_DAMPING, MOST_DAMPING, LEAST_GAIN = 1e-3, 1e-9, 1e6, 1e-4
# Steps and, within a step, products at most; the share of the slope that conjugate gradients leave at most.
STEPS, PRODUCTS, SHARE = 20, 500, 0.1
# Regularization of the row blocks relative to their trace, and decreases of the objective that are rounding.
BLOCK_SHIFT, ROUNDING = 1e-12, 1e-14


@dataclass(frozen=True, eq=False)
class FactorPoint(Plain):
    """Factors with the objective f = 1/2 |P(L R^T) - values|^2 + weight/2 (|L|^2 + |R|^2) and its derivatives.

    slope (d1 + d2, r): that of L above that of R. gradient: P^T(P(L R^T) - values), sparse. blocks (d1 + d2, r, r):
    the second derivative row by row; inverse: their inverses. decrement: <slope, inverse slope>.
    """

    problem: Completion
    weight: float
    matrix: LowRank
    objective: float
    gradient: scipy.sparse.csr_array
    slope: np.ndarray
    blocks: np.ndarray
    inverse: np.ndarray
    decrement: float

    @classmethod
    def at(cls, problem: Completion, weight: float, matrix: LowRank) -> FactorPoint:
        """At these factors."""
        left, right, r = matrix.left, matrix.right, matrix.rank
        residual = problem.residual(matrix)
        objective = float(residual @ residual) / 2 + weight / 2 * float((left**2).sum() + (right**2).sum())
        gradient = problem.adjoint_operator(residual).tocsr()
        slope = np.vstack([gradient @ right, gradient.T @ left]) + weight * np.vstack([left, right])
        pattern = problem.adjoint_operator(np.ones(problem.size))
        blocks = np.vstack([pattern @ _squares(right), pattern.T @ _squares(left)]).reshape(-1, r, r)
        trace = np.trace(blocks, axis1=1, axis2=2)
        blocks = blocks + (weight + BLOCK_SHIFT * trace)[:, None, None] * np.eye(r)
        inverse = np.linalg.inv(blocks)
        decrement = float((slope * _rowwise(inverse, slope)).sum())
        return cls(problem, weight, matrix, objective, gradient, slope, blocks, inverse, decrement)

    def product(self, move: np.ndarray) -> np.ndarray:
        """The second derivative of f along a move, both (d1 + d2, r)."""
        problem, (left, right) = self.problem, (self.matrix.left, self.matrix.right)
        by_left, by_right = np.split(move, [len(left)])
        change = problem.measure(LowRank(np.hstack([by_left, left]), np.hstack([right, by_right])))
        curved = problem.adjoint_operator(change)
        parts = [curved @ right + self.gradient @ by_right, curved.T @ left + self.gradient.T @ by_left]
        return np.vstack(parts) + self.weight * move

    def step(self, damping: float) -> tuple[np.ndarray, float, int]:
        """About the minimizer of the damped model, the decrease that the model predicts, and the products taken.

        Conjugate gradients preconditioned by the blocks; they end where they meet negative curvature.
        """
        move, left_over = np.zeros_like(self.slope), -self.slope
        scaled = _rowwise(self.inverse, left_over)
        direction, size = scaled, float((left_over * scaled).sum())
        share = min(SHARE, (self.decrement / self.objective) ** 0.25)
        goal, products, curved = share**2 * size, 0, np.zeros_like(move)
        while products < PRODUCTS and size > goal:
            image = self.product(direction)
            products += 1
            damped = image + damping * _rowwise(self.blocks, direction)
            curvature = float((direction * damped).sum())
            if not curvature > 0:
                break
            length = size / curvature
            move, curved, left_over = move + length * direction, curved + length * image, left_over - length * damped
            scaled = _rowwise(self.inverse, left_over)
            size, before = float((left_over * scaled).sum()), size
            direction = scaled + size / before * direction
        return move, -float((move * (self.slope + curved / 2)).sum()), products

    def moved(self, move: np.ndarray) -> FactorPoint:
        """After a move, each factor in turn refitted to the other: without that, steps along valleys are short."""
        n = len(self.matrix.left)
        matrix = LowRank(self.matrix.left + move[:n], self.matrix.right + move[n:]).balanced()
        for side in (0, 1):
            point = FactorPoint.at(self.problem, self.weight, matrix)
            best = np.split(_rowwise(point.inverse, point.slope), [n])[side]
            matrix = LowRank(matrix.left, matrix.right - best) if side else LowRank(matrix.left - best, matrix.right)
        return FactorPoint.at(self.problem, self.weight, matrix.balanced())


def refine_penalized(
    problem: Completion, weight: float, matrix: LowRank, accuracy: float, most: int
) -> tuple[LowRank, int]:
    """Lower 1/2 |P(L R^T) - values|^2 + weight/2 (|L|^2 + |R|^2) from L R^T, of rank at least 1; and the products.

    At a minimum this is the objective with weight |L R^T|_*, and where the rank is right that of all matrices. Ends
    when the decrement is at most accuracy^2 times the objective, after 20 steps or about `most` products.
    values: float64 of size about 1.
    """
    point, damping, raise_by, taken = FactorPoint.at(problem, weight, matrix.balanced()), FIRST_DAMPING, 2.0, 0
    for _ in range(STEPS):
        if not point.decrement > accuracy**2 * point.objective or damping > MOST_DAMPING or taken >= most:
            break
        move, predicted, products = point.step(damping)
        taken += products
        trial = point.moved(move)
        gain = (point.objective - trial.objective) / predicted if predicted > 0 else -math.inf
        rounding = abs(predicted) <= ROUNDING * point.objective and trial.decrement < point.decrement
        if gain > LEAST_GAIN or rounding:
            point, raise_by = trial, 2.0
            damping = max(damping * max(0.1, 1 - (2 * min(gain, 2.0) - 1) ** 3), LEAST_DAMPING)
        else:
            damping, raise_by = damping * raise_by, raise_by * 2
    return point.matrix, taken


def _rowwise(blocks: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """blocks[i] @ rows[i]."""
    return (blocks @ rows[:, :, None])[:, :, 0]


def _squares(factor: np.ndarray) -> np.ndarray:
    """The outer product of every row with itself, flattened: shape (rows, r^2)."""
    return (factor[:, :, None] * factor[:, None, :]).reshape(len(factor), -1)
