"""One mode alone: the scalar equation that every aligned singular value obeys, in closed form and integrated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy

from rankwise.factorizations import Deep, Full, Identity
from rankwise.loop import solve
from rankwise.problems import Completion
from rankwise.solvers import EndToEndFlow, GradientFlow
from rankwise.theory.finding import Check, Curve, Finding, Panel

CLOSED = (1, 2, 4, math.inf)
# log(value / (target - value)) beyond this is the target itself, in float64.
CLOSE = 40.0


def mode_time(depth: float, target: float, start: float, value: np.ndarray) -> np.ndarray:
    """When a mode that begins at `start` reaches `value`, for sigma' = sigma^(2-2/N) (target - sigma).

    N = 1: log((target - start) / (target - value)). N = 2: log(value (target - start) / (start (target - value))) /
    target. N = 4: (2/s)(start^(-1/2) - value^(-1/2)) + s^(-3/2) log of the ratio of (sqrt s + sqrt x) / (sqrt s - sqrt
    x) at value and start, s the target. N = infinity: (1/start - 1/value) / s + log(value (s - start) / (start (s -
    value))) / s^2.

    Raises:
        ValueError: if the depth is not 1, 2, 4 or infinity, or not 0 < start < value < target.

    Source: Gissin, Shalev-Shwartz, Daniely 2020 (`gissin2020implicit`), derived by integration.
    """
    x, s = np.asarray(value, float), float(target)
    if depth not in CLOSED:
        raise ValueError(f"closed forms exist for depth 1, 2, 4 and infinity, not {depth!r}")
    if not start > 0 or (x < start).any() or (x >= s).any():
        raise ValueError("a mode rises: 0 < start <= value < target is needed")
    return _time(depth, s, x, s - x) - _time(depth, s, np.float64(start), np.float64(s - start))


def _time(depth: float, s: float, value: Any, gap: Any) -> Any:
    """The time up to a constant, from the value and what it lacks to the target."""
    if depth == 1:
        return -np.log(gap)
    logistic = np.log(value / gap)
    if depth == 2:
        return logistic / s
    if depth == math.inf:
        return logistic / s**2 - 1 / (s * value)
    bend = 2 * np.log(math.sqrt(s) + np.sqrt(value)) - np.log(gap)
    return bend / s**1.5 - 2 / (s * np.sqrt(value))


def mode_value(depth: float, target: float, start: float, times: np.ndarray) -> np.ndarray:
    """The mode at given times: explicit at depth 1 and 2, the inverse of `mode_time` at depth 4 and infinity.

    Raises:
        ValueError: as `mode_time`.
    """
    t, s = np.asarray(times, float), float(target)
    if depth == 1:
        return s + (start - s) * np.exp(-t)
    if depth == 2:
        return s / (1 + (s - start) / start * np.exp(-s * t))
    mode_time(depth, s, start, np.array([start]))
    return np.array([_invert(depth, s, start, moment) for moment in t])


def toy_modes(
    targets: Sequence[float] = (4.0, 2.0, 1.0), scale: float = 1e-3, depths: Sequence[float] = CLOSED,
    tolerance: float = 1e-11,
) -> Finding:  # fmt: skip
    """Diagonal targets from a multiple of the identity: modes decouple and follow the closed forms.

    The flow of half the squared distance to diag(targets), N layers: sigma' = N sigma^(2-2/N) (s - sigma), so the
    closed forms at time N t. Checks: each mode within 1e-8 of its target's size, at every time.

    Raises:
        ValueError: if the targets are not above the scale, or a depth has no closed form.

    Source: Gissin, Shalev-Shwartz, Daniely 2020 (`gissin2020implicit`); Gidel, Bach, Lacoste-Julien 2019
    (`gidel2019implicit`) for depth 2.
    """
    if not targets or not depths:
        raise ValueError("targets and depths must not be empty")
    if min(targets) <= scale or scale <= 0:
        raise ValueError("targets must be larger than the scale, and the scale positive")
    problem = Completion.from_dense(np.diag(np.asarray(targets, float)))
    checks, panels = [], []
    for depth in depths:
        factor = 1.0 if depth == math.inf else float(depth)
        last = max(float(mode_time(depth, s, scale, np.array([0.98 * s]))[0]) for s in targets)
        times = np.linspace(0, last / factor, 121)
        measured = _diagonals(problem, depth, scale, times, tolerance)
        closed = np.stack([mode_value(depth, s, scale, factor * times) for s in targets], axis=1)
        apart = np.abs(measured - closed) / np.asarray(targets)
        checks.append(Check(f"depth {depth}: largest difference", float(apart.max()), 0.0, "<=", 1e-8))
        curves = [
            curve
            for k, s in enumerate(targets)
            for curve in (
                Curve(f"target {s:g}", times[::3], measured[::3, k], "points"),
                Curve(f"target {s:g} (predicted)", *_graph(depth, s, scale, times), "dashed"),
            )
        ]
        title = "Infinite depth, in the time N t" if depth == math.inf else f"Depth {depth}"
        panels.append(Panel(title, "time", "singular value", tuple(curves)))
    return Finding(
        "toy_modes", "Decoupled modes follow sigma' = N sigma^(2-2/N) (s - sigma): the deeper, the more one at a time.",
        "gissin2020implicit; gidel2019implicit", tuple(checks), tuple(panels),
    )  # fmt: skip


def _graph(depth: float, target: float, start: float, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Times and values of the closed form, close together where the mode rises within less than one of the times."""
    factor = 1.0 if depth == math.inf else float(depth)
    rising = target / (1 + np.exp(-np.linspace(-math.log(target / start - 1), CLOSE / 4, 200)))
    rising[0] = start
    when = mode_time(depth, target, start, rising) / factor
    shown = when < times[-1]
    end = mode_value(depth, target, start, factor * times[-1:])
    return np.append(when[shown], times[-1]), np.append(rising[shown], end)


def _diagonals(problem: Completion, depth: float, scale: float, times: np.ndarray, tolerance: float) -> np.ndarray:
    start = Identity(scale)
    if depth == math.inf:
        flow = EndToEndFlow(math.inf, start, times=times, tolerance=tolerance)
    else:
        flow = GradientFlow(Full(start) if depth == 1 else Deep(int(depth), start), times=times, tolerance=tolerance)
    matrices = solve(problem, flow, track=["matrix"]).history["matrix"]
    return np.diagonal(matrices, axis1=1, axis2=2)


def _invert(depth: float, target: float, start: float, moment: float) -> float:
    """The value that is reached at a moment, by bracketing x = log(value / (target - value))."""
    if moment <= 0:
        return start
    begun = _time(depth, target, np.float64(start), np.float64(target - start))

    def late(x: float) -> float:
        return float(_time(depth, target, *(np.float64(target / (1 + math.exp(-y))) for y in (x, -x))) - begun) - moment

    low = math.log(start / (target - start))
    if late(CLOSE) <= 0:
        return target  # less than rounding away from it
    return target / (1 + math.exp(-scipy.optimize.brentq(late, low - 1, CLOSE, xtol=1e-13)))
