"""Where the ratio penalty recovers at depth 1: hidden error over learning rate and penalty weight, by optimizer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rankwise.factorizations import Full, Gaussian
from rankwise.loop import solve_batch
from rankwise.optimizers import Optimizer
from rankwise.penalties import Ratio
from rankwise.results import RESULTS
from rankwise.solution import Solution
from rankwise.solvers import GradientDescent
from rankwise.theory.finding import Chart, Check, Curve, Finding, Panel
from rankwise.theory.proved.ratio import RECOVERED, first_state
from rankwise.theory.ratio_tools import RESOLUTION, Instance, completion_instance, hidden_error, zero_filled

# Half decades of the learning rate. With mean-square loss plain descent is stable below the number of observations.
SLOW = (1.0, 3.0, 10.0, 30.0, 100.0)
FAST = (1e-3, 3e-3, 1e-2, 3e-2, 0.1)
# The ends of the color scale, so that maps can be compared. A run without a finite error is drawn far beyond them.
BEST, WORST, BEYOND = 1e-6, 3.0, 1e3
# What optimizers are called in text and figures.
PROPER = {
    "gradient_descent": "gradient descent",
    "adam": "Adam",
    "rmsprop": "RMSprop",
    "group_rmsprop": "group RMSprop",
}
# At products up to this gradient descent has hardly moved after the default number of steps.
SMALL = 1e-3
# 1 / (1 - b) for momentum b = 0.9.
EFFECTIVE = 10.0
# The first step foretells what diverges only up to such a factor: the same step also fits the observations.
MARGIN = 1.5
# Cells that differ in learning rate and weight but not in their product, compared where little is learned yet, and
# where neither the weight nor the fit of the observations matters.
LIGHT, UNFINISHED = 1e-2, 0.1


@dataclass(frozen=True)
class Sweep:
    """An optimizer with its settings, and the learning rates to try it at.

    RMSprop's eps is 1e-16 because optax adds it inside the root: the floor is then 1e-8, as elsewhere. With optax's
    own 1e-8 the floor is 1e-4, above the penalty's gradient, and RMSprop is gradient descent of 1e4 times its rate.
    """

    rates: tuple[float, ...]
    settings: Mapping[str, float] = field(default_factory=dict)


SWEEPS: Mapping[str, Sweep] = {
    "gradient_descent": Sweep(SLOW),
    "momentum": Sweep(tuple(rate / 10 for rate in SLOW)),
    "adam": Sweep(FAST),
    "rmsprop": Sweep(FAST, {"eps": 1e-16}),
    "group_rmsprop": Sweep(tuple(30 * rate for rate in FAST), {"eps": 1e-8}),
}


@dataclass(frozen=True, eq=False)
class Region:
    """The hidden error (rates, weights) of one optimizer, and the name of the result of every run."""

    rates: np.ndarray
    weights: np.ndarray
    errors: np.ndarray
    results: np.ndarray

    @property
    def recovered(self) -> np.ndarray:
        """Which runs end with a hidden error below `RECOVERED`."""
        return self.errors < RECOVERED

    def count(self, result: RESULTS) -> int:
        """How many runs ended so."""
        return int((self.results == result.name).sum())


def ratio_map(
    *,
    size: int = 30,
    rank: int = 2,
    count: int = 350,
    sweeps: Mapping[str, Sweep] | None = None,
    weights: Sequence[float] = (1e-4, 1e-3, 1e-2, 1e-1),
    scale: float | None = 1e-2,
    steps: int = 5000,
    key: int = 0,
) -> Finding:
    """Success over (learning rate, weight) for optimizers on the matrix itself with the ratio penalty.

    On a hidden entry the loss has no gradient, and only weight * dR/dW moves it. So gradient descent moves it by rate *
    weight * dR/dW: what it learns depends on the product alone, and heavy-ball momentum b acts as the rate / (1 - b).
    The first step from a start W_0 of scale s has the norm rate * weight * sqrt(k - R^2) / |W_0|_F, k the smaller side:
    where that exceeds twice the norm of the truth the run ends as `diverging_norm`. An element-wise second moment
    divides the weight out on hidden entries; one scalar for all entries (group RMSprop) sees the observed ones too.

    size, rank, count, key: of a random completion. sweeps: what to run, by the optimizer's name (None: `SWEEPS`).
    scale: of the Gaussian start; None: the zero-filled observations. steps: of every run.

    Raises:
        ValueError: if sweeps or weights are empty, or the rank or the count does not fit the size.

    Source: Zhao 2022 (`zhao2022combining`) claims that only certain adaptive optimizers make the penalty effective.
    """
    chosen = SWEEPS if sweeps is None else sweeps
    if not chosen or not len(weights):
        raise ValueError("sweeps and weights must not be empty")
    given = completion_instance(size, rank, count, key)
    regions = {
        name: _region(given, name, sweep, np.asarray(weights, float), scale, steps, key)
        for name, sweep in chosen.items()
    }
    start = _first_step(given, scale, key)
    return Finding(
        name="ratio_map",
        statement="With the ratio penalty at depth 1 gradient descent recovers too, where rate * weight is large "
        "enough; adaptive optimizers differ in that they recover at every small weight.",
        source="zhao2022combining",
        kind="measurement",
        checks=tuple(_checks(regions, start)),
        panels=(*(_chart(name, region) for name, region in regions.items()), _product_panel(regions)),
        details={
            "instance": given,
            "regions": regions,
            "results": {name: dict(Counter(region.results.ravel().tolist())) for name, region in regions.items()},
        },
    )


def _region(
    given: Instance, name: str, sweep: Sweep, weights: np.ndarray, scale: float | None, steps: int, key: int
) -> Region:
    """One optimizer at every rate and weight, as one batch."""
    start = zero_filled(given.problem) if scale is None else Full(Gaussian(scale))
    solvers = [
        GradientDescent(start, Optimizer(name, rate, sweep.settings), Ratio(float(weight), RESOLUTION))
        for rate in sweep.rates
        for weight in weights
    ]
    solutions = solve_batch(given.problem, solvers, keys=[key], max_steps=steps, checkpoints=20)
    shape = (len(sweep.rates), len(weights))
    errors = np.array([_finite_error(solution, given) for solution in solutions]).reshape(shape)
    results = np.array([solution.result.name for solution in solutions]).reshape(shape)
    return Region(np.asarray(sweep.rates), weights, errors, results)


def _finite_error(solution: Solution, given: Instance) -> float:
    """The hidden error, or infinity where the matrix is not finite."""
    error = hidden_error(solution.matrix, given) if np.isfinite(solution.matrix).all() else np.inf
    return error if np.isfinite(error) else np.inf


def _first_step(given: Instance, scale: float | None, key: int) -> float:
    """The norm of gradient descent's first step on the penalty, per rate * weight, in units of the norm limit.

    |dR/dW|_F at the start over twice the problem's norm estimate; 0 from the zero-filled observations, where the
    step is small.
    """
    if scale is None:
        return 0.0
    solver = GradientDescent(Full(Gaussian(scale)), penalty=Ratio(1.0))
    start = np.asarray(first_state(given.problem, solver, key)[0].params[0], np.float64)
    return float(np.linalg.norm(Ratio(1.0).gradient(start)) / (2 * given.problem.norm_estimate()))


def _checks(regions: Mapping[str, Region], first: float) -> list[Check]:
    checks = [
        Check(f"{proper(name)}: least hidden error", float(region.errors.min()), RECOVERED, "<=")
        for name, region in regions.items()
    ]
    descent, momentum = regions.get("gradient_descent"), regions.get("momentum")
    if descent is not None:
        checks += _descent_checks(descent, first)
    if descent is not None and momentum is not None:
        # Momentum's oscillations and its later start move what is learned by a few percent.
        spread = _spread([(descent, 1.0), (momentum, EFFECTIVE)])
        checks.append(Check("momentum at rate / 10 against gradient descent: ratio of errors", spread, 1, "=", 0.1))
    for name in ("adam", "rmsprop"):
        if name in regions:
            light = regions[name].weights <= LIGHT
            found = int(regions[name].recovered[:, light].any(axis=0).sum())
            label = f"{proper(name)}: weights up to {LIGHT:g} at which some rate recovers, of all of them"
            checks.append(Check(label, found, int(light.sum())))
    return checks


def _descent_checks(region: Region, first: float) -> list[Check]:
    product = region.rates[:, None] * region.weights
    small = region.errors[product <= SMALL]
    checks = [Check("gradient descent: ratio of errors at equal rate * weight", _spread([(region, 1.0)]), 1, "=", 0.1)]
    if small.size:
        label = f"gradient descent: least hidden error at rate * weight <= {SMALL:g}"
        checks.append(Check(label, float(small.min()), 0.5, ">="))
    if first:
        stopped = region.results == RESULTS.diverging_norm.name
        wrong = (stopped & (product * first < 1 / MARGIN)) | (~stopped & (product * first > MARGIN))
        checks.append(Check("gradient descent: runs that diverge against what the first step foretells",
                            int(wrong.sum()), 0))  # fmt: skip
    return checks


def _spread(regions: Sequence[tuple[Region, float]]) -> float:
    """The largest ratio of two hidden errors whose rate * factor * weight agree; 1 if there are none to compare.

    Only light weights and unfinished runs count: elsewhere the weight biases the fit, or the error is that of the bias.
    """
    groups: dict[float, list[float]] = {}
    for region, factor in regions:
        for i, rate in enumerate(region.rates):
            for j, weight in enumerate(region.weights):
                if weight <= LIGHT and UNFINISHED < region.errors[i, j] < 1:
                    groups.setdefault(float(f"{rate * factor * weight:.3g}"), []).append(region.errors[i, j])
    return max((max(errors) / min(errors) for errors in groups.values()), default=1.0)


def proper(name: str) -> str:
    """An optimizer's name as it is written, from that in the registry."""
    return PROPER.get(name, name.replace("_", " "))


def _chart(name: str, region: Region) -> Chart:
    called, diverged = proper(name), region.count(RESULTS.diverging_norm)
    title = f"{called[0].upper()}{called[1:]} ({diverged} of {region.errors.size} diverging)"
    weights, rates = region.weights.tolist(), region.rates.tolist()
    ends = BEST, WORST
    return Chart(title, "penalty weight", "learning rate", weights, rates, shown(region), "hidden error", True, ends)


def shown(region: Region) -> np.ndarray:
    """The hidden errors, with a number far off the scale in place of infinity."""
    return np.where(np.isfinite(region.errors), region.errors, BEYOND)


def _product_panel(regions: Mapping[str, Region]) -> Panel:
    """Hidden error against rate * weight: one curve where only the product matters, a cloud for Adam."""
    curves = []
    for name, region in regions.items():
        if name not in ("gradient_descent", "momentum", "adam") and len(regions) > 1:
            continue
        factor = EFFECTIVE if name == "momentum" else 1.0
        product = factor * region.rates[:, None] * region.weights
        curves.append(Curve(proper(name), product.ravel(), shown(region).ravel(), "points"))
    return Panel("Is it the product alone?", "rate × weight (momentum: 10 times)", "hidden error", tuple(curves), "xy")
