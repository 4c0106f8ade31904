"""How a rank grows: the leading singular pair of minus the gradient, appended to the factors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy

from rankwise.lowrank import LowRank
from rankwise.problems import Problem

# Up to so many entries a dense decomposition is faster than an iterative one.
DENSE_ENTRIES = 40_000


def leading_pair(problem: Problem, residual: np.ndarray, symmetric: bool) -> tuple[float, np.ndarray, np.ndarray]:
    """The leading singular triple (s, u, v) of minus the gradient; symmetric: its leading eigenpair (s, u, u).

    s is 0 where the residual is, and not finite where that is not; u and v are then unit vectors.
    """
    if not symmetric:
        u, s, v = leading_triples(problem, residual, 1)
        return float(s[0]), u[:, 0], v[:, 0]
    unit = _unit(residual)
    if not 0 < unit < math.inf:
        first = np.eye(problem.shape[0], 1)[:, 0]
        return unit, first, first
    descent = problem.adjoint_operator(-residual / unit)
    value, vector = _leading_eigenpair((descent + descent.T) / 2)
    return value * unit * problem.scale, vector, vector


def leading_triples(problem: Problem, residual: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The leading singular triples of minus the gradient: u (d1, rank), s (rank,) descending, v (d2, rank).

    All s are 0 where the residual is, and not finite where that is not; u and v are then unit vectors.
    """
    unit = _unit(residual)
    if not 0 < unit < math.inf:
        d1, d2 = problem.shape
        return np.eye(d1, rank), np.full(rank, unit), np.eye(d2, rank)
    u, s, v = leading_svd(problem.adjoint_operator(-residual / unit), rank)
    with np.errstate(over="ignore"):  # what lies beyond the floats is told by the verdict
        return u, s * (unit * problem.scale), v


def _unit(residual: np.ndarray) -> float:
    """A power of two near the largest |residual|, in which no square overflows; 0, inf or NaN where that is."""
    top = float(np.abs(residual).max(initial=0.0))
    return math.ldexp(0.5, math.frexp(top)[1]) if 0 < top < math.inf else top


def leading_svd(
    matrix: Any, count: int, tolerance: float = 1e-6, cluster: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The leading singular triples of a sparse or dense matrix or operator: u (d1, count), s descending, v (d2, count).

    tolerance: as that of scipy.sparse.linalg.svds. cluster: about how many may be nearly equal, at most:
    Lanczos' method needs a space wider than that. Where it does not converge all the same, it has one four times as
    wide, and where it still does not, the whole is decomposed.
    """
    least = min(matrix.shape)
    if matrix.shape[0] * matrix.shape[1] > DENSE_ENTRIES and 2 * count < least:
        start = np.random.default_rng(0).standard_normal(least).astype(matrix.dtype)
        width = max(20, 2 * max(count, cluster) + 1)
        for wide in (min(least, width), min(least, 4 * width)):
            try:
                u, s, vt = scipy.sparse.linalg.svds(matrix, k=count, v0=start, tol=tolerance, ncv=wide)
            except scipy.sparse.linalg.ArpackNoConvergence:
                continue
            order = np.argsort(-s)
            return u[:, order], s[order], vt[order].T
    u, s, vt = np.linalg.svd(_dense(matrix), full_matrices=False)
    return u[:, :count], s[:count], vt[:count].T


def _leading_eigenpair(matrix: Any) -> tuple[float, np.ndarray]:
    """The largest eigenvalue of a symmetric matrix or operator, and its eigenvector."""
    least = matrix.shape[0]
    if least**2 > DENSE_ENTRIES:
        start = np.random.default_rng(0).standard_normal(least).astype(matrix.dtype)
        try:
            values, vectors = scipy.sparse.linalg.eigsh(matrix, k=1, which="LA", v0=start, tol=1e-6)
        except scipy.sparse.linalg.ArpackNoConvergence:
            pass
        else:
            return float(values[0]), vectors[:, 0]
    values, vectors = np.linalg.eigh(_dense(matrix))
    return float(values[-1]), vectors[:, -1]


def _dense(matrix: Any) -> np.ndarray:
    if scipy.sparse.issparse(matrix):
        return matrix.toarray()
    return matrix if isinstance(matrix, np.ndarray) else matrix @ np.eye(matrix.shape[1], dtype=matrix.dtype)


def append_pair(problem: Problem, matrix: LowRank, leading: tuple[np.ndarray, np.ndarray], symmetric: bool) -> LowRank:
    """The matrix plus the step along u v^T that reduces the loss most, as one more pair of factors."""
    u, v = leading
    pair = LowRank(u[:, None], v[:, None])
    image = problem.measure(pair)
    with np.errstate(over="ignore", invalid="ignore"):
        step = -(image @ problem.misfit.slope(problem.residual(matrix))) / max(image @ image, np.finfo(float).tiny)
    root = np.sqrt(max(step, 0.0))
    left = np.hstack([matrix.left, root * pair.left])
    return LowRank(left, left if symmetric else np.hstack([matrix.right, root * pair.right]))
