"""What the observations can determine: the rank of the derivative of the measurements on the matrices of a rank."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from rankwise.keys import as_generator
from rankwise.lowrank import LowRank, degrees_of_freedom
from rankwise.problems import Completion, Problem

# Up to so many unknowns the Gauss-Newton matrix is decomposed densely. Up to so many more this decides where
# iterations, which are faster there, do not settle or find less than the share DOUBTFUL of the average; beyond, nothing
# is shown then.
DENSE_UNKNOWNS, MOST_DENSE_UNKNOWNS, DOUBTFUL = 2_500, 6_000, 1e-5
# A least eigenvalue below this share of the average counts as zero: rounding leaves up to 1e-12 of it.
SINGULAR = 1e-10
# Iterations for the least eigenvalue, and how many eigenvectors are carried along.
ITERATIONS, INVERSE_ITERATIONS, BLOCK = 200, 8, 4
# Up to so many measurements are compared; Gram eigenvalues below this share of the largest count as zero.
MOST_COMPARED, DEPENDENT = 2_000, 1e-12
# An iterated eigenvalue counts if its residual is at most this share of it.
SETTLED = 0.1


@dataclass(frozen=True)
class Identifiability:
    """How firmly observations hold a matrix among those of its rank.

    observations: those that are linearly independent (up to 2,000 measurements are compared, entries always are).
    degrees: the dimension of the matrices of the rank, r (d1 + d2 - r), or r d - r (r - 1) / 2 if symmetric.
    stiffness: the least eigenvalue of J^T J on the tangent space, J the derivative of `measure` there, relative to the
    average over all coordinates; for completions the least of the Schur complement that is left when the longer factor
    is eliminated, which is at least as large. 0 to rounding where some direction is not seen at all.
    whole: whether there are as many observations as entries, so that they determine every matrix.
    """

    observations: int
    degrees: int
    stiffness: float
    whole: bool = False

    @property
    def holds(self) -> bool:
        """Whether the derivative has full rank: no other matrix of the rank nearby has the same measurements."""
        return self.stiffness > SINGULAR

    @property
    def overdetermined(self) -> bool:
        """Whether there are more observations than degrees of freedom, so that an exact fit is no matter of course."""
        return self.observations > self.degrees or self.whole


def identifiability(problem: Problem, matrix: LowRank, symmetric: bool = False) -> Identifiability:
    """Whether the observations hold a matrix fast among the matrices of its rank, to first order.

    The tangent space at U S V^T is {A V^T + U B^T}; with the identity in place of S the condition number of the matrix
    plays no part. For a completion the longer factor is eliminated: with A_i = sum_j v_j v_j^T, B_j = sum_i u_i u_i^T
    and E_ij = v_j u_i^T over the observed (i, j), the directions are held iff A - E B^-1 E^T is positive definite
    beside the r^2 changes of basis U K, and every B_j is.

    matrix: a `LowRank` of shape problem.shape whose factors have full column rank.

    Raises:
        ValueError: if the shapes differ, or the factors do not have full column rank.

    Source: Kiraly, Theran, Tomioka 2015 (`kiraly2015algebraic`), theorem 10 (generic finite completability).
    """
    if tuple(matrix.shape) != tuple(problem.shape):
        raise ValueError(f"the matrix has shape {tuple(matrix.shape)}, the problem {tuple(problem.shape)}")
    u, s, v = matrix.svd()
    if not (matrix.rank <= min(matrix.shape) and np.isfinite(s).all() and (s > 0).all()):
        raise ValueError("the factors must have full column rank")
    count, degrees = _independent(problem, symmetric), degrees_of_freedom(matrix.rank, problem.shape, symmetric)
    every = degrees_of_freedom(min(problem.shape), problem.shape, symmetric)
    if matrix.rank == 0 or count < degrees:
        return Identifiability(count, degrees, math.inf if matrix.rank == 0 else 0.0, count >= every)
    if isinstance(problem, Completion) and not symmetric:
        stiffness = _eliminated_stiffness(problem, u, v)
    else:
        stiffness = _joint_stiffness(problem, u, v, symmetric)
    return Identifiability(count, degrees, stiffness, count >= every)


def completable(problem: Completion, rank: int, key: Any = 0) -> bool:
    """Whether the pattern of observed entries is finitely completable at a rank: almost every matrix of that rank has
    only finitely many others with the same entries there (finite, not one: the solution may have companions).

    Tested at random factors, where the derivative has the rank that it has almost everywhere.

    Raises:
        ValueError: if the rank does not fit the shape.

    Source: Kiraly, Theran, Tomioka 2015 (`kiraly2015algebraic`), theorem 10.
    """
    if not 1 <= rank <= min(problem.shape):
        raise ValueError(f"rank must lie between 1 and {min(problem.shape)}, not {rank}")
    rng = as_generator(key)
    d1, d2 = problem.shape
    return identifiability(problem, LowRank(rng.standard_normal((d1, rank)), rng.standard_normal((d2, rank)))).holds


def _independent(problem: Problem, symmetric: bool) -> int:
    """How many of the measurements are linearly independent, as far as they are compared."""
    if isinstance(problem, Completion) or problem.size > MOST_COMPARED:
        return problem.distinct(symmetric)
    gram = np.stack([np.asarray(problem.measure(problem.adjoint(row))) for row in np.eye(problem.size)])
    values = np.linalg.eigvalsh((gram + gram.T) / 2)
    return int(np.count_nonzero(values > DEPENDENT * values[-1]))


def _eliminated_stiffness(problem: Completion, u: np.ndarray, v: np.ndarray) -> float:
    """The least eigenvalue of A - E B^-1 E^T beside the changes of basis, over the average of A."""
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
    outer = v[cols][:, :, None] * basis[:, None, :]
    indices = (rows[:, None, None] * r + np.arange(r)[:, None], cols[:, None, None] * r + np.arange(r))
    indices = tuple(np.broadcast_to(index, outer.shape).ravel() for index in indices)
    factor = scipy.sparse.csr_array((outer.ravel(), indices), shape=(n * r, size * r))
    diagonal = np.zeros((n, r, r))
    np.add.at(diagonal, rows, v[cols][:, :, None] * v[cols][:, None, :])
    # The changes of basis U K, orthonormal since U is.
    gauge = np.einsum("ia,bc->iabc", u, np.eye(r))
    gauge = gauge.transpose(0, 3, 1, 2).reshape(n * r, r * r)

    def product(x: np.ndarray) -> np.ndarray:
        x = x.reshape(n * r, -1)
        direct = np.einsum("iab,ibk->iak", diagonal, x.reshape(n, r, -1)).reshape(x.shape)
        return direct - factor @ (factor.T @ x) + average * (gauge @ (gauge.T @ x))

    stiff = np.linalg.eigvalsh(diagonal)[:, 0]
    if stiff.min() <= SINGULAR * average:
        return max(float(stiff.min()), 0.0) / average
    if n * r > DENSE_UNKNOWNS:
        least = _least_iterated(lambda x: product(x) / average, n * r, average * np.linalg.inv(diagonal))
        if least is not None or n * r > MOST_DENSE_UNKNOWNS:
            return least or 0.0
    schur = scipy.linalg.block_diag(*diagonal) - (factor @ factor.T).toarray() + average * (gauge @ gauge.T)
    return _least_eigenvalue(schur) / average


def _joint_stiffness(problem: Problem, u: np.ndarray, v: np.ndarray, symmetric: bool) -> float:
    """The least eigenvalue of J^T J beside the changes of basis, over the average eigenvalue; dense."""
    (d1, r), d2 = u.shape, v.shape[0]
    jacobian = problem.factor_jacobian(u, u if symmetric else v)
    if isinstance(jacobian, scipy.sparse.linalg.LinearOperator):
        jacobian = jacobian @ np.eye(jacobian.shape[1])
    jacobian = jacobian.toarray() if scipy.sparse.issparse(jacobian) else np.asarray(jacobian)
    kernels = [np.outer(np.eye(r)[a], np.eye(r)[b]) for a in range(r) for b in range(r)]
    if symmetric:
        jacobian = jacobian[:, : d1 * r] + jacobian[:, d1 * r :]
        turns = [(u @ (k - k.T)).ravel() for k in kernels if np.triu(k, 1).any()]
    else:
        turns = [np.concatenate([(u @ k).ravel(), -(v @ k.T).ravel()]) for k in kernels]
    normal = jacobian.T @ jacobian
    average = float(np.trace(normal)) / ((d1 + d2) * r if not symmetric else d1 * r)
    if turns:
        gauge = np.linalg.qr(np.array(turns).T)[0]
        normal += average * (gauge @ gauge.T)
    return _least_eigenvalue(normal) / average


def _least_eigenvalue(matrix: np.ndarray) -> float:
    """The least eigenvalue of a symmetric matrix, 0 if it is not positive definite in floating point."""
    factor, failed = scipy.linalg.lapack.dpotrf(matrix, lower=True)
    if failed:
        return 0.0
    x = np.random.default_rng(0).standard_normal((len(matrix), min(BLOCK, len(matrix))))
    for _ in range(INVERSE_ITERATIONS):
        x = np.linalg.qr(scipy.linalg.lapack.dpotrs(factor, x, lower=True)[0])[0]
    return float(np.linalg.eigvalsh(x.T @ matrix @ x)[0])


def _least_iterated(product: Callable[[np.ndarray], np.ndarray], size: int, inverse: np.ndarray) -> float | None:
    """The least eigenvalue of a large operator by block-preconditioned conjugate gradients; None if they do not settle.

    What does not settle may be zero: the value found bounds the eigenvalue from above only.
    """
    r = inverse.shape[-1]

    def precondition(x: np.ndarray) -> np.ndarray:
        return np.einsum("iab,ibk->iak", inverse, x.reshape(size // r, r, -1)).reshape(x.shape)

    make = scipy.sparse.linalg.LinearOperator
    operator = make((size, size), matvec=product, matmat=product, dtype=float)
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
