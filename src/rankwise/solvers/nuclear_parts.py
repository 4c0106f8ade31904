"""What solvers with a nuclear norm share: its proximal step and the derivative of that, its dual norm, dual points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from rankwise.lowrank import LowRank
from rankwise.plain import Plain

# Below this share of |matrix|_F for the step, squared singular values would carry too few digits.
GRAM_SHARE = 1e-4


@dataclass(frozen=True, eq=False)
class SoftThreshold(Plain):
    """argmin_X |X|_* + |X - Z|_F^2 / (2 step), decomposed; semidefinite: among positive semidefinite X.

    matrix: Z (d1, d2), d1 >= d2, transposed if `wide`. sigma (d2,): its singular values in ascending order (its
    eigenvalues if semidefinite), right (d2, d2): their vectors V; those that exceed the step are `kept`.

    From the eigenvectors of the Gram matrix, in which the singular values above the step have a relative error of
    (largest / step)^2 in units of rounding; from the singular value decomposition itself where the step is small.
    """

    matrix: np.ndarray
    step: float
    semidefinite: bool
    wide: bool
    sigma: np.ndarray
    right: np.ndarray

    @classmethod
    def of(cls, matrix: np.ndarray, step: float, semidefinite: bool) -> SoftThreshold:
        """The matrix decomposed."""
        if semidefinite:
            symmetric = (matrix + matrix.T) / 2
            return cls(symmetric, step, True, False, *np.linalg.eigh(symmetric))
        wide = matrix.shape[0] < matrix.shape[1]
        tall = matrix.T if wide else matrix
        if step < GRAM_SHARE * float(np.linalg.norm(tall)):
            _, sigma, right = np.linalg.svd(tall, full_matrices=False)
            return cls(tall, step, False, wide, sigma[::-1], np.ascontiguousarray(right[::-1].T))
        squares, right = np.linalg.eigh(tall.T @ tall)
        return cls(tall, step, False, wide, np.sqrt(np.maximum(squares, 0)), right)

    @property
    def kept(self) -> slice:
        """Where the singular values above the step stand."""
        return slice(int(np.searchsorted(self.sigma, self.step, side="right")), len(self.sigma))

    def low_rank(self) -> LowRank:
        """The minimizer X, balanced."""
        sigma, right = self.sigma[self.kept], self.right[:, self.kept]
        root = np.sqrt(sigma - self.step)
        if self.semidefinite:
            return LowRank(right * root, right * root)
        found = LowRank(self.matrix @ (right * (root / sigma)), right * root)
        return found.T if self.wide else found

    def derivative(self, precision: Any) -> ThresholdDerivative:
        """The derivative at Z in a precision, an element of the generalized one where a singular value is the step."""
        return ThresholdDerivative.of(self, precision)


@dataclass(frozen=True, eq=False)
class ThresholdDerivative(Plain):
    """H -> the derivative of X = Z g(Z^T Z) along H, for g(sigma^2) = max(1 - step / sigma, 0): 12 d1 d2 r operations.

    = H V_r diag(g) V_r^T + Z V (C * (V^T (H^T Z + Z^T H) V)) V^T,  C_ij = (g_i - g_j) / (sigma_i^2 - sigma_j^2),
    where C vanishes unless i or j is among the r singular values kept: `slopes` are its last r rows. With outer = Z V.
    Semidefinite, X = V max(S - step, 0) V^T: the same with outer = V, no first term and the slopes halved.

    Source: Daleckii and Krein (Higham 2008, `higham2008functions`, theorem 3.11).
    """

    rank: int
    wide: bool
    right: np.ndarray
    outer: np.ndarray
    shrink: np.ndarray
    slopes: np.ndarray

    @classmethod
    def of(cls, parts: SoftThreshold, precision: Any) -> ThresholdDerivative:
        """From a decomposition."""
        sigma, step, kept = parts.sigma, parts.step, parts.kept
        high, low = sigma[kept], sigma[: kept.start]
        right, shrink = parts.right.astype(precision), (1 - step / high).astype(precision)
        if parts.semidefinite:
            across, within = (high - step)[:, None] / np.subtract.outer(high, low), np.ones((len(high), len(high)))
            slopes = (np.hstack([across, within]) / 2).astype(precision)
            return cls(len(high), False, right, right, 0 * shrink, slopes)
        across = shrink[:, None] / (np.subtract.outer(high, low) * np.add.outer(high, low))
        within = step / (np.multiply.outer(high, high) * np.add.outer(high, high))
        outer = (parts.matrix @ parts.right).astype(precision)
        return cls(len(high), parts.wide, right, outer, shrink, np.hstack([across, within]).astype(precision))

    def __call__(self, direction: np.ndarray) -> np.ndarray:
        """The derivative along a direction (d1, d2)."""
        along = direction.T if self.wide else direction
        low = len(self.right) - self.rank
        moved = along @ self.right[:, low:]
        middle = moved.T @ self.outer
        middle += (self.outer[:, low:].T @ along) @ self.right
        middle *= self.slopes
        left = moved * self.shrink + self.outer[:, :low] @ middle[:, :low].T
        found = left @ self.right[:, low:].T + self.outer[:, low:] @ (middle @ self.right.T)
        return found.T if self.wide else found

    def diagonal(self) -> np.ndarray:
        """About what an entry of H contributes to the same entry, (d1, d2): products of vectors of mixed signs left."""
        low = len(self.right) - self.rank
        rows, cols, slopes = self.outer**2, self.right**2, self.slopes.copy()
        np.einsum("ii->i", slopes[:, low:])[...] *= 2
        found = cols[:, low:] @ self.shrink + rows[:, low:] @ (slopes @ cols.T)
        found += (rows[:, :low] @ slopes[:, :low].T) @ cols[:, low:].T
        return found.T if self.wide else found


def largest(matrix: np.ndarray, semidefinite: bool) -> float:
    """The largest singular value; semidefinite: the largest eigenvalue of the symmetric part."""
    if semidefinite:
        gram = (matrix + matrix.T) / 2
    else:
        gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    # All of them: where the last eigenvalues coincide to rounding, LAPACK may find no single one.
    top = float(np.linalg.eigvalsh(gram)[-1])
    return top if semidefinite else math.sqrt(max(top, 0.0))


def best_multiple(linear: float, square: float, norm: float) -> float:
    """max of s linear - s^2 square / 2 over s >= 0 with s norm <= 1."""
    if not linear > 0:
        return 0.0
    longest = 1 / norm if norm > 0 else math.inf
    multiple = min(longest, linear / square) if square > 0 else longest
    return multiple * linear - multiple**2 * square / 2 if math.isfinite(multiple) else math.inf
