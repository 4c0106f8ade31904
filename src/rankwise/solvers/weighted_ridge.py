"""The weighted least-squares fits of reweighting methods, and the decomposition of what they return."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
import scipy

from rankwise.lowrank import LowRank
from rankwise.problems import Completion, Problem
from rankwise.problems.independence import gram_matrix
from rankwise.solvers.growth import DENSE_ENTRIES

# The most iterations of conjugate gradients in one fit.
CG_STEPS = 300
# Regularization of blocks and normal equations relative to their trace; refinement takes its effect out again.
BLOCK_SHIFT, NORMAL_SHIFT, REFINEMENTS = 1e-14, 1e-13, 3
# Block Krylov: columns beyond those asked for, and the depth.
EXTRA_COLUMNS, KRYLOV_DEPTH = 4, 4


class Ridge(NamedTuple):
    """The fit asked for: min |measure(L v^T + u R^T) - values|^2 / (1 + shift) + sum_j c_j (|L_j|^2 + |R_j|^2).

    u (d1, r), s (r,), v (d2, r): the triples it starts from. weights: c (r,). tolerance: the share of the gradient at
    zero that an iterative fit may leave.
    """

    u: np.ndarray
    s: np.ndarray
    v: np.ndarray
    weights: np.ndarray
    shift: float
    tolerance: float


class Fitted(NamedTuple):
    """The matrix low + adjoint(residual) that a fit returns, and the iterations it took."""

    low: LowRank
    residual: np.ndarray
    steps: int


class Decomposed(NamedTuple):
    """Leading singular triples, in descending order."""

    u: np.ndarray
    s: np.ndarray
    v: np.ndarray


class WeightedRidge(ABC):
    """The weighted fits of one problem."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.shape = problem, problem.shape
        self.values = np.asarray(problem.values, float)

    @abstractmethod
    def fit(self, ridge: Ridge) -> Fitted:
        """The minimizer of a ridge fit."""

    @abstractmethod
    def adjoint(self, residual: np.ndarray) -> Any:
        """sum_i residual_i A_i for the measurements that the fits work with."""

    def start(self) -> Fitted:
        """The matrix of least Frobenius norm that fits."""
        return Fitted(LowRank.zeros(self.shape), self.values, 0)

    def noise_weight(self, noise: float) -> float:
        """The expected square of the spectral norm of adjoint(noise): energy (noise (1/sqrt(d1) + 1/sqrt(d2)))^2."""
        d1, d2 = self.shape
        return float(self.problem.energy()) * (noise * (d1**-0.5 + d2**-0.5)) ** 2

    def decomposed(self, fit: Fitted, rank: int, last: Decomposed | None) -> Decomposed:
        """The leading rank + 1 singular triples of a fit, by block Krylov steps from the last ones if it is large."""
        sparse, low = self.adjoint(fit.residual), fit.low
        d1, d2 = self.shape
        width = rank + 1 + EXTRA_COLUMNS
        if d1 * d2 <= DENSE_ENTRIES or (KRYLOV_DEPTH + 1) * width >= min(d1, d2):
            whole = low.dense() + (sparse.toarray() if scipy.sparse.issparse(sparse) else sparse)
            u, s, vt = np.linalg.svd(whole, full_matrices=False)
            return Decomposed(u[:, : rank + 1], s[: rank + 1], vt[: rank + 1].T)
        start = np.random.default_rng(0).standard_normal((d2, width))
        if last is not None:
            start[:, : last.v.shape[1]] = last.v
        blocks, block = [], start
        for _ in range(KRYLOV_DEPTH):
            block = np.linalg.qr(sparse @ block + low.left @ (low.right.T @ block))[0]
            blocks.append(block)
            block = np.linalg.qr(sparse.T @ block + low.right @ (low.left.T @ block))[0]
        basis = np.linalg.qr(np.hstack(blocks))[0]
        u, s, vt = np.linalg.svd((sparse.T @ basis).T + (basis.T @ low.left) @ low.right.T, full_matrices=False)
        return Decomposed(basis @ u[:, : rank + 1], s[: rank + 1], vt[: rank + 1].T)


