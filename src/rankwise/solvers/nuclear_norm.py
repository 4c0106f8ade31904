"""Nuclear norm minimization: the convex program, solved to a duality gap that is reported."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from rankwise.lowrank import LowRank
from rankwise.plain import Plain, checked, positive_integer
from rankwise.problems import Completion, Problem
from rankwise.results import RESULTS
from rankwise.solvers.anderson import Anderson
from rankwise.solvers.base import Solver
from rankwise.solvers.data_term import DataTerm
from rankwise.solvers.nuclear_parts import best_multiple, largest, soft_threshold
from rankwise.spectrum import root_mean_square

# Splitting steps between two looks at the duality gap.
SPLITTINGS = 10
# The splitting parameter: this share of |W|_F / |P|_F, W the matrix and P the subgradient of its nuclear norm there,
# corrected in the first so many looks where it is off by more than the factor.
STEP_SHARE, STEP_LOOKS, STEP_FACTOR = 0.25, 4, 1.5
TINY = np.finfo(float).tiny


@dataclass(frozen=True)
class Certificate:
    """What is known of a matrix X: the objective there, a bound below every feasible one, and what X violates.

    primal: |X|_* plus the data term where it is a penalty, in the units of the problem; dual: the value of a dual
    feasible point, so that no feasible matrix has a smaller objective, to rounding; gap: |primal - dual| / primal.
    infeasibility: by how much X misses the observations beyond delta, relative to |values|, or the bounds, relative to
    |X|_F, whichever is larger.
    """

    primal: float
    dual: float
    gap: float
    infeasibility: float


class Splits(NamedTuple):
    """What a splitting step meets: the next points, the fitted matrix and its multipliers, the low-rank matrix.

    moved, normals (k, d1, d2): the point of every split-off constraint, and its normal (subgradient) there.
    """

    image: np.ndarray
    fitted: np.ndarray
    multipliers: np.ndarray
    low_rank: LowRank
    moved: np.ndarray
    normals: np.ndarray


@dataclass(frozen=True, eq=False)
class Splitting(Plain):
    """The state of the splitting: everything in units of the root mean square of the values, `size`.

    dtype: the precision of the data. points (k, d1, d2): the governing sequence, one matrix per constraint split off
    (spectral; bounds). matrix: the low-rank iterate, in the units of the data. step: the splitting parameter;
    looks: how often the gap has been looked at. verdict: why to stop, or running.
    """

    data: DataTerm
    size: float
    dtype: np.dtype
    points: np.ndarray
    history: Anderson
    step: float
    looks: int
    matrix: LowRank
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
    multiple of the problem's norm estimate.

    In units of weight, with h the data term, f*(s) = sup_x <s, x> - f(x), and B the matrices within the bounds,
        dual = max over nu, Q of  <values, nu> - delta |nu|_2 - |nu|_2^2 weight / (2 scale) - sup_{W in B} <Q, W>
               with |adjoint(nu) - Q|_2 <= 1 (semidefinite: largest eigenvalue of the symmetric part at most 1),
    the second term in the constrained, the third in the penalized form. nu and Q come from the splitting's own
    multipliers, scaled into the constraint by the factor that is best for the objective.

    Method: Douglas-Rachford splitting between the data term, whose proximal step is explicit in the eigenbasis of the
    Gram matrix of the measurements (computed once; the identity for a completion), and the soft-thresholded singular
    values, with the bounds as a further copy of W; Anderson acceleration over the last `memory` residuals.
    A step is 10 splitting steps, and record holds the certificate after each. The (d1, d2) matrix is dense, and every
    splitting step decomposes a min(d1, d2) Gram matrix: d1 d2 min(d1, d2) operations.

    Raises:
        ValueError: if a number is out of range, two forms are asked for at once; from `check`, if the shape is not
            square and semidefinite is asked for; when a run starts, if the observations contradict one another or,
            in a completion to be fitted exactly, the bounds.

    Source: Fazel 2002 (`fazel2002matrix`) for the program and its dual; Cai, Candes, Shen 2010 (`cai2010singular`),
    theorem 2.1, for the threshold; Eckstein and Bertsekas 1992 (`eckstein1992douglas`) for the splitting; Fu, Zhang,
    Boyd 2020 (`fu2020anderson`) for its acceleration.
    """

    delta: float | None = None
    weight: float | None = None
    semidefinite: bool = False
    bounds: tuple[float, float] | None = None
    gap: float = 1e-8
    norm_limit: float = 1e4
    memory: int = 20
    check_every: int = 1

    driver: ClassVar[Literal["compiled", "host"]] = "host"

    def __post_init__(self) -> None:
        if self.delta is not None and self.weight is not None:
            raise ValueError("give delta (constrained) or weight (penalized), not both")
        if self.delta is not None:
            checked(self.delta, "delta", least=0)
        if self.weight is not None:
            checked(self.weight, "weight", above=0)
        checked(self.gap, "gap", above=0)
        checked(self.norm_limit, "norm_limit", above=0)
        positive_integer(self.memory, "memory")
        if self.bounds is not None:
            if len(tuple(self.bounds)) != 2 or not self.bounds[0] <= self.bounds[1]:
                raise ValueError(f"bounds must be two numbers in ascending order, not {self.bounds}")
            if self.bounds[0] == math.inf or self.bounds[1] == -math.inf:
                raise ValueError(f"bounds must leave room for finite entries, not {self.bounds}")
            object.__setattr__(self, "bounds", (float(self.bounds[0]), float(self.bounds[1])))

    @property
    def default_steps(self) -> int:
        """1000, each of 10 splitting steps."""
        return 1000

    def check(self, problem: Problem) -> None:
        """Raise a ValueError if the shape is not square and must be, or the misfit is not that of squares."""
        super().check(problem)
        if self.semidefinite and problem.shape[0] != problem.shape[1]:
            raise ValueError(f"only a square matrix can be semidefinite, not one of shape {problem.shape}")

    def init(self, problem: Problem, key: Any) -> Splitting:
        """The zero matrix; the Gram matrix decomposed."""
        del key
        self._check_bounds(problem)
        size = root_mean_square(problem.values) or 1.0
        scaled = problem.replace(values=np.asarray(problem.values, float) / size, scale=1.0)
        curvature = None if self.weight is None else float(problem.scale) * size / self.weight
        data = DataTerm.of(scaled, (self.delta or 0.0) / size, curvature)
        points = np.zeros((1 if self.bounds is None else 2, *problem.shape))
        step = STEP_SHARE * float(scaled.norm_estimate()) / math.sqrt(min(problem.shape)) or 1.0
        start = Splitting(
            data, size, problem.dtype, points, Anderson(self.memory), step, 0, LowRank.zeros(problem.shape),
            Certificate(0.0, 0.0, math.inf, math.inf), RESULTS.running,
        )  # fmt: skip
        return self._assess(start, self._split(start, points))

    def step(self, problem: Problem, state: Splitting) -> Splitting:
        """Ten accelerated splitting steps, and the certificate."""
        del problem
        points, history = state.points, state.history
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(SPLITTINGS):
                met = self._split(state, points)
                flat, history = history.propose(points.ravel(), met.image.ravel())
                points = flat.reshape(points.shape)
            moved = replace(state, points=points, history=history, looks=state.looks + 1)
            return self._assess(moved, met)  # pyright: ignore[reportPossiblyUnboundVariable]

    def outcome(self, problem: Problem, state: Splitting) -> RESULTS:
        """Why to stop, or running."""
        del problem
        return state.verdict

    def matrix(self, state: Splitting) -> LowRank:
        """The low-rank iterate, in the precision of the data."""
        return state.matrix.astype(state.dtype)

    def record(self, state: Splitting) -> dict[str, float]:
        """rank of the iterate, and its certificate: primal, dual, gap, infeasibility."""
        known = {name: getattr(state.certificate, name) for name in Certificate.__dataclass_fields__}
        return {"rank": float(state.matrix.rank), **known}

    def _split(self, state: Splitting, points: np.ndarray) -> Splits:
        """One splitting step from these points."""
        step = state.step
        fitted, multipliers = state.data.prox(points.mean(axis=0), step / len(points))
        reflected = 2 * fitted - points
        low_rank = soft_threshold(reflected[0], step, self.semidefinite)
        images = [low_rank.dense()]
        if self.bounds is not None:
            images.append(self._clip(state, reflected[1]))
        moved = np.stack(images)
        return Splits(points + moved - fitted, fitted, multipliers, low_rank, moved, (reflected - moved) / step)

    def _assess(self, state: Splitting, met: Splits) -> Splitting:
        """The state with the certificate of what the last splitting step met."""
        certificate = self._certificate(state, met)
        root = math.sqrt(state.size)
        matrix = LowRank(met.low_rank.left * root, met.low_rank.right * root)
        verdict = RESULTS.running
        if not math.isfinite(certificate.primal):
            verdict = RESULTS.non_finite
        elif max(certificate.gap, certificate.infeasibility) <= self.gap:
            verdict = RESULTS.optimal
        elif certificate.dual > self._unit(state) * self.norm_limit * float(state.data.problem.norm_estimate()):
            verdict = RESULTS.infeasible
        state = replace(state, matrix=matrix, certificate=certificate, verdict=verdict)
        return self._rescaled(state, met) if 0 < state.looks <= STEP_LOOKS else state

    def _rescaled(self, state: Splitting, met: Splits) -> Splitting:
        """The same matrix and multipliers under a splitting parameter that balances them, if it is far from that."""
        matrix, normal = float(np.linalg.norm(met.moved[0])), float(np.linalg.norm(met.normals[0]))
        if not (matrix > 0 and normal > 0):
            return state
        ratio = STEP_SHARE * matrix / normal / state.step
        if 1 / STEP_FACTOR <= ratio <= STEP_FACTOR:
            return state
        fitted = state.data.prox(state.points.mean(axis=0), state.step / len(state.points))[0]
        points = fitted + ratio * (state.points - fitted)
        return replace(state, points=points, history=Anderson(self.memory), step=ratio * state.step)

    def _certificate(self, state: Splitting, met: Splits) -> Certificate:
        """Primal and dual values, and what the low-rank matrix violates."""
        data, matrix = state.data, met.low_rank
        residual = data.problem.measure(met.moved[0]) - data.problem.values
        primal = float((matrix.left**2).sum()) + data.value(residual)
        infeasibility = data.violation(residual)
        subgradient = data.problem.adjoint(met.multipliers)
        linear, square = data.conjugate(met.multipliers)
        if self.bounds is not None:
            # The normal stands at its own supporting point, so the support function is their inner product.
            subgradient = subgradient + met.normals[1]
            linear += float((met.normals[1] * met.moved[1]).sum())
            outside = np.linalg.norm(met.moved[0] - self._clip(state, met.moved[0]))
            infeasibility = max(infeasibility, float(outside / max(np.linalg.norm(met.moved[0]), TINY)))
        dual = best_multiple(-linear, square, largest(-subgradient, self.semidefinite))
        unit = self._unit(state)
        gap = abs(primal - dual) / max(primal, dual, TINY)
        return Certificate(unit * primal, unit * dual, gap, infeasibility)

    def _clip(self, state: Splitting, matrix: np.ndarray) -> np.ndarray:
        """The nearest matrix within the bounds."""
        lowest, highest = self.bounds or (-math.inf, math.inf)
        return np.clip(matrix, lowest / state.size, highest / state.size)

    def _unit(self, state: Splitting) -> float:
        """What the splitting's objective is multiplied by to be that of the problem."""
        return state.size * (1.0 if self.weight is None else self.weight)

    def _check_bounds(self, problem: Problem) -> None:
        """Raise a ValueError if an entry to be met exactly lies outside the bounds."""
        if self.bounds is None or self.delta or self.weight is not None or not isinstance(problem, Completion):
            return
        outside = (problem.values < self.bounds[0]) | (problem.values > self.bounds[1])
        if outside.any():
            i = int(np.argmax(outside))
            raise ValueError(
                f"the value at (row {problem.rows[i]}, column {problem.cols[i]}) is {problem.values[i]}, outside the "
                f"bounds {self.bounds}: widen them, or give delta or weight"
            )
