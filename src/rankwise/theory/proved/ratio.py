"""The ratio of the nuclear to the Frobenius norm: its gradient, and its infimum over a completion's interpolants."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from rankwise.factorizations import Full, Gaussian
from rankwise.keys import as_jax_key
from rankwise.loop import solve_batch
from rankwise.lowrank import dense
from rankwise.optimizers import Optimizer
from rankwise.penalties import Ratio
from rankwise.problems import Completion
from rankwise.solution import Solution
from rankwise.solvers import GradientDescent
from rankwise.spectrum import nuclear_frobenius_ratio
from rankwise.theory.finding import Check, Curve, Finding, Panel
from rankwise.theory.ratio_tools import RESOLUTION, Instance, completion_instance, hidden_error, observed

# Runs are allowed to grow to so many times the size of the truth, so that a runaway can be watched.
WATCHED = 100.0
# A mean square error on the hidden entries below this counts as recovery; predicting zero has about 1.
RECOVERED = 1e-3
# The step of central differences whose truncation and rounding errors are about equal in float64.
DIFFERENCE = 1e-5


def ratio(matrix: np.ndarray) -> float:
    """|W|_* / |W|_F, the sum of the singular values over the root of the sum of their squares."""
    return float(nuclear_frobenius_ratio(np.linalg.svd(matrix, compute_uv=False)))


def escaping_family(problem: Completion, interpolant: Any, times: Any) -> np.ndarray:
    """W_0 + t E on the first hidden entry, shape (len(times), d1, d2): interpolants, if W_0 is one.

    Raises:
        ValueError: if every entry is observed.
    """
    row, column = hidden_cell(problem)
    family = np.repeat(dense(interpolant)[None].astype(np.float64), len(times), axis=0)
    family[:, row, column] += np.asarray(times, float)
    return family


def escape_constant(matrix: np.ndarray, row: int, column: int) -> float:
    """The limit of t (R(W + t E) - 1): the nuclear norm of W without that row and that column.

    The largest singular value is t + O(1) and the others are, up to O(1/t), those of the rest of the matrix; their
    sum S gives R = (t + S) / t + O(1/t^2).
    """
    rest = np.delete(np.delete(matrix, row, axis=0), column, axis=1)
    return float(np.linalg.svd(rest, compute_uv=False).sum())


def hidden_cell(problem: Completion) -> tuple[int, int]:
    """The first entry that was not observed.

    Raises:
        ValueError: if every entry is observed.
    """
    rows, cols = np.nonzero(~observed(problem))
    if rows.size == 0:
        raise ValueError("problem must leave an entry unobserved: otherwise the interpolant is unique")
    return int(rows[0]), int(cols[0])


def largest_minor(problem: Completion) -> float:
    """The largest 2 x 2 determinant, in absolute value, of which all four entries are observed; 0 if there is none.

    If it is not 0 then no interpolant has rank one, and R > 1 at every interpolant.
    """
    mask, values = observed(problem), problem.adjoint(problem.values)
    largest = 0.0
    for first, second in combinations(range(problem.shape[0]), 2):
        a, b = (values[row][mask[first] & mask[second]] for row in (first, second))
        if a.size:
            largest = max(largest, float(np.abs(np.outer(a, b) - np.outer(b, a)).max()))
    return largest


def ratio_infimum(
    *,
    size: int = 30,
    rank: int = 2,
    count: int = 350,
    rates: tuple[float, float] = (3e-3, 0.3),
    weight: float = 1e-3,
    scale: float = 1e-2,
    steps: int = 5000,
    key: int = 0,
) -> Finding:
    """The gradient of R(W) = |W|_* / |W|_F, its range, and its infimum 1 over the interpolants of a completion.

    For W = U S V^T of rank k, R has the gradient U V^T / |W|_F - |W|_* W / |W|_F^3. It is orthogonal to W, because R
    is blind to scale, and its norm is sqrt(k - R^2) / |W|_F. On matrices 1 <= R <= sqrt(min(d1, d2)). A matrix with
    one hidden entry t large has R = 1 + S / t + O(1/t^2) (`escape_constant`) and fits the observations all the same.
    So 1 is the infimum over the interpolants, and no interpolant reaches it unless one of rank one exists. A run
    with Adam that recovers the truth therefore ends far above the infimum: the trajectory recovers, not the minimizer.

    size, rank, count, key: of a random completion. rates: the learning rates of Adam of a run that recovers and of one
    that runs away. weight: of the penalty. scale: of the Gaussian start. steps: of both runs.

    Raises:
        ValueError: if the rank or the count does not fit the size, or nothing is hidden.

    Source: Zhao 2022 (`zhao2022combining`) for the penalty; Lewis 1995 (`lewis1995convex`) for the gradient. The
    infimum is shown here.
    """
    given = completion_instance(size, rank, count, key, dtype=np.float64)
    times = np.geomspace(1, 1e7, 29)
    family = [ratio(matrix) for matrix in escaping_family(given.problem, given.truth, times)]
    constant = escape_constant(given.truth, *hidden_cell(given.problem))
    runs = _runs(given, rates, weight, scale, steps, key)
    return Finding(
        name="ratio_infimum",
        statement="The ratio penalty has infimum 1 over the interpolants, approached only at infinity: recovery "
        "belongs to the trajectory, not to a minimizer.",
        source="zhao2022combining; lewis1995convex",
        checks=(
            *_gradient_checks(key),
            *_range_checks(size, key),
            *_family_checks(given, times, family, constant),
            *_run_checks(given, runs, family[-1]),
        ),
        panels=_panels(given, times, family, constant, runs),
        details={"instance": given, "times": times, "ratios": family, "constant": constant, "runs": runs},
    )


def _gradient_checks(key: int) -> list[Check]:
    matrix = np.random.default_rng(key).standard_normal((6, 5))
    gradient, norm = Ratio(1.0).gradient(matrix), np.linalg.norm(matrix)
    error = np.linalg.norm(gradient - _differences(matrix)) / np.linalg.norm(gradient)
    return [
        Check("gradient: relative distance from central differences", float(error), 0, "=", 1e-7),
        Check("gradient along W", float((gradient * matrix).sum()), 0, "=", 1e-12),
        Check("R(3 W) - R(W)", ratio(3 * matrix) - ratio(matrix), 0, "=", 1e-12),
        Check("|gradient|_F |W|_F", float(np.linalg.norm(gradient) * norm),
              (min(matrix.shape) - ratio(matrix) ** 2) ** 0.5, "=", 1e-10),
    ]  # fmt: skip


def _differences(matrix: np.ndarray) -> np.ndarray:
    """The gradient of R by central differences."""
    units = np.eye(matrix.size).reshape(-1, *matrix.shape) * DIFFERENCE
    slopes = [(ratio(matrix + unit) - ratio(matrix - unit)) / (2 * DIFFERENCE) for unit in units]
    return np.reshape(slopes, matrix.shape)


def _range_checks(size: int, key: int) -> list[Check]:
    draw = np.random.default_rng(key).standard_normal((size, size))
    values = [ratio(draw[:, :k] @ draw[:k]) for k in range(1, size + 1)]
    return [
        Check("R of a rank-one matrix", values[0], 1, "=", 1e-12),
        Check("R of an orthogonal matrix", ratio(np.linalg.qr(draw)[0]), size**0.5, "=", 1e-12),
        Check("least R over random matrices of every rank", min(values), 1, ">=", 1e-12),
        Check("largest R over random matrices of every rank", max(values), size**0.5, "<=", 1e-12),
    ]


def _family_checks(given: Instance, times: np.ndarray, family: Sequence[float], constant: float) -> list[Check]:
    residual = max(
        float(given.problem.loss(matrix)) for matrix in escaping_family(given.problem, given.truth, times[::7])
    )
    slope = np.log((family[-1] - 1) / (family[-5] - 1)) / np.log(times[-1] / times[-5])
    return [
        Check("loss on the family W* + t E", residual, 0, "=", 1e-20),
        # The next term of R is of relative size (|W*|_* + |W*|_F) / t, here about 1e-5.
        Check(f"t (R - 1) at t = {times[-1]:.0g}", float(times[-1] * (family[-1] - 1)), constant, "=", 1e-4),
        Check("power of t in R - 1", float(slope), -1, "=", 1e-3),
        Check("largest observed 2 x 2 minor: not 0, so 1 is not reached", largest_minor(given.problem), 1e-6, ">="),
    ]


def _runs(
    given: Instance, rates: tuple[float, float], weight: float, scale: float, steps: int, key: int
) -> list[Solution]:
    """Adam on the matrix itself at two learning rates, from the same start."""
    single = given.problem.replace(values=given.problem.values.astype(np.float32))
    solvers = [
        GradientDescent(Full(Gaussian(scale)), Optimizer("adam", rate), Ratio(weight, RESOLUTION), norm_limit=WATCHED)
        for rate in rates
    ]
    track = ["singular_values", "mean_square_error"]
    moments = [0, *np.unique(np.geomspace(1, steps, 60).astype(int))]
    return solve_batch(
        single, solvers, keys=[key], max_steps=steps, truth=given.truth, track=track, checkpoints=moments
    )


def _run_checks(given: Instance, runs: Sequence[Solution], escaped: float) -> list[Check]:
    small, large = (hidden_error(run.matrix, given) for run in runs)
    ended = ratio(np.asarray(runs[0].matrix, np.float64))
    return [
        Check("hidden error of Adam at the small rate", small, RECOVERED, "<="),
        Check("R where it ends: that of the truth", ended, ratio(given.truth), "=", 1e-2),
        Check("R where it ends, above that of the family", ended, escaped, ">="),
        Check("hidden error of Adam at the large rate", large, 1, ">="),
    ]


def first_state(problem: Completion, solver: GradientDescent, key: int) -> Any:
    """The state from which `solve` starts with this key, to be handed back to it."""
    import jax

    from rankwise.compiled import precision

    with precision(problem.dtype):
        return jax.device_get(solver.init(problem, as_jax_key(key))), 0


def _panels(
    given: Instance, times: np.ndarray, family: Sequence[float], constant: float, runs: Sequence[Solution]
) -> tuple[Panel, ...]:
    names = ("Adam, small rate", "Adam, large rate")
    truth = np.linalg.norm(given.truth)
    sizes = np.linalg.norm(escaping_family(given.problem, given.truth, times), axis=(1, 2)) / truth
    near = sizes < WATCHED
    paths = [_path(name, run, float(truth)) for name, run in zip(names, runs, strict=True)]
    errors = [
        Curve(name, run.history.steps[1:], run.history["mean_square_error"][1:])
        for name, run in zip(names, runs, strict=True)
    ]
    return (
        Panel("Interpolants W* + t E", "t", "R - 1", (
            Curve("R - 1", times, np.asarray(family) - 1, "points"),
            Curve("R - 1 (predicted)", times, constant / times, "dashed"),
        ), "xy"),
        Panel("Ratio along the runs", "norm relative to the truth", "R", (
            *paths,
            Curve("family W* + t E", sizes[near], np.asarray(family)[near], "points"),
            Curve("truth", [1.0], [ratio(given.truth)], "points"),
        ), "x"),
        Panel("Error along the runs", "step", "mean square error", tuple(errors), "xy"),
    )  # fmt: skip


def _path(name: str, run: Solution, norm: float) -> Curve:
    sigma = run.history["singular_values"]
    sizes = np.linalg.norm(sigma, axis=1)
    return Curve(name, sizes / norm, sigma.sum(axis=1) / sizes)
