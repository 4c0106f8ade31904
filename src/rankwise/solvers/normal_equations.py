"""The damped Gauss-Newton steps of a factored matrix: one factor eliminated, or both factors jointly."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy

from rankwise.lowrank import LowRank
from rankwise.problems import Completion, Problem

# Beyond so many unknowns conjugate gradients replace the dense Cholesky factorization of joint steps.
DIRECT_UNKNOWNS = 3000
# The share of the gradient that conjugate gradients may leave, and the most iterations they may take.
CG_TOLERANCE = 0.1
CG_STEPS = 300
# Regularization of the small blocks relative to their trace; refinement takes its effect out again.
BLOCK_SHIFT = 1e-11
# The smallest damping weight of a column of the factors relative to the largest.
WEIGHT_FLOOR = 1e-20
# The random vectors of signs from which the column norms of a Jacobian known by its products are estimated.
PROBES = 8
# Factors of data of size one that exceed this would overflow when squared twice.
HUGE = 1e70


@dataclass(frozen=True, eq=False)
class Point:
    """Two factors, the residual measure(left right^T) - values, and the objective there.

    objective = 1/2 |residual|^2 + 1/2 sum_a ridge_a (|left_a|^2 + |right_a|^2), a over the columns.
    """

    left: np.ndarray
    right: np.ndarray
    residual: np.ndarray
    objective: float


class Trial(NamedTuple):
    """A proposed point, and the decrease of the objective that the quadratic model predicts for it."""

    point: Point
    predicted: float


class Linearization(ABC):
    """The quadratic model of the objective around a point."""

    @abstractmethod
    def trial(self, damping: float) -> Trial | None:
        """The minimizer of the model plus damping/2 times a weighted square of the step; None if not computable."""


class EliminatedFactor:
    """Completion with the longer factor eliminated: variable projection.

    For a given short factor U (n, r) the best long factor V (N, r) is a least-squares problem per row, so the
    objective becomes a function of U alone. Its Gauss-Newton matrix is the Schur complement
    S = A - E B^-1 E^T of the normal equations, with blocks A_i = sum_j v_j v_j^T, B_j = sum_i u_i u_i^T and
    E_ij = v_j u_i^T over the observed (i, j). Only U is damped, and V is solved for exactly after every step;
    without ridge U is kept orthonormal and the singular values lie in V.

    Source: Hong and Fitzgibbon 2015 (`hong2015secrets`), algorithm RW2.
    """

    def __init__(self, problem: Completion, values: np.ndarray, ridge: np.ndarray) -> None:
        d1, d2 = problem.shape
        self.flipped = d1 > d2
        short, long = (problem.cols, problem.rows) if self.flipped else (problem.rows, problem.cols)
        self.n, self.size = min(d1, d2), max(d1, d2)
        order = np.lexsort((short, long))
        self.short, self.long = short[order], long[order]
        self.values, self.ridge = values[order], ridge
        self.pointer = np.concatenate([[0], np.cumsum(np.bincount(self.long, minlength=self.size))])
        self.pattern = self.table(np.ones(values.size))

    def table(self, numbers: np.ndarray) -> scipy.sparse.csr_array:
        """Numbers at the observed places, as a sparse (N, n) array."""
        return scipy.sparse.csr_array((numbers, self.short, self.pointer), shape=(self.size, self.n))

    def entries(self, short: np.ndarray, long: np.ndarray) -> np.ndarray:
        """short_i . long_j at the observed (i, j)."""
        return np.einsum("ij,ij->i", short[self.short], long[self.long])

    def blocks(self, short: np.ndarray) -> np.ndarray:
        """B_j + ridge, slightly regularized so that rows with fewer than r observations have one too."""
        r = short.shape[1]
        blocks = (self.pattern @ _squares(short)).reshape(-1, r, r)
        trace = np.trace(blocks, axis1=1, axis2=2) / r
        shift = BLOCK_SHIFT * np.maximum(trace, trace.mean()) + np.finfo(float).tiny
        return blocks + shift[:, None, None] * np.eye(r) + np.diag(self.ridge)

    def settle(self, left: np.ndarray, right: np.ndarray) -> Point:
        """The best point with the column space of the short factor."""
        short, long = (right, left) if self.flipped else (left, right)
        short, long = self._gauge(short, long)
        inverse = np.linalg.inv(self.blocks(short))
        for _ in range(2):
            residual = self.entries(short, long) - self.values
            gradient = self.table(residual) @ short + self.ridge * long
            long = long - np.einsum("jab,jb->ja", inverse, gradient)
        short, long = self._gauge(short, long)
        residual = self.entries(short, long) - self.values
        left, right = (long, short) if self.flipped else (short, long)
        return Point(left, right, residual, _objective(residual, left, right, self.ridge))

    def linearize(self, point: Point) -> SchurModel:
        """The Gauss-Newton model in the short factor."""
        return SchurModel(self, point)

    def _gauge(self, short: np.ndarray, long: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        u, s, v = LowRank(short, long).svd()
        return (u * np.sqrt(s), v * np.sqrt(s)) if self.ridge.any() else (u, v * s)


class SchurModel(Linearization):
    """Steps of the short factor by conjugate gradients on S, whose products are sparse products with the pattern.

    The dense matrix S is never formed: stopping early costs a step or two in the end and saves most of the work,
    and the directions that S barely sees, along which factors run away, are left out.
    """

    def __init__(self, system: EliminatedFactor, point: Point) -> None:
        self.system = system
        self.short, self.long = (point.right, point.left) if system.flipped else (point.left, point.right)
        self.inverse = np.linalg.inv(system.blocks(self.short))
        self.gradient = system.table(point.residual).T @ self.long + system.ridge * self.short
        mean_degree = point.residual.size / (system.n * system.size)
        self.weights = _floored((self.long**2).sum(axis=0) * mean_degree + system.ridge)
        # S is blind along the columns of the short factor, where only the basis changes: weigh U^T dU too.
        self.gauge = 0.0 if system.ridge.any() else self.weights
        self.by_short, self.by_long = self.short[system.short], self.long[system.long]
        self.diagonal = self._diagonal()

    def trial(self, damping: float) -> Trial | None:
        step = self._step(damping)
        if not np.abs(step).max() <= HUGE:
            return None
        quadratic = damping * (step**2 * self.weights).sum()
        short, long = self.short + step, self.long
        left, right = (long, short) if self.system.flipped else (short, long)
        return Trial(self.system.settle(left, right), 0.5 * float(quadratic - (self.gradient * step).sum()))

    def _diagonal(self) -> np.ndarray:
        """The diagonal blocks of S: those of A, each observation discounted by its leverage in the long factor."""
        system, r = self.system, self.short.shape[1]
        leverage = np.einsum(
            "ia,ia->i", np.einsum("ia,iab->ib", self.by_short, self.inverse[system.long]), self.by_short
        )
        kept = system.table(1 - np.minimum(leverage, 1.0))
        return (kept.T @ _squares(self.long)).reshape(-1, r, r) + np.diag(system.ridge)

    def product(self, vector: np.ndarray, damping: float) -> np.ndarray:
        """(S + gauge + damping weights) vector."""
        system = self.system
        step = vector.reshape(self.gradient.shape)
        direct = np.einsum("ij,ij->i", step[system.short], self.by_long)
        answer = np.einsum("jab,jb->ja", self.inverse, system.table(direct) @ self.short)
        indirect = np.einsum("ij,ij->i", self.by_short, answer[system.long])
        image = system.table(direct - indirect).T @ self.long + (system.ridge + damping * self.weights) * step
        return (image + self.short @ (self.short.T @ step) * self.gauge).ravel()

    def _step(self, damping: float) -> np.ndarray:
        n, r = self.gradient.shape
        inverse = np.linalg.inv(self.diagonal + np.diag((damping + BLOCK_SHIFT) * self.weights))
        step = _conjugate_gradients(
            lambda x: self.product(x, damping),
            self.gradient.ravel(),
            lambda x: np.einsum("iab,ib->ia", inverse, x.reshape(n, r)).ravel(),
        )
        return step.reshape(n, r)


class JointFactors:
    """Any problem, both factors damped and moved together; symmetric: one factor Z on both sides.

    The step solves (J^T J + ridge + damping D) step = -gradient with J the derivative of
    measure(left right^T) and D its squared column norms averaged over the rows of each factor.
    """

    def __init__(self, problem: Problem, values: np.ndarray, ridge: np.ndarray, symmetric: bool) -> None:
        self.problem, self.values, self.ridge, self.symmetric = problem, values, ridge, symmetric

    def settle(self, left: np.ndarray, right: np.ndarray) -> Point:
        """The same matrix with balanced, orthogonal columns in descending order."""
        if self.symmetric:
            u, s, _ = np.linalg.svd(left, full_matrices=False)
            left = right = u * s
        else:
            balanced = LowRank(left, right).balanced()
            left, right = balanced.left, balanced.right
        residual = self.problem.measure(LowRank(left, right)) - self.values
        return Point(left, right, residual, _objective(residual, left, right, self.ridge))

    def linearize(self, point: Point) -> JointModel:
        """The Gauss-Newton model in both factors."""
        return JointModel(self, point)


class JointModel(Linearization):
    """The Gauss-Newton model in both factors: the Jacobian, and the normal equations where they are small."""

    def __init__(self, system: JointFactors, point: Point) -> None:
        self.system, self.point = system, point
        jacobian = system.problem.factor_jacobian(point.left, point.right)
        stacked, ridge = np.vstack([point.left, point.right]), system.ridge
        implicit = isinstance(jacobian, scipy.sparse.linalg.LinearOperator)
        if system.symmetric:
            half = point.left.size
            jacobian = _joined(jacobian) if implicit else jacobian[:, :half] + jacobian[:, half:]
            # The objective counts |Z|^2 twice, once for each side.
            stacked, ridge = point.left, 2 * ridge
        self.jacobian, self.stacked = jacobian, stacked
        self.ridge = np.tile(ridge, stacked.shape[0])
        self.gradient = jacobian.T @ point.residual + self.ridge * stacked.ravel()
        self.norms = _estimated_norms(jacobian) if implicit else _column_norms(jacobian)
        self.weights = self._weights(point)
        if implicit:  # single estimates scatter; their means over the rows do not
            self.norms = self.weights - self.ridge
        self.normal = self._normal() if stacked.size <= DIRECT_UNKNOWNS and not implicit else None

    def _weights(self, point: Point) -> np.ndarray:
        d1, (rows, r) = point.left.shape[0], self.stacked.shape
        by_row = self.norms.reshape(rows, r)
        weights = np.empty_like(by_row)
        for part in (slice(0, d1), slice(d1, None)):
            weights[part] = by_row[part].mean(axis=0) if by_row[part].size else 0
        weights += self.ridge.reshape(rows, r)
        return _floored(weights).ravel()

    def _normal(self) -> np.ndarray:
        normal = self.jacobian.T @ self.jacobian
        normal = normal.toarray() if scipy.sparse.issparse(normal) else normal
        return normal + np.diag(self.ridge)

    def trial(self, damping: float) -> Trial | None:
        step = self.step(damping)
        if step is None or not np.abs(step).max() <= HUGE:
            return None
        predicted = 0.5 * float(damping * (step**2 * self.weights).sum() - self.gradient @ step)
        moved = self.stacked + step.reshape(self.stacked.shape)
        d1 = self.point.left.shape[0]
        left, right = (moved, moved) if self.system.symmetric else (moved[:d1], moved[d1:])
        return Trial(self.system.settle(left, right), predicted)

    def step(self, damping: float) -> np.ndarray | None:
        """-(J^T J + ridge + damping weights)^-1 gradient, flat."""
        if self.normal is not None:
            solution = _cholesky_solve(self.normal + np.diag(damping * self.weights), self.gradient)
            return None if solution is None else -solution
        shift = self.ridge + damping * self.weights
        scaling = 1 / (self.norms + shift)
        return _conjugate_gradients(
            lambda x: self.jacobian.T @ (self.jacobian @ x) + shift * x, self.gradient, lambda x: scaling * x
        )


def _squares(factor: np.ndarray) -> np.ndarray:
    """The outer product of every row with itself, flattened: shape (rows, r^2)."""
    return (factor[:, :, None] * factor[:, None, :]).reshape(factor.shape[0], -1)


def _objective(residual: np.ndarray, left: np.ndarray, right: np.ndarray, ridge: np.ndarray) -> float:
    return 0.5 * float(residual @ residual + ridge @ ((left**2).sum(axis=0) + (right**2).sum(axis=0)))


def _floored(weights: np.ndarray) -> np.ndarray:
    return np.maximum(weights, max(float(weights.max()) * WEIGHT_FLOOR, np.finfo(float).tiny))


def _conjugate_gradients(
    product: Callable[[np.ndarray], np.ndarray],
    gradient: np.ndarray,
    precondition: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """-H^-1 gradient, to the accuracy an inexact Newton step needs, given products with H."""
    size = gradient.size
    operator = scipy.sparse.linalg.LinearOperator((size, size), matvec=product, dtype=float)
    preconditioner = scipy.sparse.linalg.LinearOperator((size, size), matvec=precondition, dtype=float)
    return scipy.sparse.linalg.cg(operator, -gradient, rtol=CG_TOLERANCE, maxiter=CG_STEPS, M=preconditioner)[0]


def _column_norms(jacobian: np.ndarray | scipy.sparse.sparray) -> np.ndarray:
    squared = jacobian**2 if isinstance(jacobian, np.ndarray) else jacobian.power(2)
    return np.asarray(squared.sum(axis=0)).ravel()


def _estimated_norms(jacobian: scipy.sparse.linalg.LinearOperator) -> np.ndarray:
    """Squared column norms as the mean of (J^T z)^2 over random vectors z of signs."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(PROBES, jacobian.shape[0]))
    return np.mean([jacobian.rmatvec(z) ** 2 for z in signs], axis=0)


def _joined(jacobian: scipy.sparse.linalg.LinearOperator) -> scipy.sparse.linalg.LinearOperator:
    """The Jacobian in Z of Z Z^T from that in both factors."""
    twice = scipy.sparse.vstack([scipy.sparse.eye_array(jacobian.shape[1] // 2)] * 2)
    return jacobian @ scipy.sparse.linalg.aslinearoperator(twice)


def _cholesky_solve(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray | None:
    """matrix^-1 vector, or None if the matrix is not positive definite in floating point."""
    factor, failed = scipy.linalg.lapack.dpotrf(matrix, lower=True, overwrite_a=True)
    if failed:
        return None
    return scipy.linalg.lapack.dpotrs(factor, vector, lower=True)[0]
