"""Measurements that commute, and what is known in closed form of the flow that they see."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rankwise.problems import Sensing

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


def check_sweep(depth: Any, start: Any) -> None:
    """Raise a ValueError unless the depth is at least 2 and the starts lie above 0."""
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 2:
        raise ValueError(f"depth must be an integer of at least 2, not {depth!r}")
    if not (np.isfinite(start) and start > 0):
        raise ValueError(f"start must be a positive scale, not {start}")
