"""A completion with a nuclear norm penalty at one weight: accelerated thresholding without a dense matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy

from rankwise.lowrank import LowRank
from rankwise.plain import Plain
from rankwise.problems import Completion
from rankwise.solvers.factor_newton import refine_penalized
from rankwise.solvers.growth import leading_svd
from rankwise.solvers.nuclear_parts import best_multiple

# Singular vectors carried beyond those above the threshold, and thresholdings between two looks at the gap.
SPARE, LOOK_EVERY = 6, 10
# Steps before the factors are refined by Newton's method, again at every look, to this share of the gap.
REFINE_AFTER, REFINED = 500, 0.1


@dataclass(frozen=True, eq=False)
class PenalizedFit(Plain):
    """A matrix, orthonormal columns (d2, k) near its leading right singular vectors, its relative gap, the steps."""

    matrix: LowRank
    basis: np.ndarray
    gap: float
    steps: int

    @classmethod
    def zero(cls, problem: Completion) -> PenalizedFit:
        """The zero matrix, with a random basis."""
        width = min(SPARE, *problem.shape)
        random = np.random.default_rng(0).standard_normal((problem.shape[1], width))
        return cls(LowRank.zeros(problem.shape), np.linalg.qr(random)[0], math.inf, 0)


def fit_penalized(
    problem: Completion, weight: float, start: PenalizedFit, *, gap: float, max_steps: int
) -> PenalizedFit:
    """Minimize 1/2 |P(W) - values|^2 + weight |W|_* from a start until the relative duality gap is small.

    Thresholdings settle the rank; where they are slow, Newton's method refines the factors between them. Both count as
    steps, the latter by its products with the second derivative. values: float64 of size about 1.
    """
    matrix, basis = start.matrix, start.basis
    previous, seen = matrix, problem.measure(matrix)
    seen_before, momentum = seen, 1.0
    objective = _objective(problem, seen, matrix, weight)
    relative, basis = _look(problem, seen, objective, weight, basis, gap)
    steps = count = 0
    while not relative <= gap and steps < max_steps:
        grown = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        push = (momentum - 1) / grown
        ahead = LowRank(
            np.hstack([(1 + push) * matrix.left, -push * previous.left]), np.hstack([matrix.right, previous.right])
        )
        sparse = problem.adjoint_operator(problem.values - (1 + push) * seen + push * seen_before)
        new, basis = threshold(sparse, ahead, weight, basis)
        seen_new = problem.measure(new)
        value = _objective(problem, seen_new, new, weight)
        steps, count = steps + 1, count + 1
        if value > objective and momentum > 1:
            # The momentum has carried too far: start it afresh from the better matrix.
            momentum, previous, seen_before = 1.0, matrix, seen
        else:
            previous, seen_before, matrix, seen = matrix, seen, new, seen_new
            momentum, objective = grown, value
        if count % LOOK_EVERY == 0:
            relative, basis = _look(problem, seen, objective, weight, basis, gap)
            if relative > gap and steps >= REFINE_AFTER and matrix.rank and steps < max_steps:
                matrix, taken = refine_penalized(problem, weight, matrix, REFINED * gap, max_steps - steps)
                steps, momentum, previous = steps + taken, 1.0, matrix
                seen = seen_before = problem.measure(matrix)
                objective = _objective(problem, seen, matrix, weight)
                relative, basis = _look(problem, seen, objective, weight, _led(matrix, basis), gap)
    if count % LOOK_EVERY:
        relative, basis = _look(problem, seen, objective, weight, basis, gap)
    return PenalizedFit(matrix, basis, relative, steps)


def _led(matrix: LowRank, basis: np.ndarray) -> np.ndarray:
    """Orthonormal columns: the matrix's right singular vectors, then those of the basis that are left of its width."""
    width = max(basis.shape[1], matrix.rank)
    return np.linalg.qr(np.hstack([matrix.right, basis])[:, :width])[0]


def threshold(
    sparse: scipy.sparse.sparray, low_rank: LowRank, weight: float, basis: np.ndarray
) -> tuple[LowRank, np.ndarray]:
    """sparse + low_rank with its singular values lowered by weight, on the subspace that `basis` (d2, k) leads to.

    Also the right singular vectors found, with spare ones, as the basis for a matrix near by.
    """
    columns = np.linalg.qr(sparse @ basis + low_rank.left @ (low_rank.right.T @ basis))[0]
    rows = sparse.T @ columns + low_rank.right @ (low_rank.left.T @ columns)
    right, sigma, turn = np.linalg.svd(rows, full_matrices=False)
    kept = int((sigma > weight).sum())
    root = np.sqrt(sigma[:kept] - weight)
    left = columns @ turn[:kept].T
    return LowRank(left * root, right[:, :kept] * root), _widened(right, kept, sparse.shape)


def _widened(right: np.ndarray, kept: int, shape: tuple[int, int]) -> np.ndarray:
    """`kept` + SPARE columns: of those found, with random ones orthogonal to them where they are too few."""
    width = min(kept + SPARE, *shape)
    if right.shape[1] >= width:
        return right[:, :width]
    random = np.random.default_rng(right.shape[1]).standard_normal((shape[1], width - right.shape[1]))
    return np.linalg.qr(np.hstack([right, random]))[0]


def _look(
    problem: Completion, seen: np.ndarray, objective: float, weight: float, basis: np.ndarray, accuracy: float
) -> tuple[float, np.ndarray]:
    """The relative duality gap; and the basis, with the direction that a gap speaks for if it lacks it.

    The dual point is nu = s (values - P(W)) with the s that is best within |P^T nu|_2 <= weight; its value is
    <values, nu> - |nu|^2 / 2.
    """
    residual = problem.values - seen
    norm, vector = _leading(problem.adjoint_operator(residual), accuracy, basis.shape[1])
    dual = best_multiple(float(problem.values @ residual), float(residual @ residual), norm / weight)
    relative = (objective - dual) / objective if objective > 0 else 0.0
    if norm > weight:
        basis = np.linalg.qr(np.hstack([vector[:, None], basis[:, : min(problem.shape) - 1]]))[0]
    return relative, basis


def _leading(matrix: scipy.sparse.sparray, accuracy: float, rank: int) -> tuple[float, np.ndarray]:
    """The largest singular value, to this share of it, and its right vector.

    At an optimum as many singular values as the rank coincide; asking for more than is needed would take forever.
    """
    if not matrix.data.any():
        return 0.0, np.eye(matrix.shape[1], 1)[:, 0]
    # The tolerance is squared inside, for it is that of the eigenvalues of the Gram matrix.
    _, sigma, rights = leading_svd(matrix, 1, tolerance=math.sqrt(accuracy), cluster=rank)
    return float(sigma[0]), rights[:, 0]


def _objective(problem: Completion, seen: np.ndarray, matrix: LowRank, weight: float) -> float:
    residual = seen - problem.values
    return float(residual @ residual) / 2 + weight * float((matrix.left**2).sum())
