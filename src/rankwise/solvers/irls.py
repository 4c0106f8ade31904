"""Iteratively reweighted least squares: Schatten-p and log-det minimization by a sequence of weighted ridge fits."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from rankwise.lowrank import LowRank
from rankwise.plain import Plain, checked
from rankwise.problems import Problem
from rankwise.problems.independence import spare_observations
from rankwise.results import RESULTS
from rankwise.solvers.ranked import AtRank, Ranked
from rankwise.solvers.weighted_ridge import Decomposed, Ridge, WeightedRidge, ridge_system
from rankwise.spectrum import root_mean_square

# The smoothing stays above this share of the largest singular value: below it, singular values are rounding.
SMOOTHING_FLOOR = 1e-15
TINY, LARGEST_EXPONENT = np.finfo(float).tiny, 700.0
# The share of |B^T y| that a weighted fit may leave, relative to smoothing / sigma_1.
FIT_TOLERANCE, LEAST_TOLERANCE = 1e-4, 1e-15
# The least excess of a weight over that of the smoothing.
LEAST_EXCESS = 1e-8
# From this relative residual on a fit at the least rank is tried: once the spare singular value has nearly vanished,
# the weighted fits are ill-conditioned. Truncations with so many times the residual are not worth the attempt.
NEARLY, HOPELESS = 1e-6, 1e4


@dataclass(frozen=True, eq=False)
class Reweighted(Plain):
    """What IRLS keeps between steps, in the units of the state.

    system: the weighted fits of this problem. leading: singular triples of the iterate, one more than the rank.
    epsilon: the smoothing. inner: the conjugate gradient steps taken at this rank. slack: lambda, 0 without noise.
    """

    system: WeightedRidge
    leading: Decomposed
    epsilon: float
    inner: int = 0
    slack: float = 0.0


@dataclass(frozen=True)
class IRLS(Ranked):
    """Schatten-p (0 < p < 1) or log-det (p = 0) minimization under the observations, by reweighted least squares.

    Minimizes F(W) = sum_j f(sigma_j) subject to measure(W) = values, with f(s) = s^p / p (log s for p = 0) above the
    smoothing epsilon and its parabola f(epsilon) + (s^2 - epsilon^2) epsilon^(p-2) / 2 below. One step is

        W <- argmin <W, H(W)> s.t. measure(W) = values,   H(Z) = U [h o (U^T Z V)] V^T,
        h_ij = 2 / (max(sigma_i, epsilon)^(2-p) + max(sigma_j, epsilon)^(2-p)),

    the harmonic mean of the weights of both sides, from the decomposition W = U diag(sigma) V^T of the last iterate;
    then epsilon <- min(epsilon, sigma_{r+1}(W)). In the tangent space at the leading r triples the step is a ridge
    fit, for the inverse harmonic weights add up, (1/h_ij - 1/h) = (1/h_i - 1/h) + (1/h_j - 1/h) with h for epsilon:

        min |measure(L V^T + U R^T) - values|^2 + sum_j c_j (|L_j|^2 + |R_j|^2),
        c_j = 2 / ((sigma_j / epsilon)^(2-p) - 1),

    and W <- L V^T + U R^T + adjoint(residual). On a `Completion` nothing dense is formed (above 40,000 entries): the
    shorter factor is found by preconditioned conjugate gradients with the longer eliminated, at O(m r + r^2 (d1 + d2))
    per iteration, and O(m r^2 + (d1 + d2) r^3) once per fit. Other problems form the m x m Gram matrix of their
    measurements once.

    rank: the rank, where it is known; r = rank + `spare` then, unless that has as many parameters as there are
    observations. None: r = 1, 2, ... are tried, each from the start, until one explains the observations; with too low
    an r the smoothing stops falling after few steps.
    spare: with r too high by one, far fewer observations are enough: the spare singular value decays like the others.
    noise: the standard deviation of the noise. The fit is then F(W) + |measure(W) - values|^2 / (2 lambda) with
    lambda = sum_i |A_i|_F^2 (noise (1/sqrt(d1) + 1/sqrt(d2)))^2, about the squared norm of adjoint(noise alone), W and
    noise both divided by the largest |value| (which matters for p > 0 only).
    The result is of low rank: the leading triples, and once r explains the observations, the least rank that does,
    fitted to machine precision. Stops as `Ranked`; `patience` and `stationary` say when an r is given up. In the
    history, `rank` is r. default_steps is 2,000.

    Raises:
        ValueError: as `Ranked`, and if p is not in [0, 1).

    Source: Kümmerle and Sigl 2018 (`kummerle2018harmonic`), algorithm 1, for the harmonic mean; Kümmerle and Mayrink
    Verdun 2021 (`kummerle2021scalable`), algorithm 1, for the smoothing and the tangent space. Their weights for p = 0
    are geometric means, under which F never rises; in our trials harmonic means recovered more often.
    """

    recorded: ClassVar[tuple[str, ...]] = (*Ranked.recorded, "epsilon", "inner_steps")
    p: float = 0.0
    spare: int = 1
    stationary: float = 0.2
    patience: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self.p, "p", least=0)
        if isinstance(self.spare, bool) or not isinstance(self.spare, int | np.integer) or self.spare < 0:
            raise ValueError(f"spare must be an integer of at least 0, not {self.spare!r}")
        if self.p >= 1:
            raise ValueError(f"p must be below 1, not {self.p}; for the nuclear norm (p = 1) take NuclearNorm")

    @property
    def default_steps(self) -> int:
        """2,000."""
        return 2000

    def begin(self, problem: Problem, matrix: LowRank) -> tuple[LowRank, Reweighted]:
        """The matrix of least Frobenius norm that fits, whatever the last rank has come to."""
        rank, system = matrix.rank, ridge_system(problem)
        spared = rank + self.spare
        if self.rank is not None and spared < min(problem.shape) and spare_observations(problem, spared):
            rank = spared
        memory = Reweighted(system, system.decomposed(system.start(), rank, None), math.inf)
        return self._smoothed(memory, rank)

    def iterate(self, problem: Problem, matrix: LowRank, memory: Reweighted) -> tuple[LowRank, Reweighted]:
        """One weighted least-squares fit and its decomposition."""
        fit = memory.system.fit(self._ridge(memory, matrix.rank))
        if not np.isfinite(fit.residual).all():
            return LowRank(matrix.left * np.nan, matrix.right), memory
        leading = memory.system.decomposed(fit, matrix.rank, memory.leading)
        return self._smoothed(replace(memory, leading=leading, inner=memory.inner + fit.steps), matrix.rank)

    def matrix(self, state: AtRank) -> LowRank:
        """The leading triples, no more of them than the rank given."""
        matrix = super().matrix(state)
        return LowRank(matrix.left[:, : self.rank], matrix.right[:, : self.rank])

    def record(self, state: AtRank) -> dict[str, float]:
        """rank, train_rmse, epsilon (the smoothing) and inner_steps (of conjugate gradients at this rank)."""
        memory = state.memory
        own = (math.nan, 0) if memory is None else (memory.epsilon * state.size, memory.inner)
        return super().record(state) | dict(zip(("epsilon", "inner_steps"), own, strict=True))

    def _enter(self, problem: Problem, state: AtRank, matrix: LowRank) -> AtRank:
        """The start of a rank, the noise in the units of the state."""
        entered = super()._enter(problem, state, matrix)
        # Noise above the values themselves says no more than noise of their size.
        slack = entered.memory.system.noise_weight(min((self.noise or 0.0) / state.size, 1.0))
        return replace(entered, memory=replace(entered.memory, slack=slack))

    def _smoothed(self, memory: Reweighted, rank: int) -> tuple[LowRank, Reweighted]:
        """The leading triples as a matrix, and the memory with the smoothing lowered."""
        u, s, v = memory.leading
        following = float(s[rank]) if s.size > rank else 0.0
        epsilon = max(min(memory.epsilon, following), SMOOTHING_FLOOR * float(s[0]))
        root = np.sqrt(s[:rank])
        return LowRank(u[:, :rank] * root, v[:, :rank] * root), replace(memory, epsilon=epsilon)

    def _ridge(self, memory: Reweighted, rank: int) -> Ridge:
        """The weights c_j of the fit at the leading triples above the smoothing."""
        (u, s, v), epsilon = memory.leading, memory.epsilon
        above = max(int((s[:rank] > epsilon).sum()), 1)
        # A singular value at the smoothing itself would have an infinite weight: nothing of it may move.
        excess = np.maximum((s[:above] / epsilon) ** (2 - self.p) - 1, LEAST_EXCESS)
        tolerance = max(FIT_TOLERANCE * min(1.0, epsilon / float(s[0])), LEAST_TOLERANCE)
        shift = memory.slack * math.exp(min((self.p - 2) * math.log(max(epsilon, TINY)), LARGEST_EXPONENT))
        return Ridge(u[:, :above], s[:above], v[:, :above], 2 / excess, shift, tolerance)

    def _settled(self, problem: Problem, state: AtRank) -> AtRank:
        """What explains the observations or nearly does, replaced by the best fit of the least rank that does."""
        done = state.verdict in (RESULTS.explained, RESULTS.noise_level)
        unit, here, values = state.problem, state.recent[-1], root_mean_square(state.problem.values)
        # The penalty keeps a fit above what the noise leaves of a plain one: its level is the sign to try that.
        close = max(NEARLY * values, (self.noise or 0.0) / state.size)
        near = state.verdict is RESULTS.running and here <= close
        if not (done or near) or not state.matrix.rank:
            return state
        for rank in range(1, min(state.matrix.rank, self.rank or state.matrix.rank) + 1):
            goal = max(self._tolerance(problem) * values, self._noise_bound(problem, state, rank))
            start = state.matrix.truncate(rank)
            if root_mean_square(unit.residual(start)) > HOPELESS * max(here, goal):
                continue
            matrix, rmse = self._fitted(state, start)
            if rmse <= goal:
                settled = replace(state, matrix=matrix, recent=(*state.recent[:-1], rmse))
                return replace(settled, verdict=self._verdict(problem, settled))
        # Only a spare singular value has explained what the rank given does not.
        return replace(state, verdict=RESULTS.flat) if done else state