class CompletionRidge(WeightedRidge):
    """Completion: the longer factor eliminated row by row, the shorter by conjugate gradients on the Schur complement.

    With blocks A_i = sum_j v_j v_j^T + c and B_j = sum_i u_i u_i^T + c over the observed (i, j), preconditioned by
    the diagonal blocks of B - E^T A^-1 E, in which each observation is discounted by its leverage.
    """

    def __init__(self, problem: Completion) -> None:
        super().__init__(problem)
        d1, d2 = self.shape
        # `long` is the side eliminated; the tables have its rows.
        self.flipped = d1 < d2
        long, short = (problem.cols, problem.rows) if self.flipped else (problem.rows, problem.cols)
        self.order = np.lexsort((short, long))
        self.long, self.short = long[self.order], short[self.order]
        self.sizes = max(d1, d2), min(d1, d2)
        self.pointer = np.concatenate([[0], np.cumsum(np.bincount(self.long, minlength=self.sizes[0]))])
        self.pattern = self.table(np.ones(self.values.size))
        self.values = self.values[self.order]

    def table(self, numbers: np.ndarray) -> scipy.sparse.csr_array:
        """Numbers at the observed places as a sparse (long, short) array."""
        return scipy.sparse.csr_array((numbers, self.short, self.pointer), shape=self.sizes)

    def adjoint(self, residual: np.ndarray) -> scipy.sparse.csr_array:
        """The residual at the observed places as a sparse (d1, d2) array."""
        table = self.table(residual)
        return table.T.tocsr() if self.flipped else table

    def fit(self, ridge: Ridge) -> Fitted:
        """Warm-started conjugate gradients in the shorter factor R; then the longer, L, exactly."""
        u, v = (ridge.v, ridge.u) if self.flipped else (ridge.u, ridge.v)
        solve = Elimination(self, u, v, ridge.weights * (1 + ridge.shift))
        start = v * (ridge.s / 2)
        gradient = solve.gradient(self.values, start)
        goal = ridge.tolerance * np.linalg.norm(solve.gradient(self.values, np.zeros_like(start)))
        move, steps = solve.conjugate_gradients(gradient, float(goal))
        short = start + move
        long, residual = solve.eliminated(self.values - solve.entries(short))
        left, right = (np.hstack([long, u]), np.hstack([v, short]))
        low = LowRank(right, left) if self.flipped else LowRank(left, right)
        return Fitted(low, residual / (1 + ridge.shift), steps)


