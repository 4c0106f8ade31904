"""Depth 1: gradient descent on the matrix itself ends at the interpolant nearest to its start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rankwise.data.synthetic import low_rank, observe, sense
from rankwise.factorizations import Full, Gaussian, Identity
from rankwise.loop import solve, solve_batch
from rankwise.lowrank import dense
from rankwise.optimizers import Optimizer
from rankwise.problems import Completion, Problem, Sensing
from rankwise.solution import Solution
from rankwise.solvers import GradientDescent, GradientFlow
from rankwise.theory.finding import Check, Curve, Finding, Panel

# Steps to which a run that contracts by exp(-1) per unit has reached the limit to a double's precision.
SETTLED = 36.0
# Singular values of the measurements below this share of the largest count as zero.
DEPENDENT = 1e-10


class Modes(NamedTuple):
    """The measurements as a matrix, its non-zero singular values, and its singular vectors in the rows of `right`."""

    left: np.ndarray
    sigma: np.ndarray
    right: np.ndarray


def nearest_interpolant(problem: Problem, start: Any = 0.0) -> np.ndarray:
    """The least-squares solution nearest to a start: W0 + A^+ (y - A(W0)), shape (d1, d2).

    A maps W to the m inner products <A_i, W>, and A^+ is its pseudoinverse. For a completion this is the start
    with the observed entries replaced; from zero, the zero-filled matrix.

    Raises:
        ValueError: if the start is neither a number nor a matrix of the problem's shape.
    """
    begin = _start(problem, start)
    modes = measurement_modes(problem)
    step = modes.right.T @ ((modes.left.T @ (problem.values - problem.measure(begin))) / modes.sigma)
    return begin + step.reshape(problem.shape)


def flow_from(problem: Problem, times: Any, start: Any = 0.0) -> np.ndarray:
    """The gradient flow of depth 1 in closed form, shape (len(times), d1, d2).

    W(t) = W0 + V (1 - exp(-c sigma^2 t)) sigma^-1 U^T (y - A(W0)), with A = U diag(sigma) V^T and the loss
    c/2 |A(W) - y|^2. For a completion every observed entry is y + (W0 - y) exp(-c t), and every other stays W0.

    Raises:
        ValueError: if the start is neither a number nor a matrix of the problem's shape.
    """
    return _relaxed(problem, start, lambda rate: np.exp(-np.multiply.outer(np.asarray(times, float), rate)))


def descent_from(problem: Problem, rate: float, steps: Any, start: Any = 0.0) -> np.ndarray:
    """Gradient descent of depth 1 in closed form: as `flow_from`, with (1 - rate c sigma^2)^k for the exponential.

    Raises:
        ValueError: if the start is neither a number nor a matrix of the problem's shape.
    """
    return _relaxed(problem, start, lambda speed: (1 - rate * speed) ** np.asarray(steps, float)[:, None])


def minimum_frobenius(
    *, shape: tuple[int, int] = (12, 10), rank: int = 2, count: int = 60, start: float = 2.0, seed: int = 0
) -> Finding:
    """Gradient descent and gradient flow at depth 1 end at the interpolant nearest to their start.

    From zero that is the interpolant of minimum Frobenius norm: zero-filling for a completion, so that the error on
    hidden entries is their mean square; A^+ y for sensing, consistent or not.

    shape, rank, seed: of a random truth. count: observations, of each kind. start: the scale of the second,
    random start (`Gaussian`).

    Raises:
        ValueError: if the rank or the count does not fit the shape, or start is not positive.

    Source: Gunasekar et al. 2017 (`gunasekar2017implicit`), who contrast it with depth 2; for completion also Arora,
    Cohen, Hu, Luo 2019 (`arora2019implicit`). The closed forms are those of a linear differential equation.
    """
    if not (np.isfinite(start) and start > 0):
        raise ValueError(f"start must be a positive scale, not {start}")
    if not 1 <= count < shape[0] * shape[1]:
        raise ValueError(f"count must leave an entry of the {shape[0]} x {shape[1]} matrix hidden, not {count}")
    truth = low_rank(shape, rank, key=seed)
    filled = _completion(observe(truth, count, key=seed + 1), dense(truth), start)
    sensed = _sensing(truth, count, start, seed + 2)
    return Finding(
        name="minimum_frobenius",
        statement="At depth 1 gradient descent and gradient flow end at the interpolant nearest to their start: "
        "from zero, the one of least Frobenius norm.",
        source="gunasekar2017implicit; arora2019implicit",
        checks=(*filled[0], *sensed[0]),
        panels=(*filled[1], *sensed[1]),
        details={**filled[2], **sensed[2]},
    )


def measurement_modes(problem: Problem) -> Modes:
    """The singular value decomposition of the map W -> (<A_i, W>)_i, without its zero singular values."""
    rows = np.stack([problem.adjoint(row).ravel() for row in np.eye(problem.size)])
    left, sigma, right = np.linalg.svd(rows, full_matrices=False)
    kept = sigma > DEPENDENT * sigma[0]
    return Modes(left[:, kept], sigma[kept], right[kept])


def _start(problem: Problem, start: Any) -> np.ndarray:
    given = np.asarray(start, float)
    if given.ndim and given.shape != problem.shape:
        raise ValueError(f"start must be a number or a matrix of shape {problem.shape}, not of shape {given.shape}")
    return np.broadcast_to(given, problem.shape)


def _relaxed(problem: Problem, start: Any, left_over: Any) -> np.ndarray:
    """Every mode of the measurements relaxes alone; left_over gives the share still missing, (times, modes)."""
    begin = _start(problem, start)
    modes = measurement_modes(problem)
    missing = modes.left.T @ (problem.values - problem.measure(begin)) / modes.sigma
    share = 1 - left_over(problem.scale * modes.sigma**2)
    return begin + ((share * missing) @ modes.right).reshape(-1, *problem.shape)


def _flows(problem: Problem, start: float) -> list[Solution]:
    """Gradient flow from zero and from a random start."""
    slowest = float(problem.scale * measurement_modes(problem).sigma.min() ** 2)
    times = np.linspace(0, SETTLED / slowest, 61)
    solvers = [GradientFlow(Full(Gaussian(scale)), times=times, tolerance=1e-12) for scale in (0.0, start)]
    return solve_batch(problem, solvers, track=["matrix"])


def _descent(problem: Problem) -> tuple[Solution, float]:
    """Gradient descent from zero, and its learning rate: half of the one that settles the fastest mode at once."""
    speeds = problem.scale * measurement_modes(problem).sigma ** 2
    rate = float(0.5 / speeds.max())
    solver = GradientDescent(Full(Identity(0.0)), Optimizer("gradient_descent", rate))
    steps = int(np.ceil(SETTLED / (rate * speeds.min())))
    return solve(problem, solver, max_steps=steps, track=["matrix"], checkpoints=60), rate


def _trajectories(name: str, problem: Problem, start: float) -> tuple[list[Check], list[Solution], Solution]:
    """What holds for completion and sensing alike."""
    flows, (descent, rate) = _flows(problem, start), _descent(problem)
    began = flows[1].history["matrix"][0]
    steps = descent.history["steps"]
    # Errors of one step are at most the integrator's 1e-12, and a linear contraction does not add them up.
    checks = [
        _distance(f"{name}, flow from 0: whole trajectory from its closed form",
                  flows[0].history["matrix"], flow_from(problem, flows[0].history["time"])),
        _distance(f"{name}, flow from W0: whole trajectory from its closed form",
                  flows[1].history["matrix"], flow_from(problem, flows[1].history["time"], began)),
        _distance(f"{name}, gradient descent from 0: whole trajectory from its closed form",
                  descent.history["matrix"], descent_from(problem, rate, steps)),
        _distance(f"{name}, end of gradient descent from the interpolant of least norm",
                  descent.matrix, nearest_interpolant(problem)),
        _distance(f"{name}, end of the flow from the interpolant nearest to W0",
                  flows[1].matrix, nearest_interpolant(problem, began)),
    ]  # fmt: skip
    return checks, flows, descent


def _completion(problem: Completion, truth: np.ndarray, start: float) -> tuple[Any, Any, dict[str, Any]]:
    checks, flows, descent = _trajectories("completion", problem, start)
    hidden = np.ones(problem.shape, bool)
    hidden[problem.rows, problem.cols] = False
    error = np.mean((np.asarray(descent.matrix)[hidden] - truth[hidden]) ** 2)
    zeros = np.abs(np.asarray(descent.matrix)[hidden]).max()
    checks += [
        Check("completion, largest hidden entry after gradient descent", float(zeros), 0.0),
        Check("completion, error on hidden entries is their mean square",
              float(error), float(np.mean(truth[hidden] ** 2)), "=", 1e-12),
    ]  # fmt: skip
    panels = [
        _entries_panel(problem, flows[0], ~hidden),
        _error_panel(problem, truth, hidden, flows[0], float(np.mean(truth[hidden] ** 2))),
    ]
    return checks, panels, {"completion": problem, "truth": truth, "filled": descent.matrix}


def _sensing(truth: Any, count: int, start: float, seed: int) -> tuple[Any, Any, dict[str, Any]]:
    problem = sense(truth, count, key=seed)
    checks, flows, descent = _trajectories("sensing", problem, start)
    # Half of the measurements made twice, with other values: nothing fits them all, and A has no full rank.
    half = np.arange(max(count // 2, 1))
    twice = Sensing(
        np.concatenate([problem.sensors, problem.sensors[half]]),
        np.concatenate([problem.values, problem.values[half] + 1.0]),
    )
    contradicted, _ = _descent(twice)
    checks.append(
        _distance("sensing with contradictions, end of gradient descent from A^+ y",
                  contradicted.matrix, nearest_interpolant(twice))
    )  # fmt: skip
    curves = (*_approach(problem, flows[0], "from 0"), *_approach(problem, flows[1], "from W0"))
    panel = Panel("Sensing: distance to the limit", "time", "Frobenius distance", curves, log="y")
    return checks, [panel], {"sensing": problem, "sensed": descent.matrix}


def _distance(label: str, measured: Any, proved: Any, tolerance: float = 1e-9) -> Check:
    """The largest distance, as a share of the largest norm: 0 is proved."""
    off = np.linalg.norm(np.asarray(measured) - proved, axis=(-2, -1)).max()
    return Check(label, float(off / np.linalg.norm(proved, axis=(-2, -1)).max()), 0.0, "=", tolerance)


def _entries_panel(problem: Completion, run: Solution, seen: np.ndarray) -> Panel:
    early = run.history["time"] * problem.scale < 6
    time, matrix = run.history["time"][early], run.history["matrix"][early]
    proved = flow_from(problem, time)
    ordered = np.argsort(np.abs(matrix[-1]), axis=None)[[-1, -(int(seen.sum()) // 2)]]
    places = [*np.argwhere(np.ones_like(seen))[ordered], np.argwhere(~seen)[0]]
    curves: list[Curve] = []
    for i, j in places:
        name = f"({i}, {j}), {'observed' if seen[i, j] else 'hidden'}"
        curves.append(Curve(name, time, matrix[:, i, j], "points"))
        curves.append(Curve(f"{name} (predicted)", time, proved[:, i, j], "dashed"))
    return Panel("Completion from 0: entries", "time", "entry", tuple(curves))


def _error_panel(problem: Completion, truth: np.ndarray, hidden: np.ndarray, run: Solution, level: float) -> Panel:
    early = run.history["time"] <= 12 / problem.scale
    time, off = run.history["time"][early], run.history["matrix"][early] - truth
    return Panel(
        "Completion from 0: error", "time", "mean square error",
        (
            Curve("observed entries", time, np.mean(off[:, ~hidden] ** 2, axis=1)),
            Curve("hidden entries", time, np.mean(off[:, hidden] ** 2, axis=1)),
            Curve("hidden entries (predicted)", time, np.full(len(time), level), "dashed"),
        ),
        log="y",
    )  # fmt: skip


def _approach(problem: Problem, run: Solution, name: str) -> Sequence[Curve]:
    time, matrix = run.history["time"], run.history["matrix"]
    limit = nearest_interpolant(problem, matrix[0])
    proved = flow_from(problem, time, matrix[0])
    # The last points lie at the level of rounding, where a logarithm shows noise only.
    far = np.linalg.norm(proved - limit, axis=(1, 2)) > 1e-11 * np.linalg.norm(limit)
    return [
        Curve(name, time[far], np.linalg.norm(matrix - limit, axis=(1, 2))[far], "points"),
        Curve(f"{name} (predicted)", time[far], np.linalg.norm(proved - limit, axis=(1, 2))[far], "dashed"),
    ]
