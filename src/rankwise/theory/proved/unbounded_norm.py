"""A 2 x 2 completion whose every norm grows without bound while it is fitted, and whose rank falls to one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rankwise.factorizations import Deep, Given, Identity, Initialization
from rankwise.loop import solve
from rankwise.optimizers import Optimizer
from rankwise.problems import Completion
from rankwise.solvers import GradientDescent, GradientFlow
from rankwise.spectrum import effective_rank
from rankwise.theory.finding import Check, Curve, Finding, Panel

# A determinant this small beside |W|_F^2 is rounding and has no sign.
ROUNDING = 1e-12
# So long after its escape a flow has come to a loss of 1e-4 at every depth (6e4 at depth 2).
HORIZON = 1e7
# From a negative determinant the flow is followed to so small a share of the loss: there |W_11| has come to its level.
FURTHER = 1e-4


def instance() -> Completion:
    """The 2 x 2 completion with W_12 = W_21 = 1 and W_22 = 0; W_11 is free; half-sum loss.

    Source: Razin and Cohen 2020 (`razin2020implicit`).
    """
    return Completion((2, 2), np.array([0, 1, 1]), np.array([1, 0, 1]), np.array([1.0, 1.0, 0.0]))


def generic_start(positive: bool, scale: float, seed: int) -> Given:
    """A Gaussian 2 x 2 matrix of the wanted sign of the determinant, times the scale, as balanced layers."""
    matrix = np.random.default_rng(seed).standard_normal((2, 2))
    if (np.linalg.det(matrix) > 0) != positive:
        matrix = matrix[::-1].copy()
    return Given(matrix, scale)


def entry_bound(loss: Any) -> Any:
    """|W_11| > (1 - sqrt(2 l))^2 / sqrt(2 l) where det W > 0 and the loss is l < 1/2; 0 for larger losses.

    W_12 and W_21 are at least 1 - sqrt(2 l) and |W_22| at most sqrt(2 l), and W_11 W_22 > W_12 W_21.
    """
    root = np.sqrt(2 * np.asarray(loss))
    return np.where(root < 1, (1 - root) ** 2 / root, 0.0)


def rank_bound(loss: float) -> float:
    """The effective rank is at most this where det W > 0 and the loss is l < 1/2; it falls to 1 with l.

    sigma_1 sigma_2 = det W < |W_11| |W_22| and sigma_1 >= |W_11|, so sigma_2 < sqrt(2 l), and with `entry_bound`
    sigma_2 / sigma_1 < 2 l / (1 - sqrt(2 l))^2.
    """
    share = min(math.sqrt(2 * loss) / max(float(entry_bound(loss)), 1e-300), 1.0)
    return float(effective_rank(np.array([1.0, share])))


def unbounded_norm(
    depth: int | Sequence[int] = (2, 3, 4),
    loss: float = 1e-3,
    scale: float = 1e-2,
    seed: int = 0,
    tolerance: float = 1e-9,
) -> Finding:
    """Gradient flow of balanced layers to a given loss, from a positive and from a negative determinant.

    The flow keeps the determinant's sign. Where it is positive, |W_11| exceeds (1 - sqrt(2 l))^2 / sqrt(2 l) at loss
    l, which no norm survives as l falls, and the effective rank falls to 1. Where it is negative nothing forces |W_11|
    to grow: the flow is followed to 1e-4 times the loss, and |W_11| measured over the last two decades of it. The
    positive start is scale * I, the negative one is generic. details: by depth and sign, an array of rows (time, loss,
    W_11, sigma_1, sigma_2, determinant). notes: |W_11| at every decade of the loss.

    Raises:
        ValueError: if a depth is not an integer of at least 2, loss does not lie between 0 and 0.4, or scale is not
            positive.

    Source: Razin and Cohen 2020 (`razin2020implicit`); the bounds' constants are derived here.
    """
    depths = [depth] if isinstance(depth, int) else list(depth)
    for each in depths or [0]:
        _check(each, loss, scale)
    starts = {"positive": (Identity(scale), loss), "negative": (generic_start(False, scale, seed), FURTHER * loss)}
    runs = {n: {sign: trajectory(n, start, goal, tolerance) for sign, (start, goal) in starts.items()} for n in depths}
    checks = [
        check
        for n in depths
        for check in (*_positive_checks(n, runs[n]["positive"], loss), *_negative_checks(n, runs[n]["negative"], loss))
    ]
    return Finding(
        "unbounded_norm",
        "a positive determinant drives |W_11| beyond every bound and the rank to 1 as the loss falls; from a negative "
        "one |W_11| comes to a level",
        "razin2020implicit",
        tuple(checks),
        _panels(runs),
        details=runs,
        notes=tuple(_note(n, runs[n], loss) for n in depths),
    )


def _positive_checks(depth: int, rows: np.ndarray, loss: float) -> tuple[Check, ...]:
    fitted = rows[rows[:, 1] < 0.4]
    last, name = fitted[-1], f"depth {depth}"
    entry = float((np.abs(fitted[:, 2]) / entry_bound(fitted[:, 1])).min())
    second = float((fitted[:, 4] / np.sqrt(2 * fitted[:, 1])).max())
    return (
        Check(f"{name}: loss reached", float(last[1]), loss, "<="),
        Check(f"{name}: least |W_11| / bound along the flow", entry, 1.0, ">="),
        Check(f"{name}: largest sigma_2 / sqrt(2 l) along the flow", second, 1.0, "<="),
        Check(f"{name}: effective rank at the end", float(effective_rank(last[3:5])), rank_bound(float(last[1])), "<="),
        Check(f"{name}: least determinant / |W|^2", _determinant(rows).min(), 0.0, ">=", ROUNDING),
    )


def _negative_checks(depth: int, rows: np.ndarray, loss: float) -> tuple[Check, ...]:
    """From a negative determinant the residual vanishes as exp(-c t), and W_11 moves by no more than its root."""
    end = FURTHER * loss
    growth = entry_at(rows, end) / entry_at(rows, 100 * end)
    name = f"depth {depth}, negative determinant"
    return (
        Check(f"{name}: loss reached", float(rows[-1, 1]), end, "<="),
        # From a positive one it grows tenfold over two decades.
        Check(f"{name}: growth of |W_11| over the last two decades of the loss", growth, 1.0, "=", 0.05),
        Check(f"{name}: largest determinant / |W|^2", _determinant(rows).max(), 0.0, "<=", ROUNDING),
    )


def _note(depth: int, runs: dict[str, np.ndarray], loss: float) -> str:
    """|W_11| by decades of the loss, beside the bound."""
    decades = 10.0 ** -np.arange(1, math.floor(-math.log10(loss) + 1e-9) + 1)
    said = [
        f"{entry_at(runs['positive'], each):.3g} (bound {float(entry_bound(each)):.3g}; negative determinant "
        f"{entry_at(runs['negative'], each):.3g}) at loss {each:g}"
        for each in decades
    ]
    level = abs(float(runs["negative"][-1, 2]))
    return f"Depth {depth}, |W_11|: {', '.join([*said, f'{level:.3g} at the end of the negative one'])}."


def unbounded_norm_steps(
    rates: Sequence[float] = (6e-3, 2e-3, 6e-4, 2e-4),
    scale: float = 1e-5,
    loss: float = 1e-4,
    seed: int = 0,
) -> Finding:
    """Why gradient descent at depth 2 levels off: its steps unbalance the layers, and the determinant changes sign.

    Near rank 1 the flow obeys W_11^3 = 6 t, and what is unbalanced grows by exp(W_11^2 / 4) in each layer. Started in
    proportion to the step size eta, it takes over when W_11^2 = 4 log(1 / eta) + constant, to leading order: then the
    loss falls to 0 at that W_11, with a negative determinant. The flow itself, balanced for ever, has no such level.
    details: rows (rate, W_11, determinant at the end, loss at the change of sign, W_11 there).

    Raises:
        ValueError: if the rates are not at least two positive descending numbers, or as `unbounded_norm`.

    Source: measured here, on the setting of Razin and Cohen 2020 (`razin2020implicit`).
    """
    _check(2, loss, scale)
    eta = np.asarray(rates, float)
    if eta.ndim != 1 or eta.size < 2 or not (eta > 0).all() or (np.diff(eta) >= 0).any():
        raise ValueError(f"rates must be at least two positive numbers that descend, not {rates!r}")
    runs = [_descend(rate, scale, loss, seed) for rate in eta]
    rows = np.array([_change_of_sign(rate, run) for rate, run in zip(eta, runs, strict=True)])
    growth = np.polyfit(np.log10(1 / eta), rows[:, 1] ** 2, 1)[0]
    share = float(np.abs(rows[:, 1]).max() / entry_bound(loss))
    checks = (
        # The law is of leading order in log(1 / eta): a tenth too large here, and approached as the steps shrink.
        Check("growth of W_11^2 per factor 10 of the step", float(growth), 4 * math.log(10), "=", 0.15),
        Check("largest determinant at the end", float(rows[:, 2].max()), 0.0, "<="),
        Check("largest |W_11| at the end / bound of positive determinants", share, 1.0, "<="),
    )  # fmt: skip
    return Finding(
        "unbounded_norm_steps",
        "finite steps at depth 2 change the determinant's sign, and |W_11| levels off where they do",
        "razin2020implicit",
        checks,
        _step_panels(eta, runs, rows, growth),
        kind="measurement",
        details=rows,
    )


def trajectory(depth: int, start: Initialization, loss: float, tolerance: float = 1e-9) -> np.ndarray:
    """The flow until the loss is reached: rows (time, loss, W_11, sigma_1, sigma_2, determinant)."""
    scale = float(start.scale)
    escape = math.log(1 / scale) / 2 if depth == 2 else scale ** (-(depth - 2) / depth) / (depth - 2)
    # Evenly around the escape, where the loss drops at once, then geometrically along the slow growth.
    near = np.linspace(0, 2 * max(escape, 1.0) + 10, 300)
    times = np.concatenate([near, np.geomspace(near[-1] * 1.02, near[-1] + HORIZON, 500)])
    solver = GradientFlow(Deep(depth, start), times=times, tolerance=tolerance, explained=loss)
    history = solve(instance(), solver, track=["matrix"]).history
    return _rows(history["time"], history["train_loss"], history["matrix"])


def entry_at(rows: np.ndarray, loss: float) -> float:
    """|W_11| where the loss is first the given one, interpolated between recorded times (logarithms of both)."""
    k = int(np.argmax(rows[:, 1] <= loss))
    if rows[k, 1] > loss:
        return math.nan
    if k == 0:
        return abs(float(rows[0, 2]))
    (a, x), (b, y) = np.log(np.abs(rows[k - 1 : k + 1, 1:3]))
    return float(np.exp(x + (y - x) * (math.log(loss) - a) / (b - a)))


def _rows(times: Any, losses: Any, matrices: Any) -> np.ndarray:
    sigma = np.linalg.svd(matrices, compute_uv=False)
    return np.column_stack([times, losses, matrices[:, 0, 0], sigma, np.linalg.det(matrices)])


def _determinant(rows: np.ndarray) -> np.ndarray:
    return rows[:, 5] / (rows[:, 3:5] ** 2).sum(axis=1)


def _descend(rate: float, scale: float, loss: float, seed: int) -> np.ndarray:
    # The levels are reached at times below 200, whatever the step.
    steps = round(200 / rate)
    solver = GradientDescent(
        Deep(2, generic_start(True, scale, seed)), Optimizer("gradient_descent", rate), tolerance=loss
    )
    history = solve(instance(), solver, max_steps=steps, track=["matrix"], checkpoints=800).history
    rows = _rows(history.steps * rate, history["train_loss"], history["matrix"])
    return rows[: int(np.argmax(rows[:, 1] <= loss)) + 1] if (rows[:, 1] <= loss).any() else rows


def _change_of_sign(rate: float, rows: np.ndarray) -> tuple[float, ...]:
    share = _determinant(rows)
    changed = int(np.argmax(share < -ROUNDING))
    return (rate, rows[-1, 2], rows[-1, 5], rows[changed, 1], rows[changed, 2])


def _panels(runs: dict[int, dict[str, np.ndarray]]) -> tuple[Panel, ...]:
    least = min(both["positive"][-1, 1] for both in runs.values())
    l = np.geomspace(0.3, min(least, 0.29), 60)  # noqa: E741
    shown = {
        f"depth {depth}, {sign} determinant": rows[1:][rows[1:, 1] >= least]
        for depth, both in runs.items()
        for sign, rows in both.items()
    }
    entries = [Curve(name, r[:, 1], np.abs(r[:, 2])) for name, r in shown.items()]
    ranks = [Curve(name, r[:, 1], [float(effective_rank(s)) for s in r[:, 3:5]]) for name, r in shown.items()]
    label = "bound for positive determinants"
    least_entry = Curve(label, l, entry_bound(l), "dotted")
    most_rank = Curve(label, l, [rank_bound(float(x)) for x in l], "dotted")
    return (
        Panel("The free entry", "loss", "|W₁₁|", (*entries, least_entry), "xy"),
        Panel("Effective rank", "loss", "effective rank", (*ranks, most_rank), "x"),
    )


def _step_panels(eta: np.ndarray, runs: list[np.ndarray], rows: np.ndarray, growth: float) -> tuple[Panel, ...]:
    level = np.abs(rows[:, 1])
    # Close to the levels, on a linear axis: before them all steps follow one line, that of the flow.
    late = [run[np.abs(run[:, 2]) > level.min() / 2] for run in runs]
    curves = [Curve(f"step {rate:g}", run[:, 1], np.abs(run[:, 2])) for rate, run in zip(eta, late, strict=True)]
    l = np.geomspace(max(float(run[0, 1]) for run in late), min(float(run[-1, 1]) for run in late), 200)  # noqa: E741
    l = l[entry_bound(l) < 1.2 * level.max()]  # noqa: E741
    bound = Curve("bound for positive determinants", l, entry_bound(l), "dotted")
    middle = (level**2).mean() + 4 * (np.log(1 / eta) - np.log(1 / eta).mean())
    levels = (
        Curve(f"W₁₁²: {growth:.2f} per decade", np.log10(1 / eta), level**2, "points"),
        Curve("4 log(1 / step) + constant (predicted)", np.log10(1 / eta), middle, "dashed"),
    )
    return (
        Panel("Gradient descent at depth 2", "loss", "|W₁₁|", (*curves, bound), "x"),
        Panel("Where it levels off", "log₁₀(1 / step)", "W₁₁²", levels),
    )


def _check(depth: int, loss: float, scale: float) -> None:
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 2:
        raise ValueError(f"depth must be an integer of at least 2, not {depth!r}")
    if not 0 < loss < 0.4:
        raise ValueError(f"loss must lie strictly between 0 and 0.4, not {loss}")
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"scale must be positive, not {scale}")
