"""What can be said for an answer, whichever solver found it: it fits, it need not have fitted, and it cannot move."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from rankwise.identifiability import Identifiability, identifiability
from rankwise.lowrank import LowRank, degrees_of_freedom
from rankwise.plain import checked
from rankwise.problems import Problem
from rankwise.solvers.factor_least_squares import fit_factors
from rankwise.solvers.noise_level import exact_tolerance, expected_rmse
from rankwise.solvers.symmetric_part import asymmetry, folded, mirrored, symmetrized
from rankwise.spectrum import root_mean_square

# The relative error that the residual of an exact fit may leave, to first order.
FIRM = 1e-3
# The share of the stiffness that may be lost between the answer and the truth.
STEADY = 0.1
# How a rank lower by one is fitted to noisy observations: until steps gain less than this share, at most so many.
LOWER_STATIONARY, LOWER_STEPS = 1e-3, 60
# With noise: how often it is drawn again to see how far it moves the answer, and how far, relatively, it may.
DRAWS, STEADY_FIT = 4, 0.5
# A matrix counts as symmetric up to this relative asymmetry.
ASYMMETRY = 1e-6


@dataclass(frozen=True)
class Certificate:
    """Whether a matrix fits the observations, and how firmly these hold it.

    rank: of the matrix. rmse: the root mean square residual. fits: whether that is no more than rounding, or the noise.
    held: how firmly the observations hold the matrix among those of its rank; None if it does not fit them.
    lower: whether a matrix of rank one less fits them as well, so that the rank may be too high.
    expected_error: with noise, how far fits to what this matrix would have been measured as, with noise drawn anew, lie
    from it: the root mean square of 4 distances, relative to |W|_F or the problem's norm estimate, whichever is less.
    It is about what the answer's own error is, but for singular values that noise hides: the rank is the least that
    noise does not reject. Infinite at rank 0; None without noise, or where something else is amiss.
    """

    rank: int
    rmse: float
    fits: bool
    held: Identifiability | None
    lower: bool = False
    expected_error: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the matrix fits, more observations than parameters, at no rank too high, its derivative of full rank.

        If symmetric, whether it is also alone (`Identifiability.alone`). And with noise, whether this leaves an
        expected error of at most a half. That is said of what the observations test: see `untested`.
        """
        return self._proper and (self.expected_error is None or self.expected_error <= STEADY_FIT)

    @property
    def _proper(self) -> bool:
        held = self.held
        if held is None or self.lower or held.alone is False:
            return False
        return held.overdetermined and held.holds

    @property
    def untested(self) -> int:
        """How many observations have leverage 1, so that a matrix of the rank would fit them whatever they were.

        Of them, and of the entries that hang on them (`hanging`), a certificate says nothing: an error there cannot be
        seen. 0 where the observations determine every matrix: no entry hangs on a rank then.
        """
        return 0 if self.held is None or self.held.whole else self.held.untested or 0

    @property
    def hanging(self) -> np.ndarray | None:
        """Which entries of the matrix hang on untested observations, shape (d1, d2); None if none do."""
        return self.held.hanging if self.held is not None and self.untested else None

    @property
    def sentence(self) -> str:
        """The same in words."""
        if self.held is None:
            return f"the observations are not explained at rank {self.rank} (root mean square residual {self.rmse:.2g})"
        if self.rank == 0 and self.expected_error is None:
            words = f"the zero matrix has all {self.held.observations} observations"
            return words if self.held.holds else f"{words}, but not every row and column is seen"
        if self.rank == 0:
            return f"noise of this level alone explains the {self.held.observations} observations"
        words = f"rank {self.rank} fits {self.held.observations} observations with {self.held.degrees} parameters"
        if not self.held.overdetermined:
            return f"{words}, enough to fit anything"
        if self.lower:
            return f"{words}, but rank {self.rank - 1} fits them as well"
        words += f", and the derivative {'has' if self.held.holds else 'is not shown to have'} full rank"
        if self.held.holds and self.held.alone is False:
            return f"{words}, but another matrix of this rank may fit as well"
        if self._proper and not self.holds:
            return f"{words}, but noise moves it by {self.expected_error:.0%} of its size"
        if not self.untested:
            return words
        words += f"; {self.untested} of the observations {'is' if self.untested == 1 else 'are'} tested by no others"
        hanging = self.hanging
        return words if hanging is None else f"{words}, and {np.count_nonzero(hanging)} entries hang on them"


