"""The counterexample to the nuclear-norm conjecture: where small starts find least rank and not least norm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rankwise.factorizations import Deep, Identity, Symmetric
from rankwise.loop import solve, solve_batch
from rankwise.problems import Completion
from rankwise.solution import Solution
from rankwise.solvers import GradientFlow, Greedy
from rankwise.theory.finding import Check, Curve, Finding, Panel

# A flow has fitted the observations at this loss: residuals of 5e-7, far below every distance reported.
FITTED = 1e-13
# Requested times: escapes from the smallest scales take up to about 1e4.
TIMES = np.concatenate([[0.0], np.geomspace(0.1, 1e8, 240)])


def instance(R: float = 2.0) -> Completion:
    """The symmetric 4 x 4 completion with W_13 = 1, W_14 = R, W_23 = R and their transposes, half-sum loss.

    Raises:
        ValueError: if R is not finite and above 1.

    Source: Li, Luo, Lyu 2021 (`li2021greedy`), example 5.9.
    """
    if not (math.isfinite(R) and R > 1):
        raise ValueError(f"R must be finite and above 1, not {R}")
    rows, cols = np.array([0, 0, 1]), np.array([2, 3, 2])
    values = np.array([1.0, R, R])
    return Completion((4, 4), np.append(rows, cols), np.append(cols, rows), np.append(values, values))


def least_norm_completion(R: float = 2.0) -> np.ndarray:
    """M_norm: rank 2, eigenvalues 2 (R + 1), 2 (R - 1), 0, 0, and so nuclear norm 4 R, the least possible."""
    a, b = [R, 1.0, 1.0, R], [1.0, R, R, 1.0]
    return np.array([a, b, b, a])


def least_rank_completion(R: float = 2.0) -> np.ndarray:
    """M_rank = v v^T with v = (1, R, 1, R): rank 1, nuclear norm 2 + 2 R^2."""
    v = np.array([1.0, R, 1.0, R])
    return np.outer(v, v)


def norm_certificate() -> np.ndarray:
    """Y with |Y|_2 = 1, zero where nothing is observed, so that |W|_* >= <Y, W> = 4 R for every completion W.

    Y exchanges 1 with 4 and 2 with 3; for positive semidefinite W it says W_11 + W_44 >= 2 R, W_22 + W_33 >= 2 R.
    """
    return np.fliplr(np.eye(4))


def drives(R: float = 2.0) -> tuple[float, float]:
    """The two positive eigenvalues mu_1 > mu_2 of -grad l(0): (sqrt(1 + 4 R^2) +- 1) / 2."""
    root = math.sqrt(1 + 4 * R**2)
    return (root + 1) / 2, (root - 1) / 2


def small_starts(
    R: float, depth: int, scales: Sequence[float], tolerance: float = 1e-9
) -> tuple[list[Solution], np.ndarray, np.ndarray]:
    """Gradient flow from the products scale * I: solutions, distances |W - M_rank|_F, second singular values."""
    problem = instance(R)
    solvers = [
        GradientFlow(
            Deep(depth, Identity(scale)), times=TIMES, tolerance=tolerance, method="tsit5", explained=FITTED
        )
        for scale in scales
    ]  # fmt: skip
    solutions = solve_batch(problem, solvers)
    matrices = [np.asarray(solution.matrix) for solution in solutions]
    distances = [np.linalg.norm(matrix - least_rank_completion(R)) for matrix in matrices]
    seconds = [np.linalg.svd(matrix, compute_uv=False)[1] for matrix in matrices]
    return solutions, np.array(distances), np.array(seconds)


def counterexample(
    R: float = 2.0,
    depths: Sequence[int] = (2, 3, 4),
    scales: Sequence[float] = (1e-1, 1e-2, 1e-3, 1e-4, 1e-6),
    tolerance: float = 1e-9,
) -> Finding:
    """A completion whose least nuclear norm, 4 R, and least rank, 1, belong to different matrices.

    Small starts lead to the matrix of rank 1 and of nuclear norm 2 + 2 R^2 > 4 R, so flows from small starts do not
    minimize the nuclear norm. Greedy learning is there after one phase; flows from scale * I approach it as the
    scale falls. details: problem, greedy (its Solution), and by depth an array of rows (scale, distance to M_rank,
    second singular value, nuclear norm).

    Raises:
        ValueError: if R is not above 1, scales are not positive and descending, or a depth is below 2.

    Source: Li, Luo, Lyu 2021 (`li2021greedy`), example 5.9.
    """
    problem = instance(R)
    _descending(scales)
    if not depths or min(depths) < 2:
        raise ValueError(f"depths must be integers of at least 2, not {tuple(depths)}")
    greedy = solve(problem, Greedy(Symmetric(), inner="flow", tolerance=1e-10))
    tables = {depth: _table(R, depth, scales, tolerance) for depth in depths}
    return Finding(
        "counterexample",
        f"flows from small starts find the matrix of rank 1, nuclear norm 2 + 2 R^2 = {2 + 2 * R**2:g}, "
        f"not the least nuclear norm 4 R = {4 * R:g}",
        "li2021greedy, example 5.9",
        (*_instance_checks(R), *_greedy_checks(R, greedy), *_flow_checks(R, tables)),
        _panels(R, tables),
        details={"problem": problem, "greedy": greedy, "tables": tables},
    )


def counterexample_scaling(
    R: float = 2.0,
    depths: Sequence[int] = (2, 3, 4),
    scales: Sequence[float] = (1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12),
    deep_scales: Sequence[float] = (1e-2, 1e-4, 1e-6, 1e-8),
    tolerance: float = 1e-9,
) -> Finding:
    """How fast the second singular value vanishes with the scale s of the start, on the counterexample.

    For modes that grow from s with drives mu_1 > mu_2 until the first is of order 1, the second is then of the order
    s^(1 - mu_2 / mu_1) at depth 2 and s (1 - mu_2 / mu_1)^(-L / (L - 2)) at depth L >= 3. What it does later changes
    the factor and not the power; here it hardly moves. scales: those at depth 2; deep_scales: those beyond.
    details: by depth, rows as in `counterexample`.

    Raises:
        ValueError: as `counterexample`, or if fewer than two scales are given.

    Source: integration of theorem 3 of Arora et al. 2019 (`arora2019implicit`) with fixed singular vectors.
    """
    for name, given in (("scales", scales), ("deep_scales", deep_scales)):
        _descending(given)
        if len(given) < 2:
            raise ValueError(f"{name} must be at least two, not {len(given)}")
    tables = {depth: _table(R, depth, scales if depth == 2 else deep_scales, tolerance) for depth in depths}
    checks, curves = [], []
    for depth, table in tables.items():
        s, second = table[:, 0], table[:, 2]
        power, predicted = scaling_prediction(R, depth, s)
        local = math.log(second[-2] / second[-1]) / math.log(s[-2] / s[-1])
        # Both are limits as s -> 0; at the default scales they are approached to about 2 %.
        checks.append(Check(f"power of the scale in sigma_2, depth {depth}", local, power, "=", 0.05))
        if depth > 2:
            ratio = float(second[-1] / s[-1])
            checks.append(Check(f"sigma_2 / scale, depth {depth}", ratio, float(predicted[-1] / s[-1]), "=", 0.05))
        shown = predicted if depth > 2 else predicted * second[-1] / predicted[-1]
        curves += [
            Curve(f"depth {depth}", s, second, "points"),
            Curve(f"depth {depth} (predicted)", s, shown, "dashed"),
        ]
    panel = Panel("Second singular value", "scale of the start", "σ₂", tuple(curves), "xy")
    return Finding(
        "counterexample_scaling",
        "the second singular value falls as a weak power of the scale at depth 2, in proportion to it at depth >= 3",
        "li2021greedy, example 5.9; arora2019implicit, theorem 3",
        tuple(checks),
        (panel, _slopes_panel(R, tables)),
        kind="measurement",
        details=tables,
    )


def scaling_prediction(R: float, depth: int, scales: Any) -> tuple[float, np.ndarray]:
    """The power of the scale s in sigma_2, and s^power times the factor (1 where only the power is predicted)."""
    first, second = drives(R)
    s = np.asarray(scales, float)
    if depth == 2:
        power = 1 - second / first
        return power, s**power
    return 1.0, s * (1 - second / first) ** (-depth / (depth - 2))


def _table(R: float, depth: int, scales: Sequence[float], tolerance: float) -> np.ndarray:
    solutions, distances, seconds = small_starts(R, depth, scales, tolerance)
    norms = [float(np.linalg.norm(np.asarray(solution.matrix), "nuc")) for solution in solutions]
    return np.column_stack([scales, distances, seconds, norms])


def _instance_checks(R: float) -> tuple[Check, ...]:
    problem, norm, rank, dual = instance(R), least_norm_completion(R), least_rank_completion(R), norm_certificate()
    exact = 1e-12  # rounding of sums of a few numbers
    eigenvalues = np.linalg.eigvalsh(norm)[::-1]
    drive = np.linalg.eigvalsh(-problem.gradient(np.zeros((4, 4))))[::-1]
    misfit = max(np.abs(problem.residual(matrix)).max() for matrix in (norm, rank))
    return (
        Check("misfit of M_norm and M_rank", float(misfit), 0.0, "=", exact),
        Check("first eigenvalue of M_norm", eigenvalues[0], 2 * (R + 1), "=", exact),
        Check("second eigenvalue of M_norm", eigenvalues[1], 2 * (R - 1), "=", exact),
        Check("nuclear norm of M_norm", float(np.abs(eigenvalues).sum()), 4 * R, "=", exact),
        Check("certificate: spectral norm", float(np.linalg.norm(dual, 2)), 1.0, "<=", exact),
        Check(
            "certificate: bound of the nuclear norm", float(problem.measure(dual) @ problem.values), 4 * R, "=", exact
        ),
        Check("nuclear norm of M_rank", float(np.linalg.norm(rank, "nuc")), 2 + 2 * R**2, "=", exact),
        Check("leading eigenvalue of -grad l(0)", drive[0], drives(R)[0], "=", exact),
        Check("second eigenvalue of -grad l(0)", drive[1], drives(R)[1], "=", exact),
    )


def _greedy_checks(R: float, greedy: Solution) -> tuple[Check, ...]:
    target = least_rank_completion(R)
    away = float(np.linalg.norm(np.asarray(greedy.matrix) - target) / np.linalg.norm(target))
    # Greedy learning stops at residuals of 7e-11 of the values.
    return (
        Check("phases of greedy learning", float(greedy.steps), 1.0),
        Check("relative distance of greedy learning to M_rank", away, 0.0, "=", 1e-8),
    )


def _flow_checks(R: float, tables: dict[int, np.ndarray]) -> list[Check]:
    checks = []
    for depth, table in tables.items():
        falls = table[1:, 1] / table[:-1, 1]
        checks.append(
            Check(f"distance from a scale to the next larger's, depth {depth}", float(falls.max(initial=0)), 1.0, "<=")
        )
        if depth > 2:
            # The excess singular values are about 20 times the scale at depth 3 and fewer beyond.
            label = f"nuclear norm from scale {table[-1, 0]:g}, depth {depth}"
            checks.append(Check(label, float(table[-1, 3]), 2 + 2 * R**2, "=", max(100 * table[-1, 0], 1e-6)))
    return checks


def _panels(R: float, tables: dict[int, np.ndarray]) -> tuple[Panel, ...]:
    def curves(column: int) -> list[Curve]:
        return [Curve(f"depth {depth}", t[:, 0], t[:, column]) for depth, t in tables.items()]

    ends = next(iter(tables.values()))[[0, -1], 0]
    levels = (("M_rank: 2 + 2R²", 2 + 2 * R**2), ("M_norm: 4R", 4 * R))
    limits = [Curve(label, ends, [level, level], "dotted") for label, level in levels]
    start = "scale of the start"
    return (
        Panel("Distance to the matrix of rank 1", start, "‖W − M_rank‖ (Frobenius)", tuple(curves(1)), "xy"),
        Panel("Nuclear norm learned", start, "nuclear norm of W", (*curves(3), *limits), "x"),
    )


def _slopes_panel(R: float, tables: dict[int, np.ndarray]) -> Panel:
    curves = []
    for depth, table in tables.items():
        logs = np.log(table[:, [0, 2]])
        middle = np.exp((logs[1:, 0] + logs[:-1, 0]) / 2)
        slopes = np.diff(logs[:, 1]) / np.diff(logs[:, 0])
        limit = np.full(len(middle), scaling_prediction(R, depth, 1.0)[0])
        curves += [
            Curve(f"depth {depth}", middle, slopes),
            Curve(f"depth {depth} (predicted)", middle, limit, "dashed"),
        ]
    return Panel("Local power of the scale", "scale of the start", "d log σ₂ / d log s", tuple(curves), "x")


def _descending(scales: Sequence[float]) -> None:
    array = np.asarray(scales, float)
    if array.ndim != 1 or not array.size or not (np.isfinite(array).all() and (array > 0).all()):
        raise ValueError(f"scales must be positive numbers, not {scales!r}")
    if (np.diff(array) >= 0).any():
        raise ValueError(f"scales must descend, not {scales!r}")
