"""What the observations can determine: the rank of the derivative of the measurements on the matrices of a rank."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from rankwise.keys import as_generator
from rankwise.lowrank import LowRank, degrees_of_freedom
from rankwise.plain import positive_integer
from rankwise.problems import Completion, Problem
from rankwise.problems.independence import independent
from rankwise.tangent import BLOCK, SINGULAR, UNTESTED, Solve, TangentSystem, eliminated, held_fast, joint

# Singular values of stress matrices below this share of the largest count as zero: iterated ones are no more exact.
STRESSED = 1e-4


@dataclass(frozen=True, eq=False)
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
    loose: which observations have leverage 1, as indices, None unless the directions are held: the others do not say
    what these should be, so to first order they are fitted whatever their values.
    moves: tangent directions, each a matrix, in which other values of those would move the answer, 4 at random: an
    entry that none of them changes does not hang on them.
    alone: of a symmetric matrix, whether a generic one is the only one of its rank with these observations, but for
    entries that hang on loose ones, as far as its stresses tell; None otherwise.
    """

    observations: int
    degrees: int
    stiffness: float
    whole: bool = False
    loose: np.ndarray | None = None
    moves: tuple[LowRank, ...] = ()
    alone: bool | None = None

    @property
    def untested(self) -> int | None:
        """How many observations have leverage 1; None unless the directions are held."""
        return None if self.loose is None else len(self.loose)

    @property
    def hanging(self) -> np.ndarray | None:
        """Which entries hang on loose observations, shape (d1, d2); None if none do."""
        moved = [np.abs(move.dense()) for move in self.moves]
        return np.any([one > UNTESTED * one.max() for one in moved], axis=0) if moved else None

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
    These residuals are the stresses of the answer: J^T w = 0. Of a symmetric matrix U S U^T, which entries determine up
    to reflections of parts at first, S(w) = sum_i w_i A_i has S(w) U = 0, and where no direction outside the span of U
    is in the kernel of all, a generic matrix of the rank is the only one with its observations.
    The matrix and the measurements are taken for exact and worked with in float64 whatever their precision. That is
    sound of a pattern: J has its largest rank at almost every matrix of the rank and nowhere a larger one, so that what
    cannot be determined shows as 0 to the rounding of float64 at a float32 matrix too, however far from the truth it
    is. At a truth where the rank of J happens to be lower than at its neighbors it is not: a matrix found in precision
    eps shows a stiffness of up to about eps s_1 / s_r there, which `certify` makes up for.

    Raises:
        ValueError: if the shapes differ, the factors do not have full column rank, or a symmetric matrix is not square.

    Source: Kiraly, Theran, Tomioka 2015 (`kiraly2015algebraic`), theorem 10 (generic finite completability); Singer and
    Cucuringu 2010 (`singer2010uniqueness`), section 4, after Connelly 2005 (`connelly2005generic`), theorem 1.3
    (stresses and generic global rigidity).
    """
    if tuple(matrix.shape) != tuple(problem.shape):
        raise ValueError(f"the matrix has shape {tuple(matrix.shape)}, the problem {tuple(problem.shape)}")
    if symmetric and matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"a symmetric matrix must be square, not of shape {tuple(matrix.shape)}")
    u, s, v = LowRank(np.asarray(matrix.left, float), np.asarray(matrix.right, float)).svd()
    if not (matrix.rank <= min(matrix.shape) and np.isfinite(s).all() and (s > 0).all()):
        raise ValueError("the factors must have full column rank")
    every, degrees = (degrees_of_freedom(r, problem.shape, symmetric) for r in (min(problem.shape), matrix.rank))
    count = independent(problem, symmetric, degrees)
    whole = count >= every
    if matrix.rank == 0 or count < degrees:
        held = matrix.rank == 0 and _sees_all(problem)
        return Identifiability(count, degrees, math.inf if held else 0.0, whole)
    if isinstance(problem, Completion) and not symmetric:
        system = eliminated(problem, u, v)
    else:
        system = joint(problem, u, v, symmetric)
    if not isinstance(system, TangentSystem):
        return Identifiability(count, degrees, system, whole)
    stiffness, solve = held_fast(system)
    stresses = None if solve is None else _stresses(system, solve)
    if solve is None or stresses is None:
        return Identifiability(count, degrees, 0.0 if solve else stiffness, whole)
    loose = np.flatnonzero(np.abs(stresses).max(axis=1) <= UNTESTED)
    alone = _alone(problem, u, stresses) if symmetric and not whole else None
    moves = _moves(problem, system, solve, loose, (u, v), symmetric) if len(loose) else ()
    return Identifiability(count, degrees, stiffness, whole, loose, moves, alone)


def _sees_all(problem: Problem) -> bool:
    """Whether every row and every column is part of some observation: without, the zero matrix is not held."""
    seen = np.asarray(problem.adjoint(np.random.default_rng(0).standard_normal(problem.size).astype(problem.dtype)))
    return bool(seen.any(axis=0).all() and seen.any(axis=1).all())


def determined(problem: Problem, matrix: LowRank) -> bool:
    """Whether the observations are more than the parameters of the matrix, or all entries, and hold it fast."""
    if not (matrix.singular_values() > 0).all():
        return False
    found = identifiability(problem, matrix)
    return found.holds and found.overdetermined


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


def _stresses(system: TangentSystem, solve: Solve) -> np.ndarray | None:
    """(I - H) g for Gaussian g, shape (m, 4): J^T of them is 0. None if solving N x = b did not settle."""
    y = system.outside(np.random.default_rng(0).standard_normal((system.jacobian.shape[0], BLOCK)))
    x = solve(system.jacobian.T @ y)
    return None if x is None else y - system.outside(system.jacobian @ x)


def _alone(problem: Problem, u: np.ndarray, stresses: np.ndarray) -> bool:
    """Whether nothing outside the span of U (d, r) is in the kernel of every stress matrix, the symmetric part of S.

    Indices without any stress, those of loose observations, are left out.
    """
    squares = np.zeros((len(u), len(u)))
    for stress in stresses.T:
        matrix = np.asarray(problem.adjoint(stress.astype(problem.dtype)), float)
        matrix = matrix + matrix.T
        squares += matrix @ matrix
    sizes = squares.diagonal()
    stressed = sizes > STRESSED**2 * sizes.max()
    kernel = np.linalg.svd(u[stressed], compute_uv=False)
    values, rank = np.linalg.eigvalsh(squares[np.ix_(stressed, stressed)]), u.shape[1]
    if len(kernel) < rank or not kernel[-1] > STRESSED:
        return False
    return bool(len(values) == rank or values[rank] > STRESSED**2 * values[-1])


def _moves(
    problem: Any,
    system: TangentSystem,
    solve: Solve,
    loose: np.ndarray,
    uv: tuple[np.ndarray, np.ndarray],
    symmetric: bool,
) -> tuple[LowRank, ...]:
    """How the matrix U V^T moves, to first order, where the loose observations alone change at random."""
    (u, v), r = uv, uv[0].shape[1]
    changes = np.zeros((system.jacobian.shape[0], BLOCK))
    changes[loose] = np.random.default_rng(0).standard_normal((len(loose), BLOCK))
    x = solve(system.jacobian.T @ system.outside(changes))
    if x is None:
        return ()
    if symmetric:
        pairs = [(one, one) for one in x.T.reshape(BLOCK, -1, r)]
        u, v = u, u
    elif system.basis is None:
        pairs = [(one[: u.size].reshape(u.shape), one[u.size :].reshape(v.shape)) for one in x.T]
    else:
        pairs = _back_substituted(problem, (u, v), x, changes - system.jacobian @ x)
    return tuple(LowRank(np.hstack([a, u]), np.hstack([v, b])) for a, b in pairs)


def _back_substituted(
    problem: Completion, uv: tuple[np.ndarray, np.ndarray], x: np.ndarray, left: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The changes of both factors from those of the shorter one, x (n r, k), and what these leave of k right sides."""
    (u, v), rows, cols = uv, problem.rows, problem.cols
    swapped = len(u) > len(v)
    if swapped:
        u, v, rows, cols = v, u, cols, rows
    longer = np.empty((*v.shape, x.shape[1]))
    order = np.argsort(cols, kind="stable")
    for j, seen in enumerate(np.split(order, np.cumsum(np.bincount(cols, minlength=len(v)))[:-1])):
        longer[j] = np.linalg.lstsq(u[rows[seen]], left[seen], rcond=None)[0]
    pairs = [(x[:, k].reshape(u.shape), longer[..., k]) for k in range(x.shape[1])]
    return [(b, a) for a, b in pairs] if swapped else pairs
