"""What solvers with a nuclear norm share: its proximal step, its dual norm, and the best multiple of a dual point."""

from __future__ import annotations

import math

import numpy as np
import scipy

from rankwise.lowrank import LowRank


def soft_threshold(matrix: np.ndarray, step: float, semidefinite: bool) -> LowRank:
    """argmin_X |X|_* + |X - matrix|_F^2 / (2 step), balanced; semidefinite: among positive semidefinite X.

    From the eigenvectors of the smaller Gram matrix: of the singular values only those above the step are needed, and
    these come with a relative error of (largest / step)^2 in units of rounding.
    """
    if semidefinite:
        values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
        kept = values > step
        factor = vectors[:, kept] * np.sqrt(values[kept] - step)
        return LowRank(factor, factor)
    if matrix.shape[0] < matrix.shape[1]:
        return soft_threshold(matrix.T, step, False).T
    squares, vectors = np.linalg.eigh(matrix.T @ matrix)
    kept = squares > step**2
    sigma, vectors = np.sqrt(squares[kept]), vectors[:, kept]
    root = np.sqrt(sigma - step)
    return LowRank(matrix @ (vectors * (root / sigma)), vectors * root)


def largest(matrix: np.ndarray, semidefinite: bool) -> float:
    """The largest singular value; semidefinite: the largest eigenvalue of the symmetric part."""
    if semidefinite:
        gram = (matrix + matrix.T) / 2
    else:
        gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    last = len(gram) - 1
    top = float(scipy.linalg.eigh(gram, eigvals_only=True, subset_by_index=(last, last))[0])
    return top if semidefinite else math.sqrt(max(top, 0.0))


def best_multiple(linear: float, square: float, norm: float) -> float:
    """max of s linear - s^2 square / 2 over s >= 0 with s norm <= 1."""
    if not linear > 0:
        return 0.0
    longest = 1 / norm if norm > 0 else math.inf
    multiple = min(longest, linear / square) if square > 0 else longest
    return multiple * linear - multiple**2 * square / 2 if math.isfinite(multiple) else math.inf
