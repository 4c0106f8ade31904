"""Gradient flow beside greedy low-rank learning: how near it comes as its start shrinks, at each depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from rankwise.factorizations import Deep, Identity
from rankwise.loop import solve
from rankwise.problems import Completion, Problem
from rankwise.results import RESULTS
from rankwise.solvers import GradientFlow, Greedy
from rankwise.solvers.greedy import RankFit
from rankwise.theory.finding import Check, Curve, Finding, Panel
from rankwise.theory.frechet import frechet_distance

# The flow is followed from half its take-off time on, closely for so many units 1 / mu on either side of it,
# and then until so many units after it.
CLOSE, LATE = 6.0, 400.0
# The times are spread anew until no step along the path is so many times the mean one, at most so often.
UNEVEN, PASSES = 3.0, 8
# The second mode is driven on for a time of order one after take-off: so many times s^(1 - 2/N) / (1 - mu_2/mu_1) is
# the relative error of the leading order.
BEYOND = 3.0


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
        ValueError: if a setting is out of range or the problem does not suit it (see `Greedy`).

    Source: Li, Luo, Lyu 2021 (`li2021greedy`), algorithm 1; section 6 for depth.
    """
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
        ValueError: if depth is not at least 2, scale not positive, or points below 100.
    """
    if depth < 2:
        raise ValueError(f"depth must be at least 2, not {depth!r}")
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"scale must be positive and finite, not {scale}")
    if points < 100:
        raise ValueError(f"points must be at least 100, not {points}")
    times = _first_times(float(_drives(problem)[0]), depth, scale, points)
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


def greedy_limit(
    depths: Sequence[int] = (2, 3, 4),
    scales: Sequence[float] = (1e-2, 1e-3, 1e-5, 1e-6),
    R: float = 2.0,
    far: Sequence[float] = (1e-12, 1e-16),
    points: int = 1000,
) -> Finding:
    """Gradient flow from s I comes to greedy low-rank learning as s -> 0: at what power of s, by depth.

    The problem: 4 x 4, observed (1, 3) = 1, (1, 4) = (2, 3) = R > 1 and their transposes. With mu_1 > mu_2 the positive
    eigenvalues of minus the gradient at 0, when the first mode has grown the second has size, to leading order,
    s^(1 - mu_2/mu_1) at depth 2 and s (1 - mu_2/mu_1)^(-N/(N-2)) at depth N >= 3, and so far from the greedy
    solution the flow ends. On the way the first mode turns, and the second changes its speed of turning by a share of
    (sigma_2/sigma_1)^(2/N): the distance of the paths is the larger of the two, in the end of power 2/N.

    depths: the layers. scales: the starts s, descending. far: more of them for depth 2, whose power shows only there.
    points: the matrices per trajectory.

    Raises:
        ValueError: if R is not above 1, a depth below 2, or the scales do not descend.

    Source: Li, Luo, Lyu 2021 (`li2021greedy`), example 5.9 and section 6 for the limit; the powers are derived here.
    """
    _check_arguments(depths, scales, far, R)
    problem = _instance(R)
    mu, share = float(_drives(problem)[0]), float(_drives(problem)[1] / _drives(problem)[0])
    greedy = {depth: greedy_trajectory(problem, depth) for depth in depths}
    starts = {depth: np.array([*scales, *far] if depth == 2 else scales) for depth in depths}
    flows = {depth: [flow_trajectory(problem, depth, s, points) for s in starts[depth]] for depth in depths}
    gaps = {depth: np.array([distance_to_greedy(flow, greedy[depth]) for flow in flows[depth]]) for depth in depths}
    ends = {
        depth: np.array([np.linalg.norm(flow.matrices[-1] - greedy[depth].matrices[-1]) for flow in flows[depth]])
        for depth in depths
    }
    second = {depth: np.array([np.linalg.svd(flow.matrices[-1])[1][1] for flow in flows[depth]]) for depth in depths}
    checks = [
        check
        for depth in depths
        for check in _checks(depth, share, starts[depth], gaps[depth], ends[depth], second[depth])
    ]
    panels = (
        _gap_panel(share, starts, gaps, ends),
        _second_panel(share, starts, second),
        _plane_panel(R, greedy, starts, flows),
    )
    return Finding(
        "greedy_limit",
        "Gradient flow from s I comes to greedy low-rank learning as s falls; its end as a weak power of s at depth 2, "
        "linearly at depth N >= 3, its path at least as s^(2/N).",
        "li2021greedy, example 5.9 and section 6; powers to leading order",
        tuple(checks),
        tuple(panel for panel in panels if panel.curves),
        kind="measurement",
        details={
            "scales": starts, "distances": gaps, "end_distances": ends, "second_values": second,
            "greedy": greedy, "flows": flows,
            "drive": mu, "share": share, "slopes": {n: local_slopes(starts[n], gaps[n]) for n in depths},
        },
    )  # fmt: skip


def local_slopes(scales: Any, values: Any) -> np.ndarray:
    """d log(value) / d log(scale) between neighbours, shape (k - 1,)."""
    return np.diff(np.log(values)) / np.diff(np.log(scales))


def second_mode(depth: int, share: float, scale: Any) -> Any:
    """The second mode's size when the first has grown, from scale: s^(1 - share), or s (1 - share)^(-N/(N-2)).

    share: mu_2 / mu_1. Exact as scale -> 0 for modes that neither couple nor turn; at depth 2 the power alone is.
    """
    return scale ** (1 - share) if depth == 2 else scale * (1 - share) ** (-depth / (depth - 2))


def _check_arguments(depths: Sequence[int], scales: Sequence[float], far: Sequence[float], R: float) -> None:
    if not (math.isfinite(R) and R > 1):
        raise ValueError(f"R must be above 1, not {R}")
    if len(depths) == 0 or any(isinstance(depth, bool) or not isinstance(depth, int) or depth < 2 for depth in depths):
        raise ValueError(f"depths must be integers of at least 2, not {list(depths)}")
    every = [1.0, *scales, *far, 0.0]
    if len(scales) < 2 or any(not larger > smaller for larger, smaller in pairwise(every)):
        raise ValueError(
            "scales must be two or more numbers below 1, descending, positive, and those of far below them"
        )


def _instance(R: float) -> Completion:
    values = np.array([1.0, R, R, 1.0, R, R])
    return Completion((4, 4), np.array([0, 0, 1, 2, 3, 2]), np.array([2, 3, 2, 0, 0, 1]), values)


def _drives(problem: Problem) -> np.ndarray:
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


def _checks(
    depth: int, share: float, scales: np.ndarray, gaps: np.ndarray, ends: np.ndarray, second: np.ndarray
) -> list[Check]:
    power = 1 - share if depth == 2 else 1.0
    name, last = f"depth {depth}: ", float(local_slopes(scales, ends)[-1])
    checks = [
        Check(name + "largest ratio of neighbouring distances", float((gaps[1:] / gaps[:-1]).max()), 1.0, "<="),
    ]
    if depth == 2:
        slopes = local_slopes(scales, gaps)
        checks.append(Check(name + "power of s, two largest scales", float(slopes[0]), power, "<="))
        checks.append(Check(name + "power of s, two smallest scales", float(slopes[-1]), power, tolerance=0.02))
        return checks
    off = BEYOND * float(scales[-1]) ** (1 - 2 / depth) / (1 - share)
    ratio = float(second[-1] / scales[-1])
    path = float(local_slopes(scales, gaps)[-1])
    return [
        *checks,
        Check(name + "power of s at the end", last, power, tolerance=max(0.02, off)),
        Check(name + "power of s along the path", path, 2 / depth, ">=", tolerance=0.1),
        Check(name + "sigma_2 / s at the end", ratio, second_mode(depth, share, 1.0), tolerance=off),
    ]


def _gap_panel(
    share: float, scales: dict[int, np.ndarray], gaps: dict[int, np.ndarray], ends: dict[int, np.ndarray]
) -> Panel:
    curves = []
    for depth, gap in gaps.items():
        s = scales[depth]
        power = 1 - share if depth == 2 else 1.0
        curves.append(Curve(f"depth {depth}", s, gap, "points"))
        curves.append(Curve(f"depth {depth} (predicted)", s, ends[depth][-1] * (s / s[-1]) ** power, "dashed"))
    title = "Distance of the paths; dashed: of their ends"
    return Panel(title, "scale s of the start", "distance", tuple(curves), "xy")


def _second_panel(share: float, scales: dict[int, np.ndarray], second: dict[int, np.ndarray]) -> Panel:
    curves = []
    for depth, sigma in second.items():
        if depth > 2:
            s = scales[depth]
            curves.append(Curve(f"depth {depth}", s, sigma / s, "points"))
            limit = second_mode(depth, share, s) / s
            curves.append(Curve(f"depth {depth} (predicted)", s, limit, "dashed"))
    return Panel("Second singular value at the end", "scale s of the start", "sigma_2 / s", tuple(curves), "xy")


def _plane_panel(
    R: float,
    greedy: dict[int, GreedyTrajectory],
    scales: dict[int, np.ndarray],
    flows: dict[int, list[FlowTrajectory]],
) -> Panel:
    """The paths in the plane of an observed entry, (1, 4), and an unobserved one, (1, 1)."""
    depth = min(flows)
    shown = sorted({0, len(flows[depth]) // 2, len(flows[depth]) - 1})
    curves = [
        Curve(f"depth {depth}, s = {scales[depth][k]:.0e}", *_plane(flows[depth][k].matrices), "line") for k in shown
    ]
    curves.append(Curve("greedy (predicted)", *_plane(greedy[depth].matrices), "dashed"))
    return Panel(f"Paths, R = {R:g}", "entry (1, 4), observed", "entry (1, 1), not observed", tuple(curves))


def _plane(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return matrices[:, 0, 3], matrices[:, 0, 0]
