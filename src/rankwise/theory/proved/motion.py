"""Theorem 3 and its corollary on real runs: how singular values move, and where their vectors come to rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rankwise.data.synthetic import low_rank, observe
from rankwise.factorizations import Deep, Full, Identity
from rankwise.loop import solve
from rankwise.optimizers import Optimizer
from rankwise.problems import Completion
from rankwise.solvers import EndToEndFlow, GradientDescent, GradientFlow, SpectralFlow
from rankwise.theory.finding import Check, Curve, Finding, Panel
from rankwise.theory.predictions import TRACK, Predictions, neighbors, predict

# A gradient this small, relative to the first, is rounding, and its direction says nothing.
FADED = 1e-6
# Speeds are measured at so many steps of a run.
POINTS = 200


def singular_value_motion(
    size: int = 30,
    rank: int = 3,
    count: int = 400,
    depths: Sequence[int] = (1, 2, 3, 4),
    scale: float = 1e-3,
    rate: float = 0.02,
    steps: Sequence[int] | None = None,
    key: int = 0,
) -> Finding:
    """Gradient descent on a completion problem: every singular value moves as theorem 3 says.

    d(sigma_r)/dt = -N (sigma_r^2)^(1-1/N) <grad l(W), u_r v_r^T>, measured by central differences over single steps of
    the given rate on the mean loss, from scale times the identity. Checks: the median relative error per depth is
    below 1 %, and singular values keep their sign (the determinant does) from depth 2 on.

    size, rank, count: a (size, size) truth of that rank with mean square 1, `count` entries observed. steps: the
    length of the run per depth; None: until about two and a half times the predicted take-off of the last true mode.

    Raises:
        ValueError: if depths is empty or holds something below 1.

    Source: Arora et al. 2019 (`arora2019implicit`), theorem 3 and lemma 1.
    """
    if not depths or min(depths) < 1:
        raise ValueError(f"depths must be integers of at least 1, not {tuple(depths)}")
    problem = observe(low_rank((size, size), rank, key=key), count, key=key + 1).mean()
    lengths = steps or [_length(problem, depth, scale, rate, rank) for depth in depths]
    runs = [_run(problem, depth, scale, rate, length) for depth, length in zip(depths, lengths, strict=True)]
    checks = [
        Check(f"depth {depth}: median relative error of the speeds", run.median_error, 0.0, "<=", 0.01)
        for depth, (run, _) in zip(depths, runs, strict=True)
    ]
    checks += [
        Check(f"depth {depth}: smallest sign of the determinant", float(signs.min()), 1.0)
        for depth, (_, signs) in zip(depths, runs, strict=True)
        if depth >= 2
    ]
    panels = tuple(_speeds_panel(depth, run) for depth, (run, _) in zip(depths, runs, strict=True))
    return Finding(
        "singular_value_motion",
        "Singular values move with speed -N sigma^(2-2/N) <grad l(W), u v^T>, and from depth 2 on never change sign.",
        "arora2019implicit, theorem 3", tuple(checks), panels, details=[run for run, _ in runs],
    )  # fmt: skip


def three_ways(
    size: int = 16, rank: int = 2, count: int = 130, depth: int = 3, scale: float = 1e-3, horizon: float = 300.0,
    tolerance: float = 1e-8, key: int = 0,
) -> Finding:  # fmt: skip
    """Layers, product and spectrum integrated each on its own: one trajectory.

    Checks: over the whole run, take-offs included, singular values of the flow of the product and of the flow of the
    spectrum differ from those of the layers by at most 1e-6 of the largest.

    Raises:
        ValueError: if the depth is below 2, or as the flows do.

    Source: Arora, Cohen, Hazan 2018 (`arora2018optimization`), theorem 1; Arora et al. 2019 (`arora2019implicit`),
    theorem 3 and lemma 2.
    """
    if depth < 2:
        raise ValueError(f"at depth 1 layers and product are the same equation: depth must be at least 2, not {depth}")
    problem = observe(low_rank((size, size), rank, key=key), count, key=key + 1).mean()
    start = Identity(scale)
    options: dict[str, Any] = {"times": horizon, "tolerance": tolerance}
    flows = {
        "layers": GradientFlow(Deep(depth, start), **options),
        "product": EndToEndFlow(depth, start, **options),
        "spectrum": SpectralFlow(depth, start, **options),
    }
    runs = {name: solve(problem, flow, track=["singular_values"]) for name, flow in flows.items()}
    paths = {name: run.history["singular_values"] for name, run in runs.items()}
    top = paths["layers"].max()
    apart = {name: np.abs(paths[name] - paths["layers"]).max(axis=1) / top for name in ("product", "spectrum")}
    checks = tuple(
        Check(f"largest difference of singular values, {name} against layers", float(gap.max()), 0.0, "<=", 1e-6)
        for name, gap in apart.items()
    )
    times = runs["layers"].history["time"]
    modes = tuple(Curve(f"mode {r + 1}", times, paths["layers"][:, r]) for r in range(rank + 1))
    gaps = tuple(Curve(name, times[1:], np.where(gap[1:] > 0, gap[1:], np.nan)) for name, gap in apart.items())
    panels = (
        Panel(f"Singular values, depth {depth}", "time", "singular value", modes),
        Panel("Difference from the layers' flow", "time", "share of the largest value", gaps, "y"),
    )
    return Finding(
        "three_ways", "From balanced layers, the flows of layers, product and spectrum are one trajectory.",
        "arora2018optimization, theorem 1; arora2019implicit, theorem 3", checks, panels, details=runs,
    )  # fmt: skip


def stationary_vectors(
    values: Sequence[float] = (5.0, 3.0, 1.5, 0.5), depths: Sequence[int] = (2, 3), scale: float = 1e-2, key: int = 0
) -> Finding:
    """Corollary 1: where the singular vectors stand still, U^T grad l(W) V is diagonal; and elsewhere it is not.

    A fully observed symmetric matrix, started from the identity: the vectors are its eigenvectors at once and
    stay, so the coupling's entries off the diagonal vanish. From an orthogonal start they turn first, the
    coupling is not diagonal, and becomes so as they come to rest.

    Raises:
        ValueError: if a depth is below 2 (the corollary needs depth).

    Source: Arora et al. 2019 (`arora2019implicit`), corollary 1.
    """
    if not depths or min(depths) < 2:
        raise ValueError(f"the corollary holds from depth 2 on, not for {tuple(depths)}")
    d = len(values)
    basis, _ = np.linalg.qr(np.random.default_rng(key).normal(size=(d, d)))
    problem = Completion.from_dense((basis * np.asarray(values)) @ basis.T)
    checks, curves = [], []
    for depth in depths:
        run = _aligned(problem, depth, scale)
        coupling = np.array([_off_diagonal(problem, w) for w in run.history["matrix"][1:]])
        checks.append(
            Check(f"depth {depth}, vectors at rest: share off the diagonal", np.nanmax(coupling), 0.0, "<=", 1e-6)
        )
        turned = _aligned(problem, depth, scale, turned=True)
        path = np.array([_off_diagonal(problem, w) for w in turned.history["matrix"]])
        times = run.history["time"]
        # At the start itself all singular values are equal, and their vectors arbitrary.
        name = f"depth {depth}, turning vectors: share at time {times[1]:g}"
        checks.append(Check(name, float(path[1]), 0.1, ">="))
        checks.append(Check(f"depth {depth}, ... when they have turned", np.nanmin(path), 0.0, "<=", 1e-3))
        curves += [
            Curve(f"depth {depth}, vectors at rest", times[1:], coupling),
            Curve(f"depth {depth}, vectors turning", times[1:], path[1:]),
        ]
    panel = Panel("Uᵀ ∇ℓ(W) V off its diagonal", "time", "share of its norm", tuple(curves), "y")
    return Finding(
        "stationary_vectors",
        "At depth 2 or more, singular vectors that stand still are aligned with those of the gradient.",
        "arora2019implicit, corollary 1", tuple(checks), (panel,),
    )  # fmt: skip


def _length(problem: Completion, depth: int, scale: float, rate: float, rank: int) -> int:
    from rankwise.theory.predictions import half_times, takeoff_times

    if depth == 1:
        return 2000
    last = np.nanmax([half_times(problem, depth, scale)[rank - 1], takeoff_times(problem, depth, scale)[rank - 1]])
    return int(2.5 * last / rate)


def _run(problem: Completion, depth: int, scale: float, rate: float, length: int) -> tuple[Predictions, np.ndarray]:
    """Predictions beside measurements, and the determinant's signs relative to the first."""
    start = Identity(scale)
    solver = GradientDescent(Full(start) if depth == 1 else Deep(depth, start), Optimizer("gradient_descent", rate))
    centers = np.unique(np.linspace(1, length - 1, POINTS).astype(int)).tolist()
    solution = solve(
        problem, solver, max_steps=length, track=[*TRACK, "matrix"], checkpoints=neighbors(centers, length)
    )
    signs = np.linalg.slogdet(solution.history["matrix"])[0]
    return predict(problem, solver, solution), signs * signs[0]