def certify(problem: Problem, matrix: LowRank, noise: float | None = None, symmetric: bool = False) -> Certificate:
    """The certificate of a matrix of known factors: see `recover` for what it says and what it does not.

    The rank of the derivative is taken in float64 at the matrix as it is given, and counts as full if it is so at
    every matrix as near as the residual, or the rounding of the data if that is more, lets the truth be. In float32
    that asks for a stiffness of at least 1.2e-6 |W|_F / s_r, in float64 hardly for more than a positive one.
    noise: the standard deviation of the noise; None: the observations are exact to working precision.
    symmetric: the truth is known to be symmetric, of eigenvalues of either sign, and so is the matrix.

    Raises:
        ValueError: if the matrix is no `LowRank`, of another shape than the problem's, or not symmetric where it should
            be, or if the noise is negative or no number.
    """
    _check(problem, matrix, symmetric)
    if noise is not None:
        checked(noise, "noise", least=0)
    problem = folded(problem, exact=noise is None) if symmetric else problem
    if not (np.isfinite(matrix.left).all() and np.isfinite(matrix.right).all()):
        return Certificate(matrix.rank, math.nan, False, None)
    matrix = _full_column_rank(matrix)
    rounding = float(np.finfo(problem.dtype).eps)
    size, rmse = float(root_mean_square(problem.values)), float(root_mean_square(problem.residual(matrix)))
    tolerance = exact_tolerance(problem.dtype) * size
    exact = fits = rmse <= tolerance
    if not fits and noise is not None:
        fits = rmse <= _expected(problem, noise, matrix.rank, symmetric)
    if not (fits and math.isfinite(rmse)):
        return Certificate(matrix.rank, rmse, False, None)
    held = identifiability(problem, matrix, symmetric)
    answer = Certificate(matrix.rank, rmse, True, held)
    if answer.holds and _lower_fits(problem, matrix, tolerance, noise, symmetric):
        return replace(answer, lower=True)
    if answer.holds and noise:
        answer = replace(answer, expected_error=_expected_error(problem, matrix, noise, symmetric))
    # A residual of less than the rounding of the values says no more than one of that size.
    if exact and held.holds and not _firm(held.stiffness, max(rmse / size, rounding) if size else 0.0, matrix):
        answer = replace(answer, held=replace(held, stiffness=0.0))
    return answer


def _firm(stiffness: float, residual: float, matrix: LowRank) -> bool:
    """Whether a relative residual e is too small for another matrix, and for a truth where the derivative is singular.

    To first order it leaves a relative error of e / sqrt(stiffness). Moved by so much the tangent space turns by about
    |W|_F / s_r times as much, and so far the square root of the stiffness may fall: that of the truth is positive only
    if e |W|_F / s_r is well below the stiffness.
    """
    s = matrix.singular_values()
    turned = float(np.linalg.norm(s / s[0]) / (s[-1] / s[0])) if matrix.rank else 0.0
    return residual <= FIRM * math.sqrt(stiffness) and residual * turned <= STEADY * stiffness


def _lower_fits(problem: Problem, matrix: LowRank, tolerance: float, noise: float | None, symmetric: bool) -> bool:
    """Whether rank r - 1 fits as well: the matrix without its last singular value, fitted again where there is noise.

    With noise, the test is one of goodness of fit: at the right rank the squares of the residual sum to noise^2 times
    chi^2 of m - parameters degrees of freedom, of which `expected_rmse` is three standard deviations above the mean.
    """
    rank = matrix.rank - 1
    if rank < 0:
        return False
    lower = matrix.truncate(rank)
    if root_mean_square(problem.residual(lower)) <= tolerance:
        return True
    if noise is None:
        return False
    lower = _fitted_lower(problem, matrix, noise, symmetric) if rank else lower
    return bool(root_mean_square(problem.residual(lower)) <= _expected(problem, noise, rank, symmetric))


