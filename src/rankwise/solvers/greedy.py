"""Greedy low-rank learning: the rank grows by one whenever no better matrix of the present rank is found."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import scipy.sparse.linalg

from rankwise.factorizations import Deep, Factorization, Symmetric
from rankwise.factorizations.base import positive_integer
from rankwise.keys import as_generator
from rankwise.lowrank import LowRank
from rankwise.plain import Plain
from rankwise.problems import Problem
from rankwise.results import RESULTS
from rankwise.solvers.base import Solver
from rankwise.solvers.factor_gradient import descend_factors
from rankwise.solvers.factor_least_squares import fit_factors, grow_factors
from rankwise.spectrum import root_mean_square

# Up to so many entries a dense decomposition is faster than an iterative one.
DENSE_ENTRIES = 40_000
# A leading value below this share of the first, or a gain below this share of the residual, counts as none.
NO_DRIVE = 1e-14
NO_GAIN = 1e-9
# At a stationary point the active directions have a leading value equal to the ridge; fits are that exact.
RIDGE_SLACK = 1.01
# The last fit goes on until three steps in a row gain less than this share, or for so many steps.
POLISHED, POLISH_STEPS = 1e-12, 100
INNER_STEPS = {"newton": 500, "gradient": 200_000}


@dataclass(frozen=True)
class RankFit:
    """One rank on the way: root mean square residuals, the leading value of minus the gradient, inner steps."""

    rank: int
    train_rmse: float
    holdout_rmse: float
    leading: float
    inner_steps: int


@dataclass(frozen=True, eq=False)
class Growth(Plain):
    """The state of greedy learning.

    matrix: the present LowRank, fitted to `kept`: all observations, or those not held out.
    held: the observations held out, None if none are.
    leading: the leading singular triple (value, u, v) of minus the gradient at the matrix.
    path: what was reached, rank by rank from 0.
    verdict: why growth stopped, or running; refitted: whether the held-out observations have been returned.
    """

    matrix: LowRank
    kept: Problem
    held: Problem | None
    leading: tuple[float, np.ndarray, np.ndarray]
    path: tuple[RankFit, ...]
    verdict: RESULTS
    refitted: bool = False


@dataclass(frozen=True)
class Greedy(Solver):
    """Greedy low-rank learning (GLRL): no rank parameter, `max_rank` only bounds it.

    From W = 0, repeat: take the leading singular pair (s, u, v) of -grad l(W) (symmetric: the leading
    eigenvector; stop when its eigenvalue is not positive), append it, and re-optimize all factors at that rank
    to a local minimum of l(left right^T) + ridge/2 (|left|_F^2 + |right|_F^2). The ridge equals the penalty
    ridge * |W|_*. Stops when the root mean square residual is at most tolerance * that of the values
    (`explained`), at most noise (`noise_level`), when the held-out error has not improved for `patience` ranks
    (`holdout_stopped`: the best rank is refitted to all observations), or when another rank would have
    as many parameters as there are observations (`underdetermined`, only without ridge).

    factorization: Deep(2) for left right^T (any two-layer width is ignored: the rank grows), Symmetric for Z Z^T.
    inner: "newton" re-optimizes by Levenberg-Marquardt, through a ridge that fades out, so that few observations
    do not trap it in a local minimum; "gradient" by gradient descent from the new pair at scale `epsilon`, with
    step inner_rate / s, s the leading value at W = 0: the faithful, slow trajectory.
    inner_steps: the most steps per rank; None means 500 (newton) or 200,000 (gradient).
    holdout: fraction of the observations set aside to choose the rank; 0 sets none aside.
    refit: fit the rank of least held-out error again to all observations; without, the matrix stays the last grown.
    polish: once growth has stopped, go on with the last fit to a precise local minimum (newton only).
    tolerance: None means eps^0.65 of the data's precision (7e-11 in float64, 3e-5 in float32).

    Raises:
        ValueError: if a number is out of range or the factorization is neither of the two.

    Source: Li, Luo, Lyu 2021 (`li2021greedy`).
    """

    factorization: Factorization = Deep(2)
    inner: Literal["newton", "gradient"] = "newton"
    max_rank: int | None = None
    tolerance: float | None = None
    noise: float | None = None
    holdout: float = 0.0
    refit: bool = True
    patience: int = 2
    polish: bool = True
    ridge: float = 0.0
    epsilon: float = 1e-10
    inner_rate: float = 0.05
    inner_steps: int | None = None
    check_every: int = 1

    driver: ClassVar[Literal["compiled", "host"]] = "host"

    def __post_init__(self) -> None:
        two_layers = isinstance(self.factorization, Deep) and self.factorization.depth == 2
        if not (two_layers or isinstance(self.factorization, Symmetric)):
            raise ValueError(f"greedy learning takes Deep(2) or Symmetric(), not {self.factorization!r}")
        if self.inner not in ("newton", "gradient"):
            raise ValueError(f"inner must be 'newton' or 'gradient', not {self.inner!r}")
        for name in ("max_rank", "patience", "inner_steps"):
            if getattr(self, name) is not None:
                positive_integer(getattr(self, name), name)
        for name in ("tolerance", "noise", "ridge", "epsilon", "inner_rate"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be finite and not negative, not {value}")
        if not 0 <= self.holdout < 1:
            raise ValueError(f"holdout must be at least 0 and below 1, not {self.holdout}")

    @property
    def symmetric(self) -> bool:
        """Whether the matrix is written Z Z^T."""
        return isinstance(self.factorization, Symmetric)

    @property
    def default_steps(self) -> int:
        """The step limit unless `solve` is told another: 10,000."""
        return 10_000

    def check(self, problem: Problem) -> None:
        """Raise a ValueError if a symmetric matrix is asked for and the shape is not square."""
        self.factorization.check(problem.shape)

    def init(self, problem: Problem, key: Any) -> Growth:
        """The zero matrix, and the observations split if a held-out rank choice is asked for."""
        kept, held = problem.split(self.holdout, as_generator(key)) if self.holdout else (problem, None)
        return self._assess(LowRank.zeros(problem.shape, problem.dtype), kept, held, (), 0)

    def step(self, problem: Problem, state: Growth) -> Growth:
        """One rank more; or, once growth has stopped with observations held out, the refit to all of them."""
        if state.held is not None and self.refit and state.verdict is not RESULTS.running:
            return self._refit(problem, state)
        matrix, inner_steps = self._fit(state)
        grown = self._assess(matrix, state.kept, state.held, state.path, inner_steps)
        return self._polish(grown) if grown.held is None else grown

    def outcome(self, problem: Problem, state: Growth) -> RESULTS:
        """Why to stop, or running."""
        if state.held is not None and self.refit and not state.refitted:
            return RESULTS.running
        # The limits may have been raised since: only a limit's verdict can change.
        limited = state.verdict is RESULTS.max_rank and not state.refitted
        return self._verdict(state.kept, state.path) if limited else state.verdict

    def matrix(self, state: Growth) -> LowRank:
        """The present matrix."""
        return state.matrix

    def record(self, state: Growth) -> dict[str, float]:
        """rank, train_rmse, holdout_rmse (NaN if nothing is held out), leading and inner_steps of the last phase."""
        return {name: getattr(state.path[-1], name) for name in RankFit.__dataclass_fields__}

    def _fit(self, state: Growth) -> tuple[LowRank, int]:
        """The factors re-optimized with the leading pair appended."""
        if self.inner == "gradient":
            return descend_factors(
                state.kept, state.matrix, state.leading[1:], epsilon=self.epsilon,
                step_size=self.inner_rate / max(state.path[0].leading, np.finfo(float).tiny),
                ridge=self.ridge, max_steps=self.inner_steps or INNER_STEPS[self.inner], symmetric=self.symmetric,
            )  # fmt: skip
        start = append_pair(state.kept, state.matrix, state.leading[1:], self.symmetric)
        fit = grow_factors(
            state.kept, start.left, start.right, state.leading[0], ridge=self.ridge,
            tolerance=self._tolerance(state.kept), max_steps=self.inner_steps or INNER_STEPS["newton"],
            symmetric=self.symmetric,
        )  # fmt: skip
        return LowRank(fit.left, fit.right), fit.steps

    def _refit(self, problem: Problem, state: Growth) -> Growth:
        """The rank of least held-out error, grown again on all observations."""
        best = min(state.path, key=lambda fit: fit.holdout_rmse).rank
        whole = self._assess(LowRank.zeros(problem.shape, problem.dtype), problem, None, (), 0)
        while whole.matrix.rank < best and whole.verdict is RESULTS.running:
            matrix, inner_steps = self._fit(whole)
            whole = self._assess(matrix, problem, None, whole.path, inner_steps)
        whole = self._polish(replace(whole, verdict=RESULTS.max_rank) if whole.verdict is RESULTS.running else whole)
        verdict = whole.verdict
        if verdict in (RESULTS.running, RESULTS.max_rank):
            verdict = RESULTS.holdout_stopped if best < state.matrix.rank else state.verdict
        return replace(state, matrix=whole.matrix, leading=whole.leading, verdict=verdict, refitted=True)

    def _polish(self, state: Growth) -> Growth:
        """Once growth has stopped: the last fit, which was only as exact as growing needs, made exact."""
        done = state.verdict in (RESULTS.running, RESULTS.explained, RESULTS.non_finite)
        if done or not self.polish or self.inner == "gradient" or state.matrix.rank == 0:
            return state
        fit = fit_factors(
            state.kept, state.matrix.left, state.matrix.right, ridge=self.ridge, stationary=POLISHED,
            tolerance=self._tolerance(state.kept), max_steps=POLISH_STEPS, symmetric=self.symmetric,
        )  # fmt: skip
        steps = state.path[-1].inner_steps + fit.steps
        fine = self._assess(LowRank(fit.left, fit.right), state.kept, state.held, state.path[:-1], steps)
        return fine if fine.verdict is RESULTS.explained else replace(fine, verdict=state.verdict)

    def _assess(
        self,
        matrix: LowRank,
        kept: Problem,
        held: Problem | None,
        path: tuple[RankFit, ...],
        inner_steps: int,
    ) -> Growth:
        """The state at a fitted matrix: errors, the direction to grow in, and whether to."""
        residual = kept.residual(matrix)
        leading = leading_pair(kept, residual, self.symmetric)
        here = RankFit(
            matrix.rank, root_mean_square(residual),
            root_mean_square(held.residual(matrix)) if held is not None else math.nan, leading[0], inner_steps,
        )  # fmt: skip
        path = (*path, here)
        return Growth(matrix, kept, held, leading, path, self._verdict(kept, path))

    def _verdict(self, problem: Problem, path: tuple[RankFit, ...]) -> RESULTS:
        here, rank = path[-1], path[-1].rank
        d1, d2 = problem.shape
        values = root_mean_square(problem.values)
        if not (math.isfinite(here.train_rmse) and math.isfinite(here.leading)):
            return RESULTS.non_finite
        if here.train_rmse <= self._tolerance(problem) * values:
            return RESULTS.explained
        if self.noise is not None and here.train_rmse <= self.noise:
            return RESULTS.noise_level
        if here.leading <= max(RIDGE_SLACK * self.ridge, NO_DRIVE * path[0].leading):
            return RESULTS.converged
        if not math.isnan(here.holdout_rmse):
            best = min(range(len(path)), key=lambda i: path[i].holdout_rmse)
            if len(path) - 1 - best >= self.patience:
                return RESULTS.holdout_stopped
        if len(path) > 1 and here.train_rmse > (1 - NO_GAIN) * path[-2].train_rmse:
            return RESULTS.stalled
        if rank >= (self.max_rank or min(d1, d2)):
            return RESULTS.max_rank
        parameters = degrees_of_freedom(rank + 1, (d1, d2), self.symmetric)
        return RESULTS.underdetermined if not self.ridge and parameters >= problem.size else RESULTS.running

    def _tolerance(self, problem: Problem) -> float:
        return float(np.finfo(problem.dtype).eps ** 0.65) if self.tolerance is None else self.tolerance


def degrees_of_freedom(rank: int, shape: tuple[int, int], symmetric: bool = False) -> int:
    """The dimension of the matrices of a rank: r (d1 + d2 - r), or r d - r (r - 1) / 2 if symmetric."""
    d1, d2 = shape
    return rank * d1 - rank * (rank - 1) // 2 if symmetric else rank * (d1 + d2 - rank)


def leading_pair(problem: Problem, residual: np.ndarray, symmetric: bool) -> tuple[float, np.ndarray, np.ndarray]:
    """The leading singular triple (s, u, v) of minus the gradient; symmetric: its leading eigenpair (s, u, u)."""
    descent = -problem.scale * problem.adjoint_operator(residual)
    if symmetric:
        descent = (descent + descent.T) / 2
    d1, d2 = problem.shape
    if d1 * d2 <= DENSE_ENTRIES:
        full = descent.toarray() if scipy.sparse.issparse(descent) else descent
        if symmetric:
            values, vectors = np.linalg.eigh(full)
            return float(values[-1]), vectors[:, -1], vectors[:, -1]
        u, s, vt = np.linalg.svd(full, full_matrices=False)
        return float(s[0]), u[:, 0], vt[0]
    start = np.random.default_rng(0).standard_normal(min(d1, d2)).astype(problem.dtype)
    if symmetric:
        values, vectors = scipy.sparse.linalg.eigsh(descent, k=1, which="LA", v0=start, tol=1e-6)
        return float(values[0]), vectors[:, 0], vectors[:, 0]
    u, s, vt = scipy.sparse.linalg.svds(descent, k=1, v0=start, tol=1e-6)
    return float(s[0]), u[:, 0], vt[0]


def append_pair(problem: Problem, matrix: LowRank, leading: tuple[np.ndarray, np.ndarray], symmetric: bool) -> LowRank:
    """The matrix plus the step along u v^T that reduces the loss most, as one more pair of factors."""
    u, v = leading
    pair = LowRank(u[:, None], v[:, None])
    image = problem.measure(pair)
    step = -(image @ problem.residual(matrix)) / max(image @ image, np.finfo(float).tiny)
    root = np.sqrt(max(step, 0.0))
    left = np.hstack([matrix.left, root * pair.left])
    return LowRank(left, left if symmetric else np.hstack([matrix.right, root * pair.right]))
