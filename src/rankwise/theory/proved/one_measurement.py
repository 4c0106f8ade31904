"""One measurement of two singular values: the relation between them that each depth conserves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rankwise.factorizations import Deep, Given
from rankwise.loop import solve_batch
from rankwise.problems import Sensing
from rankwise.results import RESULTS
from rankwise.solution import Solution
from rankwise.solvers import GradientFlow
from rankwise.theory.finding import Check, Curve, Finding, Panel

# Where a run ends: the loss, half the squared residual of a measured value of 1.
EXPLAINED = 1e-22


def conserved(sigma_1: Any, sigma_2: Any, depth: int, ratio: float) -> np.ndarray:
    """c, which does not change along the flow while the singular vectors stand still.

    Depth 1: sigma_1 - a sigma_2. Depth 2: sigma_1 / sigma_2^a. Depth N >= 3, with p = (N-2)/N:
    sigma_1^-p - a sigma_2^-p. a = `ratio` is <grad l, u_1 v_1^T> / <grad l, u_2 v_2^T>, constant for one measurement.

    Raises:
        ValueError: if the depth is not an integer of at least 1, or the ratio is not positive.
    """
    _check(depth, ratio)
    first, second = np.asarray(sigma_1, float), np.asarray(sigma_2, float)
    if depth <= 2:
        return first - ratio * second if depth == 1 else first / second**ratio
    power = (depth - 2) / depth
    return first**-power - ratio * second**-power


def partner(sigma_2: Any, constant: float, depth: int, ratio: float) -> np.ndarray:
    """sigma_1 as a function of sigma_2: a sigma_2 + c, c sigma_2^a, or (a sigma_2^(-(N-2)/N) + c)^(-N/(N-2)).

    Raises:
        ValueError: if the depth is not an integer of at least 1, or the ratio is not positive.

    Source: Arora, Cohen, Hu, Luo 2019 (`arora2019implicit`), section 3.3.
    """
    _check(depth, ratio)
    second = np.asarray(sigma_2, float)
    if depth <= 2:
        return ratio * second + constant if depth == 1 else constant * second**ratio
    power = (depth - 2) / depth
    return (ratio * second**-power + constant) ** (-1 / power)


def ceiling(constant: float, depth: int) -> float:
    """What sigma_1 cannot pass however large sigma_2 grows: c^(-N/(N-2)) at depth N >= 3 with c > 0, else infinity.

    From equal starts s and for 0 < a < 1 that is s (1 - a)^(-N/(N-2)).
    """
    return float(constant ** (-depth / (depth - 2))) if depth >= 3 and constant > 0 else float("inf")


def one_measurement(
    *,
    depths: Sequence[int] = (1, 2, 3, 4),
    ratio: float = 0.5,
    starts: tuple[float, float] = (1.0, 1.0),
    scales: Sequence[float] = (1e-1, 1e-2, 1e-3, 1e-4),
    shape: tuple[int, int] = (4, 3),
    seed: int = 0,
) -> Finding:
    """Two singular values that one measurement sees keep a relation, and at depth >= 3 the weaker one saturates.

    <A, W> = 1 is measured, with A = U diag(a, 1) V^T and W(0) = s U diag(starts) V^T for every scale s, so the vectors
    stand still. Measured: the relation along the flow, and how far the weaker singular value gets.

    depths: of the products. ratio: a. scales: s, the largest first. shape, seed: of the matrix, whose other
    singular values are zero, and of the random U and V.

    Raises:
        ValueError: if a depth is not an integer of at least 1, the ratio is not between 0 and 1, starts or scales are
            not positive, or the shape has no two singular values.

    Source: Arora, Cohen, Hu, Luo 2019 (`arora2019implicit`), section 3.3.
    """
    if not 0 < ratio < 1:
        raise ValueError(f"ratio must lie strictly between 0 and 1, not {ratio}")
    if min(*starts, *scales) <= 0:
        raise ValueError("starts and scales must be positive")
    if min(shape) < 2:
        raise ValueError(f"shape must hold two singular values, not {shape}")
    for depth in depths:
        _check(depth, ratio)
    frames = _frames(shape, seed)
    flows = {depth: _flows(depth, ratio, np.asarray(starts, float), scales, frames) for depth in depths}
    paths = {depth: [_path(run, frames) for run in runs] for depth, runs in flows.items()}
    return Finding(
        name="one_measurement",
        statement="Under one measurement, aligned, sigma_1 = a sigma_2 + c at depth 1, c sigma_2^a at depth 2 and "
        "(a sigma_2^(-(N-2)/N) + c)^(-N/(N-2)) at depth N >= 3, where for 0 < a < 1 the weaker value saturates.",
        source="arora2019implicit, section 3.3",
        checks=tuple(check for depth in depths for check in _checks(depth, ratio, flows[depth], paths[depth], frames)),
        panels=(_relation_panel(ratio, paths), _reach_panel(ratio, scales, paths)),
        details={"flows": flows, "paths": paths, "left": frames[0], "right": frames[1]},
    )


def _check(depth: Any, ratio: float) -> None:
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 1:
        raise ValueError(f"depth must be an integer of at least 1, not {depth!r}")
    if not (np.isfinite(ratio) and ratio > 0):
        raise ValueError(f"ratio must be positive and finite, not {ratio}")


def _frames(shape: tuple[int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.standard_normal((size, 2)))[0] for size in shape)
    return left, right


def _flows(
    depth: int, ratio: float, starts: np.ndarray, scales: Sequence[float], frames: tuple[np.ndarray, np.ndarray]
) -> list[Solution]:
    left, right = frames
    problem = Sensing(((left * [ratio, 1.0]) @ right.T)[None], np.ones(1))
    aligned, solvers = (left * starts) @ right.T, []
    for scale in scales:
        # Take-off of the stronger value (speed N sigma^(2-2/N)), then time to settle.
        begin = scale * starts[1]
        wait = -np.log(begin) / 2 if depth == 2 else begin ** (2 / depth - 1) / max(depth - 2, 1)
        times = np.unique(np.concatenate([np.linspace(0, 1.2 * wait, 60), 1.2 * wait + np.geomspace(0.05, 80, 60)]))
        solvers.append(
            GradientFlow(Deep(depth, Given(aligned, scale)), times=times, tolerance=1e-12, explained=EXPLAINED)
        )
    return solve_batch(problem, solvers, track=["matrix", "singular_values"])


def _path(run: Solution, frames: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """<W, u_r v_r^T> for r = 1, 2 at every time, shape (times, 2)."""
    return np.einsum("ir,tij,jr->tr", frames[0], run.history["matrix"], frames[1])


def _checks(
    depth: int, ratio: float, runs: list[Solution], paths: list[np.ndarray], frames: tuple[np.ndarray, np.ndarray]
) -> list[Check]:
    constants = [float(conserved(path[0, 0], path[0, 1], depth, ratio)) for path in paths]
    off = [path[:, 0] / partner(path[:, 1], c, depth, ratio) - 1 for path, c in zip(paths, constants, strict=True)]
    last = float(paths[-1][-1, 0])
    moved = max(_turned(run, path, frames) for run, path in zip(runs, paths, strict=True))
    expected = _end(constants[-1], depth, ratio)
    name = f"depth {depth}"
    checks = [
        Check(f"{name}: values explained in every run", float(all(r.result is RESULTS.explained for r in runs)), 1.0),
        Check(f"{name}: singular vectors stand still", moved, 0.0, "=", 1e-10),
        Check(
            f"{name}: sigma_1 beside its function of sigma_2", float(np.abs(np.concatenate(off)).max()), 0.0, "=", 1e-9
        ),
        Check(f"{name}: sigma_1 at the end, from the smallest start", last, float(expected), "=", 1e-9),
    ]
    if depth >= 3 and constants[-1] > 0:
        checks.append(
            Check(
                f"{name}: sigma_1 at the end stays below its ceiling", last, ceiling(constants[-1], depth), "<=", 1e-9
            )
        )
    return checks


def _turned(run: Solution, path: np.ndarray, frames: tuple[np.ndarray, np.ndarray]) -> float:
    """The largest part of W outside U diag(.) V^T, as a share of W."""
    aligned = (frames[0] * path[:, None, :]) @ frames[1].T
    off = np.linalg.norm(run.history["matrix"] - aligned, axis=(1, 2))
    return float((off / np.linalg.norm(aligned, axis=(1, 2))).max())


def _end(constant: float, depth: int, ratio: float) -> float:
    """sigma_1 where a sigma_1 + sigma_2 = 1."""
    from scipy.optimize import brentq

    def residual(second: float) -> float:
        return ratio * float(partner(second, constant, depth, ratio)) + second - 1

    return float(partner(brentq(residual, 1e-300 if depth < 3 else 1e-12, 1.0, xtol=1e-15), constant, depth, ratio))


def _relation_panel(ratio: float, paths: dict[int, list[np.ndarray]]) -> Panel:
    curves = []
    for depth, runs in paths.items():
        path = runs[-1]
        proved = partner(path[:, 1], float(conserved(path[0, 0], path[0, 1], depth, ratio)), depth, ratio)
        curves.append(Curve(f"depth {depth}", path[::4, 1], path[::4, 0], "points"))
        curves.append(Curve(f"depth {depth} (predicted)", path[:, 1], proved, "dashed"))
    return Panel(f"The relation at a = {ratio:g}", "σ₂", "σ₁, the weaker", tuple(curves), log="xy")


def _reach_panel(ratio: float, scales: Sequence[float], paths: dict[int, list[np.ndarray]]) -> Panel:
    curves = []
    for depth, runs in paths.items():
        reached = np.array([path[-1, 0] / path[0, 0] for path in runs])
        constants = [float(conserved(path[0, 0], path[0, 1], depth, ratio)) for path in runs]
        limits = np.array([ceiling(c, depth) / path[0, 0] for c, path in zip(constants, runs, strict=True)])
        proved = [_end(c, depth, ratio) / path[0, 0] for c, path in zip(constants, runs, strict=True)]
        curves.append(Curve(f"depth {depth}", scales, reached, "points"))
        curves.append(Curve(f"depth {depth} (predicted)", scales, proved, "dashed"))
        if np.isfinite(limits).all():
            curves.append(Curve(f"depth {depth} (bound)", scales, limits, "dotted"))
    title = "Growth of the weaker value"
    return Panel(title, "scale of the start", "σ₁ at the end / at the start", tuple(curves), "xy")
