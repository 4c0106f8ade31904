"""Depth as acceleration: the update of a product as preconditioned gradient descent, and l_p regression with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from rankwise.data.synthetic import low_rank, sense
from rankwise.dynamics import end_to_end_velocity
from rankwise.factorizations import Deep
from rankwise.keys import as_generator
from rankwise.loop import solve_batch
from rankwise.optimizers import Optimizer
from rankwise.solvers import GradientDescent
from rankwise.solvers.gradient_descent import Descent
from rankwise.theory.finding import Check, Curve, Finding, Panel, Relation

# The loop of the line integral: from radius NEAR to FAR, between the directions of these angles.
NEAR, FAR, ANGLES = 0.5, 1.5, (0.3, 1.3)
# The slope and the second derivatives of the losses that are integrated along it.
SLOPE = np.array([1.0, 0.5])
BOWLS = {"equal curvatures": np.diag([2.0, 2.0]), "unequal curvatures": np.diag([1.0, 4.0])}
PLAIN, UNTUNED, CLOSE = "gradient descent", "Adadelta, rate 1", "p = 2, near the solution"
RIVALS = {
    PLAIN: "gradient_descent", "momentum": "momentum", "Adagrad": "adagrad", "Adadelta": "adadelta", "Adam": "adam",
}  # fmt: skip
# How the speed-up of depth over each relates to 1 at p > 2: the first two as published, the others as we found.
BESIDE: dict[str, Relation] = {"Adagrad": ">=", UNTUNED: ">=", "Adadelta": "<=", "momentum": "<=", "Adam": "<="}


def preconditioner_modes(matrix: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """U (d1, d1), the eigenvalues K (d1, d2) and V (d2, d2) of P_W: P_W[X] = U (K o (U^T X V)) V^T.

    K_rs = sum_j sigma_r^(2(j-1)/N) sigma_s^(2(N-j)/N) belongs to u_r v_s^T; sigma_r = 0 for r > min(d1, d2), 0^0 = 1.

    Source: Arora, Cohen, Hazan 2018 (`arora2018optimization`), claim 1.
    """
    u, sigma, vt = np.linalg.svd(matrix)
    rows, columns = (np.pad(sigma, (0, size - sigma.size)) ** (2 / depth) for size in matrix.shape)
    gains = sum(np.outer(rows ** (j - 1), columns ** (depth - j)) for j in range(1, depth + 1))
    return u, np.asarray(gains), vt.T


def preconditioner(matrix: np.ndarray, depth: int) -> np.ndarray:
    """P_W as a matrix on vec(X), X (d1, d2) read row by row; shape (d1 d2, d1 d2).

    P_W = sum_{j=1..N} (W W^T)^((j-1)/N) (x) (W^T W)^((N-j)/N), the Kronecker product (x) being NumPy's.

    Source: Arora, Cohen, Hazan 2018 (`arora2018optimization`), theorem 1.
    """
    u, sigma, vt = np.linalg.svd(matrix)
    left, right = _powers(u, sigma, depth), _powers(vt.T, sigma, depth)
    return np.asarray(sum(np.kron(left[j - 1], right[depth - j]) for j in range(1, depth + 1)))


def preconditioning(
    shape: tuple[int, int] = (4, 3),
    depths: Sequence[int] = (2, 3, 4),
    *,
    rates: Sequence[float] = (1e-2, 1e-3, 1e-4, 1e-5),
    key: Any = 0,
) -> Finding:
    """A step of gradient descent on balanced layers is one of preconditioned gradient descent on their product.

    (W' - W) / rate = -P_W grad l(W) + O(rate), P_W positive semidefinite (`preconditioner`). With one output, w in R^d,
    P_w g = |w|^(2-2/N) (g + (N-1) <g, w> w / |w|^2). For l(w) = <b, w> + w^T H w / 2 the integral of P_w grad l(w)
    along the boundary of the sector between the unit vectors e and f and the radii r and R is, with a = 3 - 2/N and
    c = 4 - 2/N,

    (N-1) [(N-2) / (3N-2) (R^a - r^a) <b, e - f> + (N-1) / (4N-2) (R^c - r^c) (e^T H e - f^T H f)]:

    where it is not zero, P_w grad l(w) is not the gradient of any function. Two layers w = w1 omega follow
    w' = w - rate omega^2 g - (rate / omega) <g, w1> w + O(rate^2), w itself a sum of past gradients.

    Raises:
        ValueError: if a depth is below 2, or rates are not at least two positive numbers.

    Source: Arora, Cohen, Hazan 2018 (`arora2018optimization`), theorem 1 and claim 1; the formulas of the single
    output and of the integral follow from theorem 1.
    """
    _at_least("depths", depths, 2)
    if len(rates) < 2 or min(rates) <= 0:
        raise ValueError(f"rates must be at least two positive numbers, not {rates}")
    rates = sorted(rates, reverse=True)
    rng = as_generator(key)
    matrix, vector = rng.standard_normal(shape), rng.standard_normal(shape[1])
    problem = sense(low_rank(shape, 1, key=rng), 2 * max(shape), key=rng)
    errors = {n: _step_errors(problem, matrix, n, rates, rng) for n in depths}
    spectra = {n: (np.linalg.eigvalsh(preconditioner(matrix, n))[::-1], _sorted_gains(matrix, n)) for n in depths}
    checks = [check for n in depths for check in _checks_at(n, _order(errors[n], rates), *spectra[n], vector, rng)]
    # The next order contributes about the second smallest rate itself.
    checks.append(
        Check("memory: order in the rate of a step's distance from the rule", _memory_order(rng), 1.0, "=", 0.05)
    )
    return Finding(
        "preconditioning",
        "A small step on balanced layers is one of preconditioned gradient descent on their product, and in general "
        "the gradient step of no loss.",
        "arora2018optimization, theorem 1 and claim 1",
        tuple(checks),
        _panels_of_preconditioning(errors, spectra, rates),
    )


def circulation(bowl: np.ndarray, depth: int) -> float:
    """The integral of `preconditioning` in closed form, for <b, w> + w^T bowl w / 2 with b = SLOPE."""
    e, f = (_direction(angle) for angle in ANGLES)
    a, c = 3 - 2 / depth, 4 - 2 / depth
    straight = (depth - 2) / (3 * depth - 2) * (FAR**a - NEAR**a) * (SLOPE @ (e - f))
    curved = (depth - 1) / (4 * depth - 2) * (FAR**c - NEAR**c) * (e @ bowl @ e - f @ bowl @ f)
    return float((depth - 1) * (straight + curved))


def around(bowl: np.ndarray, depth: int, nodes: int = 40) -> float:
    """The same integral by Gauss-Legendre quadrature on the four sides of the sector."""
    points, weights = np.polynomial.legendre.leggauss(nodes)
    (first, last), share = ANGLES, (points + 1) / 2
    total = 0.0
    for angle, sign in ((first, 1), (last, -1)):
        ray = _direction(angle)
        for radius, weight in zip(NEAR + (FAR - NEAR) * share, weights * (FAR - NEAR) / 2, strict=True):
            total += sign * weight * (_field(radius * ray, bowl, depth) @ ray)
    for radius, sign in ((FAR, 1), (NEAR, -1)):
        for angle, weight in zip(first + (last - first) * share, weights * (last - first) / 2, strict=True):
            along = radius * _direction(angle + math.pi / 2)
            total += sign * weight * (_field(radius * _direction(angle), bowl, depth) @ along)
    return total


def _checks_at(
    n: int, order: float, seen: np.ndarray, proved: np.ndarray, vector: np.ndarray, rng: np.random.Generator
) -> list[Check]:
    single = _single_output(vector, n, rng)
    return [
        Check(f"depth {n}: order in the rate of the step's distance from -P_W g", order, 1.0, "=", 0.05),
        Check(f"depth {n}: relative difference of the eigenvalues of P_W", _distance(seen, proved), 0.0, "=", 1e-10),
        Check(f"depth {n}: smallest eigenvalue of P_W", float(seen[-1]), 0.0, ">=", 1e-10),
        Check(f"depth {n}: difference from the single-output rule", single, 0.0, "=", 1e-10),
        *(
            Check(f"depth {n}, {name}: integral along a loop", around(bowl, n), circulation(bowl, n), "=", 1e-8)
            for name, bowl in BOWLS.items()
        ),
    ]


def _powers(vectors: np.ndarray, sigma: np.ndarray, depth: int) -> list[np.ndarray]:
    """The powers 0, 1/N, ..., (N-1)/N of W W^T or W^T W, by the singular values, since roots magnify rounded zeros."""
    root = np.pad(sigma, (0, len(vectors) - sigma.size)) ** (2 / depth)
    return [(vectors * root**j) @ vectors.T for j in range(depth)]


def _sorted_gains(matrix: np.ndarray, depth: int) -> np.ndarray:
    return np.sort(preconditioner_modes(matrix, depth)[1].ravel())[::-1]


def _step_errors(problem: Any, matrix: np.ndarray, depth: int, rates: Sequence[float], rng: Any) -> np.ndarray:
    """|(W' - W) / rate + P_W g| / |P_W g| for one step of gradient descent on balanced layers, per rate."""
    layers = _balanced_layers(matrix, depth, rng)
    solvers = [GradientDescent(Deep(depth), Optimizer("gradient_descent", rate)) for rate in rates]
    begin = Descent(layers, solvers[0].optimizer.transformation().init(layers))
    steps = solve_batch(problem, solvers, states=[(begin, 0)], max_steps=1)
    predicted = preconditioner(matrix, depth) @ problem.gradient(matrix).ravel()
    taken = [(step.matrix - matrix).ravel() / rate for step, rate in zip(steps, rates, strict=True)]
    return np.array([_distance(-each, predicted) for each in taken])


def _balanced_layers(matrix: np.ndarray, depth: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """W_j = Q_j S^(1/N) Q_(j-1)^T with Q_0 = V, Q_N = U and random rotations between."""
    u, sigma, vt = np.linalg.svd(matrix, full_matrices=False)
    inner = [np.linalg.qr(rng.standard_normal((sigma.size, sigma.size)))[0] for _ in range(depth - 1)]
    frames = [vt.T, *inner, u]
    return tuple((frames[j + 1] * sigma ** (1 / depth)) @ frames[j].T for j in range(depth))


def _single_output(vector: np.ndarray, depth: int, rng: np.random.Generator) -> float:
    """The relative difference of the end-to-end flow from the single-output rule, at one w and g."""
    gradient = rng.standard_normal(vector.size)
    along = (gradient @ vector) / (vector @ vector) * vector
    rule = -(np.linalg.norm(vector) ** (2 - 2 / depth)) * (gradient + (depth - 1) * along)
    return _distance(end_to_end_velocity(vector[None], gradient[None], depth)[0], rule)


def _field(vector: np.ndarray, bowl: np.ndarray, depth: int) -> np.ndarray:
    return -end_to_end_velocity(vector[None], (SLOPE + bowl @ vector)[None], depth)[0]


def _direction(angle: float) -> np.ndarray:
    return np.array([math.cos(angle), math.sin(angle)])


def _memory_order(rng: np.random.Generator) -> float:
    """The order in the rate of |(w' - w) - (rule's step)| / |step| for w = w1 omega."""
    first, gradient, omega = rng.standard_normal(5), rng.standard_normal(5), 0.7
    rates, errors = (1e-3, 1e-4), []
    for rate in rates:
        moved = (first - rate * omega * gradient) * (omega - rate * (gradient @ first)) - first * omega
        rule = -rate * omega**2 * gradient - rate / omega * (gradient @ first) * (first * omega)
        errors.append(_distance(moved, rule))
    return _order(np.array(errors), rates)


def _order(errors: np.ndarray, rates: Sequence[float]) -> float:
    """The slope of log error against log rate between the two smallest rates."""
    return float(np.log(errors[-2] / errors[-1]) / np.log(rates[-2] / rates[-1]))


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


def _panels_of_preconditioning(errors: Any, spectra: Any, rates: Sequence[float]) -> tuple[Panel, ...]:
    steps, eigenvalues = [], []
    for n, error in errors.items():
        steps.append(Curve(f"depth {n}", rates, error, "points"))
        steps.append(Curve(f"depth {n} (predicted)", rates, error[-1] * np.array(rates) / rates[-1], "dashed"))
        numbers = np.arange(1, spectra[n][0].size + 1)
        eigenvalues.append(Curve(f"depth {n}", numbers, spectra[n][0], "points"))
        eigenvalues.append(Curve(f"depth {n} (predicted)", numbers, spectra[n][1], "dashed"))
    loops, every = [], np.arange(1, 9)
    for name, bowl in BOWLS.items():
        loops.append(Curve(name, every, [around(bowl, int(n)) for n in every], "points"))
        loops.append(Curve(f"{name} (predicted)", every, [circulation(bowl, int(n)) for n in every], "dashed"))
    return (
        Panel("A step against $-P_W g$ (dashed: slope 1)", "rate", "relative difference", tuple(steps), "xy"),
        Panel("Eigenvalues of $P_W$", "number", "eigenvalue", tuple(eigenvalues)),
        Panel("Not the gradient of a function", "depth", "integral along a closed loop", tuple(loops)),
    )


def _at_least(name: str, numbers: Sequence[int], least: int) -> None:
    if not numbers or any(isinstance(n, bool) or not isinstance(n, int) or n < least for n in numbers):
        raise ValueError(f"{name} must be integers of at least {least}, not {tuple(numbers)}")


class Regression(NamedTuple):
    """Data sets x (sets, samples, features) and y (sets, samples), with the start w (sets, features)."""

    x: np.ndarray
    y: np.ndarray
    start: np.ndarray


def acceleration(
    powers: Sequence[int] = (2, 4),
    depths: Sequence[int] = (2, 3, 4),
    *,
    samples: int = 100,
    features: int = 10,
    condition: float = 100.0,
    noise: float = 0.1,
    scale: float = 0.1,
    fraction: float = 1e-4,
    rates: Any = None,
    max_steps: int = 3000,
    sets: int = 3,
    key: Any = 0,
) -> Finding:
    """Steps to a given loss in l_p regression: w itself by five optimizers, and w = w1 omega_2 ... omega_N.

    The loss is mean |x w - y|^p / p; the factors omega are numbers and all factors start equally large, so that
    |w| = scale. An optimizer has reached the loss l* + fraction (l(start) - l*) when it stays below; the best of the
    rates counts (None: 50 from 0.02 to 100, a fifth apart), and geometric means over the data sets.

    Near the solution w* at p = 2 (to fraction^2) the slowest direction decides: with S = x^T x / samples and
    P = 1 + (N-1) w* w*^T / |w*|^2 the number of steps falls by cond(S) / cond(P^(1/2) S P^(1/2)), between 1/N and N.

    The data are synthetic: Gaussian features whose covariance has geometrically spread eigenvalues of the given
    condition number in a random basis, a Gaussian solution, Gaussian noise; features and y are standardized.

    Raises:
        ValueError: if a power or depth is below 2, or noise, scale, fraction or a rate is not positive.

    Source: Arora, Cohen, Hazan 2018 (`arora2018optimization`), experiments; the ratio of condition numbers follows from
    theorem 1.
    """
    _at_least("powers", powers, 2)
    _at_least("depths", depths, 2)
    tried = np.asarray(np.geomspace(0.02, 100, 50) if rates is None else rates, float)
    for name, value in (("noise", noise), ("scale", scale), ("fraction", fraction), ("rates", tried.min())):
        if not value > 0:
            raise ValueError(f"{name} must be positive, not {value}")
    data = _regression(sets, samples, features, condition, noise, scale, as_generator(key))
    methods: dict[str, tuple[int, str, np.ndarray]] = {
        name: (1, optimizer, tried) for name, optimizer in RIVALS.items()
    }
    methods |= {f"depth {n}": (n, "gradient_descent", tried) for n in depths}
    methods[UNTUNED] = (1, "adadelta", np.ones(1))
    runs = {p: {name: _excess(data, p, *how, max_steps) for name, how in methods.items()} for p in powers}
    steps = {p: {name: _fewest(each, fraction)[0] for name, each in named.items()} for p, named in runs.items()}
    speed = {f"p = {p}": _speed_ups(steps[p], depths) for p in powers}
    if 2 in powers:
        close = {name: _fewest(each, fraction**2)[0] for name, each in runs[2].items()}
        speed[CLOSE] = _speed_ups(close, depths)
    gains = [[_local_gain(x, y, n) for x, y in zip(data.x, data.y, strict=True)] for n in depths]
    local = [_mean_ratio(np.array(each), np.ones(sets)) for each in gains]
    return Finding(
        "acceleration",
        "More scalar factors speed up gradient descent in l_p regression at p = 4, not at p = 2; momentum, Adam and a "
        "tuned Adadelta are faster still.",
        "arora2018optimization, experiments",
        tuple(_speed_checks(speed, local, depths, steps)),
        _panels_of_acceleration(runs, speed, local, depths, fraction),
        "conjecture",
        {"steps": steps, "speed_up": speed, "local": local, "data": data},
    )


def _regression(
    sets: int, samples: int, features: int, condition: float, noise: float, scale: float, rng: np.random.Generator
) -> Regression:
    made = []
    for _ in range(sets):
        basis = np.linalg.qr(rng.standard_normal((features, features)))[0]
        x = rng.standard_normal((samples, features)) * np.geomspace(1, condition**-0.5, features) @ basis.T
        x = _standardized(x)
        y = _standardized(x @ rng.standard_normal(features))
        start = rng.standard_normal(features)
        made.append((x, _standardized(y + noise * rng.standard_normal(samples)), scale * start / np.linalg.norm(start)))
    return Regression(*(np.stack(each) for each in zip(*made, strict=True)))


def _standardized(array: np.ndarray) -> np.ndarray:
    return (array - array.mean(0)) / array.std(0)


def _smallest_loss(x: np.ndarray, y: np.ndarray, power: int) -> float:
    """The minimum of mean |x w - y|^p / p, by Newton steps of length 1 / (p-1), which converge from least squares."""
    w = np.linalg.lstsq(x, y, rcond=None)[0]
    for _ in range(100 * (power - 1)):
        residual = x @ w - y
        weights = np.abs(residual) ** (power - 2)
        w = w - np.linalg.solve((x.T * weights) @ x, x.T @ (weights * residual)) / (power - 1)
    return float(np.mean(np.abs(x @ w - y) ** power) / power)


def _excess(data: Regression, power: int, depth: int, optimizer: str, rates: np.ndarray, max_steps: int) -> np.ndarray:
    """(l - l*) / (l(start) - l*) before every step, shape (sets, rates, max_steps + 1)."""
    least = np.array([_smallest_loss(x, y, power) for x, y in zip(data.x, data.y, strict=True)])[:, None, None]
    losses = _losses(data, power, depth, optimizer, rates, max_steps)
    return (losses - least) / (losses[:, :1, :1] - least)


def _fewest(excess: np.ndarray, fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """The steps to the fraction at the best rate, per data set (nan if none reaches it), and which rate that is."""
    taken = _steps_to(excess, fraction)
    rate = np.argmin(np.where(np.isnan(taken), np.inf, taken), axis=1)
    return taken[np.arange(len(taken)), rate], rate


def _speed_ups(steps: dict[str, np.ndarray], depths: Sequence[int]) -> list[float]:
    return [_mean_ratio(steps[PLAIN], steps[f"depth {n}"]) for n in depths]


def _steps_to(excess: np.ndarray, fraction: float) -> np.ndarray:
    """The first step from which the last axis stays at or below the fraction; nan if it does not end there."""
    above = ~(excess <= fraction)
    taken = np.where(above.any(-1), excess.shape[-1] - np.argmax(above[..., ::-1], axis=-1), 0)
    return np.where(above[..., -1], np.nan, taken)


def _losses(data: Regression, power: int, depth: int, optimizer: str, rates: np.ndarray, steps: int) -> np.ndarray:
    """The loss before every step, shape (sets, rates, steps + 1)."""
    import jax

    def run(x: Any, y: Any, start: Any, rate: Any) -> Any:
        transformation = Optimizer(optimizer, rate).transformation()

        def step(carry: tuple[Any, Any], _: None) -> tuple[tuple[Any, Any], Any]:
            params, state = carry
            value, gradient = jax.value_and_grad(partial(_loss, x, y, power))(params)
            updates, state = transformation.update(gradient, state, params)
            return (jax.tree.map(lambda a, b: a + b, params, updates), state), value

        params = _equal_factors(start, depth)
        return jax.lax.scan(step, (params, transformation.init(params)), None, length=steps + 1)[1]

    over_rates: Callable[..., Any] = jax.vmap(run, in_axes=(None, None, None, 0))
    with jax.enable_x64(True):
        return np.asarray(jax.jit(jax.vmap(over_rates, in_axes=(0, 0, 0, None)))(*data, rates))


def _loss(x: Any, y: Any, power: int, params: tuple[Any, ...]) -> Any:
    return (abs(x @ math.prod(params[1:], start=params[0]) - y) ** power).mean() / power


def _equal_factors(start: Any, depth: int) -> tuple[Any, ...]:
    """w1 and N - 1 numbers of the same size whose product is the start."""
    size = (start @ start) ** 0.5
    return (start * size ** (1 / depth - 1), *[size ** (1 / depth)] * (depth - 1))


def _local_gain(x: np.ndarray, y: np.ndarray, depth: int) -> float:
    """cond(S) / cond(P^(1/2) S P^(1/2)) at the least squares solution."""
    solution = np.linalg.lstsq(x, y, rcond=None)[0]
    unit = solution / np.linalg.norm(solution)
    root = np.eye(unit.size) + (depth**0.5 - 1) * np.outer(unit, unit)
    curvature = x.T @ x / len(y)
    return float(np.linalg.cond(curvature) / np.linalg.cond(root @ curvature @ root))


def _mean_ratio(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.exp(np.mean(np.log(one / other))))


def _claimed(power: int) -> Relation:
    return "<=" if power == 2 else ">="


def _speed_checks(speed: Any, local: list[float], depths: Sequence[int], steps: Any) -> list[Check]:
    # A fifth: the rates of the two methods that are compared are that coarse.
    coarse = 0.2
    checks = []
    for p, taken in steps.items():
        label = f"speed-up over {PLAIN}"
        checks += [
            Check(f"p = {p}, depth {n}: {label}", gain, 1.0, _claimed(p), coarse)
            for n, gain in zip(depths, speed[f"p = {p}"], strict=True)
        ]
        if p == 2:
            checks += [
                Check(f"{CLOSE}, depth {n}: {label}", gain, proved, "=", coarse)
                for n, gain, proved in zip(depths, speed[CLOSE], local, strict=True)
            ]
        else:
            deep = taken[f"depth {depths[0]}"]
            for rival, relation in BESIDE.items():
                ratio = _mean_ratio(taken[rival], deep)
                checks.append(Check(f"p = {p}, depth {depths[0]}: speed-up over {rival}", ratio, 1.0, relation, coarse))
    return checks


def _panels_of_acceleration(
    runs: Any, speed: Any, local: list[float], depths: Sequence[int], fraction: float
) -> tuple[Panel, ...]:
    panels = []
    for p, named in runs.items():
        lines = []
        for name in (*RIVALS, f"depth {depths[0]}"):
            best = named[name][0, _fewest(named[name], fraction)[1][0]]
            shown = best[: np.argmax(best < fraction / 10) or None]
            lines.append(Curve(name, np.arange(1, shown.size + 1), shown))
        panels.append(
            Panel(f"p = {p}, at the best rates", "step", "excess loss (share of the start's)", tuple(lines), "xy")
        )
    gains = [Curve(name, depths, values, "points" if name == CLOSE else "line") for name, values in speed.items()]
    if CLOSE in speed:
        gains.append(Curve(f"{CLOSE} (predicted)", depths, local, "dashed"))
    return (*panels, Panel("Speed-up over gradient descent", "depth", "ratio of the steps", tuple(gains)))
