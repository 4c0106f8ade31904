"""Gauss-Newton for matrix recovery: both factors move at once by the least-squares solution of the linearized fit."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import scipy

from rankwise.lowrank import LowRank
from rankwise.plain import checked, positive_integer
from rankwise.problems import Completion, Problem
from rankwise.results import RESULTS
from rankwise.solvers.ranked import AtRank, Ranked

# alpha of the published variants; "balanced" has none: it chooses among the solutions in another norm.
ALPHA = {"balanced": None, "setting": 1, "averaging": 0, "updating": -1}
# Directions of a row's block with less than this share of its largest eigenvalue are not seen and do not move.
UNSEEN = 1e-13


@dataclass(frozen=True)
class GaussNewton(Ranked):
    """Gauss-Newton matrix recovery (GNMR) at a known or growing rank.

    With b the values and (L, R) the factors, each step takes a least-squares solution (A, B), that of least norm except
    as said below, of |measure(A R^T + L B^T) - b - alpha measure(L R^T)|, then (L, R) <- (1 - alpha)/2 (L, R) + (A, B).
    The matrix of the step is the best approximation of rank r to the linearized fit A R^T + L B^T - alpha L R^T
    (rank 2r). No damping: residual and norm may rise before they fall, hence the high `norm_limit`. Near an exact fit
    convergence is quadratic; with alpha = 1 the last digits come more slowly, since an imbalance L^T L - R^T R changes
    its sign from step to step instead of vanishing, and with alpha = -1 large first steps leave an imbalance that
    stays.

    variant: "setting" (alpha = 1), "averaging" (0) and "updating" (-1) as published. "balanced" (default) is
    "updating" with the solution of least |A R^T|^2 + |L B^T|^2 (for a completion least |measure(A R^T)|^2 +
    |measure(L B^T)|^2) in place of least |A|^2 + |B|^2, and factors balanced after each step: a choice that does not
    depend on the condition number. From the same balanced factors all four reach the same matrix in the next step.
    inner_steps: the most iterations of LSQR. Fewer hold back the directions that the observations barely see, which
    helps where observations are few; the published default of 2,000 is meant for unscaled unknowns.
    accuracy: LSQR ends at this relative accuracy, or at that of the present fit if that is smaller.
    default_steps is 1,000.

    LSQR works on the factors' orthonormal bases, so that the condition number of the matrix plays no part; for a
    completion each row's unknowns are also scaled by the inverse root of their block of the normal equations.
    Where the derivative (A, B) -> measure(A R^T + L B^T) has its full rank r (d1 + d2 - r), least-squares solutions
    differ by a change of basis (L K, -R K^T) only, and the one of least norm is exact. Where it lacks more, as in a
    completion with a row of fewer than r entries, what no observation sees does not move, whatever alpha: it is the
    move of the factors that is of least norm then, in LSQR's unknowns, and not (A, B) as published. Where a
    decomposition fails on the factors, the run ends as `non_finite` at its last matrix.

    Raises:
        ValueError: as `Ranked`, and if the variant is unknown, inner_steps is not positive, or accuracy is not
            above 0 and at most 1.

    Source: Zilber and Nadler 2022 (`zilber2022gnmr`), equations 7 to 9.
    """

    variant: Literal["balanced", "setting", "averaging", "updating"] = "balanced"
    inner_steps: int = 200
    accuracy: float = 1e-4
    patience: int | None = None
    norm_limit: float = 1e10

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.variant, str) or self.variant not in ALPHA:
            raise ValueError(f"variant must be one of {', '.join(map(repr, ALPHA))}, not {self.variant!r}")
        positive_integer(self.inner_steps, "inner_steps")
        checked(self.accuracy, "accuracy", above=0, most=1)

    @property
    def default_steps(self) -> int:
        """1,000."""
        return 1_000

    def begin(self, problem: Problem, matrix: LowRank) -> tuple[LowRank, LowRank]:
        """Balanced factors; they are also the memory: where the next step linearizes."""
        balanced = matrix.balanced()
        return balanced, balanced

    def step(self, problem: Problem, state: AtRank) -> AtRank:
        """As `Ranked`; factors that have run away end the run at its last matrix."""
        try:
            return super().step(problem, state)
        except np.linalg.LinAlgError:
            return replace(state, verdict=RESULTS.non_finite)

    def iterate(self, problem: Problem, matrix: LowRank, memory: Any) -> tuple[LowRank, Any]:
        """One Gauss-Newton step from the factors in memory."""
        fit = np.linalg.norm(problem.residual(matrix)) / np.linalg.norm(problem.values)
        accuracy = max(min(self.accuracy, float(fit)), np.finfo(float).eps)
        move = tangent_step(problem, memory, problem.residual(memory), self.inner_steps, accuracy)
        return linearized(memory, move).truncate(matrix.rank), self._next(memory, move)

    def _next(self, at: LowRank, move: LowRank) -> LowRank:
        """The factors after the move."""
        alpha = ALPHA[self.variant]
        if alpha is None:
            return LowRank(at.left + move.left, at.right + move.right).balanced()
        share = (1 + alpha) / 2
        least = least_norm(at, LowRank(share * at.left + move.left, share * at.right + move.right))
        share = (1 - alpha) / 2
        return LowRank(share * at.left + least.left, share * at.right + least.right)


def linearized(at: LowRank, move: LowRank) -> LowRank:
    """left right^T + dleft right^T + left dright^T, of twice the rank."""
    return LowRank(np.hstack([at.left + move.left, at.left]), np.hstack([at.right, move.right]))


def tangent_step(problem: Problem, at: LowRank, residual: np.ndarray, steps: int, accuracy: float) -> LowRank:
    """(dleft, dright) that minimize |measure(dleft right^T + left dright^T) + residual|, by LSQR.

    Of those that differ by a change of basis (left K, -right K^T) the one of least norm in LSQR's unknowns.
    """
    (basis_left, core_left), (basis_right, core_right) = np.linalg.qr(at.left), np.linalg.qr(at.right)
    jacobian = scipy.sparse.linalg.aslinearoperator(problem.factor_jacobian(basis_left, basis_right))
    (d1, d2), r = problem.shape, basis_left.shape[1]
    scaling = _inverse_roots(problem, basis_left, basis_right) if isinstance(problem, Completion) else None

    # LSQR adds eps to the norms that it compares, which sensors must not be small beside.
    unit = 2.0 ** round(math.log2(float(problem.energy()) / (d1 * d2)) / 2)

    def scaled(vector: np.ndarray) -> np.ndarray:
        return vector / unit if scaling is None else (scaling @ vector.reshape(-1, r, 1)).ravel()

    system = scipy.sparse.linalg.LinearOperator(
        jacobian.shape,
        matvec=lambda x: jacobian.matvec(scaled(x)), rmatvec=lambda y: scaled(jacobian.rmatvec(y)), dtype=float,
    )  # fmt: skip
    found = scaled(
        scipy.sparse.linalg.lsqr(system, -residual, atol=accuracy, btol=accuracy, iter_lim=steps)[0]
    ).reshape(d1 + d2, r)
    return LowRank(found[:d1] @ np.linalg.pinv(core_right).T, found[d1:] @ np.linalg.pinv(core_left).T)


def least_norm(at: LowRank, move: LowRank) -> LowRank:
    """The move of least norm among (dleft + left K, dright - right K^T), which all change the matrix alike.

    K solves left^T left K + K right^T right = dright^T right - left^T dleft, in the singular bases of the factors:
    their Gram matrices would lose what is below the root of rounding where the factors are not balanced.
    """
    u, a, p = np.linalg.svd(at.left, full_matrices=False)
    v, b, q = np.linalg.svd(at.right, full_matrices=False)
    wanted = (p @ move.right.T @ v) * b - a[:, None] * (u.T @ move.left @ q.T)
    change = wanted / np.maximum(a[:, None] ** 2 + b**2, np.finfo(float).tiny)
    return LowRank(move.left + (u * a) @ change @ q, move.right - (v * b) @ change.T @ p)


def _inverse_roots(problem: Completion, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(sum v_j v_j^T)^(-1/2) per row and (sum u_i u_i^T)^(-1/2) per column of the table: (d1 + d2, r, r)."""
    r = left.shape[1]
    pattern = scipy.sparse.csr_array((np.ones(problem.size), (problem.rows, problem.cols)), shape=problem.shape)
    blocks = np.concatenate([pattern @ _squares(right), pattern.T @ _squares(left)]).reshape(-1, r, r)
    weights, vectors = np.linalg.eigh(blocks)
    seen = weights > UNSEEN * np.maximum(weights[:, -1:], np.finfo(float).tiny)
    roots = np.where(seen, 1 / np.sqrt(np.where(seen, weights, 1)), 0)
    return (vectors * roots[:, None, :]) @ vectors.transpose(0, 2, 1)


def _squares(factor: np.ndarray) -> np.ndarray:
    """The outer product of every row with itself, flattened: shape (rows, r^2)."""
    return (factor[:, :, None] * factor[:, None, :]).reshape(factor.shape[0], -1)
