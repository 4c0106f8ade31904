"""Iterative hard thresholding: a gradient step on the whole matrix, then the nearest matrix of the rank."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from rankwise.lowrank import LowRank
from rankwise.problems import Completion, Problem
from rankwise.solvers.growth import DENSE_ENTRIES
from rankwise.solvers.ranked import Stepped

# Where the step is too long: what remains of it, the safety of the bound that decides, and how often it may shrink.
SHRINK, SAFETY, MAX_SHRINKS = 2.0, 0.01, 40
# Iterative decompositions: columns beyond the rank, and rounds of subspace iteration.
EXTRA_COLUMNS, ROUNDS = 5, 3


@dataclass(frozen=True)
class HardThresholding(Stepped):
    """Iterative hard thresholding (IHT), also known as singular value projection (SVP).

    With the residual e and G = sum_i e_i A_i,  W <- P_r(W - t G),  P_r keeping the r leading singular triples. On a
    large `Completion` the decomposition is of low rank plus sparse: nothing dense is formed, at O((m + (d1 + d2) r) r)
    per step.

    rate: t. None adapts it (normalized IHT): t = |P_U G|_F^2 / |measure(P_U G)|^2 with P_U the projection on the
    column space of W, halved until t <= 0.99 |W' - W|_F^2 / |measure(W' - W)|^2, which makes the loss fall. With
    rate=1 on a `Completion` a step fills the holes with W and truncates the decomposition: `IterativeSVD`. A rate of
    d1 d2 / (1.2 m) is that of the source of SVP.
    default_steps is 10,000.

    Raises:
        ValueError: as `Ranked`, and if the rate is not positive.

    Source: Jain, Meka, Dhillon 2010 (`jain2010guaranteed`), algorithm 1; the step of Tanner and Wei 2013
    (`tanner2013normalized`), algorithm 1, with the line search of Blumensath and Davies 2010
    (`blumensath2010normalized`), section II.
    """

    def iterate(self, problem: Problem, matrix: LowRank, memory: Any) -> tuple[LowRank, None]:
        """A gradient step and the truncation."""
        residual = problem.residual(matrix)
        gradient = problem.adjoint_operator(residual)
        if self.rate is not None:
            return thresholded(matrix, -self.rate * gradient), None
        t = self._first_rate(problem, matrix, gradient)
        moved = matrix
        for _ in range(MAX_SHRINKS):
            moved = thresholded(matrix, -t * gradient)
            change = problem.measure(moved) - problem.measure(matrix)
            if t * (change @ change) <= (1 - SAFETY) * _squared_distance(moved, matrix):
                break
            t /= SHRINK
        return moved, None

    def _first_rate(self, problem: Problem, matrix: LowRank, gradient: Any) -> float:
        """The exact step along the gradient projected on the column space of the matrix."""
        basis = np.linalg.qr(matrix.left)[0]
        across = gradient.T @ basis
        # By a power of two, so that no square overflows or vanishes: the quotient stays what it is.
        across = np.ldexp(across, -math.frexp(float(np.abs(across).max()))[1])
        image = problem.measure(LowRank(basis, across))
        power = float(image @ image)
        share = matrix.shape[0] * matrix.shape[1] / float(problem.energy())
        return float((across**2).sum()) / power if power > 0 else share


@dataclass(frozen=True)
class IterativeSVD(HardThresholding):
    """Fill the holes, decompose, truncate, fill again: `HardThresholding` with rate 1, for matrix completion.

    W <- P_r(values where observed, W elsewhere). Each step is one of expectation maximization under Gaussian noise,
    so the residual never rises. Convergence is slow where few entries are seen: leave the rate to `HardThresholding`
    then.
    default_steps is 10,000.

    Raises:
        ValueError: as `HardThresholding`, and (from `check`) if the problem is no completion, which has no holes.

    Source: Troyanskaya et al. 2001 (`troyanskaya2001missing`), SVDimpute.
    """

    rate: float | None = 1.0

    def check(self, problem: Problem) -> None:
        """Raise a ValueError if the rank does not fit the shape or the problem has no holes to fill."""
        super().check(problem)
        if not isinstance(problem, Completion):
            raise ValueError(
                f"IterativeSVD fills the holes of a Completion, not a {type(problem).__name__}; take HardThresholding"
            )


def thresholded(matrix: LowRank, move: Any) -> LowRank:
    """The best approximation of matrix + move at the rank of the matrix; move is a dense or sparse array."""
    rank, (d1, d2) = matrix.rank, matrix.shape
    width = rank + EXTRA_COLUMNS
    if d1 * d2 <= DENSE_ENTRIES or not scipy.sparse.issparse(move) or 2 * width >= min(d1, d2):
        whole = matrix.dense() + (move.toarray() if scipy.sparse.issparse(move) else move)
        if not np.isfinite(whole).all():
            return LowRank(matrix.left * math.nan, matrix.right)
        u, s, vt = np.linalg.svd(whole, full_matrices=False)
        root = np.sqrt(s[:rank])
        return LowRank(u[:, :rank] * root, vt[:rank].T * root)
    block = np.random.default_rng(0).standard_normal((d2, width))
    block[:, :rank] = matrix.right / np.maximum(np.linalg.norm(matrix.right, axis=0), np.finfo(float).tiny)
    left = block
    for _ in range(ROUNDS):
        left = np.linalg.qr(move @ block + matrix.left @ (matrix.right.T @ block))[0]
        block = np.linalg.qr(move.T @ left + matrix.right @ (matrix.left.T @ left))[0]
    right = move.T @ left + matrix.right @ (matrix.left.T @ left)
    if not np.isfinite(right).all():
        return LowRank(matrix.left * math.nan, matrix.right)
    return LowRank(left, right).truncate(rank)


def _squared_distance(one: LowRank, other: LowRank) -> float:
    """|one - other|_F^2 from the triangular factors of the stacked factors, without cancellation."""
    left = np.linalg.qr(np.hstack([one.left, -other.left]))[1]
    right = np.linalg.qr(np.hstack([one.right, other.right]))[1]
    return float(((left @ right.T) ** 2).sum())
