"""Depth as acceleration: l_p regression with one layer, with more, and with adaptive optimizers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from rankwise.keys import as_generator
from rankwise.optimizers import Optimizer
from rankwise.theory.finding import Check, Curve, Finding, Panel, Relation
from rankwise.theory.proved.preconditioning import at_least

PLAIN, UNTUNED, CLOSE = "gradient descent", "Adadelta, rate 1", "p = 2, near the solution"
RIVALS = {
    PLAIN: "gradient_descent", "momentum": "momentum", "Adagrad": "adagrad", "Adadelta": "adadelta", "Adam": "adam",
}  # fmt: skip
# How the speed-up of depth over each relates to 1 at p > 2: the first two as published, the others as we found.
BESIDE: dict[str, Relation] = {"Adagrad": ">=", UNTUNED: ">=", "Adadelta": "<=", "momentum": "<=", "Adam": "<="}


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
    |w| = scale. What counts is the first step with a loss of at most l* + fraction (l(start) - l*), at the best of
    the rates (None: 50 from 0.02 to 100, a fifth apart), and geometric means over the data sets.

    Near the solution w* at p = 2 (to fraction^2) the slowest direction decides: with S = x^T x / samples and
    P = 1 + (N-1) w* w*^T / |w*|^2 the number of steps falls by cond(S) / cond(P^(1/2) S P^(1/2)), between 1/N and N.

    The data are synthetic: Gaussian features whose covariance has geometrically spread eigenvalues of the given
    condition number in a random basis, a Gaussian solution, Gaussian noise; features and y are standardized.

    Raises:
        ValueError: if a power or depth is below 2, or noise, scale, fraction or a rate is not positive.

    Source: Arora, Cohen, Hazan 2018 (`arora2018optimization`), experiments; the ratio of condition numbers follows from
    theorem 1.
    """
    at_least("powers", powers, 2)
    at_least("depths", depths, 2)
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
    """The first step at which the last axis is at or below the fraction; nan if none is."""
    below = excess <= fraction
    return np.where(below.any(-1), np.argmax(below, axis=-1), np.nan)


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
            Panel(f"p = {p}, at the best rates", "step", "excess loss, share of the first", tuple(lines), "xy")
        )
    gains = [Curve(name, depths, values, "points" if name == CLOSE else "line") for name, values in speed.items()]
    if CLOSE in speed:
        gains.append(Curve(f"{CLOSE} (predicted)", depths, local, "dashed"))
    return (*panels, Panel("Speed-up over gradient descent", "depth", "steps of depth 1 / steps", tuple(gains)))
