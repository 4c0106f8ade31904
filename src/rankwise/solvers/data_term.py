"""How far a matrix must fit the observations, as a convex function with its proximal step and its conjugate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from rankwise.plain import Plain
from rankwise.problems import Completion, Problem
from rankwise.problems.independence import MOST_COMPARED, gram_matrix
from rankwise.solvers.noise_level import exact_tolerance
from rankwise.spectrum import root_mean_square

# What the observations may contradict one another by, in units of the residual up to which a fit counts as exact:
# 7e-10 of their size in float64, 3e-4 in float32.
CONTRADICTION = 10.0
# LSQR stops at a least squares solution if |A^T r| <= LEAST_SQUARES |A| |r|, and says so by this code.
LEAST_SQUARES, LSQR_STEPS, AT_LEAST_SQUARES = 1e-10, 300, 2
# Newton steps for the multiplier of a ball; convergence is quadratic.
SECULAR_STEPS = 60


@dataclass(frozen=True, eq=False)
class DataTerm(Plain):
    """h(W) = 0 if |measure(W) - values|_2 <= radius, else infinity; or h(W) = curvature/2 |measure(W) - values|_2^2.

    The second form holds if curvature is given; radius 0 asks for equality. spectrum (m,) and basis (m, m) are the
    eigenvalues and eigenvectors of the Gram matrix <A_i, A_j>: ones and None if the measurements are orthonormal.
    """

    problem: Problem
    radius: float
    curvature: float | None
    spectrum: np.ndarray
    basis: np.ndarray | None

    @classmethod
    def of(cls, problem: Problem, radius: float, curvature: float | None, precision: Any = None) -> DataTerm:
        """The term for a problem; the Gram matrix is formed and decomposed once, unless entries are observed.

        precision: the data type that the values were rounded to, if not that of the problem.

        Raises:
            ValueError: if no matrix comes within the radius.
        """
        if isinstance(problem, Completion):
            return cls(problem, radius, curvature, np.ones(problem.size), None)
        spectrum, basis, missed = _decomposed(problem)
        if curvature is None and missed > radius + _slack(problem, precision):
            raise ValueError("the observations contradict one another: give a larger delta, or a weight")
        if curvature is None and not radius:
            problem = problem.replace(values=_consistent(problem.values, basis[:, spectrum == 0]))
        return cls(problem, radius, curvature, spectrum.astype(problem.dtype), basis.astype(problem.dtype))

    @property
    def whole(self) -> bool:
        """Whether the measurements determine every matrix."""
        d1, d2 = self.problem.shape
        return int(np.count_nonzero(self.spectrum)) >= d1 * d2

    def prox(self, matrix: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
        """argmin_W h(W) + |W - matrix|_F^2 / (2 step), and the multipliers lambda (m,) with adjoint(lambda) in dh(W).

        W = matrix - step adjoint(lambda); in the eigenbasis of the Gram matrix every lambda_i stands alone.
        """
        gap = self._rotated(self.problem.measure(matrix) - self.problem.values)
        multipliers = self._slopes(gap, step)[0] * gap
        multipliers = multipliers if self.basis is None else self.basis @ multipliers
        return matrix - step * self.problem.adjoint(multipliers), multipliers

    def derivative(self, matrix: np.ndarray, step: float) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
        """The derivative of the proximal step's matrix, as a function of the direction, and its diagonal (d1, d2).

        The diagonal is exact for a completion with a penalized or an exact fit; of other measurements the mean.
        """
        slopes, bend = self._slopes(self._rotated(self.problem.measure(matrix) - self.problem.values), step)

        def along(direction: np.ndarray) -> np.ndarray:
            change = self._rotated(self.problem.measure(direction))
            moved = (slopes * change if bend is None else slopes * change + (bend @ change) * bend).astype(change.dtype)
            return direction - step * self.problem.adjoint(moved if self.basis is None else self.basis @ moved)

        if self.basis is None:
            return along, 1 - step * self.problem.adjoint(slopes)
        entries = self.problem.shape[0] * self.problem.shape[1]
        return along, np.full(self.problem.shape, 1 - step * float(slopes @ self.spectrum) / entries)

    def conjugate(self, multipliers: np.ndarray) -> tuple[float, float]:
        """(a, b) with h*(adjoint(s lambda)) = s a + s^2 b / 2 for every s >= 0."""
        linear = float(self.problem.values @ multipliers)
        if self.curvature is not None:
            return linear, float(multipliers @ multipliers) / self.curvature
        return linear + self.radius * float(np.linalg.norm(multipliers)), 0.0

    def value(self, residual: np.ndarray) -> float:
        """h where it is finite: curvature/2 |residual|^2, or 0."""
        return 0.0 if self.curvature is None else self.curvature / 2 * float(residual @ residual)

    def violation(self, residual: np.ndarray) -> float:
        """How far the residual exceeds the radius, relative to the values; 0 if the fit is only penalized."""
        if self.curvature is not None:
            return 0.0
        excess = max(float(np.linalg.norm(residual)) - self.radius, 0.0)
        return excess / max(float(np.linalg.norm(self.problem.values)), np.finfo(float).tiny)

    def _rotated(self, vector: np.ndarray) -> np.ndarray:
        """The vector (m,) in the eigenbasis of the Gram matrix."""
        return vector if self.basis is None else self.basis.T @ vector

    def _slopes(self, gap: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray | None]:
        """Slopes k and bend b in the eigenbasis: the multipliers are k * gap, their derivative diag(k) + b b^T."""
        if self.curvature is not None:
            return 1 / (1 / self.curvature + step * self.spectrum), None
        if not self.radius:
            bound = self.spectrum > 0
            return np.where(bound, 1.0, 0.0) / (step * np.where(bound, self.spectrum, 1.0)), None
        stiffness = self._stiffness(gap)
        damping = 1 + stiffness * self.spectrum
        # The stiffness k changes with the gap such that |gap / (1 + k spectrum)| stays the radius.
        change = step * float((self.spectrum * gap**2 / damping**3).sum())
        bend = gap / damping**2 / np.sqrt(change) if stiffness and change > 0 else None
        return stiffness / step / damping, bend

    def _stiffness(self, gap: np.ndarray) -> float:
        """The k >= 0 with |gap / (1 + k spectrum)| = radius, 0 if the gap is within it.

        Newton's method on 1 / radius - 1 / |gap / (1 + k spectrum)|, which rises from k = 0 to the root.

        Source: More and Sorensen 1983 (`more1983computing`).
        """
        stiffness = 0.0
        for _ in range(SECULAR_STEPS):
            inside = gap / (1 + stiffness * self.spectrum)
            norm = float(np.linalg.norm(inside))
            slope = float((self.spectrum * inside**2 / (1 + stiffness * self.spectrum)).sum())
            if norm <= self.radius * (1 + 1e-14) or not slope > 0:
                break
            stiffness += (norm / self.radius - 1) * norm**2 / slope
        return stiffness


def refuse_contradictions(problem: Problem) -> None:
    """Raise a ValueError if no matrix at all has the measurements given.

    Up to 2,000 measurements are decomposed. More are fitted by least squares over all matrices, for at most 300 steps
    of LSQR: where these do not settle, and in single precision, nothing is said.
    """
    # In units of their size: squares of the values neither overflow nor vanish.
    scaled = problem.in_units(root_mean_square(problem.values) or 1.0)
    missed = _decomposed(scaled)[2] if problem.size <= MOST_COMPARED else _misfit(scaled, problem.dtype)
    if missed > _slack(scaled, problem.dtype):
        raise ValueError("the observations contradict one another: no matrix has them all; say how large the noise is")


def _misfit(problem: Problem, precision: Any) -> float:
    """min over all W of |measure(W) - values|, 0 where LSQR does not show it to be more."""
    if precision != np.float64:
        return 0.0
    system = scipy.sparse.linalg.LinearOperator(
        (problem.size, math.prod(problem.shape)), dtype=float,
        matvec=lambda x: np.asarray(problem.measure(x.reshape(problem.shape))),
        rmatvec=lambda y: np.asarray(problem.adjoint(y)).ravel(),
    )  # fmt: skip
    tolerance = exact_tolerance(precision)
    found = scipy.sparse.linalg.lsqr(system, problem.values, atol=LEAST_SQUARES, btol=tolerance, iter_lim=LSQR_STEPS)
    return float(found[3]) if found[1] == AT_LEAST_SQUARES else 0.0


def _decomposed(problem: Problem) -> tuple[np.ndarray, np.ndarray, float]:
    """Eigenvalues and eigenvectors of the Gram matrix, and how much of the values lies outside its range."""
    gram, dependent = gram_matrix(problem)
    spectrum, basis = np.linalg.eigh(gram)
    spectrum = np.where(spectrum > dependent * spectrum[-1], spectrum, 0.0)
    return spectrum, basis, float(np.linalg.norm((basis.T @ problem.values)[spectrum == 0]))


def _consistent(values: np.ndarray, null: np.ndarray) -> np.ndarray:
    """The values without the rounding that lies outside the range of the measurements, which no matrix can equal."""
    moved = values - null @ (null.T @ values)
    # None changes its sign: an intensity of zero must not become a negative one.
    return np.where(np.sign(moved) == np.sign(values), moved, 0.0).astype(values.dtype)


def _slack(problem: Problem, precision: Any = None) -> float:
    """How much of exact values may lie outside the range of the measurements by their rounding."""
    tolerance = exact_tolerance(problem.dtype if precision is None else precision)
    return CONTRADICTION * tolerance * float(np.linalg.norm(np.asarray(problem.values, float)))
