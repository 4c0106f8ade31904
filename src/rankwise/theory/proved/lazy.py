"""Large initialization: layers hardly move, the model stays its linearization, hidden entries are not learned."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from rankwise.data.synthetic import low_rank, observe
from rankwise.factorizations import Deep
from rankwise.factorizations.initializations import INITIALIZATIONS
from rankwise.loop import solve_batch
from rankwise.lowrank import dense
from rankwise.problems import Problem, Squared
from rankwise.registry import look_up
from rankwise.solvers import GradientFlow
from rankwise.theory.finding import Check, Curve, Finding, Panel

# Flows are followed until the loss has fallen to this share of its start, at the latest to the last of these times.
EXPLAINED = 1e-8
TIMES = np.geomspace(1e-4, 1e6, 101)
# The exponents are those of the last so many scales.
LAST = 3


class Fit(NamedTuple):
    """One run: relative movement of the layers, of the linearization's, errors on hidden entries, and distances."""

    movement: float
    movement_linear: float
    hidden: float
    hidden_linear: float
    hidden_start: float
    distance: float


def tangent_kernel(layers: Sequence[np.ndarray]) -> np.ndarray:
    """How gradients in W = W_N ... W_1 move W: K = sum_j kron(A_j A_j^T, B_j^T B_j), shape (d1 d2, d1 d2).

    A_j = W_N ... W_(j+1) stands above layer j, B_j = W_(j-1) ... W_1 below it; W is flattened row by row, and the
    flow of the layers is dW/dt = -K grad l(W) at the moment.

    Source: Jacot, Gabriel, Hongler 2018 (`jacot2018neural`), here for a product of matrices.
    """
    d1, d2 = layers[-1].shape[0], layers[0].shape[1]
    kernel = np.zeros((d1 * d2, d1 * d2))
    for j in range(len(layers)):
        above = reduce(lambda product, layer: product @ layer, reversed(layers[j + 1 :]), np.eye(d1))
        below = reduce(lambda product, layer: layer @ product, layers[:j], np.eye(d2))
        kernel += np.kron(above @ above.T, below.T @ below)
    return kernel


def linearized(problem: Problem, layers: Sequence[np.ndarray], times: Any) -> np.ndarray:
    """The flow of the model linearized at these layers, in closed form; shape (len(times), d1, d2).

    W(t) = W_0 - K M^T Q diag((1 - exp(-c L t)) / L) Q^T (M W_0 - y) with M the measurements, c the scale of the loss,
    K = `tangent_kernel`(layers) and M K M^T = Q L Q^T. At
    t = infinity it is the least-squares solution with the least movement of the layers.

    Raises:
        ValueError: if the problem's misfit is not that of squares, whose gradient alone is linear.

    Source: Chizat, Oyallon, Bach 2019 (`chizat2019lazy`), section 1.
    """
    if not isinstance(problem.misfit, Squared):
        raise ValueError(f"linearized needs the squared misfit, not {type(problem.misfit).__name__}")
    start = _product(layers)
    measurements, kernel, values, vectors = _spectrum(problem, layers)
    residual = vectors.T @ np.asarray(problem.residual(start))
    exponent = problem.scale * np.multiply.outer(np.asarray(times, float), np.where(values > 0, values, 1))
    moved = np.where(values > 0, -np.expm1(-exponent) / np.where(values > 0, values, 1), 0)
    return start - ((moved * residual) @ (kernel @ measurements.T @ vectors).T).reshape(-1, *start.shape)


