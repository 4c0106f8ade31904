"""What the observations can determine: the rank of the derivative of the measurements on the matrices of a rank."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy

from rankwise.keys import as_generator
from rankwise.lowrank import LowRank, degrees_of_freedom
from rankwise.plain import positive_integer
from rankwise.problems import Completion, Problem, Sensing

# Up to so many unknowns the Gauss-Newton matrix is decomposed densely. Up to so many more this decides where
# iterations, which are faster there, do not settle or find less than the share DOUBTFUL of the average; beyond, nothing
# is shown then.
DENSE_UNKNOWNS, MOST_DENSE_UNKNOWNS, DOUBTFUL = 2_500, 6_000, 1e-5
# A least eigenvalue below this share of the average counts as zero: rounding leaves up to 1e-12 of it.
SINGULAR = 1e-10
# Iterations for the least eigenvalue, and how many eigenvectors are carried along.
ITERATIONS, INVERSE_ITERATIONS, BLOCK = 200, 8, 4
# Up to so many measurements are compared; Gram eigenvalues below this share of the largest count as zero, or below
# the rounding of measurements that are computed in single precision.
MOST_COMPARED, DEPENDENT = 2_000, 1e-12
# Of more measurements, random combinations are compared where these take no more numbers than this.
MOST_SKETCHED = 10**8
# An iterated eigenvalue counts if its residual is at most this share of it.
SETTLED = 0.1
# Leverages above 1 - UNTESTED^2 count as 1. Conjugate gradients find the residuals that tell to a tenth of UNTESTED,
# judged by what the last LAG steps have gained, in so many steps.
UNTESTED, LAG, LEVERAGE_STEPS = 1e-4, 10, 1_000


@dataclass(frozen=True)
class Identifiability:
    """How firmly observations hold a matrix among those of its rank.

    observations: those that are linearly independent. Entries always are, up to 2,000 other measurements are compared.
    Of more, up to 2,000 random combinations are, as many as tell whether there are more than `degrees` and whether they
    are whole; where that would take more than 1e8 numbers, only multiples of one another are found.
    degrees: the dimension of the matrices of the rank, r (d1 + d2 - r), or r d - r (r - 1) / 2 if symmetric.
    stiffness: the least eigenvalue of J^T J on the tangent space, J the derivative of `measure` there, relative to the
    average over all coordinates; for completions the least of the Schur complement that is left when the longer factor
    is eliminated, which is at least as large. 0 to rounding where some direction is not seen at all.
    whole: whether there are as many observations as entries, so that they determine every matrix.
    untested: how many observations have leverage 1, None unless the directions are held: the others do not say what
    these should be, so to first order they are fitted whatever their values.
    """

    observations: int
    degrees: int
    stiffness: float
    whole: bool = False
    untested: int | None = None

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
    symmetric: among the symmetric matrices of its rank, of which it is one; the tangent space is {U B^T + B U^T}, of
    whatever signs the eigenvalues are.
    Where the directions are held, the leverages H_ii of the observations, H = J (J^T J)^+ J^T, are compared with 1 by
    the residuals (I - H) g of 4 Gaussian vectors g, whose variances are 1 - H_ii.
    The matrix and the measurements are taken for exact and worked with in float64 whatever their precision. That is
    sound of a pattern: J has its largest rank at almost every matrix of the rank and nowhere a larger one, so that what
    cannot be determined shows as 0 to the rounding of float64 at a float32 matrix too, however far from the truth it
    is. At a truth where the rank of J happens to be lower than at its neighbors it is not: a matrix found in precision
    eps shows a stiffness of up to about eps s_1 / s_r there, which `certify` makes up for.

    Raises:
        ValueError: if the shapes differ, the factors do not have full column rank, or a symmetric matrix is not square.

    Source: Kiraly, Theran, Tomioka 2015 (`kiraly2015algebraic`), theorem 10 (generic finite completability).
    """
    if tuple(matrix.shape) != tuple(problem.shape):
        raise ValueError(f"the matrix has shape {tuple(matrix.shape)}, the problem {tuple(problem.shape)}")
    if symmetric and matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"a symmetric matrix must be square, not of shape {tuple(matrix.shape)}")
    u, s, v = LowRank(np.asarray(matrix.left, float), np.asarray(matrix.right, float)).svd()
    if not (matrix.rank <= min(matrix.shape) and np.isfinite(s).all() and (s > 0).all()):
        raise ValueError("the factors must have full column rank")
    every, degrees = (degrees_of_freedom(r, problem.shape, symmetric) for r in (min(problem.shape), matrix.rank))
    count = _independent(problem, symmetric, degrees, every)
    whole = count >= every
    if matrix.rank == 0 or count < degrees:
        return Identifiability(count, degrees, math.inf if matrix.rank == 0 else 0.0, whole)
    if isinstance(problem, Completion) and not symmetric:
        system = _eliminated(problem, u, v)
    else:
        system = _joint(problem, u, v, symmetric)
    stiffness, untested = _held(system) if isinstance(system, _System) else (system, None)
    return Identifiability(count, degrees, stiffness, whole, untested)


def completable(problem: Completion, rank: int, key: Any = 0) -> bool:
    """Whether the pattern of observed entries is finitely completable at a rank: almost every matrix of that rank has
    only finitely many others with the same entries there (finite, not one: the solution may have companions).

    Tested at random factors, where the derivative has the rank that it has almost everywhere.

    Raises:
        ValueError: if the rank does not fit the shape.

    Source: Kiraly, Theran, Tomioka 2015 (`kiraly2015algebraic`), theorem 10.
    """
    positive_integer(rank, "rank")
    if rank > min(problem.shape):
        raise ValueError(f"rank must lie between 1 and {min(problem.shape)}, not {rank}")
    rng = as_generator(key)
    d1, d2 = problem.shape
    return identifiability(problem, LowRank(rng.standard_normal((d1, rank)), rng.standard_normal((d2, rank)))).holds


