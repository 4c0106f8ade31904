"""Measurements that commute: from a small multiple of the identity every depth ends at least nuclear norm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rankwise.factorizations import Deep, Identity
from rankwise.loop import solve_batch
from rankwise.problems import Sensing
from rankwise.solution import Solution
from rankwise.solvers import GradientFlow
from rankwise.theory.finding import Check, Curve, Finding, Panel

# Where a run ends: the norm of the residual, as a share of that of the values.
EXPLAINED = 1e-10
# Points in time at which the flow is compared with the explicit solution.
POINTS = 60


@dataclass(frozen=True, eq=False)
class Commuting:
    """Measurements <A_i, W> = y_i, i = 1..m, with A_i = Q diag(levels[i]) Q^T symmetric and commuting.

    basis: Q, orthogonal, shape (d, d). levels: the eigenvalues, shape (m, d). values: y, shape (m,).
    """

    basis: np.ndarray
    levels: np.ndarray
    values: np.ndarray

    @property
    def problem(self) -> Sensing:
        """The measurements as a problem, loss 1/2 |A(W) - y|^2."""
        return Sensing(np.einsum("ik,mk,jk->mij", self.basis, self.levels, self.basis), self.values)

    @property
    def diagonal(self) -> Commuting:
        """The same in its own eigenbasis: every A_i is diagonal, and so is every W(t), exactly, rounding included."""
        return replace(self, basis=np.eye(len(self.basis)))

    def matrix(self, eigenvalues: np.ndarray) -> np.ndarray:
        """Q diag(eigenvalues) Q^T, for eigenvalues of shape (..., d)."""
        return (self.basis * eigenvalues[..., None, :]) @ self.basis.T


def draw_commuting(size: int, measurements: int, *, seed: int = 0) -> Commuting:
    """Standard normal eigenvalues in a random common eigenbasis, measuring a matrix of rank m and trace 1.

    The rank of the positive semidefinite truth is the number of measurements, so that the linear program of
    `minimum_trace` has a vertex without zeros among its basic variables.

    Raises:
        ValueError: unless 1 <= measurements < size.
    """
    if not 1 <= measurements < size:
        raise ValueError(f"measurements must lie between 1 and size - 1 = {size - 1}, not {measurements}")
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((size, size)))[0]
    levels = rng.standard_normal((measurements, size))
    truth = np.zeros(size)
    truth[:measurements] = rng.dirichlet(np.full(measurements, 4.0))
    return Commuting(basis, levels, levels @ truth)


def minimum_trace(instance: Commuting) -> tuple[np.ndarray, np.ndarray]:
    """The eigenvalues, in the common basis, of the matrix of least nuclear norm; and their slacks, both of shape (d,).

    Minimize sum_k x_k over x >= 0 with levels @ x = y. This is the least trace among all positive semidefinite W
    that fit: both the trace and the measurements see the diagonal of Q^T W Q only. The slack of k is
    1 - (levels^T nu)_k, nu being the solution of the dual program; for any x that fits, sum(x) exceeds the
    minimum by exactly slacks @ x.

    Raises:
        ValueError: if no positive semidefinite matrix fits the values.
    """
    from scipy.optimize import linprog

    found = linprog(np.ones(instance.levels.shape[1]), A_eq=instance.levels, b_eq=instance.values)
    if not found.success:
        raise ValueError(f"values: no positive semidefinite matrix fits them ({found.message})")
    return np.asarray(found.x), 1 - instance.levels.T @ np.asarray(found.eqlin.marginals)


def dual_coordinate(eigenvalue: Any, start: Any, depth: int) -> np.ndarray:
    """q(x) = int_start^x dz / (N z^(2-2/N)), which moves linearly: along the flow, q(x_k) = -(levels^T s)_k.

    s(t) is the integral of the residual. Depth 2: log(x / start) / 2; depth N >= 3, with p = (N-2)/N:
    (start^-p - x^-p) / (N-2).
    """
    if depth == 2:
        return np.log(np.asarray(eigenvalue) / start) / 2
    power = (depth - 2) / depth
    return (start**-power - np.asarray(eigenvalue) ** -power) / (depth - 2)


def explicit_eigenvalues(pull: Any, start: Any, depth: int) -> np.ndarray:
    """The eigenvalues at A^dagger(s) = sum_i s_i A_i, whose eigenvalue there is `pull`, from the product start * I.

    Depth 2: start exp(-2 pull). Depth N >= 3: start (1 + (N-2) start^((N-2)/N) pull)^(-N/(N-2)).

    Source: Arora, Cohen, Hu, Luo 2019 (`arora2019implicit`), proofs of theorems 1 and 2; derived again here from
    x' = -N x^(2-2/N) (A^dagger(residual))_kk.
    """
    if depth == 2:
        return start * np.exp(-2 * np.asarray(pull))
    inside = 1 + (depth - 2) * start ** ((depth - 2) / depth) * np.asarray(pull)
    return start * inside ** (-depth / (depth - 2))


def explicit_flow(
    instance: Commuting, depth: int, start: float, *, points: int = POINTS
) -> tuple[np.ndarray, np.ndarray]:
    """Times from 0 until the values are explained, and the eigenvalues there, shapes (points,) and (points, d).

    Only the m numbers s(t) are integrated, s' = A(W(s)) - y, with `explicit_eigenvalues` for W(s).

    Raises:
        ValueError: if the depth is not an integer of at least 2, or start is not positive.
    """
    from scipy.integrate import solve_ivp

    check_sweep(depth, start)

    def residual(_: float, s: np.ndarray) -> np.ndarray:
        return instance.levels @ explicit_eigenvalues(s @ instance.levels, start, depth) - instance.values

    def unexplained(t: float, s: np.ndarray) -> float:
        return float(np.linalg.norm(residual(t, s)) - EXPLAINED * np.linalg.norm(instance.values))

    unexplained.terminal = True  # pyright: ignore[reportFunctionMemberAccess]
    run = solve_ivp(
        residual, (0, 1e12), np.zeros(len(instance.values)), "DOP853",
        rtol=1e-13, atol=1e-13, dense_output=True, events=unexplained,
    )  # fmt: skip
    times = np.concatenate([[0.0], np.geomspace(run.t[-1] / 100, run.t[-1], points - 1)])
    assert run.sol is not None
    return times, explicit_eigenvalues(run.sol(times).T @ instance.levels, start, depth)


def limit_excess(instance: Commuting, depth: int, start: Any) -> np.ndarray:
    """By how much the nuclear norm of the limit exceeds the minimum, to leading order in the start; shape of `start`.

    At the limit q(x) of all eigenvalues lies in the range of levels^T. Those positive in the minimum, x*_S, hardly
    move any more, so q(x) of the others is levels_rest^T levels_S^-T q(x*_S), and the excess is slacks @ x.
    As the start falls this is proportional to start^(smallest slack) at depth 2 and to start at every
    greater depth, where x_k = start slack_k^(-N/(N-2)).

    Raises:
        ValueError: if the minimum has not as many positive eigenvalues as there are measurements.
    """
    least, slacks = minimum_trace(instance)
    kept = np.sort(np.argsort(least)[len(least) - len(instance.values) :])
    if least[kept].min() <= 1e-9 * least.max():
        raise ValueError("instance: its minimum has fewer positive eigenvalues than there are measurements")
    rest = np.setdiff1d(np.arange(len(least)), kept)
    begin = np.asarray(start, float)[..., None]
    combined = np.linalg.solve(instance.levels[:, kept], instance.levels[:, rest]).T
    pull = -dual_coordinate(least[kept], begin, depth) @ combined.T
    return explicit_eigenvalues(pull, begin, depth) @ slacks[rest]


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


def check_sweep(depth: Any, start: Any) -> None:
    """Raise a ValueError unless the depth is at least 2 and the starts lie above 0."""
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 2:
        raise ValueError(f"depth must be an integer of at least 2, not {depth!r}")
    if not (np.isfinite(start) and start > 0):
        raise ValueError(f"start must be a positive scale, not {start}")


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
        Panel("Nuclear norm of the limit above the minimum", "alpha", "relative excess", tuple(excess), log="xy"),
        _eigenvalue_panel(swept[-1]),
        Panel("Distance from the explicit solution", "time / end", "relative distance", tuple(far), log="y"),
    )


def _eigenvalue_panel(swept: Sweep) -> Panel:
    run, proved = swept.runs[-1], swept.explicit[-1]
    curves = []
    for k in np.argsort(-proved[-1])[: len(swept.instance.values) + 1]:
        curves.append(Curve(f"no. {k}", run.history["time"], run.history["matrix"][:, k, k], "points"))
        curves.append(Curve(f"no. {k} (predicted)", run.history["time"], proved[:, k], "dashed"))
    title = f"Eigenvalues, depth {swept.depth}, alpha = {swept.starts[-1]:.0e}"
    return Panel(title, "time", "eigenvalue", tuple(curves), log="y")
