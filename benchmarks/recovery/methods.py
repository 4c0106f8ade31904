"""The methods: `auto`, our own solvers as their sources have them, and the peers, all called alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from benchmarks.recovery.cases import Case
from benchmarks.recovery.peers import PEERS, Peer

import rankwise as rw
from rankwise.results import RESULTS
from rankwise.solvers import Solver

# The nuclear norm works on dense matrices; beyond so many entries it takes minutes.
MOST_DENSE = 250_000
# A method at the true rank is given up when so many steps in a row have not lowered the residual by this share.
PATIENCE, STATIONARY = 300, 1e-3


@dataclass(frozen=True)
class Answer:
    """What a method returns. rank, certified: None where it does not say. words: why it stopped, or who won."""

    matrix: Any
    rank: int | None = None
    certified: bool | None = None
    words: str = ""


Run = Callable[[Case, rw.Completion, int, float, float | None], Answer]


@dataclass(frozen=True)
class Method:
    """run(case, problem, seed, limit, budget) gives an Answer; a peer brings its own version.

    knows_rank: it is told the true rank. largest: more entries than this are not tried.
    """

    run: Run
    knows_rank: bool = False
    largest: int | None = None
    noisy: bool | None = None
    peer: Peer | None = None

    def takes(self, case: Case) -> bool:
        """Whether the case is of its kind and not too large."""
        fits = self.largest is None or math.prod(case.shape) <= self.largest
        return fits and self.noisy in (None, case.noise > 0)


def recover(
    case: Case, problem: rw.Completion, seed: int, limit: float, budget: float | None, estimate: bool = False
) -> Answer:
    """`rankwise.recover`; the rank is not given, the level of the noise is unless it is to be estimated."""
    del limit
    noise = None if not case.noise else "estimate" if estimate else case.noise
    found = rw.recover(problem, noise=noise, budget=budget, key=seed)
    return Answer(found.matrix, found.rank, found.certified, f"{found.method}: {found.result.name}")


def solver(
    make: Callable[[Case], Solver], case: Case, problem: rw.Completion, seed: int, limit: float, budget: Any
) -> Answer:
    """One of our own, stopped at the limit with what it has."""
    del budget
    made, begun = make(case), time.perf_counter()
    run = rw.solve(problem, made, key=seed, max_steps=1)
    most = made.default_steps
    while run.result is RESULTS.max_steps and run.steps < most and time.perf_counter() - begun < limit:
        # Short of the limit by a step at most, and not many calls: a twentieth of what has been done.
        ahead = 1 + run.steps // 20
        run = rw.solve(problem, made, state=run.state, max_steps=min(run.steps + ahead, most))
    return Answer(run.matrix, run.rank, words=run.result.name)


def peer(other: Peer, case: Case, problem: rw.Completion, seed: int, limit: float, budget: Any) -> Answer:
    """A peer's table, filled."""
    del limit, budget
    table = np.full(problem.shape, np.nan)
    table[problem.rows, problem.cols] = problem.values
    return Answer(other.fill(table, case.rank, seed), words=other.version)


def _at_rank(kind: Any, **settings: Any) -> Method:
    """A method told the rank, and the noise if there is any; patient, since its residual may rise before it falls."""
    settings = {"patience": PATIENCE, "stationary": STATIONARY, **settings}
    return Method(
        partial(solver, lambda case: kind(rank=case.rank, noise=case.noise or None, **settings)), knows_rank=True
    )


def _rank_unknown(kind: Any, **settings: Any) -> Method:
    return Method(partial(solver, lambda case: kind(noise=case.noise or None, **settings)))


def _nuclear(case: Case) -> Solver:
    """Least nuclear norm under the observations, or within the noise."""
    return rw.NuclearNorm(delta=case.noise * case.observations**0.5 or None)


OWN: dict[str, Method] = {
    "greedy": _rank_unknown(rw.Greedy),
    "log_det": _rank_unknown(rw.LogDet),
    "irls": Method(partial(solver, lambda case: rw.IRLS(rank=case.rank, noise=case.noise or None)), knows_rank=True),
    "irls_unknown_rank": _rank_unknown(rw.IRLS),
    "gauss_newton": _at_rank(rw.GaussNewton),
    "gauss_newton_setting": _at_rank(rw.GaussNewton, variant="setting"),
    "r2rils": _at_rank(rw.R2RILS),
    "riemannian_cg": _at_rank(rw.RiemannianCG),
    "riemannian_pursuit": _rank_unknown(rw.RiemannianCG),
    "scaled_gd": _at_rank(rw.ScaledGD),
    "alternating_least_squares": _at_rank(rw.AlternatingLeastSquares),
    "hard_thresholding": _at_rank(rw.HardThresholding),
    "iterative_svd": _at_rank(rw.IterativeSVD),
    "nuclear_norm": Method(partial(solver, _nuclear), largest=MOST_DENSE),
    "soft_impute": Method(partial(solver, lambda case: rw.SoftImpute(holdout=0.1))),
}

AUTO: dict[str, Method] = {
    "auto": Method(recover),
    "auto_noise_estimated": Method(partial(recover, estimate=True), noisy=True),
}

METHODS: dict[str, Method] = {
    **AUTO,
    **OWN,
    **{
        name: Method(partial(peer, other), knows_rank=other.knows_rank, largest=other.largest, peer=other)
        for name, other in PEERS.items()
    },
}