def lazy_regime(
    size: int = 10,
    rank: int = 1,
    count: int = 50,
    depths: Sequence[int] = (2, 3),
    scales: Sequence[float] = tuple(np.geomspace(0.1, 1000, 9)),
    start: str = "gaussian",
    key: int = 0,
) -> Finding:
    """The flow of `Deep(depth)` on a completion problem from starts of growing scale s, to the end.

    Two models: W as it is, and W centered by its own start, W - W_0, so that the residual does not grow with s. For the
    centered one theory says: relative movement of the layers and distance to the linearized trajectory both fall
    as 1 / s at every depth (layers are of size s^(1/N), the kernel of s^(2-2/N)). W as it is becomes, for large s, the
    fit of the values y / s -> 0 from a start of scale 1: layers move by a share that does not depend on s, and
    the model is not linear.

    Raises:
        ValueError: if scales are fewer than three, not ascending or not positive, a depth is below 2 (there the
            model is linear from every start), the start is neither "gaussian" nor "orthogonal", or the sizes do
            not fit.

    Source: Chizat, Oyallon, Bach 2019 (`chizat2019lazy`), section 1.
    """
    _check(depths, scales, start)
    truth = low_rank((size, size), rank, key=key)
    problem = observe(truth, count, key=key + 1, min_degree=1).mean()
    runs = {
        (depth, centered): _runs(problem, dense(truth), depth, scales, start, key, centered)
        for depth in depths
        for centered in (True, False)
    }
    checks = tuple(check for depth in depths for check in _checks(depth, runs, scales))
    return Finding(
        "lazy_regime",
        "From starts of growing scale s the flow of the centered product approaches that of its linearization: the "
        "layers move by a share of order 1 / s, and hidden entries come from the least movement, not the least rank.",
        "chizat2019lazy, section 1; jacot2018neural",
        checks,
        _panels(depths, runs, scales),
        details={"truth": truth, "problem": problem, "scales": np.asarray(scales, float), "runs": runs},
        notes=tuple(_note(depth, runs, scales) for depth in depths),
    )


def _check(depths: Sequence[int], scales: Sequence[float], start: str) -> None:
    array = np.asarray(scales, float)
    if array.ndim != 1 or array.size < LAST or not (array > 0).all() or not (np.diff(array) > 0).all():
        raise ValueError(f"scales must be at least {LAST} positive numbers in ascending order, not {scales!r}")
    if not depths or min(depths) < 2:
        raise ValueError(f"depths must be integers of at least 2, not {depths!r}")
    look_up(start, {name: INITIALIZATIONS[name] for name in ("gaussian", "orthogonal")}, "start")


def _runs(
    problem: Problem, truth: np.ndarray, depth: int, scales: Sequence[float], start: str, key: int, centered: bool
) -> list[Fit]:
    begin: Any = INITIALIZATIONS[start]
    models = [Deep(depth, begin(float(scale))) for scale in scales]
    begun = [_start(problem, model, key) for model in models]
    offsets = [centered * _product(layers) for layers in begun]
    # To fit y with W - W_0 is to fit y + M W_0 with W.
    problems = [problem.replace(values=problem.values + problem.measure(offset)) for offset in offsets]
    solvers = [
        GradientFlow(model, times=TIMES, explained=EXPLAINED * float(each.loss(_product(layers))))
        for model, each, layers in zip(models, problems, begun, strict=True)
    ]
    solutions = solve_batch(problems, solvers, keys=[key], track=["matrix"])
    seen = problem.adjoint(np.ones(problem.size)) != 0
    return [
        _fit(each, layers, solution, truth + offset, seen)
        for each, layers, solution, offset in zip(problems, begun, solutions, offsets, strict=True)
    ]


def _fit(problem: Problem, layers: list[np.ndarray], solution: Any, target: np.ndarray, seen: np.ndarray) -> Fit:
    first, moved = _product(layers), [b - a for a, b in zip(layers, solution.state[0].params, strict=True)]
    line = linearized(problem, layers, solution.history["time"])
    apart = np.linalg.norm(solution.history["matrix"] - line, axis=(1, 2)).max()
    unit = np.linalg.norm(target[~seen] - first[~seen])
    _, _, values, vectors = _spectrum(problem, layers)
    residual = (vectors.T @ np.asarray(problem.residual(first)))[values > 0]
    length = np.sqrt(np.sum(residual**2 / values[values > 0]))
    return Fit(
        _norm(moved) / _norm(layers),
        float(length / _norm(layers)),
        float(np.linalg.norm((solution.matrix - target)[~seen])),
        float(np.linalg.norm((line[-1] - target)[~seen])),
        float(unit),
        float(apart / np.linalg.norm(line - first, axis=(1, 2)).max()),
    )


