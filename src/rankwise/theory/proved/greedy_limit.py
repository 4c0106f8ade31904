"""Gradient flow beside greedy low-rank learning: how near it comes as its start shrinks, at each depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from rankwise.problems import Completion
from rankwise.theory.finding import Check, Curve, Finding, Panel
from rankwise.theory.greedy_paths import (
    FlowTrajectory,
    GreedyTrajectory,
    distance_to_greedy,
    drives,
    flow_trajectory,
    greedy_trajectory,
)

# The second mode is driven on for a time of order one after take-off: so many times s^(1 - 2/N) / (1 - mu_2/mu_1) is
# the relative error of the leading order.
BEYOND = 3.0


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
    mu, share = float(drives(problem)[0]), float(drives(problem)[1] / drives(problem)[0])
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
    """d log(value) / d log(scale) between neighbors, shape (k - 1,)."""
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


def _checks(
    depth: int, share: float, scales: np.ndarray, gaps: np.ndarray, ends: np.ndarray, second: np.ndarray
) -> list[Check]:
    power = 1 - share if depth == 2 else 1.0
    name, last = f"depth {depth}: ", float(local_slopes(scales, ends)[-1])
    checks = [
        Check(name + "largest ratio of neighboring distances", float((gaps[1:] / gaps[:-1]).max()), 1.0, "<="),
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
    title = "Paths of flow and greedy learning (predicted: power of their ends)"
    return Panel(title, "scale s of the start", "Frobenius distance", tuple(curves), "xy")


def _second_panel(share: float, scales: dict[int, np.ndarray], second: dict[int, np.ndarray]) -> Panel:
    curves = []
    for depth, sigma in second.items():
        if depth > 2:
            s = scales[depth]
            curves.append(Curve(f"depth {depth}", s, sigma / s, "points"))
            limit = second_mode(depth, share, s) / s
            curves.append(Curve(f"depth {depth} (predicted)", s, limit, "dashed"))
    return Panel("Second singular value at the end", "scale s of the start", "σ₂ / s", tuple(curves), "xy")


def _plane_panel(
    R: float,
    greedy: dict[int, GreedyTrajectory],
    scales: dict[int, np.ndarray],
    flows: dict[int, list[FlowTrajectory]],
) -> Panel:
    """The paths in the plane of an observed entry, (1, 4), and an unobserved one, (1, 1)."""
    depth = min(flows)
    shown = sorted({0, len(flows[depth]) // 2, len(flows[depth]) - 1})
    curves = [Curve(f"s = {scales[depth][k]:.0e}", *_plane(flows[depth][k].matrices), "line") for k in shown]
    curves.append(Curve("greedy (predicted)", *_plane(greedy[depth].matrices), "dashed"))
    return Panel(f"Paths at depth {depth}, R = {R:g}", "W₁₄, observed", "W₁₁, not observed", tuple(curves))


def _plane(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return matrices[:, 0, 3], matrices[:, 0, 0]