def _fitted_lower(problem: Problem, matrix: LowRank, noise: float, symmetric: bool) -> LowRank:
    """The matrix of rank r - 1 that least squares leads to from the one given.

    A singular value that fits noise may be the largest, so the last is not simply dropped: a ridge at which noise alone
    is smoothed away, noise times the expected norm of its adjoint, first lets it vanish.
    """
    d1, d2 = problem.shape
    smoothing = noise * math.sqrt(float(problem.energy()) / (d1 * d2)) * (math.sqrt(d1) + math.sqrt(d2))
    eased = _fitted(problem, matrix, symmetric, float(problem.scale) * smoothing)
    return _fitted(problem, eased.truncate(matrix.rank - 1), symmetric)


def _expected_error(problem: Problem, matrix: LowRank, noise: float, symmetric: bool) -> float:
    """How far, relatively, noise drawn anew moves the matrix: a parametric bootstrap.

    A matrix that has run away is not to be the measure of its own error: hence the norm that the observations tell.
    """
    if matrix.rank == 0:
        return math.inf
    rng, exact, moves = np.random.default_rng(0), np.asarray(problem.measure(matrix), float), []
    size = min(matrix.norm(), float(problem.norm_estimate()))
    for _ in range(DRAWS):
        values = exact + noise * rng.standard_normal(problem.size)
        moved = _fitted(problem.replace(values=values.astype(problem.dtype)), matrix, symmetric)
        gap = LowRank(np.hstack([matrix.left, -moved.left]), np.hstack([matrix.right, moved.right]))
        moves.append(gap.norm() / size)
    return root_mean_square(moves)


def _fitted(problem: Problem, start: LowRank, symmetric: bool, ridge: float = 0.0) -> LowRank:
    """The matrix of the start's rank that least squares leads to; symmetric ones as Z Z^T or by their mirror images."""
    u, s, v = start.svd()
    semidefinite = symmetric and bool(((u * v).sum(axis=0) > 0).all())
    given = mirrored(problem) if symmetric and not semidefinite else problem
    fit = fit_factors(
        given, u * np.sqrt(s), v * np.sqrt(s), ridge=ridge, tolerance=exact_tolerance(given.dtype),
        stationary=LOWER_STATIONARY, max_steps=LOWER_STEPS, symmetric=semidefinite,
    )  # fmt: skip
    fitted = LowRank(fit.left, fit.right)
    return symmetrized(fitted) if symmetric else fitted


def _expected(problem: Problem, noise: float, rank: int, symmetric: bool) -> float:
    return expected_rmse(noise, problem.size, degrees_of_freedom(rank, problem.shape, symmetric))


def _full_column_rank(matrix: LowRank) -> LowRank:
    """The same matrix without columns that are zero to rounding."""
    precision = float(np.finfo(matrix.dtype).eps)
    u, s, v = LowRank(np.asarray(matrix.left, float), np.asarray(matrix.right, float)).svd()
    kept = s > s[:1].sum() * precision * max(matrix.shape)
    return LowRank(u[:, kept] * s[kept], v[:, kept])


def _check(problem: Problem, matrix: LowRank, symmetric: bool) -> None:
    if not isinstance(matrix, LowRank):
        raise ValueError(f"the matrix must be a LowRank, whose factors are known, not {type(matrix).__name__}")
    if tuple(matrix.shape) != tuple(problem.shape):
        raise ValueError(f"the matrix has shape {tuple(matrix.shape)}, the problem {tuple(problem.shape)}")
    if symmetric and not asymmetry(matrix) <= ASYMMETRY:
        raise ValueError(f"the matrix is not symmetric: its relative asymmetry is {asymmetry(matrix):.2g}")
