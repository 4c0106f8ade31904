"""Measurements that commute: the flow from a small multiple of the identity ends at least nuclear norm, at every depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rankwise.factorizations import Deep, Identity
from rankwise.loop import solve, solve_batch
from rankwise.problems import Sensing
from rankwise.solution import Solution
from rankwise.solvers import GradientFlow
from rankwise.theory.finding import Check, Curve, Finding, Panel
from rankwise.theory.one_measurement import Aligned

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

    _check(depth, start)

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
    """With commuting measurements, the flow from alpha I ends at least nuclear norm as alpha falls, at every depth >= 2.

    Measured: the trajectory beside its explicit solution, whether W(t) commutes with the A_i, and how the nuclear
    norm of the limit approaches the minimum over positive semidefinite interpolants, found by a linear program. The
    flow runs in the measurements' eigenbasis, and from the largest alpha also in a random one: see
    `commuting_instability` for why not from all.

    depth: one or several of at least 2. alphas: scales of the product at the start, the largest first.
    size, measurements, seed: of the instance (`draw_commuting`). tolerance: of the flow's integrator.

    Raises:
        ValueError: if a depth is not an integer of at least 2, the alphas are not at least two positive falling
            numbers, or measurements does not lie below size.

    Source: Gunasekar et al. 2017 (`gunasekar2017implicit`), theorem 1, for depth 2; Arora, Cohen, Hu, Luo 2019
    (`arora2019implicit`), theorem 2, for depth >= 3. The leading order of the excess is derived in `limit_excess`.
    """
    depths = [depth] if isinstance(depth, int) else list(depth)
    starts = np.asarray(alphas, float)
    if starts.size < 2 or (np.diff(starts) >= 0).any():
        raise ValueError("alphas must be at least two falling numbers")
    for each in depths:
        _check(each, starts[-1])
    instance = draw_commuting(size, measurements, seed=seed)
    swept = [sweep(instance, each, starts, tolerance=tolerance) for each in depths]
    return Finding(
        name="commuting",
        statement="With commuting symmetric measurements, the flow of a product of layers from alpha I ends, as alpha "
        "falls to 0, at a positive semidefinite interpolant of least nuclear norm, whatever the depth.",
        source="gunasekar2017implicit, theorem 1; arora2019implicit, theorems 1 and 2",
        checks=tuple(check for each in swept for check in _checks(each)),
        panels=_panels(swept),
        details={"instance": instance, "minimum": minimum_trace(instance)[0], "sweeps": swept},
    )


def commuting_instability(
    *,
    depth: int | Sequence[int] = (2, 3, 4),
    alpha: float = 1e-4,
    perturbation: float = 1e-8,
    size: int = 7,
    measurements: int = 3,
    seed: int = 17,
) -> Finding:
    """How the smallest departure from commuting grows along the flow of `commuting`.

    The start is alpha (I + perturbation * S), S symmetric with zero diagonal in the common eigenbasis and |S|_F = 1.
    To first order each entry of Q^T W Q off the diagonal grows by exp(int rate dt) (`offdiagonal_rates`): while a
    small mode r waits beside a large one s, by about exp(sigma_s^(1-2/N) |g_r| t), g_r being its drive. At depth 2
    that is how the mode itself grows; at depth >= 3 the wait is polynomially long in 1 / alpha and the growth
    exponential in it, so rounding errors alone end the commuting trajectory at small alpha.

    Raises:
        ValueError: as `commuting`, or if alpha or perturbation is not positive.
    """
    depths = [depth] if isinstance(depth, int) else list(depth)
    if not perturbation > 0:
        raise ValueError(f"perturbation must be positive, not {perturbation}")
    instance = draw_commuting(size, measurements, seed=seed)
    swept = [_perturbed(instance, each, alpha, perturbation, seed) for each in depths]
    return Finding(
        name="commuting_instability",
        statement="Departures from commuting grow at the rate of the linearized flow, at depth >= 3 exponentially in a "
        "wait polynomial in 1 / alpha: the explicit solution is then lost to any perturbation.",
        source="linearization of the end-to-end flow of arora2018optimization, theorem 1",
        checks=tuple(each.check() for each in swept),
        panels=(
            Panel("Part of W off the common eigenbasis", "time / end", "share of the norm of W",
                  tuple(curve for each in swept for curve in each.curves()), log="y"),
            _spectrum_panel(instance, swept[-1]),
        ),
        kind="measurement",
        details={"instance": instance, "perturbed": swept},
    )  # fmt: skip


def offdiagonal_rates(eigenvalues: np.ndarray, gradient: np.ndarray, depth: int) -> np.ndarray:
    """d log(delta_rs) / dt for a small symmetric delta beside W = diag(eigenvalues) at a diagonal gradient.

    With x = eigenvalue^(1/N), both (..., d), and P_n(a, b) = (a^n - b^n) / (a - b), shape (..., d, d):
    -(x_r + x_s) / P_N(x_r, x_s) * sum_j [g_r x_r^(2j-2) P_(N-j)(x_r^2, x_s^2) + g_s x_s^(2N-2j) P_(j-1)(x_r^2, x_s^2)],
    the derivative of sum_j W^(2(j-1)/N) G W^(2(N-j)/N) at a diagonal W by divided differences.
    """

    def quotient(a: np.ndarray, b: np.ndarray, n: int) -> np.ndarray:
        return sum((a**i * b ** (n - 1 - i) for i in range(n)), np.zeros(np.broadcast_shapes(a.shape, b.shape)))

    root = eigenvalues ** (1 / depth)
    (x, y), (g, h) = ((v[..., :, None], v[..., None, :]) for v in (root, gradient))
    total = sum(
        g * x ** (2 * j - 2) * quotient(x**2, y**2, depth - j)
        + h * y ** (2 * depth - 2 * j) * quotient(x**2, y**2, j - 1)
        for j in range(1, depth + 1)
    )
    return -(x + y) / quotient(x, y, depth) * total


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


@dataclass(frozen=True, eq=False)
class Sweep:
    """The flows of one depth from several starts, in the eigenbasis and (`turned`, from the first start) in the given one.

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
        return _relative(self.runs[k].history["matrix"], self.instance.diagonal.matrix(self.explicit[k]))


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


