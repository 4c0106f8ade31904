"""How the commuting trajectory is lost to rounding at depth 3 and more: the growth of what does not commute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rankwise.factorizations import Deep, Given
from rankwise.loop import solve
from rankwise.solution import Solution
from rankwise.solvers import GradientFlow
from rankwise.theory.commuting_flow import Commuting, draw_commuting, explicit_flow
from rankwise.theory.finding import Check, Curve, Finding, Panel


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
    that is the square root of how the mode itself grows; at depth >= 3 the wait is polynomially long in 1 / alpha and
    the growth exponential in it, so rounding errors alone end the commuting trajectory at small alpha.

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
            Panel("W off the common eigenbasis", "time / end", "share of the norm of W",
                  tuple(curve for each in swept for curve in each.curves()), log="xy"),
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
        share = self.run.history["time"] / self.run.history["time"][-1]
        small = (self.proved < 1) & (share > 0)
        name = f"depth {self.depth}"
        return [
            Curve(name, share[1::3], self.measured[1::3], "points"),
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
    start = Given(np.eye(len(noise)) + noise, alpha)
    solver = GradientFlow(Deep(depth, start), times=times[::40], tolerance=1e-11)
    run = solve(instance.diagonal.problem, solver, track=["matrix"])
    return Perturbed(depth, alpha, run, explicit[::40], alpha * (noise * growth)[::40])


def _spectrum_panel(instance: Commuting, perturbed: Perturbed) -> Panel:
    order = np.arange(1, len(instance.basis) + 1)
    ended = np.linalg.svd(np.asarray(perturbed.run.matrix), compute_uv=False)
    return Panel(
        f"At the end, depth {perturbed.depth}", "position", "singular value",
        (
            Curve("perturbed start", order, ended, "points"),
            Curve("commuting start (predicted)", order, np.sort(perturbed.explicit[-1])[::-1], "dashed"),
        ),
        log="y",
    )  # fmt: skip
