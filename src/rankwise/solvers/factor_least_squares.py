"""Least squares over both factors of a matrix: Levenberg-Marquardt from a warm start to a local minimum."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from rankwise.lowrank import LowRank
from rankwise.problems import Completion, Problem
from rankwise.solvers.normal_equations import HUGE, EliminatedFactor, JointFactors, Point

# Levenberg-Marquardt: the first damping, its range, and how often it may rise within one step.
FIRST_DAMPING = 1e-3
DAMPING_RANGE = (1e-13, 1e15)
MAX_RAISES = 40
# So many steps in a row must gain less than `stationary` before the point counts as a local minimum.
FLAT_STEPS = 3
# The most steps that an exact fit is carried on for.
POLISH_STEPS = 5
# Ridge continuation of a grown rank: the ridges as shares of the drive, the accuracy there, and how many times
# the newest singular value the others may be before they are spared the ridge.
LADDER = (0.3, 0.1)
LADDER_STATIONARY = 0.1
SPARED_ABOVE = 100.0

Outcome = Literal["exact", "stationary", "max_steps", "diverging", "non_finite"]


@dataclass(frozen=True, eq=False)
class Fit:
    """Fitted factors, |measure(left right^T) - values|, the steps taken, and why the fit ended.

    exact: the relative residual is at most `tolerance`; stationary: a local minimum; max_steps: neither yet;
    diverging: the matrix outgrew `norm_limit`, or did so at the start; non_finite: the starting factors or the
    data are not finite.
    """

    left: np.ndarray
    right: np.ndarray
    residual_norm: float
    steps: int
    outcome: Outcome


def fit_factors(
    problem: Problem,
    left: np.ndarray,
    right: np.ndarray,
    *,
    ridge: float | np.ndarray = 0.0,
    tolerance: float = 1e-12,
    stationary: float = 1e-3,
    max_steps: int = 500,
    norm_limit: float = 1e4,
    symmetric: bool = False,
) -> Fit:
    """Minimize scale/2 |measure(left right^T) - values|^2 + ridge/2 (|left|_F^2 + |right|_F^2) from a start.

    left (d1, r), right (d2, r); symmetric: left = right = Z (d, r), of which only `left` is read. All work is in
    float64, whatever the precision of the data. Without ridge the factors returned may be scaled against each
    other, and they have at most min(d1, d2) columns; the matrix is what counts. ridge may also be one number per
    column, ascending, while the columns are sorted by singular value, descending.

    tolerance: a residual of at most this share of |values| is exact.
    stationary: three steps in a row that each lower the objective by less than this share end the fit.
    norm_limit: the fit is diverging when |W|_F exceeds this multiple of the problem's norm estimate.
    """
    left, right = np.asarray(left, float), np.asarray(left if symmetric else right, float)
    values = np.asarray(problem.values, float)
    size = float(np.max(np.abs(values)))
    if not (np.isfinite(left).all() and np.isfinite(right).all() and np.isfinite(size)):
        return Fit(left, right, float("nan"), 0, "non_finite")
    if size == 0.0 or left.shape[1] == 0:
        left, right = left * 0, right * 0
        return Fit(left, right, float(np.linalg.norm(values)), 0, "exact" if size == 0.0 else "stationary")
    # Values of size one, and factors to match: no square can overflow or vanish.
    root = np.sqrt(size)
    if max(np.max(np.abs(left)), np.max(np.abs(right))) > HUGE * root:
        return Fit(left, right, float("inf"), 0, "diverging")
    ridges = np.broadcast_to(np.asarray(ridge, float) / (problem.scale * size), left.shape[1:])
    ridges = ridges[: min(problem.shape)]
    system = _system(problem, values / size, ridges, symmetric)
    limit = norm_limit * np.sqrt(left.shape[0] * right.shape[0] / float(problem.energy()))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        fit = _descend(system, system.settle(left / root, right / root), tolerance, stationary, max_steps, limit)
    return replace(fit, left=fit.left * root, right=fit.right * root, residual_norm=fit.residual_norm * size)


def grow_factors(
    problem: Problem,
    left: np.ndarray,
    right: np.ndarray,
    drive: float,
    *,
    ridge: float = 0.0,
    tolerance: float = 1e-12,
    stationary: float = 1e-2,
    max_steps: int = 500,
    norm_limit: float = 1e4,
    symmetric: bool = False,
    ladder: tuple[float, ...] = LADDER,
) -> Fit:
    """`fit_factors` for a rank just grown by a leading pair, through a falling ridge.

    left (d1, r), right (d2, r): the last columns are the new pair, scaled to its best step; drive: its singular
    value s in minus the gradient of the loss. The shares of s in `ladder` come as ridges before the one asked for.
    They keep the factors from growing into entries that no observation holds, which is what traps a plain fit in
    local minima when observations are few. Singular values more than 100 times the new one feel
    min(1, (100 sigma_new / sigma)^2) of the ridge: on matrices of large condition number a ridge of
    equal weight would shift the large ones by more than the size of the small. The fit reports the last stage's
    residual and outcome, and the steps of all.
    """
    left, right = np.asarray(left, float), np.asarray(left if symmetric else right, float)
    newest = float(np.linalg.norm(left[:, -1]) * np.linalg.norm(right[:, -1]))
    steps = 0
    for share in ladder:
        sigma = LowRank(left, right).singular_values()
        spared = np.minimum(1.0, SPARED_ABOVE * newest / np.maximum(sigma, np.finfo(float).tiny)) ** 2
        eased = fit_factors(
            problem, left, right, ridge=np.maximum(share * drive * spared, ridge), tolerance=tolerance,
            stationary=LADDER_STATIONARY, max_steps=max_steps, norm_limit=norm_limit, symmetric=symmetric,
        )  # fmt: skip
        if eased.outcome == "non_finite":
            return eased
        left, right, steps = eased.left, eased.right, steps + eased.steps
    fit = fit_factors(
        problem, left, right, ridge=ridge, tolerance=tolerance, stationary=stationary,
        max_steps=max_steps, norm_limit=norm_limit, symmetric=symmetric,
    )  # fmt: skip
    return replace(fit, steps=steps + fit.steps)


def _system(
    problem: Problem, values: np.ndarray, ridge: np.ndarray, symmetric: bool
) -> EliminatedFactor | JointFactors:
    if isinstance(problem, Completion) and not symmetric:
        return EliminatedFactor(problem, values, ridge)
    return JointFactors(problem, values, ridge, symmetric)


def _descend(
    system: EliminatedFactor | JointFactors,
    point: Point,
    tolerance: float,
    stationary: float,
    max_steps: int,
    limit: float,
) -> Fit:
    target = float(np.linalg.norm(system.values))
    damping, flat = FIRST_DAMPING, 0

    def ended(outcome: Outcome, steps: int) -> Fit:
        return Fit(point.left, point.right, float(np.linalg.norm(point.residual)), steps, outcome)

    for steps in range(max_steps):
        if np.linalg.norm(point.residual) <= tolerance * target:
            point, extra = _polish(system, point, damping)
            return ended("exact", steps + extra)
        if not LowRank(point.left, point.right).norm() <= limit * target:
            return ended("diverging", steps)
        moved, damping = _improve(system, point, damping)
        if moved is None:
            return ended("stationary", steps)
        gain = point.objective - moved.objective
        flat = flat + 1 if gain < stationary / 2 * float(point.residual @ point.residual) else 0
        point = moved
        if flat == FLAT_STEPS:
            return ended("stationary", steps + 1)
    exact = np.linalg.norm(point.residual) <= tolerance * target
    return ended("exact" if exact else "max_steps", max_steps)


def _polish(system: EliminatedFactor | JointFactors, point: Point, damping: float) -> tuple[Point, int]:
    """An exact fit carried to machine precision: convergence is quadratic there, so a few steps do."""
    for steps in range(POLISH_STEPS):
        moved, damping = _improve(system, point, damping)
        if moved is None:
            return point, steps
        if moved.objective > 0.25 * point.objective:
            return moved, steps + 1
        point = moved
    return point, POLISH_STEPS


def _improve(system: EliminatedFactor | JointFactors, point: Point, damping: float) -> tuple[Point | None, float]:
    """The next point and damping by Nielsen's rule; no point if no step lowers the objective.

    Source: Madsen, Nielsen, Tingleff 2004 (`madsen2004methods`), algorithm 3.16.
    """
    model, raise_by = system.linearize(point), 2.0
    for _ in range(MAX_RAISES):
        trial = model.trial(damping)
        gain = 0.0
        if trial is not None and trial.predicted > 0:
            gain = (point.objective - trial.point.objective) / trial.predicted
        if trial is not None and gain > 1e-4:
            lowered = damping * max(1 / 3, 1 - (2 * min(gain, 2.0) - 1) ** 3)
            return trial.point, float(np.clip(lowered, *DAMPING_RANGE))
        damping, raise_by = damping * raise_by, raise_by * 2
        if damping > DAMPING_RANGE[1]:
            break
    return None, damping
