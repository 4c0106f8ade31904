"""A limit of the flow that is no local minimum of any Schatten quasi-norm below the nuclear norm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rankwise.theory.commuting_flow import Commuting, dual_coordinate
from rankwise.theory.finding import Check, Curve, Finding, Panel
from rankwise.theory.proved.commuting import Sweep, sweep


def schatten_not_minimal(
    *,
    size: int = 4,
    depths: Sequence[int] = (2, 3),
    alphas: Sequence[float] = (1e-1, 1e-2, 1e-3),
    powers: Sequence[float] = (0.1, 0.5, 0.8),
    steps: Sequence[float] = (1e-3, 1e-2, 1e-1, 1.0),
) -> Finding:
    """The limit of least nuclear norm need not be a local minimum of any Schatten-p quasi-norm, 0 < p < 1.

    Measured are W_11 - W_22 = 0 and W_11 - W_kk = 1, k >= 3: commuting, with limit diag(1, 1, 0, ...). A step e on
    the entries (1, 2) and (2, 1) changes no measurement and turns the eigenvalues 1, 1 into 1 + e, 1 - e, so that
    sum sigma^p changes by (1+e)^p + (1-e)^p - 2 = p (p-1) e^2 + O(e^4) < 0; at e = 1 the rank is 1.
    From alpha I the flow ends at diag(1, 1, 0, ...) + c I with the c of `shift_of_limit`.

    Raises:
        ValueError: if size is below 3, a depth below 2, the alphas do not fall, a power is not between 0 and 1, or a
            step not in (0, 1].

    Source: Arora, Cohen, Hu, Luo 2019 (`arora2019implicit`), proposition 1.
    """
    if not all(0 < p < 1 for p in powers):
        raise ValueError(f"powers must lie strictly between 0 and 1, not {tuple(powers)}")
    if not all(0 < step <= 1 for step in steps):
        raise ValueError(f"steps must lie between 0 (not included) and 1, not {tuple(steps)}")
    starts = np.asarray(alphas, float)
    if (np.diff(starts) >= 0).any():
        raise ValueError("alphas must be falling numbers")
    instance = schatten_instance(size)
    swept = [sweep(instance, depth, starts) for depth in depths]
    limit = np.diag((np.arange(size) < 2).astype(float))
    return Finding(
        name="schatten_not_minimal",
        statement="The flow's limit diag(1, 1, 0, ...) is no local minimum of any Schatten-p quasi-norm, 0 < p < 1: "
        "the sum of p-th powers falls along a direction that keeps every measurement.",
        source="arora2019implicit, proposition 1",
        checks=(
            *(check for each in swept for check in _limit_checks(each)),
            *(check for p in powers for check in _descent_checks(instance, limit, swept, p, steps)),
        ),
        panels=(_shift_panel(swept), *_descent_panels(limit, powers)),
        details={"instance": instance, "limit": limit, "sweeps": swept},
    )


def schatten_instance(size: int) -> Commuting:
    """W_11 - W_22 = 0 and W_11 - W_kk = 1 for k = 3..size.

    Raises:
        ValueError: if size is below 3.
    """
    if size < 3:
        raise ValueError(f"size must be at least 3, not {size}")
    levels = np.hstack([np.ones((size - 1, 1)), -np.eye(size - 1)])
    return Commuting(np.eye(size), levels, np.append(0.0, np.ones(size - 2)))


def shift_of_limit(size: int, depth: int, start: float) -> float:
    """c of the flow's limit diag(1, 1, 0, ...) + c I from start * I, by 2 q(1 + c) + (size - 2) q(c) = 0.

    (The levels of `schatten_instance` sum to zero, hence so do the `dual_coordinate` of all eigenvalues.) As
    the start falls, c is start^(d/(d-2)) at depth 2 and start ((d-2)/d)^(N/(N-2)) at depth N >= 3, d = size.
    """
    from scipy.optimize import brentq

    def total(log: float) -> float:
        shift = np.exp(log)
        return float(2 * dual_coordinate(1 + shift, start, depth) + (size - 2) * dual_coordinate(shift, start, depth))

    return float(np.exp(brentq(total, size * np.log(start) - 10, np.log(start) + 1, xtol=1e-14)))


def schatten_change(matrix: np.ndarray, step: float, power: float) -> float:
    """The change of sum sigma^p under a step on the entries (1, 2) and (2, 1)."""
    before, after = (np.abs(np.linalg.eigvalsh(each)) for each in (matrix, matrix + _turn(step, len(matrix))))
    return float((after**power).sum() - (before**power).sum())


def _turn(step: float, size: int) -> np.ndarray:
    """The direction of descent: `step` on the entries (1, 2) and (2, 1)."""
    direction = np.zeros((size, size))
    direction[0, 1] = direction[1, 0] = step
    return direction


def _limit_checks(swept: Sweep) -> list[Check]:
    end, size = swept.limits[-1], len(swept.instance.basis)
    shift = shift_of_limit(size, swept.depth, float(swept.starts[-1]))
    expected = np.diag((np.arange(size) < 2) + shift)
    name = f"depth {swept.depth}, alpha = {swept.starts[-1]:.0e}"
    # Values are explained to 1e-10, which is what limits the small eigenvalue.
    return [
        Check(f"{name}: W_33 at the end", float(end[2, 2]), shift, "=", 1e-3),
        Check(f"{name}: distance from diag(1, 1, 0, ...) + c I", float(np.linalg.norm(end - expected)), 0.0, "=", 1e-8),
    ]


def _descent_checks(
    instance: Commuting, limit: np.ndarray, swept: Sequence[Sweep], power: float, steps: Sequence[float]
) -> list[Check]:
    ends = [limit, *(each.limits[-1] for each in swept)]
    changes = [schatten_change(end, step, power) for end in ends for step in steps]
    kept = max(float(np.abs(instance.problem.measure(_turn(step, len(limit)))).max()) for step in steps)
    least = min(steps)
    # The next term of the series is (p-2)(p-3)/12 <= 1/2 of the first, times step^2.
    return [
        Check(f"p = {power:g}: measurements change along the direction by", kept, 0.0),
        Check(f"p = {power:g}: largest change of sum sigma^p, all steps, at the limit and the flows' ends",
              max(changes), 0.0, "<="),
        Check(f"p = {power:g}: change / step^2 at step {least:g}", schatten_change(limit, least, power) / least**2,
              power * (power - 1), "=", least**2),
    ]  # fmt: skip


def _shift_panel(swept: Sequence[Sweep]) -> Panel:
    curves = []
    for each in swept:
        size, name = len(each.instance.basis), f"depth {each.depth}"
        shifts = [shift_of_limit(size, each.depth, float(start)) for start in each.starts]
        curves.append(Curve(name, each.starts, each.limits[:, 2, 2], "points"))
        curves.append(Curve(f"{name} (predicted)", each.starts, shifts, "dashed"))
    return Panel("Approach of diag(1, 1, 0, ...)", "scale α of the start", "W₃₃ at the end", tuple(curves), log="xy")


def _descent_panels(limit: np.ndarray, powers: Sequence[float]) -> list[Panel]:
    # At step 1 an eigenvalue vanishes, and its power falls infinitely fast.
    steps = np.append(np.linspace(0, 0.99, 100), 1 - np.append(np.geomspace(1e-2, 1e-12, 40), 0))
    small = np.geomspace(1e-3, 1, 13)
    along, order = [], []
    for p in powers:
        along.append(Curve(f"p = {p:g}", steps, [schatten_change(limit, step, p) for step in steps]))
        order.append(Curve(f"p = {p:g}", small, [-schatten_change(limit, step, p) for step in small], "points"))
        order.append(Curve(f"p = {p:g} (predicted)", small, p * (1 - p) * small**2, "dashed"))
    return [
        Panel("Along the direction", "step ε on (1, 2) and (2, 1)", "change of Σ σᵖ", tuple(along)),
        Panel("Beside p (1 − p) ε²", "step ε on (1, 2) and (2, 1)", "fall of Σ σᵖ", tuple(order), log="xy"),
    ]
