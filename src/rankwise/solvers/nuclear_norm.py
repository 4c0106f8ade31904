"""Nuclear norm minimization: the convex program, solved to a duality gap that is reported."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from rankwise.lowrank import LowRank
from rankwise.plain import Plain, boolean, checked, positive_integer
from rankwise.problems import Completion, Problem, checked_bounds
from rankwise.results import RESULTS
from rankwise.solvers.anderson import Anderson
from rankwise.solvers.base import Solver
from rankwise.solvers.data_term import DataTerm
from rankwise.solvers.nuclear_parts import best_multiple, largest
from rankwise.solvers.splitting import BALANCE, SplitPoint, Splitting
from rankwise.spectrum import root_mean_square

# Splitting steps between two looks at the duality gap.
SPLITTINGS = 10
# Looks in which the splitting parameter is set to balance matrix and multipliers, where off by more than the factor.
# Newton steps begin after them. It starts at this multiple, so that the first matrices are of low rank.
STEP_LOOKS, STEP_FACTOR, STEP_START = 2, 1.5, 4.0
# Where the data term alone determines the matrix, the parameter is this share of that: short, so that small singular
# values, which are known too, stand out from it.
WHOLE = 1e-3
# To what share of its right side a Newton equation is solved, in at most so many products. A Newton step succeeds below
# this share of the least residual met; so many in a row may fail and still be taken, below this multiple of it.
NEWTON_TOLERANCE, NEWTON_PRODUCTS, NEWTON_SHARE = 0.1, 40, 0.9
NEWTON_FAILURES, NEWTON_WORSE = 4, 10.0
# A residual has stalled if more than this share is left at the next look, and is stuck at the second, with a gap below
# this multiple of the one asked for. Where the fit is missing then, the parameter is shortened, by a factor at most
# unless stuck; and lengthened by another once the fit is better than asked for by a third.
STALLED, STUCK, STUCK_GAP, SHORTER, LONGER, LONGER_BELOW = 0.5, 0.999, 10.0, 30.0, 2.0, 1e-3
# How far a weight may be from the scale times the root mean square of the values.
WEIGHTS = 1e18
TINY = np.finfo(float).tiny


@dataclass(frozen=True)
class Certificate:
    """What is known of a matrix X: the objective there, a bound below every feasible one, and what X violates.

    primal: |X|_* plus the data term where it is a penalty, in the units of the problem; dual: the value of a dual
    feasible point, so that no feasible matrix has a smaller objective, to rounding; gap: |primal - dual| over the
    larger of them.
    infeasibility: by how much X misses the observations beyond delta, relative to |values|, or the bounds, relative to
    |X|_F, whichever is larger.
    """

    primal: float
    dual: float
    gap: float
    infeasibility: float


@dataclass(frozen=True, eq=False)
class NuclearRun(Plain):
    """The state of a run: everything in units of the root mean square of the values, `size`.

    dtype: the precision of the data. point: where the splitting stands; history: what accelerates it. looks: how often
    the gap has been looked at; residuals: |z - T(z)|_F at the last two looks, least: the smallest at any, since the
    splitting parameter changed. rest: looks before a Newton step is tried again; failures: how many have failed in a
    row. verdict: why to stop, or running.
    """

    size: float
    dtype: np.dtype
    point: SplitPoint
    history: Anderson
    looks: int
    residuals: tuple[float, float]
    least: float
    rest: int
    failures: int
    certificate: Certificate
    verdict: RESULTS


@dataclass(frozen=True)
class NuclearNorm(Solver):
    """The matrix of least nuclear norm that fits the observations: three forms of one convex program.

    exact:       min |W|_*  with  measure(W) = values
    constrained: min |W|_*  with  |measure(W) - values|_2 <= delta
    penalized:   min scale/2 |measure(W) - values|_2^2 + weight |W|_*

    delta, weight: one at most; neither means exact. semidefinite: W symmetric and positive semidefinite, so that the
    nuclear norm is the trace. bounds: (lowest, highest) for every entry, infinite where there is none.
    gap: stops (`optimal`) when the relative duality gap and the relative violation of the constraints are both at
    most this. Every value of h*, box* and |.|_2 below is computed from the iterates, so the gap is no estimate.

    norm_limit: stops (`infeasible`) once the dual value shows that every feasible matrix has an objective above this
    multiple of the problem's norm estimate; not in the penalized form, where every matrix is feasible.

    In units of weight, with h the data term, f*(s) = sup_x <s, x> - f(x), and B the matrices within the bounds,
        dual = max over nu, Q of  <values, nu> - delta |nu|_2 - |nu|_2^2 weight / (2 scale) - sup_{W in B} <Q, W>
               with |adjoint(nu) - Q|_2 <= 1 (semidefinite: largest eigenvalue of the symmetric part at most 1),
    the second term in the constrained, the third in the penalized form. nu and Q come from the splitting's own
    multipliers, scaled into the constraint by the factor that is best for the objective.

    Method: Douglas-Rachford splitting between the data term, whose proximal step is explicit in the eigenbasis of the
    Gram matrix of the measurements (computed once; the identity for a completion), and the soft-thresholded singular
    values, with the bounds as a further copy of W; Anderson acceleration over the last `memory` residuals. After the
    first 20 steps semismooth Newton steps on its fixed-point equation, each of up to 40 products with the derivative
    in GMRES, which cost d1 d2 r operations at rank r; a Newton step that does not lead nearer is not taken.
    A step is a Newton step or 10 splitting steps, and record holds the certificate after each. The (d1, d2) matrix is
    dense, and every splitting step decomposes a min(d1, d2) Gram matrix: d1 d2 min(d1, d2) operations.

    Raises:
        ValueError: if a number is out of range, two forms are asked for at once; from `check`, if the shape is not
            square and semidefinite is asked for, or the weight is further than a factor of 1e18 from the scale times
            the root mean square of the values; when a run starts, if the observations contradict one another or, in a
            completion to be fitted exactly, the bounds.

    Source: Fazel 2002 (`fazel2002matrix`) for the program and its dual; Cai, Candes, Shen 2010 (`cai2010singular`),
    theorem 2.1, for the threshold; Eckstein and Bertsekas 1992 (`eckstein1992douglas`) for the splitting; Fu, Zhang,
    Boyd 2020 (`fu2020anderson`) for its acceleration; Xiao, Li, Wen, Zhang 2018 (`xiao2018regularized`) for Newton
    steps on it.
    """

    delta: float | None = None
    weight: float | None = None
    semidefinite: bool = False
    bounds: tuple[float, float] | None = None
    gap: float = 1e-8
    norm_limit: float = 1e4
    memory: int = 20

    driver: ClassVar[Literal["compiled", "host"]] = "host"
    recorded: ClassVar[tuple[str, ...]] = ("rank", *Certificate.__dataclass_fields__)

    def __post_init__(self) -> None:
        if self.delta is not None and self.weight is not None:
            raise ValueError("give delta (constrained) or weight (penalized), not both")
        if self.delta is not None:
            checked(self.delta, "delta", least=0)
        if self.weight is not None:
            checked(self.weight, "weight", above=0)
        boolean(self.semidefinite, "semidefinite")
        checked(self.gap, "gap", above=0)
        checked(self.norm_limit, "norm_limit", above=0)
        positive_integer(self.memory, "memory")
        if self.bounds is not None:
            object.__setattr__(self, "bounds", checked_bounds(self.bounds))

    @property
    def default_steps(self) -> int:
        """1000, each a Newton step or 10 splitting steps."""
        return 1000

    def check(self, problem: Problem) -> None:
        """Raise a ValueError if the shape is not square and must be, or the misfit is not that of squares."""
        super().check(problem)
        if self.semidefinite and problem.shape[0] != problem.shape[1]:
            raise ValueError(f"only a square matrix can be semidefinite, not one of shape {problem.shape}")
        unit = float(problem.scale) * (root_mean_square(problem.values) or 1.0)
        if self.weight is not None and not 1 / WEIGHTS <= self.weight / unit <= WEIGHTS:
            raise ValueError(
                f"weight must be {unit / WEIGHTS:.1e} to {unit * WEIGHTS:.1e} for these values, not {self.weight:g}: "
                "with less the form is the exact one to rounding, with more the answer is 0"
            )

    def init(self, problem: Problem, key: Any) -> NuclearRun:
        """The zero matrix; the Gram matrix decomposed."""
        del key
        self._check_bounds(problem)
        size = root_mean_square(problem.values) or 1.0
        scaled = problem.in_units(size)
        curvature = None if self.weight is None else float(problem.scale) * size / self.weight
        data = DataTerm.of(scaled, (self.delta or 0.0) / size, curvature, problem.dtype)
        bounds = None if self.bounds is None else (self.bounds[0] / size, self.bounds[1] / size)
        step = STEP_START * BALANCE * float(scaled.norm_estimate()) / math.sqrt(min(problem.shape)) or 1.0
        splitting = Splitting(data, WHOLE * step if data.whole else step, self.semidefinite, bounds)
        start = NuclearRun(
            size, problem.dtype, splitting.at(np.zeros((1 if bounds is None else 2, *problem.shape))),
            Anderson(self.memory), 0, (math.inf, math.inf), math.inf, STEP_LOOKS, 0,
            Certificate(0.0, 0.0, math.inf, math.inf), RESULTS.running,
        )  # fmt: skip
        with np.errstate(over="ignore", invalid="ignore"):
            return self._assess(start)

    def step(self, problem: Problem, state: NuclearRun) -> NuclearRun:
        """A Newton step where one is due and succeeds, else ten accelerated splitting steps; and the certificate."""
        del problem
        with np.errstate(over="ignore", invalid="ignore"):
            return self._assess(self._newton(state) if state.rest == 0 else self._split(state))

    def outcome(self, problem: Problem, state: NuclearRun) -> RESULTS:
        """Why to stop, or running."""
        del problem
        return state.verdict

    def matrix(self, state: NuclearRun) -> LowRank:
        """The low-rank iterate in the precision of the data, without singular values below its rounding."""
        found, root = state.point.low_rank, math.sqrt(state.size)
        sigma = (found.left**2).sum(axis=0)
        kept = sigma > np.finfo(state.dtype).eps * sigma.max(initial=0.0)
        return LowRank(found.left[:, kept] * root, found.right[:, kept] * root).astype(state.dtype)

    def record(self, state: NuclearRun) -> dict[str, float]:
        """rank of the iterate, and its certificate: primal, dual, gap, infeasibility."""
        known = {name: getattr(state.certificate, name) for name in Certificate.__dataclass_fields__}
        return {"rank": float(state.point.low_rank.rank), **known}

    def _split(self, state: NuclearRun) -> NuclearRun:
        """Ten accelerated splitting steps later."""
        point, history = state.point, state.history
        for _ in range(SPLITTINGS):
            points, history = history.propose(point.points.ravel(), (point.points - point.residual).ravel())
            point = point.splitting.at(points.reshape(point.points.shape))
        # What follows is judged and rescaled by this point: it shall not be a proposal that has gone astray.
        if history.plain is not None and history.overshot(point.residual.ravel()):
            point, history = point.splitting.at(history.plain.reshape(point.points.shape)), Anderson(self.memory)
        return replace(state, point=point, history=history, rest=max(state.rest - 1, 0))

    def _newton(self, state: NuclearRun) -> NuclearRun:
        """One Newton step later; splitting steps where it fails once too often, and ever longer rests after these.

        The first ones settle which singular values stay and may raise the residual: a few, to a multiple of the least.
        """
        point = state.point.newton(NEWTON_TOLERANCE, NEWTON_PRODUCTS)
        residual = float(np.linalg.norm(point.residual))
        failures = 0 if residual <= NEWTON_SHARE * state.least else state.failures + 1
        if failures == 0 or (failures <= NEWTON_FAILURES and residual <= NEWTON_WORSE * state.least):
            return replace(state, point=point, history=Anderson(self.memory), failures=failures)
        return self._split(replace(state, rest=2**state.failures, failures=failures))

    def _assess(self, state: NuclearRun) -> NuclearRun:
        """The state with the certificate of its point."""
        certificate = self._certificate(state)
        estimate = self._least_size(state)
        verdict = RESULTS.running
        # Not the primal value, which may be too large for a number in the units of the problem alone.
        if not np.isfinite(state.point.low_rank.left).all():
            verdict = RESULTS.non_finite
        elif max(certificate.gap, certificate.infeasibility) <= self.gap:
            verdict = RESULTS.optimal
        elif self.weight is None and certificate.dual > self._unit(state) * self.norm_limit * estimate:
            verdict = RESULTS.infeasible
        residual = float(np.linalg.norm(state.point.residual))
        residuals, least = (state.residuals[1], residual), min(state.least, residual)
        gap, looks = max(certificate.gap, state.certificate.gap), state.looks + 1
        state = replace(state, certificate=certificate, residuals=residuals, least=least, looks=looks, verdict=verdict)
        return self._rescaled(state, gap) if verdict is RESULTS.running and looks > 1 else state

    def _least_size(self, state: NuclearRun) -> float:
        """What a matrix of |W|_F is at least about, by its observations and its bounds."""
        splitting = state.point.splitting
        told = float(splitting.data.problem.norm_estimate())
        if splitting.bounds is None:
            return told
        least, greatest = splitting.bounds
        return max(told, max(least, -greatest, 0.0) * math.sqrt(math.prod(splitting.data.problem.shape)))

    def _rescaled(self, state: NuclearRun, gap: float) -> NuclearRun:
        """The same matrix and multipliers under another splitting parameter, if the one in use is far from it."""
        point, step, early = state.point, state.point.splitting.step, state.looks <= STEP_LOOKS + 1
        better = self._better_step(state, gap, early)
        if 1 / STEP_FACTOR <= better / step <= STEP_FACTOR:
            return state
        moved = point.under(better)
        residual = float(np.linalg.norm(moved.residual))
        state = replace(state, point=moved, history=Anderson(self.memory), residuals=(residual,) * 2, least=residual)
        state = replace(state, certificate=self._certificate(state))
        return state if early else replace(state, rest=STEP_LOOKS, failures=0)

    def _better_step(self, state: NuclearRun, gap: float, early: bool) -> float:
        """The balanced splitting parameter; later the one in use, unless the run stalls. gap: the last two's larger.

        Observations a little off a matrix of low rank, as rounding leaves them, are fitted by a small change of the
        matrix and a large one of the multipliers. These move by residual / step.
        """
        point, step, (before, residual) = state.point, state.point.splitting.step, state.residuals
        if point.splitting.data.whole:
            return step
        if early:
            return point.balanced_step()
        missed = state.certificate.infeasibility
        if residual > STUCK * before and missed > self.gap >= gap / STUCK_GAP:
            return min(step, point.short_step(self.gap))
        if residual > STALLED * before and missed > self.gap >= gap:
            return min(step, max(point.short_step(self.gap), step / SHORTER))
        if residual > STALLED * before and missed <= LONGER_BELOW * self.gap:
            return max(step, min(LONGER * step, point.balanced_step()))
        return step

    def _certificate(self, state: NuclearRun) -> Certificate:
        """Primal and dual values, and what the low-rank matrix violates."""
        point = state.point
        data, matrix = point.splitting.data, point.moved[0]
        residual = data.problem.measure(matrix) - data.problem.values
        primal = float((point.low_rank.left**2).sum()) + data.value(residual)
        infeasibility = data.violation(residual)
        subgradient = data.problem.adjoint(point.multipliers)
        linear, square = data.conjugate(point.multipliers)
        if point.splitting.bounds is not None:
            # The normal stands at its own supporting point, so the support function is their inner product.
            subgradient = subgradient + point.normals[1]
            linear += float((point.normals[1] * point.moved[1]).sum())
            outside = np.linalg.norm(matrix - np.clip(matrix, *point.splitting.bounds))
            infeasibility = max(infeasibility, float(outside / max(np.linalg.norm(matrix), TINY)))
        dual = best_multiple(-linear, square, largest(-subgradient, self.semidefinite))
        unit = self._unit(state)
        gap = abs(primal - dual) / max(primal, dual, TINY)
        return Certificate(unit * primal, unit * dual, gap, infeasibility)

    def _unit(self, state: NuclearRun) -> float:
        """What the splitting's objective is multiplied by to be that of the problem."""
        return state.size * (1.0 if self.weight is None else self.weight)

    def _check_bounds(self, problem: Problem) -> None:
        """Raise a ValueError if an entry to be met exactly lies outside the bounds."""
        if self.bounds is None or self.delta or self.weight is not None or not isinstance(problem, Completion):
            return
        outside = (problem.values < self.bounds[0]) | (problem.values > self.bounds[1])
        if outside.any():
            i = int(np.argmax(outside))
            place = f"(row {problem.rows[i]}, column {problem.cols[i]})"
            advice = f"outside the bounds {self.bounds}: widen them, or give delta or weight"
            raise ValueError(f"the value at {place} is {problem.values[i]}, {advice}")
