"""The paths of gradient flow and of greedy low-rank learning, and how far apart they are."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from rankwise.factorizations import Deep, Identity
from rankwise.loop import solve
from rankwise.problems import Problem
from rankwise.results import RESULTS
from rankwise.solvers import GradientFlow, Greedy
from rankwise.solvers.greedy import RankFit
from rankwise.theory.frechet import frechet_distance

# The flow is followed from half its take-off time on, closely for so many units 1 / mu on either side of it,
# and then until so many units after it.
CLOSE, LATE = 6.0, 400.0
# The times are spread anew until no step along the path is so many times the mean one, at most so often.
UNEVEN, PASSES = 3.0, 8


class GreedyTrajectory(NamedTuple):
    """matrices (T, d1, d2), times (T,), starts (phases,) and path: the phases joined at their saddles.

    times: the flow's own, phase after phase; starts: the index of the first matrix of each phase; path: what was
    reached, rank by rank from 0.
    """

    matrices: np.ndarray
    times: np.ndarray
    starts: np.ndarray
    path: tuple[RankFit, ...]


class FlowTrajectory(NamedTuple):
    """matrices (T, d1, d2) at times (T,), about equally far apart along the path."""

    matrices: np.ndarray
    times: np.ndarray


def greedy_trajectory(
    problem: Problem,
    depth: int = 2,
    *,
    semidefinite: bool = True,
    epsilon: float = 1e-10,
    tolerance: float = 1e-10,
    max_rank: int | None = None,
) -> GreedyTrajectory:
    """The trajectory of GLRL at a depth: the phases of `Greedy(Deep(depth), inner="flow")`, one after another.

    semidefinite: each phase leaves along the leading eigenvector of minus the gradient, as flows from multiples of
    the identity do; without, along its leading singular pair. epsilon, tolerance, max_rank: as in `Greedy`, whose
    verdicts end it.

    Raises:
        ValueError: if a setting is out of range, the problem is not square (unless semidefinite=False), or it does not
            suit otherwise (see `Greedy`).

    Source: Li, Luo, Lyu 2021 (`li2021greedy`), algorithm 1; section 6 for depth.
    """
    if semidefinite and problem.shape[0] != problem.shape[1]:
        raise ValueError(f"semidefinite=True needs a square problem, not one of shape {problem.shape}")
    solver = Greedy(
        Deep(depth), inner="flow", semidefinite=semidefinite, epsilon=epsilon, tolerance=tolerance, max_rank=max_rank
    )
    solver.check(problem)
    state = solver.init(problem, 0)
    matrices, times, starts, clock = [np.zeros((1, *problem.shape))], [np.zeros(1)], [], 0.0
    while solver.outcome(problem, state) is RESULTS.running:
        phase = solver.phase(state)
        starts.append(sum(map(len, times)))
        matrices.append(phase.matrices)
        times.append(clock + phase.times)
        clock += phase.time
        state = solver.arrive(state, phase)
    return GreedyTrajectory(np.concatenate(matrices), np.concatenate(times), np.asarray(starts), state.path)


def flow_trajectory(problem: Problem, depth: int, scale: float, points: int = 1000) -> FlowTrajectory:
    """The gradient flow of `depth` layers from scale * I to rest, at `points` times equally far apart along it.

    The take-off of the first mode, log(1/s) / (2 mu) at depth 2 and s^(-(N-2)/N) / ((N-2) mu) at depth N >= 3 with mu
    the leading eigenvalue of minus the gradient at 0, says where to look first; the times are then spread evenly.

    Raises:
        ValueError: if depth is not at least 2, scale not positive, points below 100, the problem is not square, or
            minus its gradient at 0 has no positive eigenvalue.
    """
    if depth < 2:
        raise ValueError(f"depth must be at least 2, not {depth!r}")
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"scale must be positive and finite, not {scale}")
    if points < 100:
        raise ValueError(f"points must be at least 100, not {points}")
    if problem.shape[0] != problem.shape[1]:
        raise ValueError(f"a flow from scale * I is compared on square problems, not on one of shape {problem.shape}")
    drive = float(drives(problem)[0])
    if drive <= 0:
        raise ValueError(
            f"the flow has no direction to grow in: the largest eigenvalue of minus the gradient at 0 is {drive:.3g}"
        )
    times = _first_times(drive, depth, scale, points)
    matrices = _run(problem, depth, scale, times)
    for _ in range(PASSES):
        steps = np.linalg.norm(np.diff(matrices, axis=0), axis=(1, 2))
        if steps.max() <= UNEVEN * steps.mean():
            break
        times = _spread(times, np.append(0.0, np.cumsum(steps)))
        matrices = _run(problem, depth, scale, times)
    return FlowTrajectory(matrices, times)


def distance_to_greedy(flow: Any, greedy: Any) -> float:
    """The distance of two trajectories after the best monotone alignment of their times.

    flow (T, d1, d2), greedy (S, d1, d2): matrices along each, joined by straight segments; or objects with `matrices`.

    d = inf over non-decreasing continuous alpha, beta from [0, 1] onto the two paths of
        max_t |flow(alpha(t)) - greedy(beta(t))|_F.

    This is the Fréchet distance of the two polygons, found to 1e-3 of itself: it is symmetric, does not see how fast
    either path is run through, how long it waits, or how finely a straight piece is cut, and is at least the distance
    of their ends. A curved path stands for its chords: from points h apart the error is about h^2 / 8 times the
    curvature.

    Raises:
        ValueError: if the arrays are not two finite stacks of matrices of one shape.

    Source: Alt, Godau 1995 (`alt1995computing`).
    """
    first, second = (np.asarray(getattr(item, "matrices", item), float) for item in (flow, greedy))
    for name, array in (("flow", first), ("greedy", second)):
        if array.ndim != 3 or len(array) == 0 or not np.isfinite(array).all():
            raise ValueError(f"{name} must be a stack of finite matrices (T, d1, d2), not of shape {array.shape}")
    if first.shape[1:] != second.shape[1:]:
        raise ValueError(
            f"flow and greedy must hold matrices of one shape, not {first.shape[1:]} and {second.shape[1:]}"
        )
    return frechet_distance(first.reshape(len(first), -1), second.reshape(len(second), -1))


def drives(problem: Problem) -> np.ndarray:
    """The eigenvalues of the symmetric part of minus the gradient at 0, descending."""
    gradient = problem.gradient(np.zeros(problem.shape))
    return np.linalg.eigvalsh(-(gradient + gradient.T) / 2)[::-1]


def _first_times(mu: float, depth: int, scale: float, points: int) -> np.ndarray:
    takeoff = math.log(1 / scale) / (2 * mu) if depth == 2 else scale ** (2 / depth - 1) / ((depth - 2) * mu)
    some = points // 6
    early = np.linspace(0, max(takeoff - CLOSE / mu, takeoff / 2), some, endpoint=False)
    tail = np.geomspace(CLOSE / mu, LATE / mu, some)
    close = np.linspace(max(takeoff - CLOSE / mu, takeoff / 2), takeoff + CLOSE / mu, points - 2 * some, endpoint=False)
    return np.concatenate([early, close, takeoff + tail])


def _spread(times: np.ndarray, path: np.ndarray) -> np.ndarray:
    """As many times, at equal parts of the path."""
    rising = np.append(True, np.diff(path) > 0)
    spread = np.interp(np.linspace(0, path[-1], times.size), path[rising], times[rising])
    # Where the path hardly moves the times may coincide; the end stays the end.
    spread[-1] = times[-1]
    return np.maximum.accumulate(spread) + 1e-12 * times[-1] * np.arange(times.size)


def _run(problem: Problem, depth: int, scale: float, times: np.ndarray) -> np.ndarray:
    solver = GradientFlow(Deep(depth, Identity(scale)), times=times, tolerance=1e-10)
    return np.asarray(solve(problem, solver, track=["matrix"]).history["matrix"])
