"""The damped Gauss-Newton steps of a factored matrix: one factor eliminated, or both factors jointly."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse
import scipy.sparse.linalg

from rankwise.lowrank import LowRank
from rankwise.problems import Completion, Problem

# Beyond so many unknowns, or multiplications, conjugate gradients replace the dense Cholesky factorization.
DIRECT_UNKNOWNS = 3000
DIRECT_PRODUCTS = 1e10
# The share of the gradient that conjugate gradients may leave, and the most iterations they may take.
CG_TOLERANCE = 1e-2
CG_STEPS = 300
# Regularization of the small blocks relative to their trace; refinement takes its effect out again.
BLOCK_SHIFT = 1e-11
# The smallest damping weight of a column of the factors relative to the largest.
WEIGHT_FLOOR = 1e-20
CHUNK = 10_000_000


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
        self.order, self.short, self.long = order, short[order], long[order]
        self.values, self.ridge = values[order], ridge
        self.pointer = np.concatenate([[0], np.cumsum(np.bincount(self.long, minlength=self.size))])
        self.pattern = self.table(np.ones(values.size))
        self.pattern_by_short = self.pattern.T.tocsr()

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

    def linearize(self, point: Point) -> Linearization:
        """Dense Schur complement where that is affordable, conjugate gradients beyond."""
        r = point.left.shape[1]
        products = float(r) ** 3 * self.n**2 * self.size
        direct = self.n * r <= DIRECT_UNKNOWNS and products <= DIRECT_PRODUCTS
        return (_DenseSchur if direct else _ImplicitSchur)(self, point)

    def _gauge(self, short: np.ndarray, long: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        u, s, v = LowRank(short, long).svd()
        return (u * np.sqrt(s), v * np.sqrt(s)) if self.ridge.any() else (u, v * s)


class _Schur(Linearization):
    """What both ways to solve with S share: the gradient, the damping weights and the trial point."""

    def __init__(self, system: EliminatedFactor, point: Point) -> None:
        self.system = system
        self.short, self.long = (point.right, point.left) if system.flipped else (point.left, point.right)
        self.r = self.short.shape[1]
        self.blocks = system.blocks(self.short)
        self.gradient = system.table(point.residual).T @ self.long + system.ridge * self.short
        mean_degree = point.residual.size / (system.n * system.size)
        weights = (self.long**2).sum(axis=0) * mean_degree + system.ridge
        self.weights = np.maximum(weights, max(weights.max() * WEIGHT_FLOOR, np.finfo(float).tiny))

    @property
    def gauge(self) -> np.ndarray:
        """Weights of |U^T dU|^2, which makes S definite where it is blind: along U itself; not with ridge."""
        return np.zeros_like(self.weights) if self.system.ridge.any() else self.weights

    def outer_blocks(self, discount: np.ndarray | None = None) -> np.ndarray:
        """A_i + ridge, each observation counted 1 - discount times."""
        pattern = self.system.pattern
        if discount is not None:
            pattern = self.system.table(1 - discount)
        blocks = (pattern.T @ _squares(self.long)).reshape(-1, self.r, self.r)
        return blocks + np.diag(self.system.ridge)

    def trial(self, damping: float) -> Trial | None:
        step = self.step(damping)
        if step is None or not np.isfinite(step).all():
            return None
        quadratic = damping * (step**2 * self.weights).sum()
        short, long = self.short + step, self.long
        left, right = (long, short) if self.system.flipped else (short, long)
        return Trial(self.system.settle(left, right), 0.5 * float(quadratic - (self.gradient * step).sum()))

    @abstractmethod
    def step(self, damping: float) -> np.ndarray | None:
        """-(S + damping weights)^-1 gradient, shape (n, r)."""


class _DenseSchur(_Schur):
    """S as a dense matrix, formed once and factorized for every damping."""

    def __init__(self, system: EliminatedFactor, point: Point) -> None:
        super().__init__(system, point)
        n, r = system.n, self.r
        inverse_root = np.linalg.inv(np.linalg.cholesky(self.blocks))
        schur = np.zeros((n * r, n * r))
        chunk = max(1, CHUNK // (n * r * r))
        for start in range(0, system.size, chunk):
            part = slice(start, start + chunk)
            seen = system.pattern[part].toarray()
            rooted = (inverse_root[part] @ self.short.T) * seen[:, None, :]
            coupling = (rooted[..., None] * self.long[part, None, None, :]).reshape(-1, n * r)
            schur -= coupling.T @ coupling
        by_block = schur.reshape(n, r, n, r)
        every = np.arange(n)
        by_block[every, :, every, :] += self.outer_blocks()
        if not system.ridge.any():
            within = np.arange(r)
            by_block[:, within, :, within] += self.gauge[:, None, None] * (self.short @ self.short.T)
        self.schur = schur

    def step(self, damping: float) -> np.ndarray | None:
        damped = self.schur + np.diag(np.tile(damping * self.weights, self.system.n))
        solution = _cholesky_solve(damped, self.gradient.ravel())
        return None if solution is None else -solution.reshape(self.gradient.shape)


class _ImplicitSchur(_Schur):
    """Products with S from sparse products with the observed pattern, for conjugate gradients."""

    def __init__(self, system: EliminatedFactor, point: Point) -> None:
        super().__init__(system, point)
        self.inverse = np.linalg.inv(self.blocks)
        self.by_short, self.by_long = self.short[system.short], self.long[system.long]
        leverage = np.einsum("ia,iab,ib->i", self.by_short, self.inverse[system.long], self.by_short)
        self.diagonal = self.outer_blocks(np.minimum(leverage, 1.0))

    def product(self, vector: np.ndarray, damping: float) -> np.ndarray:
        """(S + gauge + damping weights) vector."""
        system = self.system
        step = vector.reshape(self.gradient.shape)
        direct = np.einsum("ij,ij->i", step[system.short], self.by_long)
        answer = np.einsum("jab,jb->ja", self.inverse, system.table(direct) @ self.short)
        indirect = np.einsum("ij,ij->i", self.by_short, answer[system.long])
        image = system.table(direct - indirect).T @ self.long + (system.ridge + damping * self.weights) * step
        return (image + self.short @ (self.short.T @ step) * self.gauge).ravel()

    def step(self, damping: float) -> np.ndarray | None:
        n, r = self.gradient.shape
        floor = damping * self.weights + BLOCK_SHIFT * self.weights
        inverse = np.linalg.inv(self.diagonal + floor[:, None] * np.eye(r))
        operator = scipy.sparse.linalg.LinearOperator(
            (n * r, n * r), matvec=lambda x: self.product(x, damping), dtype=float
        )
        preconditioner = scipy.sparse.linalg.LinearOperator(
            (n * r, n * r), dtype=float,
            matvec=lambda x: np.einsum("iab,ib->ia", inverse, x.reshape(n, r)).ravel(),
        )  # fmt: skip
        solution, _ = scipy.sparse.linalg.cg(
            operator, -self.gradient.ravel(), rtol=CG_TOLERANCE, maxiter=CG_STEPS, M=preconditioner
        )
        return solution.reshape(n, r)


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

    def linearize(self, point: Point) -> Linearization:
        """The Jacobian at a point, and the normal equations where their matrix is small."""
        return _Joint(self, point)


class _Joint(Linearization):
    def __init__(self, system: JointFactors, point: Point) -> None:
        self.system, self.point = system, point
        jacobian = system.problem.factor_jacobian(point.left, point.right)
        stacked, ridge = np.vstack([point.left, point.right]), system.ridge
        if system.symmetric:
            half = point.left.size
            jacobian = jacobian[:, :half] + jacobian[:, half:]
            # The objective counts |Z|^2 twice, once for each side.
            stacked, ridge = point.left, 2 * ridge
        self.jacobian, self.stacked = jacobian, stacked
        self.ridge = np.tile(ridge, stacked.shape[0])
        self.gradient = jacobian.T @ point.residual + self.ridge * stacked.ravel()
        self.norms = _column_norms(jacobian)
        self.weights = self._weights(point)
        self.normal = self._normal() if stacked.size <= DIRECT_UNKNOWNS else None

    def _weights(self, point: Point) -> np.ndarray:
        d1, (rows, r) = point.left.shape[0], self.stacked.shape
        by_row = self.norms.reshape(rows, r)
        weights = np.empty_like(by_row)
        for part in (slice(0, d1), slice(d1, None)):
            weights[part] = by_row[part].mean(axis=0) if by_row[part].size else 0
        weights += self.ridge.reshape(rows, r)
        return np.maximum(weights, max(weights.max() * WEIGHT_FLOOR, np.finfo(float).tiny)).ravel()

    def _normal(self) -> np.ndarray:
        normal = self.jacobian.T @ self.jacobian
        normal = normal.toarray() if scipy.sparse.issparse(normal) else normal
        return normal + np.diag(self.ridge)

    def trial(self, damping: float) -> Trial | None:
        step = self.step(damping)
        if step is None or not np.isfinite(step).all():
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
        size, scaling = self.gradient.size, 1 / (self.norms + shift)
        operator = scipy.sparse.linalg.LinearOperator(
            (size, size), matvec=lambda x: self.jacobian.T @ (self.jacobian @ x) + shift * x, dtype=float
        )
        diagonal = scipy.sparse.linalg.LinearOperator((size, size), matvec=lambda x: scaling * x, dtype=float)
        return scipy.sparse.linalg.cg(operator, -self.gradient, rtol=CG_TOLERANCE, maxiter=CG_STEPS, M=diagonal)[0]


def _squares(factor: np.ndarray) -> np.ndarray:
    """The outer product of every row with itself, flattened: shape (rows, r^2)."""
    return (factor[:, :, None] * factor[:, None, :]).reshape(factor.shape[0], -1)


def _objective(residual: np.ndarray, left: np.ndarray, right: np.ndarray, ridge: np.ndarray) -> float:
    return 0.5 * float(residual @ residual + ridge @ ((left**2).sum(axis=0) + (right**2).sum(axis=0)))


def _column_norms(jacobian: np.ndarray | scipy.sparse.sparray) -> np.ndarray:
    squared = jacobian**2 if isinstance(jacobian, np.ndarray) else jacobian.power(2)
    return np.asarray(squared.sum(axis=0)).ravel()


def _cholesky_solve(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray | None:
    """matrix^-1 vector, or None if the matrix is not positive definite in floating point."""
    factor, failed = scipy.linalg.lapack.dpotrf(matrix, lower=True, overwrite_a=True)
    if failed:
        return None
    return scipy.linalg.lapack.dpotrs(factor, vector, lower=True)[0]
