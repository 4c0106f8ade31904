"""Measurements that commute: from a small multiple of the identity every depth ends at least nuclear norm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rankwise.factorizations import Deep, Identity
from rankwise.loop import solve_batch
from rankwise.solution import Solution
from rankwise.solvers import GradientFlow
from rankwise.theory.commuting_flow import (
    POINTS,
    Commuting,
    check_sweep,
    draw_commuting,
    explicit_flow,
    limit_excess,
    minimum_trace,
)
from rankwise.theory.finding import Check, Curve, Finding, Panel


def commuting(
    *,
    depth: int | Sequence[int] = (2, 3, 4),
    alphas: Sequence[float] = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6),
    size: int = 7,
    measurements: int = 3,
    seed: int = 17,
    tolerance: float = 1e-11,
) -> Finding:
    """With commuting measurements, the flow from a small alpha I ends at least nuclear norm, at every depth >= 2.

    Measured: the trajectory beside its explicit solution, whether W(t) commutes with the A_i, and how the nuclear
    norm of the limit approaches the minimum over positive semidefinite interpolants, found by a linear program. The
    flow runs in the measurements' eigenbasis, and from the largest alpha also in a random one: see
    `commuting_instability` for why not from all.

    depth: one or several of at least 2. alphas: scales of the product at the start, the largest first.
    size, measurements, seed: of the instance (`draw_commuting`). tolerance: of the flow's integrator.

    Raises:
        ValueError: if a depth is not an integer of at least 2, the alphas are not at least two positive falling
            numbers, or measurements does not lie below size.

    Source: Arora, Cohen, Hu, Luo 2019 (`arora2019implicit`), theorem 1 (that of Gunasekar et al. 2017,
    `gunasekar2017implicit`) for depth 2 and theorem 2 for depth >= 3. The leading order of the excess
    is derived in `limit_excess`.
    """
    depths = [depth] if isinstance(depth, int) else list(depth)
    starts = np.asarray(alphas, float)
    if starts.size < 2 or (np.diff(starts) >= 0).any():
        raise ValueError("alphas must be at least two falling numbers")
    for each in depths:
        check_sweep(each, starts[-1])
    instance = draw_commuting(size, measurements, seed=seed)
    swept = [sweep(instance, each, starts, tolerance=tolerance) for each in depths]
    return Finding(
        name="commuting",
        statement="With commuting symmetric measurements, the flow of a product of layers from alpha I ends, as alpha "
        "falls to 0, at a positive semidefinite interpolant of least nuclear norm, whatever the depth.",
        source="arora2019implicit, theorems 1 (from gunasekar2017implicit) and 2",
        checks=tuple(check for each in swept for check in _checks(each)),
        panels=_panels(swept),
        details={"instance": instance, "minimum": minimum_trace(instance)[0], "sweeps": swept},
    )


@dataclass(frozen=True, eq=False)
class Sweep:
    """The flows of one depth from several starts, in the eigenbasis.

    turned: the flow from the first start in the basis given.
    explicit: the eigenvalues over the flow's times, one array per start.
    """

    instance: Commuting
    depth: int
    starts: np.ndarray
    runs: list[Solution]
    turned: Solution
    explicit: list[np.ndarray]

    @property
    def limits(self) -> np.ndarray:
        """The matrices at the end in the eigenbasis, shape (starts, d, d)."""
        return np.stack([np.asarray(run.matrix) for run in self.runs])

    @property
    def excess(self) -> np.ndarray:
        """The nuclear norms at the end, less the least possible."""
        return np.linalg.svd(self.limits, compute_uv=False).sum(axis=1) - minimum_trace(self.instance)[0].sum()

    def deviation(self, k: int) -> np.ndarray:
        """The distance of run k from the explicit solution over time, relative to its norm at each time."""
        return relative_difference(self.runs[k].history["matrix"], self.instance.diagonal.matrix(self.explicit[k]))


def sweep(instance: Commuting, depth: int, starts: np.ndarray, *, tolerance: float = 1e-11) -> Sweep:
    """Integrate the layers' flow from every start I until the values are explained.

    Raises:
        ValueError: if the depth is not an integer of at least 2, or a start is not positive.
    """
    explicit = [explicit_flow(instance, depth, float(start)) for start in starts]
    solvers = [
        GradientFlow(Deep(depth, Identity(float(start))), times=times, tolerance=tolerance)
        for start, (times, _) in zip(starts, explicit, strict=True)
    ]
    problems = [instance.problem, *[instance.diagonal.problem] * len(solvers)]
    turned, *runs = solve_batch(problems, [solvers[0], *solvers], track=["matrix"])
    return Sweep(instance, depth, starts, runs, turned, [eigenvalues for _, eigenvalues in explicit])


def relative_difference(measured: np.ndarray, proved: np.ndarray) -> np.ndarray:
    """|measured - proved|_F / |proved|_F for matrices along leading axes."""
    return np.linalg.norm(measured - proved, axis=(-2, -1)) / np.linalg.norm(proved, axis=(-2, -1))


def largest_commutator(instance: Commuting, matrices: np.ndarray) -> float:
    """The largest |W A_i - A_i W|_F / (|W|_F |A_i|_F)."""
    sensors = instance.problem.sensors
    off = matrices[:, None] @ sensors - sensors @ matrices[:, None]
    sizes = np.linalg.norm(matrices, axis=(1, 2))[:, None] * np.linalg.norm(sensors, axis=(1, 2))
    return float((np.linalg.norm(off, axis=(2, 3)) / sizes).max())


def _checks(swept: Sweep) -> list[Check]:
    proved = limit_excess(swept.instance, swept.depth, swept.starts)
    slacks = minimum_trace(swept.instance)[1]
    # Both exponents are limits: the last two starts are still a little above them.
    slope = np.diff(np.log(swept.excess[-2:]))[0] / np.diff(np.log(swept.starts[-2:]))[0]
    exponent = float(slacks[slacks > 1e-9].min()) if swept.depth == 2 else 1.0
    off = max(swept.deviation(k).max() for k in range(len(swept.runs)))
    turned = swept.turned.history["matrix"]
    name, first, last = f"depth {swept.depth}", swept.starts[0], swept.starts[-1]
    return [
        Check(f"{name}: distance from the explicit solution, every alpha", float(off), 0.0, "=", 1e-8),
        Check(f"{name}: the same in a random eigenbasis, alpha = {first:.0e}",
              float(relative_difference(turned, swept.instance.matrix(swept.explicit[0])).max()), 0.0, "=", 1e-8),
        Check(f"{name}: W(t) commutes with the measurements, alpha = {first:.0e}",
              largest_commutator(swept.instance, turned), 0.0, "=", 1e-8),
        Check(f"{name}: nuclear norm less the minimum, alpha = {last:.0e}",
              float(swept.excess[-1]), float(proved[-1]), "=", 0.02),
        Check(f"{name}: exponent of alpha in it", float(slope), exponent, "=", 0.05),
    ]  # fmt: skip


def _panels(swept: Sequence[Sweep]) -> tuple[Panel, ...]:
    least = minimum_trace(swept[0].instance)[0].sum()
    excess, far = [], []
    for each in swept:
        name, time = f"depth {each.depth}", each.runs[-1].history["time"]
        proved = limit_excess(each.instance, each.depth, each.starts)
        excess.append(Curve(name, each.starts, each.excess / least, "points"))
        excess.append(Curve(f"{name} (predicted)", each.starts, proved / least, "dashed"))
        far.append(Curve(name, time[1:] / time[-1], each.deviation(-1)[1:]))
    return (
        Panel("Nuclear norm above the minimum", "scale α of the start", "relative excess", tuple(excess), log="xy"),
        _eigenvalue_panel(swept[-1]),
        Panel("Distance from the explicit solution", "time / end", "relative distance", tuple(far), log="y"),
    )


def _eigenvalue_panel(swept: Sweep) -> Panel:
    run, proved = swept.runs[-1], swept.explicit[-1]
    times, closely = explicit_flow(swept.instance, swept.depth, float(swept.starts[-1]), points=10 * POINTS)
    curves = []
    for k in np.argsort(-proved[-1])[: len(swept.instance.values) + 1]:
        curves.append(Curve(f"eigenvalue {k + 1}", run.history["time"], run.history["matrix"][:, k, k], "points"))
        curves.append(Curve(f"eigenvalue {k + 1} (predicted)", times, closely[:, k], "dashed"))
    title = f"Eigenvalues, depth {swept.depth}, α = {swept.starts[-1]:.0e}"
    return Panel(title, "time", "eigenvalue", tuple(curves), log="y")
