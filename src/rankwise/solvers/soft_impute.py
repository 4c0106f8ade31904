"""SoftImpute: completion with a nuclear norm penalty along a path of weights, in sparse plus low-rank arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar, Literal

import numpy as np

from rankwise.keys import as_generator
from rankwise.lowrank import LowRank
from rankwise.plain import Plain, checked, positive_integer
from rankwise.problems import Completion, Problem
from rankwise.results import RESULTS
from rankwise.solvers.base import Solver
from rankwise.solvers.growth import leading_pair
from rankwise.solvers.penalized import PenalizedFit, fit_penalized
from rankwise.spectrum import root_mean_square


@dataclass(frozen=True)
class WeightFit:
    """One weight on the way: what was reached there, in the units of the data.

    nuclear_norm: |W|_*; gap: the relative duality gap of scale/2 |residual|^2 + weight |W|_*, never below the relative
    distance of that objective from its least value, except by the error of an iterative largest singular value (its
    tolerance is the gap asked for; from 40,001 entries on); train_rmse, holdout_rmse: root mean square residuals;
    inner_steps: thresholded decompositions, and products of Newton's method with the second derivative.
    """

    weight: float
    rank: int
    nuclear_norm: float
    gap: float
    train_rmse: float
    holdout_rmse: float
    inner_steps: int


@dataclass(frozen=True, eq=False)
class WeightPath(Plain):
    """The state of SoftImpute: the path so far, and the fit that the next weight starts from.

    kept: all observations, or those not `held` out. size: the root mean square of the kept values, the unit of `fit`.
    remaining: the weights still to come. refitted: whether the held-out observations have been returned.
    """

    kept: Completion
    held: Completion | None
    size: float
    fit: PenalizedFit
    path: tuple[WeightFit, ...]
    remaining: tuple[float, ...]
    verdict: RESULTS
    refitted: bool = False


@dataclass(frozen=True)
class SoftImpute(Solver):
    """min_W  scale/2 |P(W) - values|_2^2 + weight |W|_*  for a falling sequence of weights, each started from the last.

    W <- soft-thresholded decomposition of Z + P^T(values - P(Z)), P the observed entries and Z = W extrapolated by
    Nesterov's momentum, restarted when the objective rises. Z is of low rank and the rest is sparse, so that products
    with the matrix to be decomposed cost O(m + (d1 + d2) r); its leading singular vectors are those of the step before,
    improved by a subspace iteration. Where that is slow, Newton's method refines the factors between thresholdings.
    A step is one weight; what was reached is in record and in the state's `path`.

    weight: the last weight; None means 1e-3 times the first. The first is the least at which W = 0, the largest
    singular value of scale P^T values.
    weights: how many, in geometric progression; or the weights themselves, descending.
    holdout: fraction of the observations set aside to choose the weight; 0 sets none aside. The path then ends when the
    held-out error has not improved for `patience` weights, and the best weight is fitted to all observations
    (`holdout_stopped`). Otherwise the path ends at its last weight (`optimal`).
    gap: the relative duality gap that the weight asked for, or chosen, is solved to; path_gap: that of the weights on
    the way, where it is larger. A fit that takes more than `inner_steps` thresholdings and Newton products ends the run
    (`inner_limit`).

    Raises:
        ValueError: if a number is out of range, the weights do not descend, or (from `check`) the problem is no
            completion.

    Source: Mazumder, Hastie, Tibshirani 2010 (`mazumder2010softimpute`), algorithm 1; Hastie, Mazumder, Lee, Zadeh 2015
    (`hastie2015fast`) for the sparse plus low-rank arithmetic; O'Donoghue and Candes 2015
    (`odonoghue2015adaptive`), function scheme, for the restarts.
    """

    weight: float | None = None
    weights: int | tuple[float, ...] = 20
    holdout: float = 0.0
    patience: int = 2
    gap: float = 1e-8
    path_gap: float = 1e-4
    inner_steps: int = 20_000

    driver: ClassVar[Literal["compiled", "host"]] = "host"
    recorded: ClassVar[tuple[str, ...]] = tuple(WeightFit.__dataclass_fields__)

    def __post_init__(self) -> None:
        if self.weight is not None:
            checked(self.weight, "weight", above=0)
        if isinstance(self.weights, list | tuple) or (isinstance(self.weights, np.ndarray) and self.weights.ndim):
            weights = tuple(checked(each, "weights", above=0) for each in self.weights)
            if not weights or any(b >= a for a, b in pairwise(weights)):
                raise ValueError("weights must be at least one number, descending")
            if self.weight is not None:
                raise ValueError("give weight, or the weights themselves, not both")
            object.__setattr__(self, "weights", weights)
        else:
            positive_integer(self.weights, "weights")
            if self.weights > self.default_steps:
                raise ValueError(f"weights must be at most {self.default_steps}")
        checked(self.holdout, "holdout", least=0)
        if self.holdout >= 1:
            raise ValueError(f"holdout must be at least 0 and below 1, not {self.holdout}")
        checked(self.gap, "gap", above=0)
        checked(self.path_gap, "path_gap", above=0)
        positive_integer(self.patience, "patience")
        positive_integer(self.inner_steps, "inner_steps")

    @property
    def default_steps(self) -> int:
        """10,000: the most weights that a path may be made of."""
        return 10_000

    def check(self, problem: Problem) -> None:
        """Raise a ValueError if the problem is no completion, or takes another misfit than squares."""
        super().check(problem)
        if not isinstance(problem, Completion):
            raise ValueError(
                f"SoftImpute completes matrices and cannot take a {type(problem).__name__}; NuclearNorm(weight=...) can"
            )

    def init(self, problem: Problem, key: Any) -> WeightPath:
        """The zero matrix and the weights to come; the observations split if a held-out choice is asked for."""
        assert isinstance(problem, Completion)
        kept, held = problem, None
        if self.holdout:
            kept, held = problem.split(self.holdout, as_generator(key))
        size = root_mean_square(kept.values) or 1.0
        scaled = kept.in_units(size)
        first = float(kept.scale) * size * leading_pair(scaled, -scaled.values, False)[0]
        return self._start(kept, held, size, self._sequence(min(first, np.finfo(float).max / 2)))

    def step(self, problem: Problem, state: WeightPath) -> WeightPath:
        """The next weight; or, once the path has ended with observations held out, the best one on all of them."""
        if state.held is not None and state.verdict is not RESULTS.running:
            return self._refit(problem, state)
        return self._next(state)

    def outcome(self, problem: Problem, state: WeightPath) -> RESULTS:
        """Why to stop, or running."""
        del problem
        return RESULTS.running if state.held is not None and not state.refitted else state.verdict

    def matrix(self, state: WeightPath) -> LowRank:
        """The matrix of the last weight, balanced."""
        root = math.sqrt(state.size)
        matrix = state.fit.matrix
        return LowRank(matrix.left * root, matrix.right * root).astype(state.kept.dtype)

    def record(self, state: WeightPath) -> dict[str, float]:
        """weight, rank, nuclear_norm, gap, train_rmse, holdout_rmse (NaN if nothing is held out), inner_steps."""
        return {name: getattr(state.path[-1], name) for name in WeightFit.__dataclass_fields__}

    def _sequence(self, first: float) -> tuple[float, ...]:
        """The weights of the path, without those at which W = 0, the first excepted."""
        if isinstance(self.weights, tuple):
            return self.weights
        # Of the smallest numbers there are, a thousandth is none.
        last = max(1e-3 * first, math.ulp(0.0)) if self.weight is None else self.weight
        if self.weights == 1 or last >= first:
            return (last,)
        return (*dict.fromkeys(np.geomspace(first, last, self.weights)[:-1].tolist()), last)

    def _start(self, kept: Completion, held: Completion | None, size: float, weights: tuple[float, ...]) -> WeightPath:
        """The zero matrix, as the solution for an infinite weight."""
        rmse = math.nan if held is None else root_mean_square(held.values)
        nothing = WeightFit(math.inf, 0, 0.0, 0.0, root_mean_square(kept.values), rmse, 0)
        fit = PenalizedFit.zero(kept)
        verdict = RESULTS.running if kept.values.any() else RESULTS.explained
        return WeightPath(kept, held, size, fit, (nothing,), weights, verdict)

    def _next(self, state: WeightPath) -> WeightPath:
        """The state at the next weight."""
        weight, *remaining = state.remaining
        kept, held, size = state.kept, state.held, state.size
        scaled = kept.in_units(size)
        gap = self.gap if held is None and not remaining else max(self.gap, self.path_gap)
        fit = fit_penalized(scaled, weight / size / float(kept.scale), state.fit, gap=gap, max_steps=self.inner_steps)
        matrix = fit.matrix
        outside = math.nan
        if held is not None:
            outside = size * root_mean_square(held.measure(matrix) - np.asarray(held.values, float) / size)
        here = WeightFit(
            weight, matrix.rank, size * float((matrix.left**2).sum()), fit.gap,
            size * root_mean_square(scaled.residual(matrix)), outside, fit.steps,
        )  # fmt: skip
        path = (*state.path, here)
        moved = replace(state, fit=fit, path=path, remaining=tuple(remaining))
        return replace(moved, verdict=self._verdict(moved, gap))

    def _refit(self, problem: Problem, state: WeightPath) -> WeightPath:
        """The weights down to the one of least held-out error again, on all observations."""
        assert isinstance(problem, Completion)
        best = min(state.path, key=lambda fit: fit.holdout_rmse).weight
        # A loss that is a sum grows with the observations; the weight stands for the same trade on all of them.
        grown = problem.size * problem.scale / (state.kept.size * state.kept.scale)
        weights = tuple(grown * fit.weight for fit in state.path[1:] if fit.weight >= best)
        size = root_mean_square(problem.values) or 1.0
        whole = self._start(problem, None, size, weights)
        while whole.remaining and whole.verdict is RESULTS.running:
            whole = self._next(whole)
        # Without a weight left the zero matrix was best, and nothing has run.
        done = whole.verdict is RESULTS.optimal or not weights
        verdict = RESULTS.holdout_stopped if done else whole.verdict
        path = (*state.path, whole.path[-1])
        return replace(state, size=size, fit=whole.fit, path=path, verdict=verdict, refitted=True)

    def _verdict(self, state: WeightPath, gap: float) -> RESULTS:
        here, path = state.path[-1], state.path
        if not np.isfinite(state.fit.matrix.left).all():
            return RESULTS.non_finite
        if here.gap > gap:
            return RESULTS.inner_limit
        if state.held is not None:
            best = min(range(len(path)), key=lambda i: path[i].holdout_rmse)
            if len(path) - 1 - best >= self.patience:
                return RESULTS.optimal
        return RESULTS.running if state.remaining else RESULTS.optimal