def _checks(depth: int, runs: dict[tuple[int, bool], list[Fit]], scales: Sequence[float]) -> list[Check]:
    centered, plain = runs[depth, True], runs[depth, False]
    of = f"depth {depth}, centered:"
    return [
        # The next term of the expansion is smaller by 1 / s: below 2 % per exponent at the last scales.
        Check(
            f"{of} exponent of the layers' movement in s", _slope(scales, [f.movement for f in centered]), -1, "=", 0.1
        ),
        Check(f"{of} exponent of the distance to linear", _slope(scales, [f.distance for f in centered]), -1, "=", 0.1),
        Check(f"{of} movement at the largest s", centered[-1].movement, centered[-1].movement_linear, "=", 0.05),
        Check(f"{of} hidden error at the largest s", centered[-1].hidden, centered[-1].hidden_linear, "=", 0.05),
        Check(f"{of} hidden error, smallest s against largest", centered[0].hidden, centered[-1].hidden, "<="),
        Check(
            f"depth {depth}, as it is: exponent of the movement",
            _slope(scales, [f.movement for f in plain]),
            0,
            "=",
            0.1,
        ),
    ]


def _note(depth: int, runs: dict[tuple[int, bool], list[Fit]], scales: Sequence[float]) -> str:
    """The errors on hidden entries by scale, and how large they are at the largest scale beside that of W = 0."""
    centered, plain = runs[depth, True], runs[depth, False]
    shares = [", ".join(f"{_share(fit, 'hidden'):.2f}" for fit in fits) for fits in (centered, plain)]
    last, zero = plain[-1], centered[-1].hidden_start
    return (
        f"Depth {depth}, error on hidden entries relative to the start's, by scale: centered {shares[0]} (linearized "
        f"{_share(centered[-1], 'hidden_linear'):.2f}), as it is {shares[1]}. At s = {scales[-1]:g}, as it is, it is "
        f"{last.hidden / zero:.1f} times that of W = 0, the layers move by {last.movement:.2f} of their size, and the "
        f"distance to the linearized flow is {last.distance:.2f}."
    )


def _panels(
    depths: Sequence[int], runs: dict[tuple[int, bool], list[Fit]], scales: Sequence[float]
) -> tuple[Panel, ...]:
    def curves(measured: str, predicted: str | None) -> tuple[Curve, ...]:
        drawn = []
        for depth in depths:
            for centered, label in ((True, f"depth {depth}, centered"), (False, f"depth {depth}, as it is")):
                fits = runs[depth, centered]
                drawn.append(Curve(label, scales, [_share(fit, measured) for fit in fits]))
                if predicted and centered:
                    values = [_share(fit, predicted) for fit in fits]
                    drawn.append(Curve(f"{label} (predicted)", scales, values, "dashed"))
        return tuple(drawn)

    def panel(title: str, y: str, measured: str, predicted: str | None) -> Panel:
        return Panel(title, "scale s of the start", y, curves(measured, predicted), "xy")

    return (
        panel("Movement of the layers", "relative movement", "movement", "movement_linear"),
        panel("Error on hidden entries", "error relative to the start's", "hidden", "hidden_linear"),
        panel("Distance to the linearized flow", "largest relative distance", "distance", None),
    )


def _share(fit: Fit, name: str) -> float:
    """The number; errors as shares of that of the start."""
    return getattr(fit, name) / (fit.hidden_start if name.startswith("hidden") else 1)


def _slope(scales: Sequence[float], values: Sequence[float]) -> float:
    return float(np.polyfit(np.log(scales[-LAST:]), np.log(values[-LAST:]), 1)[0])


def _start(problem: Problem, model: Deep, key: int) -> list[np.ndarray]:
    """The layers that the flow starts with under the same key."""
    from rankwise.compiled import precision
    from rankwise.keys import as_jax_key

    with precision(problem.dtype):
        layers = model.init(problem.shape, key=as_jax_key(key), dtype=problem.dtype)
        return [np.asarray(layer) for layer in layers]


def _spectrum(problem: Problem, layers: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The measurements M (m, d1 d2), the kernel K, and the eigenvalues (rounding as 0) and eigenvectors of M K M^T."""
    measurements = np.stack([problem.adjoint(row).ravel() for row in np.eye(problem.size)])
    kernel = tangent_kernel(layers)
    values, vectors = np.linalg.eigh(measurements @ kernel @ measurements.T)
    return measurements, kernel, np.where(values > 1e-13 * values[-1], values, 0), vectors


def _product(layers: Sequence[np.ndarray]) -> np.ndarray:
    return reduce(lambda product, layer: layer @ product, layers)


def _norm(layers: Sequence[Any]) -> float:
    return float(np.sqrt(sum((np.asarray(layer) ** 2).sum() for layer in layers)))
