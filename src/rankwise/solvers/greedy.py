"""Greedy low-rank learning: the rank grows by one whenever no better matrix of the present rank is found."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from rankwise.factorizations import Deep, Factorization, Symmetric
from rankwise.keys import as_generator
from rankwise.lowrank import LowRank, degrees_of_freedom
from rankwise.plain import Plain, boolean, check_given, checked, positive_integer
from rankwise.problems import Misfit, Problem, Squared
from rankwise.problems.independence import highest_rank, spare_observations
from rankwise.results import RESULTS
from rankwise.solvers.base import Solver
from rankwise.solvers.factor_flow import Phase, flow_factors
from rankwise.solvers.factor_gradient import descend_factors
from rankwise.solvers.factor_least_squares import LADDER, Fit, fit_factors, grow_factors
from rankwise.solvers.growth import append_pair, leading_pair
from rankwise.solvers.noise_level import LEAST_GAIN, exact_tolerance, expected_rmse, gain
from rankwise.solvers.robust_fit import fit_misfit
from rankwise.solvers.symmetric_part import folded
from rankwise.spectrum import root_mean_square

# A fit may pass through matrices so many times larger than the norm limit, and return.
TRANSIENT = 10.0
# A leading value below this share of the first, or a gain below this share of the residual, counts as none.
NO_DRIVE = 1e-14
NO_GAIN = 1e-9
# At a stationary point the active directions have a leading value equal to the ridge; fits are that exact.
RIDGE_SLACK = 1.01
# The last fit goes on until three steps in a row gain less than this share, or for so many steps.
POLISHED, POLISH_STEPS = 1e-12, 100
INNER_STEPS = {"newton": 500, "gradient": 200_000, "flow": 200_000}


@dataclass(frozen=True)
class RankFit:
    """One rank on the way: loss, root mean square residuals, the leading value of minus the gradient, inner steps.

    loss: the training loss in the problem's own scale, without ridge.
    train_rmse: with another misfit h than squares, the root of the mean of 2 h(residual).
    time: how long the phase lasted in the flow's own time, NaN unless inner="flow".
    """

    rank: int
    loss: float
    train_rmse: float
    holdout_rmse: float
    leading: float
    inner_steps: int
    time: float = math.nan


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
    (`explained`), is no more than the noise (`noise_level`), when the held-out error has not improved for `patience`
    ranks (`holdout_stopped`: the best rank is refitted to all observations), when nothing lowers the loss (`converged`:
    with a convex misfit no such matrix fits better, however large the residual that contradictions leave), or when the
    rank has as many parameters as there are independent observations, or another one, the first excepted, would have
    as many as there are distinct ones (`underdetermined`, only without ridge and if not all entries are seen).

    factorization: Deep(2) for left right^T (any width is ignored: the rank grows), Symmetric for Z Z^T; Deep(N) for
    deep GLRL, with inner="flow" only.
    semidefinite: grow by the leading eigenvector of the symmetric part of minus the gradient, u u^T, also where the
    factorization would allow any u v^T (inner="flow" only): what flows from multiples of the identity do. Symmetric
    does so anyway.
    inner: "newton" re-optimizes by Levenberg-Marquardt, through a ridge that fades out, so that few observations
    do not trap it in a local minimum; "gradient" by gradient descent from the new pair at scale `epsilon`, with
    step inner_rate / s, s the leading value at W = 0: the faithful, slow trajectory; "flow" by the gradient flow of
    the layers from the saddle at scale `epsilon` until they are at rest, with JAX in float64: the exact trajectory.
    ladder: the ridges a newly grown rank is led through, as shares of its leading value (newton). More and finer steps
    trap less where observations are few, and take longer.
    epsilon: the product of the new pair's layers at the start of a phase (gradient and flow).
    inner_steps: the most steps of a fit; None means 500 (newton, up to three fits per rank) or 200,000 (gradient,
    flow). A rank whose fit they cut short ends the growth (`inner_limit`), with newton only if it would not go on.
    noise: the standard deviation of the noise, if known. Growth stops at a root mean square residual of
    noise * sqrt(nu / m * (1 + 3 sqrt(2 / nu))), with nu = m - the parameters of the rank (none are counted under a
    ridge): what a right fit hardly ever exceeds. "estimate": a rank that explains no more than noise would let it is
    taken back, and growth stops: where the drop of the squares per parameter is at most 3 sqrt(m / nu) times the
    squares left per degree of freedom.
    holdout: fraction of the observations set aside to choose the rank; 0 sets none aside.
    refit: fit the rank of least held-out error again to all observations; without, the matrix stays the last grown.
    polish: once growth has stopped, go on with the last fit to a precise local minimum (newton only).
    norm_limit: growth stops (`diverging_norm`) where |W|_F exceeds this multiple of the problem's norm estimate
    and the observations are not explained: gradient steps are too large, or no matrix of that rank attains the infimum
    of the loss, and an entry no observation holds grows without end (a ridge prevents that).
    tolerance: None means eps^0.65 of the data's precision (7e-11 in float64, 3e-5 in float32), or 1.5e-8 with
    inner="flow".

    Raises:
        ValueError: if a number is out of range, the factorization is none of these, a setting needs inner="flow", or
            (from `check`) the shape is not square where it must be or data for a flow are not float64.

    Source: Li, Luo, Lyu 2021 (`li2021greedy`), algorithm 1; section 6 for depth.
    """

    factorization: Factorization = Deep(2)
    inner: Literal["newton", "gradient", "flow"] = "newton"
    max_rank: int | None = None
    tolerance: float | None = None
    noise: float | Literal["estimate"] | None = None
    holdout: float = 0.0
    refit: bool = True
    patience: int = 2
    polish: bool = True
    ridge: float = 0.0
    ladder: tuple[float, ...] = LADDER
    epsilon: float = 1e-10
    inner_rate: float = 0.05
    inner_steps: int | None = None
    semidefinite: bool = False
    norm_limit: float = 1e3

    driver: ClassVar[Literal["compiled", "host"]] = "host"
    misfits: ClassVar[tuple[type[Misfit], ...]] = (Misfit,)
    recorded: ClassVar[tuple[str, ...]] = tuple(RankFit.__dataclass_fields__)

    def __post_init__(self) -> None:
        if not isinstance(self.inner, str) or self.inner not in INNER_STEPS:
            raise ValueError(f"inner must be 'newton', 'gradient' or 'flow', not {self.inner!r}")
        for name in ("refit", "polish", "semidefinite"):
            boolean(getattr(self, name), name)
        self._check_factorization()
        check_given(self, ("max_rank", "patience", "inner_steps"), positive_integer)
        if isinstance(self.noise, str) and self.noise != "estimate":
            raise ValueError(f"noise must be a number or 'estimate', not {self.noise!r}")
        if isinstance(self.noise, str) and (self.holdout or self.ridge):
            raise ValueError("noise='estimate' chooses the rank by the residuals of plain fits: no holdout, no ridge")
        check_given(self, ("tolerance",) if isinstance(self.noise, str) else ("tolerance", "noise"), checked, least=0)
        for name in ("ridge", "epsilon", "inner_rate"):
            checked(getattr(self, name), name, least=0)
        if not isinstance(self.ladder, tuple):
            raise ValueError(f"ladder must be a tuple of shares, not {self.ladder!r}")
        for share in self.ladder:
            checked(share, "a share of the ladder", above=0, most=1)
        checked(self.norm_limit, "norm_limit", above=0)
        if not 0 <= checked(self.holdout, "holdout") < 1:
            raise ValueError(f"holdout must be at least 0 and below 1, not {self.holdout}")
        if self.inner != "newton" and self.epsilon == 0:
            raise ValueError(f"epsilon must be positive with inner={self.inner!r}: nothing moves from a saddle itself")

    def _check_factorization(self) -> None:
        depth = self.factorization.depth if isinstance(self.factorization, Deep) else 0
        if self.inner == "flow":
            if depth < 2 and not isinstance(self.factorization, Symmetric):
                raise ValueError(
                    f"greedy learning takes Deep of depth 2 or more, or Symmetric(), not {self.factorization!r}"
                )
            if depth > 2 and self.ridge:
                raise ValueError("ridge must be 0 beyond depth 2: it would make W = 0 stable, and no rank would grow")
        elif depth != 2 and not isinstance(self.factorization, Symmetric):
            raise ValueError(
                f"greedy learning takes Deep(2) or Symmetric(), not {self.factorization!r} (unless inner='flow')"
            )
        elif self.semidefinite and depth:
            raise ValueError("semidefinite needs inner='flow' or Symmetric()")

    @property
    def symmetric(self) -> bool:
        """Whether it grows by u u^T: the matrix is written Z Z^T, or is to be `semidefinite`."""
        return self.semidefinite or isinstance(self.factorization, Symmetric)

    @property
    def default_steps(self) -> int:
        """The step limit unless `solve` is told another: 10,000."""
        return 10_000

    def check(self, problem: Problem) -> None:
        """Raise a ValueError if a symmetric matrix is asked for and the shape is not square, or a flow in float32."""
        (Symmetric() if self.symmetric else self.factorization).check(problem.shape)
        if self.inner == "flow" and problem.dtype != np.float64:
            raise ValueError(f"a flow is integrated in float64; the observations are {problem.dtype}")

    def init(self, problem: Problem, key: Any) -> Growth:
        """The zero matrix, and the observations split if a held-out rank choice is asked for."""
        kept, held = problem, None
        if self.holdout:
            kept, held = problem.split(self.holdout, as_generator(key), symmetric=self.symmetric)
        return self._assess(kept, held, (), LowRank.zeros(problem.shape, problem.dtype), 0)

    def step(self, problem: Problem, state: Growth) -> Growth:
        """One rank more; or, once growth has stopped with observations held out, the refit to all of them."""
        if state.held is not None and self.refit and state.verdict is not RESULTS.running:
            return self._refit(problem, state)
        grown = self._assess(state.kept, state.held, state.path, *self._fit(state))
        if self.noise == "estimate" and self._only_noise(grown):
            grown = replace(state, verdict=RESULTS.noise_level)
        return self._polish(grown) if grown.held is None else grown

    def phase(self, state: Growth) -> Phase:
        """The next phase from this state, with its trajectory from saddle to rest (inner="flow" only).

        Without held-out observations `arrive` makes of it the state that `step` would.

        Raises:
            ValueError: if the inner method is another.
        """
        if self.inner != "flow":
            raise ValueError(f"only inner='flow' has a trajectory to show, not {self.inner!r}")
        return self._flow(state, record=True)

    def arrive(self, state: Growth, phase: Phase) -> Growth:
        """The state at the end of a phase."""
        cut = phase.steps >= (self.inner_steps or INNER_STEPS[self.inner])
        return self._assess(state.kept, state.held, state.path, phase.matrix, phase.steps, phase.time, cut)

    def outcome(self, problem: Problem, state: Growth) -> RESULTS:
        """Why to stop, or running."""
        if state.held is not None and self.refit and not state.refitted:
            return RESULTS.running
        # The limits may have been raised since: only a limit's verdict can change.
        limited = state.verdict is RESULTS.max_rank and not state.refitted
        return self._verdict(state.kept, state.path, state.matrix) if limited else state.verdict

    def matrix(self, state: Growth) -> LowRank:
        """The present matrix."""
        return state.matrix.astype(state.kept.dtype)

    def record(self, state: Growth) -> dict[str, float]:
        """rank, loss, train_rmse, holdout_rmse (NaN: nothing held out), leading, inner_steps, time."""
        return {name: getattr(state.path[-1], name) for name in RankFit.__dataclass_fields__}

    def _fit(self, state: Growth) -> tuple[LowRank, int, float, bool]:
        """The factors re-optimized with the leading pair appended; steps, time if there is one, whether cut short."""
        most = self.inner_steps or INNER_STEPS[self.inner]
        if self.inner == "flow":
            phase = self._flow(state, record=False)
            return phase.matrix, phase.steps, phase.time, phase.steps >= most
        if self.inner == "gradient":
            matrix, steps = descend_factors(
                state.kept, state.matrix, state.leading[1:], epsilon=self.epsilon,
                step_size=self.inner_rate / max(state.path[0].leading, np.finfo(float).tiny),
                ridge=self.ridge, max_steps=most, norm_limit=TRANSIENT * self._norm_limit(state.kept),
                symmetric=self.symmetric,
            )  # fmt: skip
            return matrix, steps, math.nan, steps >= most
        settings: dict[str, Any] = {
            "ridge": self.ridge, "tolerance": self._tolerance(state.kept), "max_steps": most,
            "norm_limit": TRANSIENT * self.norm_limit, "symmetric": self.symmetric,
        }  # fmt: skip

        def grow(problem: Problem, start: LowRank) -> Fit:
            return grow_factors(problem, start.left, start.right, state.leading[0], ladder=self.ladder, **settings)

        def again(problem: Problem, start: LowRank) -> Fit:
            return fit_factors(problem, start.left, start.right, **settings)

        start = append_pair(state.kept, state.matrix, state.leading[1:], self.symmetric)
        fit = fit_misfit(state.kept, start, grow, again)
        return LowRank(fit.left, fit.right), fit.steps, math.nan, fit.outcome == "max_steps"

    def _flow(self, state: Growth, record: bool) -> Phase:
        """The gradient flow of the layers from the saddle, until the residual is explained or they are at rest."""
        goal = self._tolerance(state.kept) * root_mean_square(state.kept.values)
        return flow_factors(
            state.kept, state.matrix, state.leading, factorization=self.factorization, epsilon=self.epsilon,
            ridge=self.ridge, explained=float(state.kept.scale) / 2 * state.kept.size * goal**2,
            max_steps=self.inner_steps or INNER_STEPS[self.inner], symmetric=self.symmetric, record=record,
        )  # fmt: skip

    def _refit(self, problem: Problem, state: Growth) -> Growth:
        """The rank of least held-out error, grown again on all observations."""
        best = min(state.path, key=lambda fit: fit.holdout_rmse).rank
        whole = self._assess(problem, None, (), LowRank.zeros(problem.shape, problem.dtype), 0)
        while whole.matrix.rank < best and whole.verdict is RESULTS.running:
            whole = self._assess(problem, None, whole.path, *self._fit(whole))
        whole = self._polish(replace(whole, verdict=RESULTS.max_rank) if whole.verdict is RESULTS.running else whole)
        verdict = whole.verdict
        if verdict in (RESULTS.running, RESULTS.max_rank):
            verdict = RESULTS.holdout_stopped if best < state.matrix.rank else state.verdict
        last = replace(whole.path[-1], inner_steps=sum(fit.inner_steps for fit in whole.path))
        path = (*state.path, last)
        return replace(state, matrix=whole.matrix, leading=whole.leading, path=path, verdict=verdict, refitted=True)

    def _polish(self, state: Growth) -> Growth:
        """Once growth has stopped: the last fit, which was only as exact as growing needs, made exact."""
        done = state.verdict in (RESULTS.running, RESULTS.explained, RESULTS.diverging_norm, RESULTS.non_finite)
        if done or not self.polish or self.inner != "newton" or state.matrix.rank == 0:
            return state

        def fine_fit(problem: Problem, start: LowRank) -> Fit:
            return fit_factors(
                problem, start.left, start.right, ridge=self.ridge, stationary=POLISHED,
                tolerance=self._tolerance(problem), max_steps=POLISH_STEPS,
                norm_limit=TRANSIENT * self.norm_limit, symmetric=self.symmetric,
            )  # fmt: skip

        fit = fit_misfit(state.kept, state.matrix, fine_fit, fine_fit, flat=POLISHED)
        steps = state.path[-1].inner_steps + fit.steps
        fine = self._assess(state.kept, state.held, state.path[:-1], LowRank(fit.left, fit.right), steps)
        told = fine.verdict in (RESULTS.explained, RESULTS.diverging_norm)
        return fine if told else replace(fine, verdict=state.verdict)

    def _assess(
        self,
        kept: Problem,
        held: Problem | None,
        path: tuple[RankFit, ...],
        matrix: LowRank,
        inner_steps: int,
        time: float = math.nan,
        cut: bool = False,
    ) -> Growth:
        """The state at a fitted matrix: errors, the direction to grow in, and whether to."""
        with np.errstate(over="ignore", invalid="ignore"):  # what lies beyond the floats is told by the verdict
            residual = kept.residual(matrix)
            loss = float(kept.scale * kept.misfit.value(residual).sum())
            held_rmse = math.nan if held is None else _rmse(held, held.residual(matrix))
        leading = leading_pair(kept, kept.misfit.slope(residual), self.symmetric)
        here = RankFit(matrix.rank, loss, _rmse(kept, residual), held_rmse, leading[0], inner_steps, time)
        path = (*path, here)
        verdict = self._verdict(kept, path, matrix)
        hopeless = (RESULTS.stalled, RESULTS.underdetermined, *((RESULTS.running,) if self.inner != "newton" else ()))
        return Growth(
            matrix, kept, held, leading, path, RESULTS.inner_limit if cut and verdict in hopeless else verdict
        )

    def _verdict(self, problem: Problem, path: tuple[RankFit, ...], matrix: LowRank) -> RESULTS:
        here, rank = path[-1], path[-1].rank
        d1, d2 = problem.shape
        values = root_mean_square(problem.values)
        if not (math.isfinite(here.train_rmse) and math.isfinite(here.leading)):
            return RESULTS.non_finite
        if here.train_rmse <= self._tolerance(problem) * values:
            return RESULTS.underdetermined if self._any_fits(problem, rank) else RESULTS.explained
        if isinstance(self.noise, float | int):
            parameters = 0 if self.ridge else degrees_of_freedom(rank, problem.shape, self.symmetric)
            if here.train_rmse <= expected_rmse(self.noise, self._readings(problem), parameters):
                return RESULTS.noise_level
        last = rank > 0 and not self.ridge and rank >= highest_rank(problem, self.symmetric) < min(d1, d2)
        if matrix.norm() > self._norm_limit(problem):
            # That observations are too few is why fits diverge; steps may be too large besides.
            return RESULTS.underdetermined if last and self.inner == "newton" else RESULTS.diverging_norm
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
        return RESULTS.underdetermined if last else RESULTS.running

    def _only_noise(self, state: Growth) -> bool:
        """Whether the last rank has gained no more than the fit of noise would."""
        before, after = state.path[-2:]
        parameters = [degrees_of_freedom(fit.rank, state.kept.shape, self.symmetric) for fit in (before, after)]
        known = self._readings(state.kept)
        return gain(before.train_rmse, after.train_rmse, known, (parameters[0], parameters[1])) <= LEAST_GAIN

    def _readings(self, problem: Problem) -> int:
        """How many observations have noise of their own: mirror images that hold the same number are one."""
        return folded(problem, exact=False).size if self.symmetric else problem.size

    def _any_fits(self, problem: Problem, rank: int) -> bool:
        """Whether a rank has as many parameters as there are observations, and nothing else to tie them down."""
        return rank > 0 and not self.ridge and not spare_observations(problem, rank, self.symmetric)

    def _norm_limit(self, problem: Problem) -> float:
        """The largest |W|_F before a fit counts as diverging; infinite where the values are zero and say nothing."""
        return self.norm_limit * float(problem.norm_estimate()) or math.inf

    def _tolerance(self, problem: Problem) -> float:
        if self.inner == "flow" and self.tolerance is None:
            return math.sqrt(np.finfo(problem.dtype).eps)
        return exact_tolerance(problem.dtype, self.tolerance)


def _rmse(problem: Problem, residual: np.ndarray) -> float:
    """The root mean square residual; with another misfit h than squares, the root of the mean of 2 h(residual)."""
    if isinstance(problem.misfit, Squared):
        return root_mean_square(residual)
    return float(np.sqrt(2 * problem.misfit.value(residual).mean()))