@dataclass(frozen=True, eq=False)
class Perturbed:
    """A flow in the eigenbasis from a start that does not commute; `offdiagonal`: what linearization predicts."""

    depth: int
    alpha: float
    run: Solution
    explicit: np.ndarray
    offdiagonal: np.ndarray

    @property
    def measured(self) -> np.ndarray:
        """The norm of W off the diagonal over time, relative to the norm of the explicit solution."""
        matrices = self.run.history["matrix"]
        off = matrices * (1 - np.eye(matrices.shape[-1]))
        return np.linalg.norm(off, axis=(1, 2)) / np.linalg.norm(self.explicit, axis=1)

    @property
    def proved(self) -> np.ndarray:
        """The same from the linearized flow."""
        return np.linalg.norm(self.offdiagonal, axis=(1, 2)) / np.linalg.norm(self.explicit, axis=1)

    def check(self) -> Check:
        """The growth up to where the part off the diagonal reaches a hundredth, beyond which it is not small."""
        last = np.flatnonzero(self.proved < 1e-2)[-1]
        grown, proved = (each[last] / each[0] for each in (self.measured, self.proved))
        label = f"depth {self.depth}: growth of the part that does not commute, from alpha = {self.alpha:.0e}"
        return Check(label, float(grown), float(proved), "=", 0.02)

    def curves(self) -> list[Curve]:
        """Measured, and predicted while small."""
        share, small = self.run.history["time"] / self.run.history["time"][-1], self.proved < 1
        name = f"depth {self.depth}"
        return [
            Curve(name, share[::3], self.measured[::3], "points"),
            Curve(f"{name} (predicted)", share[small], self.proved[small], "dashed"),
        ]


def _perturbed(instance: Commuting, depth: int, alpha: float, size: float, seed: int) -> Perturbed:
    times, explicit = explicit_flow(instance, depth, alpha, points=4001)
    gradient = (explicit @ instance.levels.T - instance.values) @ instance.levels
    rates = offdiagonal_rates(explicit, gradient, depth)
    middle = (rates[1:] + rates[:-1]) / 2 * np.diff(times)[:, None, None]
    growth = np.exp(np.concatenate([np.zeros_like(middle[:1]), np.cumsum(middle, axis=0)]))
    noise = np.triu(np.random.default_rng(seed).standard_normal(rates.shape[1:]), 1)
    noise = size * (noise + noise.T) / np.linalg.norm(noise + noise.T)
    values, vectors = np.linalg.eigh(alpha * (np.eye(len(noise)) + noise))
    solver = GradientFlow(Deep(depth, Aligned(values, vectors, vectors)), times=times[::40], tolerance=1e-11)
    run = solve(instance.diagonal.problem, solver, track=["matrix"])
    return Perturbed(depth, alpha, run, explicit[::40], alpha * (noise * growth)[::40])


