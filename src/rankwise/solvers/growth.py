"""How a rank grows: the leading singular pair of minus the gradient, appended to the factors."""

from __future__ import annotations

import numpy as np
import scipy

from rankwise.lowrank import LowRank
from rankwise.problems import Problem

# Up to so many entries a dense decomposition is faster than an iterative one.
DENSE_ENTRIES = 40_000


def leading_pair(problem: Problem, residual: np.ndarray, symmetric: bool) -> tuple[float, np.ndarray, np.ndarray]:
    """The leading singular triple (s, u, v) of minus the gradient; symmetric: its leading eigenpair (s, u, u)."""
    descent = -problem.scale * problem.adjoint_operator(residual)
    if symmetric:
        descent = (descent + descent.T) / 2
    d1, d2 = problem.shape
    if not residual.any():
        return 0.0, np.eye(d1, 1)[:, 0], np.eye(d2, 1)[:, 0]
    if d1 * d2 <= DENSE_ENTRIES or min(d1, d2) < 2:
        full = descent.toarray() if scipy.sparse.issparse(descent) else descent
        if symmetric:
            values, vectors = np.linalg.eigh(full)
            return float(values[-1]), vectors[:, -1], vectors[:, -1]
        u, s, vt = np.linalg.svd(full, full_matrices=False)
        return float(s[0]), u[:, 0], vt[0]
    start = np.random.default_rng(0).standard_normal(min(d1, d2)).astype(problem.dtype)
    if symmetric:
        values, vectors = scipy.sparse.linalg.eigsh(descent, k=1, which="LA", v0=start, tol=1e-6)
        return float(values[0]), vectors[:, 0], vectors[:, 0]
    u, s, vt = scipy.sparse.linalg.svds(descent, k=1, v0=start, tol=1e-6)
    return float(s[0]), u[:, 0], vt[0]


def leading_triples(problem: Problem, residual: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The leading singular triples of minus the gradient: u (d1, rank), s (rank,) descending, v (d2, rank)."""
    descent = -problem.scale * problem.adjoint_operator(residual)
    d1, d2 = problem.shape
    if d1 * d2 <= DENSE_ENTRIES or 2 * rank >= min(d1, d2):
        full = descent.toarray() if scipy.sparse.issparse(descent) else descent
        u, s, vt = np.linalg.svd(full, full_matrices=False)
        return u[:, :rank], s[:rank], vt[:rank].T
    start = np.random.default_rng(0).standard_normal(min(d1, d2)).astype(problem.dtype)
    u, s, vt = scipy.sparse.linalg.svds(descent, k=rank, v0=start, tol=1e-6)
    order = np.argsort(-s)
    return u[:, order], s[order], vt[order].T


def append_pair(problem: Problem, matrix: LowRank, leading: tuple[np.ndarray, np.ndarray], symmetric: bool) -> LowRank:
    """The matrix plus the step along u v^T that reduces the loss most, as one more pair of factors."""
    u, v = leading
    pair = LowRank(u[:, None], v[:, None])
    image = problem.measure(pair)
    step = -(image @ problem.misfit.slope(problem.residual(matrix))) / max(image @ image, np.finfo(float).tiny)
    root = np.sqrt(max(step, 0.0))
    left = np.hstack([matrix.left, root * pair.left])
    return LowRank(left, left if symmetric else np.hstack([matrix.right, root * pair.right]))
