"""Douglas-Rachford splitting between what was observed, the singular values and bounds: a step, and Newton's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from rankwise.lowrank import LowRank
from rankwise.plain import Plain
from rankwise.solvers.data_term import DataTerm
from rankwise.solvers.gmres import gmres
from rankwise.solvers.nuclear_parts import SoftThreshold, ThresholdDerivative

# The step at which matrix and multipliers are balanced, as a share of |W|_F / |P|_F, P the subgradient of the nuclear
# norm at W. Short, it is the residual over this share of |P|_F, or what costs the second share of the gap in rounding.
BALANCE, SHORT, ROUNDING = 0.25, 0.1, 0.3
# Diagonals below this are taken as this where they precondition.
LEAST_DIAGONAL = 0.01
# What multiple of |z - T(z)| / |z| is added to the derivative of z - T(z), which may be singular.
SHIFT = 1.0
# Newton equations are solved to one digit or two: single precision has seven, and takes half the time.
PRECISION = np.float32


@dataclass(frozen=True)
class Splitting(Plain):
    """min h(W) + |W|_* + (0 if all entries of W lie within the bounds, else infinity) as the fixed point z of a map T.

    z is one (d1, d2) matrix per term split off, k = 1 or 2 with bounds, and T the Douglas-Rachford step:
    fitted = prox_h(mean z),  moved_i = prox_i(2 fitted - z_i),  T(z) = z + moved - fitted.
    data: h; step: the parameter of the proximal steps; semidefinite: W is positive semidefinite too.

    Source: Eckstein and Bertsekas 1992 (`eckstein1992douglas`).
    """

    data: DataTerm
    step: float
    semidefinite: bool
    bounds: tuple[float, float] | None

    def at(self, points: np.ndarray) -> SplitPoint:
        """What the step meets at these points, (k, d1, d2)."""
        fitted, multipliers = self.data.prox(mean(points), self.step / len(points))
        reflected = 2 * fitted - points
        threshold = SoftThreshold.of(reflected[0], self.step, self.semidefinite)
        low_rank = threshold.low_rank()
        moved = [low_rank.dense()]
        if self.bounds is not None:
            moved.append(np.clip(reflected[1], *self.bounds))
        return SplitPoint(self, points, fitted, multipliers, threshold, low_rank, np.stack(moved), reflected)


@dataclass(frozen=True, eq=False)
class SplitPoint(Plain):
    """Points z with the fitted matrix and its multipliers, the reflected points and the moved ones, all as in T."""

    splitting: Splitting
    points: np.ndarray
    fitted: np.ndarray
    multipliers: np.ndarray
    threshold: SoftThreshold
    low_rank: LowRank
    moved: np.ndarray
    reflected: np.ndarray

    @property
    def residual(self) -> np.ndarray:
        """z - T(z), (k, d1, d2)."""
        return self.fitted - self.moved

    @property
    def normals(self) -> np.ndarray:
        """The normal (subgradient) of every term split off, at its moved point, (k, d1, d2)."""
        return (self.reflected - self.moved) / self.splitting.step

    def under(self, step: float) -> SplitPoint:
        """The point of the same matrix and multipliers under another parameter."""
        ratio = step / self.splitting.step
        return replace(self.splitting, step=step).at(self.fitted + ratio * (self.points - self.fitted))

    def balanced_step(self) -> float:
        """The parameter under which matrix and multipliers move alike; the one in use if either is zero."""
        matrix, normal = float(np.linalg.norm(self.moved[0])), float(np.linalg.norm(self.normals[0]))
        return BALANCE * matrix / normal if matrix > 0 and normal > 0 else self.splitting.step

    def short_step(self, gap: float) -> float:
        """The parameter under which this residual moves the multipliers far, but rounding spoils no such gap."""
        matrix, normal = float(np.linalg.norm(self.moved[0])), float(np.linalg.norm(self.normals[0]))
        rounding = np.finfo(float).eps * matrix / (ROUNDING * gap)
        shortest = max(float(np.linalg.norm(self.residual)) / SHORT, rounding)
        return shortest / normal if normal > 0 else self.splitting.step

    def newton(self, tolerance: float, most: int) -> SplitPoint:
        """The point after an inexact Newton step on z - T(z) = 0: at most so many products with the derivative."""
        size = float(np.linalg.norm(self.points))
        shift = SHIFT * float(np.linalg.norm(self.residual)) / size if size > 0 else 0.0
        derivative = SplittingDerivative.of(self, shift)
        return self.splitting.at(self.points - derivative.solve(self.residual, tolerance, most))


@dataclass(frozen=True, eq=False)
class SplittingDerivative(Plain):
    """The derivative of z - T(z), or an element of its generalized one: fit that of prox_h, threshold that of prox_1.

    (h_i) -> fit(mean h) - D_i (2 fit(mean h) - h_i) + shift h_i, where D_2 is 1 at an entry `free` of the bounds and 0
    elsewhere. T is nonexpansive, so without the shift the symmetric part is positive semidefinite, with it definite:
    steps along what the derivative does not see stay bounded. Its diagonal, here an estimate, is a preconditioner for
    GMRES: entries in well-observed rows and columns are stiffer than others.

    Source: Xiao, Li, Wen, Zhang 2018 (`xiao2018regularized`).
    """

    fit: Callable[[np.ndarray], np.ndarray]
    threshold: ThresholdDerivative
    free: np.ndarray | None
    diagonal: np.ndarray
    shift: float

    @classmethod
    def of(cls, point: SplitPoint, shift: float) -> SplittingDerivative:
        """At a point."""
        copies = len(point.points)
        fit, fitted = point.splitting.data.derivative(mean(point.points), point.splitting.step / copies)
        threshold = point.threshold.derivative(PRECISION)
        free = point.moved[1] == point.reflected[1] if copies > 1 else None
        steps = [np.clip(threshold.diagonal(), 0, 1)] + ([] if free is None else [free.astype(float)])
        diagonal = np.stack([fitted / copies + (1 - 2 * fitted / copies) * each for each in steps])
        return cls(fit, threshold, free, np.clip(diagonal, LEAST_DIAGONAL, 1).astype(PRECISION), shift)

    def __call__(self, direction: np.ndarray) -> np.ndarray:
        """The derivative along a direction (k, d1, d2)."""
        fitted = self.fit(mean(direction))
        moved = [self.threshold(2 * fitted - direction[0])]
        if self.free is not None:
            moved.append(np.where(self.free, 2 * fitted - direction[1], 0.0))
        return fitted - np.stack(moved) + self.shift * direction

    def solve(self, residual: np.ndarray, tolerance: float, most: int) -> np.ndarray:
        """About the change whose derivative is the residual: GMRES, preconditioned by the diagonal."""

        def scaled(vector: np.ndarray) -> np.ndarray:
            return self(vector.reshape(residual.shape) / self.diagonal).ravel().astype(PRECISION, copy=False)

        found = gmres(scaled, residual.ravel().astype(PRECISION), tolerance, most)
        return found.reshape(residual.shape) / self.diagonal


def mean(copies: np.ndarray) -> np.ndarray:
    """The mean over the first axis; the array itself where there is but one."""
    return copies[0] if len(copies) == 1 else copies.mean(axis=0)