def _check(depth: Any, start: Any) -> None:
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 2:
        raise ValueError(f"depth must be an integer of at least 2, not {depth!r}")
    if not (np.isfinite(start) and start > 0):
        raise ValueError(f"start must be a positive scale, not {start}")


def _relative(measured: np.ndarray, proved: np.ndarray) -> np.ndarray:
    return np.linalg.norm(measured - proved, axis=(-2, -1)) / np.linalg.norm(proved, axis=(-2, -1))


def _commutators(instance: Commuting, matrices: np.ndarray) -> float:
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
              float(_relative(turned, swept.instance.matrix(swept.explicit[0])).max()), 0.0, "=", 1e-8),
        Check(f"{name}: W(t) commutes with the measurements, alpha = {first:.0e}",
              _commutators(swept.instance, turned), 0.0, "=", 1e-8),
        Check(f"{name}: nuclear norm less the minimum, alpha = {last:.0e}",
              float(swept.excess[-1]), float(proved[-1]), "=", 0.02),
        Check(f"{name}: exponent of alpha in it", float(slope), exponent, "=", 0.05),
    ]  # fmt: skip


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


def _turn(step: float, size: int) -> np.ndarray:
    """The direction of descent: `step` on the entries (1, 2) and (2, 1)."""
    direction = np.zeros((size, size))
    direction[0, 1] = direction[1, 0] = step
    return direction


def schatten_change(matrix: np.ndarray, step: float, power: float) -> float:
    """The change of sum sigma^p under a step on the entries (1, 2) and (2, 1)."""
    before, after = (np.abs(np.linalg.eigvalsh(each)) for each in (matrix, matrix + _turn(step, len(matrix))))
    return float((after**power).sum() - (before**power).sum())


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
        Check(f"p = {power:g}: largest change of sum sigma^p, all steps, at the limit and the flows' ends", max(changes), 0.0, "<="),
        Check(f"p = {power:g}: change / step^2 at step {least:g}", schatten_change(limit, least, power) / least**2,
              power * (power - 1), "=", least**2),
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


def _spectrum_panel(instance: Commuting, perturbed: Perturbed) -> Panel:
    order = np.arange(1, len(instance.basis) + 1)
    ended = np.linalg.svd(np.asarray(perturbed.run.matrix), compute_uv=False)
    return Panel(
        f"Singular values at the end, depth {perturbed.depth}", "r", "singular value",
        (
            Curve("perturbed start", order, ended, "points"),
            Curve("commuting start (predicted)", order, np.sort(perturbed.explicit[-1])[::-1], "dashed"),
        ),
        log="y",
    )  # fmt: skip


def _shift_panel(swept: Sequence[Sweep]) -> Panel:
    curves = []
    for each in swept:
        size, name = len(each.instance.basis), f"depth {each.depth}"
        shifts = [shift_of_limit(size, each.depth, float(start)) for start in each.starts]
        curves.append(Curve(name, each.starts, each.limits[:, 2, 2], "points"))
        curves.append(Curve(f"{name} (predicted)", each.starts, shifts, "dashed"))
    return Panel("The limit approaches diag(1, 1, 0, ...)", "alpha", "W 33 at the end", tuple(curves), log="xy")


def _descent_panels(limit: np.ndarray, powers: Sequence[float]) -> list[Panel]:
    steps, small = np.linspace(0, 1, 101), np.geomspace(1e-3, 1, 13)
    along, order = [], []
    for p in powers:
        along.append(Curve(f"p = {p:g}", steps, [schatten_change(limit, step, p) for step in steps]))
        order.append(Curve(f"p = {p:g}", small, [-schatten_change(limit, step, p) for step in small], "points"))
        order.append(Curve(f"p = {p:g} (predicted)", small, p * (1 - p) * small**2, "dashed"))
    return [
        Panel("Sum of p-th powers along the direction", "step on (1, 2) and (2, 1)", "change", tuple(along)),
        Panel("Second order: p (1 - p) step²", "step", "fall of the sum", tuple(order), log="xy"),
    ]