def _independent(problem: Problem, symmetric: bool, degrees: int, every: int) -> int:
    """How many of the measurements are linearly independent, as far as they are compared."""
    if not isinstance(problem, Completion) and problem.size <= MOST_COMPARED:
        return _rank(*gram_matrix(problem, symmetric))
    known = problem.distinct(symmetric)
    asked = min(every if known >= every else degrees + 1, known, MOST_COMPARED)
    if isinstance(problem, Completion) or asked * problem.shape[0] * problem.shape[1] > MOST_SKETCHED:
        return known
    found = _rank(*_sketch(problem, asked, symmetric))
    if found < asked:
        return found
    return known if asked >= min(every, known) else min(known, every - 1)


def _sketch(problem: Problem, count: int, symmetric: bool) -> tuple[np.ndarray, float]:
    """As `gram_matrix`, of so many random combinations of the measurements: of rank `count` if theirs is no lower."""
    weights = np.random.default_rng(0).standard_normal((count, problem.size)).astype(problem.dtype)
    combined = np.stack([np.asarray(problem.adjoint(one)) for one in weights])
    dependent = max(DEPENDENT, problem.size * float(np.finfo(combined.dtype).eps))
    combined = (combined + combined.transpose(0, 2, 1)) / 2 if symmetric else combined
    flat = np.asarray(combined.reshape(count, -1), float)
    return flat @ flat.T, dependent


def _rank(gram: np.ndarray, dependent: float) -> int:
    """How many eigenvalues of a Gram matrix lie above this share of the largest."""
    values = np.linalg.eigvalsh(gram)
    return int(np.count_nonzero(values > dependent * values[-1]))


def gram_matrix(problem: Problem, symmetric: bool = False) -> tuple[np.ndarray, float]:
    """<A_i, A_j>, shape (m, m), in float64, and the share of its largest eigenvalue below which others count as zero.

    symmetric: of the symmetric parts of the A_i.
    """
    if isinstance(problem, Sensing):
        sensors = np.asarray(problem.sensors, float)
        flat = ((sensors + sensors.transpose(0, 2, 1)) / 2 if symmetric else sensors).reshape(problem.size, -1)
        gram = flat @ flat.T
    else:

        def seen(row: np.ndarray) -> np.ndarray:
            back = np.asarray(problem.adjoint(row))
            return np.asarray(problem.measure((back + back.T) / 2 if symmetric else back))

        gram = np.stack([seen(row) for row in np.eye(problem.size)])
    dependent = max(DEPENDENT, problem.size * float(np.finfo(gram.dtype).eps))
    return np.asarray((gram + gram.T) / 2, float), dependent


@dataclass(frozen=True, eq=False)
class _System:
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


def _eliminated(problem: Completion, u: np.ndarray, v: np.ndarray) -> _System | float:
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
    return _System(spread(v[cols], rows, n), spread(basis, cols, size), gauge, average, blocks)


def _joint(problem: Problem, u: np.ndarray, v: np.ndarray, symmetric: bool) -> _System:
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
    return _System(jacobian, None, gauge, average, blocks)


def _blocks(jacobian: Any, n: int, r: int) -> np.ndarray:
    """The diagonal blocks of J^T J, shape (n, r, r), of a sparse J."""
    gram = (jacobian.T @ jacobian).tocoo()
    rows, cols = gram.coords
    inside, blocks = rows // r == cols // r, np.zeros((n, r, r))
    np.add.at(blocks, (rows[inside] // r, rows[inside] % r, cols[inside] % r), gram.data[inside])
    return blocks


def _held(system: _System) -> tuple[float, int | None]:
    """The least eigenvalue of N over the average, and how many observations have leverage 1; 0 and None if singular."""
    if system.blocks is not None and system.unknowns > DENSE_UNKNOWNS:
        inverse = np.linalg.inv(system.blocks + SINGULAR * system.average * np.eye(system.blocks.shape[-1]))
        least = _least_iterated(lambda x: system.product(x) / system.average, system.average * inverse)
        if least is not None:
            untested = _untested(system, partial(_conjugate_gradients, system.product, inverse))
            return (0.0 if untested is None else least), untested
        if system.unknowns > MOST_DENSE_UNKNOWNS:
            return 0.0, None
    normal = system.dense()
    factor, failed = scipy.linalg.lapack.dpotrf(normal, lower=True)
    if failed:
        return 0.0, None

    def solve(b: np.ndarray) -> np.ndarray:
        return scipy.linalg.lapack.dpotrs(factor, b, lower=True)[0]

    stiffness = _least_eigenvalue(normal, solve) / system.average
    return stiffness, _untested(system, solve) if stiffness > SINGULAR else None


def _untested(system: _System, solve: Callable[[np.ndarray], np.ndarray | None]) -> int | None:
    """How many observations have leverage 1; None if solving N x = b did not settle."""
    y = system.outside(np.random.default_rng(0).standard_normal((system.jacobian.shape[0], BLOCK)))
    x = solve(system.jacobian.T @ y)
    if x is None:
        return None
    left = y - system.outside(system.jacobian @ x)
    return int(np.count_nonzero(np.abs(left).max(axis=1) <= UNTESTED))


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