def _speeds_panel(depth: int, run: Predictions) -> Panel:
    curves = [
        curve
        for r in range(min(3, run.measured.shape[1]))
        for curve in (
            Curve(f"mode {r + 1}", run.times, run.measured[:, r], "points"),
            Curve(f"mode {r + 1} (predicted)", run.times, run.predicted[:, r], "dashed"),
        )
    ]
    return Panel(f"Depth {depth}", "time", "speed dσ/dt", tuple(curves))


def _aligned(problem: Completion, depth: int, scale: float, turned: bool = False) -> Any:
    from rankwise.factorizations import Orthogonal

    start = Orthogonal(scale) if turned else Identity(scale)
    flow = GradientFlow(Deep(depth, start), times=np.linspace(0, 40, 81), tolerance=1e-10)
    return solve(problem, flow, key=1, track=["matrix"])


def _off_diagonal(problem: Completion, matrix: np.ndarray) -> float:
    """The share of |U^T grad l(W) V|_F off its diagonal; NaN once the gradient has fallen to 1e-6 of that at 0."""
    u, _, vt = np.linalg.svd(matrix)
    coupling = u.T @ problem.gradient(matrix) @ vt.T
    size = np.linalg.norm(coupling)
    if size < FADED * np.linalg.norm(problem.values):
        return math.nan
    return float(np.linalg.norm(coupling - np.diag(np.diag(coupling))) / size)