class Elimination:
    """The normal equations of one completion fit with L eliminated: u (long, r), v (short, r), weights c (r,)."""

    def __init__(self, system: CompletionRidge, u: np.ndarray, v: np.ndarray, weights: np.ndarray) -> None:
        self.system, self.u, self.v, self.weights = system, u, v, weights
        self.by_long, self.by_short = u[system.long], v[system.short]
        self.inverse = np.linalg.inv(_shifted(_blocks(system.pattern, v) + np.diag(weights)))
        at = self.inverse[system.long]
        leverage = np.einsum("ia,iab,ib->i", self.by_short, at, self.by_short, optimize=True)
        kept = system.table(np.maximum(1 - leverage, 0))
        self.diagonal = np.linalg.inv(_shifted(_blocks(kept.T, u) + np.diag(weights)))

    def entries(self, short: np.ndarray) -> np.ndarray:
        """u R^T at the observed places."""
        return np.einsum("ij,ij->i", self.by_long, short[self.system.short])

    def eliminated(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The L of least |values - L v^T|^2 + c |L|^2, and the residual it leaves."""
        system = self.system
        long = np.einsum("iab,ib->ia", self.inverse, system.table(values) @ self.v)
        return long, values - np.einsum("ij,ij->i", long[system.long], self.by_short)

    def gradient(self, values: np.ndarray, short: np.ndarray) -> np.ndarray:
        """Minus half the derivative in R of the least cost over L."""
        residual = self.eliminated(values - self.entries(short))[1]
        return self.system.table(residual).T @ self.u - self.weights * short

    def conjugate_gradients(self, gradient: np.ndarray, goal: float) -> tuple[np.ndarray, int]:
        """The R at which the gradient vanishes up to the goal, and the iterations taken."""
        shape, steps = gradient.shape, [0]
        nothing = np.zeros(self.system.values.size)

        def count(_: np.ndarray) -> None:
            steps[0] += 1

        size = gradient.size
        product = scipy.sparse.linalg.LinearOperator(
            (size, size), matvec=lambda x: -self.gradient(nothing, x.reshape(shape)).ravel(), dtype=float
        )
        precondition = scipy.sparse.linalg.LinearOperator(
            (size, size), matvec=lambda x: np.einsum("iab,ib->ia", self.diagonal, x.reshape(shape)).ravel(), dtype=float
        )
        move = scipy.sparse.linalg.cg(
            product, gradient.ravel(), rtol=0.0, atol=goal, maxiter=CG_STEPS, M=precondition, callback=count
        )[0]
        return move.reshape(shape), steps[0]


class DenseRidge(WeightedRidge):
    """Any linear problem: measurements made orthonormal by their m x m Gram matrix, then dense normal equations."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        gram, dependent = gram_matrix(problem)
        eigenvalues, vectors = np.linalg.eigh(gram)
        kept = eigenvalues > dependent * eigenvalues[-1]
        self.eigenvalues = eigenvalues[kept]
        self.whiten = vectors[:, kept] / np.sqrt(self.eigenvalues)
        self.values = self.whiten.T @ self.values

    def adjoint(self, residual: np.ndarray) -> np.ndarray:
        """sum_i residual_i of the orthonormal measurements, dense."""
        return np.asarray(self.problem.adjoint(self.whiten @ residual), float)

    def fit(self, ridge: Ridge) -> Fitted:
        """Cholesky on the normal equations, refined from the triples it starts from."""
        (d1, d2), r = self.shape, ridge.s.size
        jacobian = self.problem.factor_jacobian(ridge.u, ridge.v)
        # factor_jacobian moves (u, v) to (L, R) in measure(L v^T + u R^T).
        image = np.asarray((jacobian.T @ self.whiten).T, float)
        certainty = 1 / (1 + ridge.shift / self.eigenvalues)
        weights = np.tile(ridge.weights, d1 + d2)
        normal = (image.T * certainty) @ image + np.diag(weights)
        normal[np.diag_indices_from(normal)] += NORMAL_SHIFT * np.trace(normal) / len(normal)
        factor = scipy.linalg.cho_factor(normal, overwrite_a=True)
        move = (np.vstack([ridge.u, ridge.v]) * (ridge.s / 2)).ravel()
        for _ in range(REFINEMENTS):
            gradient = image.T @ (certainty * (self.values - image @ move)) - weights * move
            move = move + scipy.linalg.cho_solve(factor, gradient)
        residual = certainty * (self.values - image @ move)
        both = move.reshape(d1 + d2, r)
        return Fitted(LowRank(np.hstack([both[:d1], ridge.u]), np.hstack([ridge.v, both[d1:]])), residual, 0)


def ridge_system(problem: Problem) -> WeightedRidge:
    """The fits of a problem: sparse for a `Completion`, dense otherwise."""
    return CompletionRidge(problem) if isinstance(problem, Completion) else DenseRidge(problem)


def _blocks(pattern: Any, factor: np.ndarray) -> np.ndarray:
    """Sums of the outer products of the rows of a factor, weighted by each row of the pattern."""
    r = factor.shape[1]
    outer = (factor[:, :, None] * factor[:, None, :]).reshape(factor.shape[0], -1)
    return (pattern @ outer).reshape(-1, r, r)


def _shifted(blocks: np.ndarray) -> np.ndarray:
    """Blocks regularized, so that those of rows with few observations have an inverse too."""
    trace = np.trace(blocks, axis1=1, axis2=2) / blocks.shape[1]
    shift = BLOCK_SHIFT * np.maximum(trace, trace.mean()) + np.finfo(float).tiny
    return blocks + shift[:, None, None] * np.eye(blocks.shape[1])
