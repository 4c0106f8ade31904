"""Gradient descent beside the flow: the error of finite steps, of order 1, and the step size at which it breaks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from rankwise.data.synthetic import low_rank, observe
from rankwise.factorizations import Deep, Factorization, Identity
from rankwise.loop import solve, solve_batch
from rankwise.optimizers import Optimizer
from rankwise.problems import Problem
from rankwise.solvers import GradientDescent, GradientFlow
from rankwise.theory.finding import Check, Curve, Finding, Panel

# The trajectories are compared at so many times, evenly spaced.
PARTS = 16
# `largest_step` answers within this share.
PRECISION = 0.01
# The flow is followed this precisely, and to this loss where its limit is asked for.
FLOW, LIMIT = 1e-10, 1e-20
# Near the limit: the multiples of 1 / sharpness tried, the size of the disturbance, and the steps taken.
EDGE, DISTURBANCE, STEPS = (1.8, 1.9, 1.95, 1.99, 2.01, 2.05, 2.1, 2.2), 1e-5, 30


class Depth(NamedTuple):
    """What was measured at one depth.

    sharpness at the flow's limit; step sizes and errors of gradient descent over [0, time]; the order of the last;
    the growth per step of a disturbance of the limit at the multiples `EDGE` of 1 / sharpness; and the largest
    step within a tolerance beside the one that the first-order law gives.
    """

    sharpness: float
    rates: np.ndarray
    errors: np.ndarray
    order: float
    growth: np.ndarray
    largest: float
    extrapolated: float


def sharpness(problem: Problem, factorization: Factorization, params: Sequence[Any]) -> float:
    """The largest eigenvalue of the Hessian of loss(W(params)) in all parameters, by Lanczos on its products.

    Gradient descent cannot stay at a minimum of sharpness above 2 / step size.

    Raises:
        ValueError: if params are not of the shapes that the factorization has for the problem's matrix.

    Source: Cohen et al. 2021 (`cohen2021gradient`), section 2.
    """
    return _leading(problem, factorization, params)[0]


def largest_step(problem: Problem, factorization: Factorization, time: float, tolerance: float, key: int = 0) -> float:
    """The largest step size with which gradient descent follows the flow over [0, time] to this tolerance.

    The error is the largest of |W_descent - W_flow|_F / |W_flow|_F over 16 evenly spaced times. The step size is
    time / steps with steps a multiple of 16; it keeps the tolerance, and the next larger one tried, at most 1 %
    above (or with 16 steps fewer), does not; time / 16, the largest tried, may keep it too. The first-order law
    error ~ step size says where to look next.

    Raises:
        ValueError: if time or tolerance is not positive and finite, the flow stays at 0, or no step size above
            time / 10,000,000 keeps the tolerance.
    """
    for name, value in (("time", time), ("tolerance", tolerance)):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be positive and finite, not {value}")
    error = _comparison(problem, factorization, time, key)
    return time / (PARTS * _fewest(error, tolerance))


def discretization(
    size: int = 10,
    rank: int = 2,
    count: int = 75,
    depths: Sequence[int] = (1, 2, 3),
    scale: float = 1e-2,
    time: float = 160.0,
    halvings: int = 5,
    tolerance: float = 0.01,
    key: int = 0,
) -> Finding:
    """Gradient descent at step sizes eta against the flow at the times eta * steps, on a completion problem.

    Measured at every depth, from an identity start: the order of the error in eta (Euler's method: 1), from halved
    step sizes; the multiple eta * sharpness beyond which gradient descent leaves the flow's limit (2); and
    `largest_step` beside the step that the first-order law extrapolates from the smallest error.

    Raises:
        ValueError: if halvings is below 2, depths is empty, or the sizes do not fit.

    Source: Hairer, Norsett, Wanner 1993 (`hairer1993solving`), section II.3, for the order; Cohen et al. 2021
    (`cohen2021gradient`), section 2, for the edge.
    """
    if halvings < 2 or not depths:
        raise ValueError(f"halvings must be at least 2 and depths not empty, not {halvings} and {depths!r}")
    problem = observe(low_rank((size, size), rank, key=key), count, key=key + 1, min_degree=1).mean()
    measured = {
        depth: _measure(problem, Deep(depth, Identity(scale)), time, halvings, tolerance, key) for depth in depths
    }
    return Finding(
        "discretization",
        "Gradient descent follows the flow with an error of order 1 in the step size eta, and leaves its limit "
        "where eta times the sharpness (the largest eigenvalue of the Hessian there) exceeds 2.",
        "hairer1993solving, section II.3; cohen2021gradient, section 2",
        tuple(check for depth in depths for check in _checks(depth, measured[depth])),
        _panels(measured),
        details={"problem": problem, "depths": measured},
    )


def _measure(problem: Problem, factorization: Deep, time: float, halvings: int, tolerance: float, key: int) -> Depth:
    params = _limit(problem, factorization, key)
    largest_eigenvalue, direction = _leading(problem, factorization, params)
    error = _comparison(problem, factorization, time, key)
    # From beyond the edge, eta * sharpness = 4, downwards.
    coarsest = max(round(time * largest_eigenvalue / 4 / PARTS), 1)
    multiples = [coarsest * 2**k for k in range(halvings + 3)]
    errors = np.array([error(multiple) for multiple in multiples])
    rates = time / PARTS / np.array(multiples)
    return Depth(
        largest_eigenvalue,
        rates,
        errors,
        float(np.log2(errors[-2] / errors[-1])),
        _growth(problem, factorization, params, direction, largest_eigenvalue),
        time / (PARTS * _fewest(error, tolerance)),
        float(tolerance * rates[-1] / errors[-1]),
    )


def _comparison(problem: Problem, factorization: Factorization, time: float, key: int) -> Callable[[int], float]:
    """The error of gradient descent as a function of the steps per part of [0, time]."""
    times = np.linspace(0, time, PARTS + 1)
    flow = solve(problem, GradientFlow(factorization, times=times, tolerance=FLOW), key=key, track=["matrix"])
    exact = flow.history["matrix"][1:]
    norms = np.linalg.norm(exact, axis=(1, 2))
    if not norms.all():
        raise ValueError("the flow stays at 0, a saddle: there is no trajectory to follow")

    @cache
    def error(multiple: int) -> float:
        rate = Optimizer("gradient_descent", time / (PARTS * multiple))
        steps = [multiple * k for k in range(PARTS + 1)]
        descent = GradientDescent(factorization, rate)
        run = solve(problem, descent, key=key, max_steps=steps[-1], checkpoints=steps, track=["matrix"])
        met = run.history["matrix"][1:]
        if len(met) < PARTS or not np.isfinite(met).all():
            return math.inf
        return float((np.linalg.norm(met - exact, axis=(1, 2)) / norms).max())

    return error


def _fewest(error: Callable[[int], float], tolerance: float) -> int:
    """The fewest steps per part that keep the tolerance: extrapolated by the first-order law, then bisected."""
    fails, keeps = 0, 1
    while (found := error(keeps)) > tolerance:
        # Where the law does not hold yet (or the run diverges), steps are doubled.
        fails, keeps = keeps, math.ceil(keeps * min(max(1.05 * found / tolerance, 2), 64 if found < 1 else 2))
        if keeps * PARTS > 10_000_000:
            raise ValueError(f"no step size above time / 10,000,000 keeps the tolerance {tolerance}")
    while keeps - fails > max(1, PRECISION * keeps):
        guess = math.ceil(keeps * error(keeps) / tolerance)
        low, high = fails + max((keeps - fails) // 8, 1), keeps - max((keeps - fails) // 8, 1)
        middle = min(max(guess, low), high)
        if error(middle) > tolerance:
            fails = middle
        else:
            keeps = middle
    return keeps


def _limit(problem: Problem, factorization: Factorization, key: int) -> tuple[np.ndarray, ...]:
    """The parameters that the flow ends at."""
    flow = GradientFlow(factorization, times=np.geomspace(10, 1e5, 20), tolerance=FLOW, explained=LIMIT)
    return solve(problem, flow, key=key).state[0].params


def _growth(
    problem: Problem, factorization: Factorization, params: Sequence[Any], direction: Sequence[Any], largest: float
) -> np.ndarray:
    """By how much a disturbance of the limit along the leading eigenvector grows per step, at each of `EDGE`."""
    size = DISTURBANCE * math.sqrt(sum((np.asarray(leaf) ** 2).sum() for leaf in params))
    disturbed = tuple(np.asarray(leaf) + size * part for leaf, part in zip(params, direction, strict=True))
    solvers = [GradientDescent(factorization, Optimizer("gradient_descent", multiple / largest)) for multiple in EDGE]
    states = [(solver.begin(disturbed), 0) for solver in solvers]
    runs = solve_batch(problem, solvers, states=states, max_steps=STEPS, checkpoints=1)
    ends = [
        sum(
            np.sum((np.asarray(leaf) - still) * part)
            for leaf, still, part in zip(run.state[0].params, params, direction, strict=True)
        )
        for run in runs
    ]
    return (np.abs(ends) / size) ** (1 / STEPS)


@cache
def _hessian_product() -> Callable[..., Any]:
    import jax

    from rankwise.plain import register

    register()

    def product(problem: Problem, factorization: Factorization, params: Any, direction: Any) -> Any:
        slope = jax.grad(lambda layers: problem.loss(factorization.matrix(layers)))
        return jax.jvp(slope, (params,), (direction,))[1]

    return jax.jit(product)


def _start(problem: Problem, factorization: Factorization) -> Sequence[Any]:
    """The shapes of the parameters that the factorization begins with."""
    import jax

    from rankwise.compiled import precision

    with precision(problem.dtype):
        key = jax.random.key(0)
        return jax.eval_shape(lambda key: factorization.init(problem.shape, key=key, dtype=problem.dtype), key)


def _leading(
    problem: Problem, factorization: Factorization, params: Sequence[Any]
) -> tuple[float, tuple[np.ndarray, ...]]:
    """The largest eigenvalue of the Hessian, and its unit eigenvector in the shape of the parameters."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    from rankwise.compiled import precision

    layers = tuple(np.asarray(leaf, problem.dtype) for leaf in params)
    given, asked = ([tuple(leaf.shape) for leaf in each] for each in (layers, _start(problem, factorization)))
    if given != asked:
        raise ValueError(f"params must be arrays of shapes {asked}, not {given}")
    cuts = np.cumsum([leaf.size for leaf in layers])[:-1]

    def shaped(vector: np.ndarray) -> tuple[np.ndarray, ...]:
        parts = np.split(vector.ravel(), cuts)
        return tuple(part.reshape(leaf.shape) for part, leaf in zip(parts, layers, strict=True))

    def apply(vector: np.ndarray) -> np.ndarray:
        moved = _hessian_product()(laid_out, factorization, layers, shaped(vector.astype(problem.dtype)))
        return np.concatenate([np.asarray(part).ravel() for part in moved])

    laid_out, many = problem.compiled(), sum(leaf.size for leaf in layers)
    with precision(problem.dtype):
        if many < 4:
            values, vectors = np.linalg.eigh(np.stack([apply(row) for row in np.eye(many)]))
        else:
            begin = np.random.default_rng(0).standard_normal(many)
            operator = LinearOperator((many, many), matvec=apply, dtype=problem.dtype)  # pyright: ignore[reportCallIssue]
            values, vectors = eigsh(operator, k=1, which="LA", v0=begin)
    return float(values[-1]), shaped(vectors[:, -1])


def _checks(depth: int, found: Depth) -> list[Check]:
    # The growth at the edge is |1 - eta * sharpness|: it passes 1 where a line through the neighbors does.
    edge = float(np.interp(1, found.growth, EDGE))
    return [
        # The error's next term is of order eta: a few per cent of the order at the smallest steps.
        Check(f"depth {depth}: order of the error in eta", found.order, 1, "=", 0.05),
        Check(f"depth {depth}: eta * sharpness where the limit is left", edge, 2, "=", 1e-3),
        # The law is extrapolated from the smallest step: as far off as the order is, times the distance in scale.
        Check(f"depth {depth}: largest step within the tolerance", found.largest, found.extrapolated, "=", 0.1),
    ]


def _panels(measured: dict[int, Depth]) -> tuple[Panel, ...]:
    errors, growths = [], []
    for depth, found in measured.items():
        label, x = f"depth {depth}", found.rates * found.sharpness
        finite = np.isfinite(found.errors) & (found.errors < 10)
        errors.append(Curve(label, x[finite], found.errors[finite], "points"))
        law = found.errors[-1] * found.rates / found.rates[-1]
        errors.append(Curve(f"{label} (predicted)", x, law, "dashed"))
        growths.append(Curve(label, EDGE, found.growth, "points"))
    growths.append(Curve("|1 − ηλ| (predicted)", EDGE, np.abs(1 - np.array(EDGE)), "dashed"))
    return (
        Panel("Distance of descent and flow", "step size × sharpness, ηλ", "relative distance", tuple(errors), "xy"),
        Panel("A disturbance of the limit", "step size × sharpness, ηλ", "factor per step", tuple(growths)),
    )
