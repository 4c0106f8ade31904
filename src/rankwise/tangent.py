"""Least squares in the tangent space of the matrices of a rank: the system, its least eigenvalue, how to solve it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy

from rankwise.problems import Completion, Problem

# Up to so many unknowns the Gauss-Newton matrix is decomposed densely. Up to so many more this decides where
# iterations, which are faster there, do not settle or find less than the share DOUBTFUL of the average; beyond, nothing
# is shown then.
DENSE_UNKNOWNS, MOST_DENSE_UNKNOWNS, DOUBTFUL = 2_500, 6_000, 1e-5
# A least eigenvalue below this share of the average counts as zero: rounding leaves up to 1e-12 of it.
SINGULAR = 1e-10
# Iterations for the least eigenvalue, and how many eigenvectors are carried along.
ITERATIONS, INVERSE_ITERATIONS, BLOCK = 200, 8, 4
# An iterated eigenvalue counts if its residual is at most this share of it.
SETTLED = 0.1
# Leverages above 1 - UNTESTED^2 count as 1. Conjugate gradients find the residuals that tell to a tenth of UNTESTED,
# judged by what the last LAG steps have gained, in so many steps.
UNTESTED, LAG, LEVERAGE_STEPS = 1e-4, 10, 1_000
# Solves N x = b for several b at once; None where that did not settle.
Solve = Callable[[np.ndarray], np.ndarray | None]


@dataclass(frozen=True, eq=False)
class TangentSystem:
    """Least squares in the tangent space: N = J^T (I - Q Q^T) J + average G G^T.

    jacobian: J (m, n r), the derivative in the rows of a factor, n blocks of r. basis: Q (m, k), an orthonormal basis
    of what the other factor, which is eliminated, can fit; None if there is none. gauge: G (n r, g), orthonormal, the
    changes of basis, which J does not see. average: of J's squares over all coordinates. blocks: those of J^T J on the
    diagonal, (n, r, r); None if J is dense.
    """

    jacobian: Any
    basis: Any
    gauge: np.ndarray
    average: float
    blocks: np.ndarray | None

    @property
    def unknowns(self) -> int:
        """n r."""
        return self.jacobian.shape[1]

    def outside(self, y: np.ndarray) -> np.ndarray:
        """(I - Q Q^T) y."""
        return y if self.basis is None else y - self.basis @ (self.basis.T @ y)

    def product(self, x: np.ndarray) -> np.ndarray:
        """N x for x (n r, k)."""
        return self.jacobian.T @ self.outside(self.jacobian @ x) + self.average * (self.gauge @ (self.gauge.T @ x))

    def dense(self) -> np.ndarray:
        """N."""
        normal = self.jacobian.T @ self.jacobian
        if self.basis is not None:
            coupling = self.jacobian.T @ self.basis
            normal = normal - coupling @ coupling.T
        normal = normal.toarray() if scipy.sparse.issparse(normal) else normal
        return normal + self.average * (self.gauge @ self.gauge.T)


def eliminated(problem: Completion, u: np.ndarray, v: np.ndarray) -> TangentSystem | float:
    """The system of a completion in its shorter factor; a stiffness of (nearly) 0 if some row or column is loose."""
    rows, cols = problem.rows, problem.cols
    if u.shape[0] > v.shape[0]:
        u, v, rows, cols = v, u, cols, rows
    (n, r), size = u.shape, v.shape[0]
    average = problem.size / (n * size)
    order, basis, least = np.argsort(cols, kind="stable"), np.empty((problem.size, r)), math.inf
    for seen in np.split(order, np.cumsum(np.bincount(cols, minlength=size))[:-1]):
        if len(seen) < r:
            return 0.0
        # An orthonormal basis of what the column's entries see: forming B_j would square the condition number.
        basis[seen], sigma, _ = np.linalg.svd(u[rows[seen]], full_matrices=False)
        least = min(least, float(sigma[-1]) ** 2)
    if least <= SINGULAR * average:
        return least / average
    blocks = np.zeros((n, r, r))
    np.add.at(blocks, rows, v[cols][:, :, None] * v[cols][:, None, :])
    least = float(np.linalg.eigvalsh(blocks)[:, 0].min())
    if least <= SINGULAR * average:
        return max(least, 0.0) / average
    pointer, within = np.arange(problem.size + 1) * r, np.arange(r)

    def spread(data: np.ndarray, places: np.ndarray, length: int) -> scipy.sparse.csr_array:
        columns = (places[:, None] * r + within).ravel()
        return scipy.sparse.csr_array((data.ravel(), columns, pointer), shape=(problem.size, length * r))

    # The changes of basis U K, orthonormal since U is.
    gauge = np.einsum("ia,bc->icab", u, np.eye(r)).reshape(n * r, r * r)
    return TangentSystem(spread(v[cols], rows, n), spread(basis, cols, size), gauge, average, blocks)


def joint(problem: Problem, u: np.ndarray, v: np.ndarray, symmetric: bool) -> TangentSystem:
    """The system in both factors, or in the one of a symmetric matrix."""
    (d1, r), d2 = u.shape, v.shape[0]
    jacobian = problem.factor_jacobian(u, u if symmetric else v)
    if isinstance(jacobian, scipy.sparse.linalg.LinearOperator):
        jacobian = jacobian @ np.eye(jacobian.shape[1])
    sparse = scipy.sparse.issparse(jacobian)
    jacobian = scipy.sparse.csr_array(jacobian, dtype=float) if sparse else np.asarray(jacobian, float)
    kernels = [np.outer(np.eye(r)[a], np.eye(r)[b]) for a in range(r) for b in range(r)]
    if symmetric:
        jacobian = jacobian[:, : d1 * r] + jacobian[:, d1 * r :]
        turns = [(u @ (k - k.T)).ravel() for k in kernels if np.triu(k, 1).any()]
    else:
        turns = [np.concatenate([(u @ k).ravel(), -(v @ k.T).ravel()]) for k in kernels]
    length = d1 if symmetric else d1 + d2
    gauge = np.linalg.qr(np.array(turns).T)[0] if turns else np.zeros((length * r, 0))
    average = float((jacobian**2).sum()) / (length * r)
    blocks = _blocks(jacobian, length, r) if scipy.sparse.issparse(jacobian) else None
    return TangentSystem(jacobian, None, gauge, average, blocks)


def _blocks(jacobian: Any, n: int, r: int) -> np.ndarray:
    """The diagonal blocks of J^T J, shape (n, r, r), of a sparse J."""
    gram = (jacobian.T @ jacobian).tocoo()
    rows, cols = gram.coords
    inside, blocks = rows // r == cols // r, np.zeros((n, r, r))
    np.add.at(blocks, (rows[inside] // r, rows[inside] % r, cols[inside] % r), gram.data[inside])
    return blocks


def held_fast(system: TangentSystem) -> tuple[float, Solve | None]:
    """The least eigenvalue of N over the average, and how to solve N x = b; that is None if N is singular."""
    if system.blocks is not None and system.unknowns > DENSE_UNKNOWNS:
        inverse = np.linalg.inv(system.blocks + SINGULAR * system.average * np.eye(system.blocks.shape[-1]))
        least = _least_iterated(lambda x: system.product(x) / system.average, system.average * inverse)
        if least is not None:
            return least, partial(_conjugate_gradients, system.product, inverse)
        if system.unknowns > MOST_DENSE_UNKNOWNS:
            return 0.0, None
    normal = system.dense()
    factor, failed = scipy.linalg.lapack.dpotrf(normal, lower=True)
    if failed:
        return 0.0, None

    def solve(b: np.ndarray) -> np.ndarray:
        return scipy.linalg.lapack.dpotrs(factor, b, lower=True)[0]

    stiffness = _least_eigenvalue(normal, solve) / system.average
    return stiffness, solve if stiffness > SINGULAR else None


def _least_eigenvalue(matrix: np.ndarray, solve: Callable[[np.ndarray], np.ndarray]) -> float:
    """The least eigenvalue of a positive definite matrix, by inverse iteration."""
    x = np.random.default_rng(0).standard_normal((len(matrix), min(BLOCK, len(matrix))))
    for _ in range(INVERSE_ITERATIONS):
        x = np.linalg.qr(solve(x))[0]
    return float(np.linalg.eigvalsh(x.T @ matrix @ x)[0])


def _least_iterated(product: Callable[[np.ndarray], np.ndarray], inverse: np.ndarray) -> float | None:
    """The least eigenvalue of a large operator by block-preconditioned conjugate gradients; None if they do not settle.

    What does not settle may be zero: the value found bounds the eigenvalue from above only.
    """
    size, make = inverse.shape[0] * inverse.shape[1], scipy.sparse.linalg.LinearOperator
    operator = make((size, size), matvec=product, matmat=product, dtype=float)
    precondition = partial(_by_blocks, inverse)
    preconditioner = make((size, size), matvec=precondition, matmat=precondition, dtype=float)
    start = np.random.default_rng(0).standard_normal((size, BLOCK))
    with warnings.catch_warnings():  # whether it has settled is looked at below
        warnings.simplefilter("ignore", UserWarning)
        values, vectors = scipy.sparse.linalg.lobpcg(
            operator, start, M=preconditioner, largest=False, maxiter=ITERATIONS, tol=1e-8
        )
    first = int(np.argmin(values))
    value, vector = float(values[first]), vectors[:, first]
    left = np.linalg.norm(product(vector[:, None])[:, 0] - value * vector) / np.linalg.norm(vector)
    return value if value > DOUBTFUL and left <= SETTLED * value else None


def _by_blocks(blocks: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The block-diagonal matrix of `blocks` (n, r, r) times x, of shape (n r,) or (n r, k)."""
    return (blocks @ x.reshape(*blocks.shape[:2], -1)).reshape(x.shape)


def _conjugate_gradients(
    product: Callable[[np.ndarray], np.ndarray], inverse: np.ndarray, b: np.ndarray
) -> np.ndarray | None:
    """x with product(x) = b, column by column, to an error of UNTESTED / 10 in the operator's norm; None if not so far.

    The square of the error falls by length * size in every step (Hestenes and Stiefel 1952): what LAG of them gain
    is about what was missing before.
    """
    tiny = np.finfo(float).tiny
    x, left, gains = np.zeros_like(b), b.copy(), []
    ahead = toward = _by_blocks(inverse, left)
    size = (left * toward).sum(axis=0)
    for _ in range(LEVERAGE_STEPS):
        image = product(ahead)
        length = size / np.maximum((ahead * image).sum(axis=0), tiny)
        x, left = x + length * ahead, left - length * image
        gains.append(length * size)
        if np.sum(gains[-LAG:], axis=0).max() <= (UNTESTED / 10) ** 2 and len(gains) >= LAG:
            return x
        toward = _by_blocks(inverse, left)
        size, before = (left * toward).sum(axis=0), size
        ahead = toward + size / np.maximum(before, tiny) * ahead
    return None
