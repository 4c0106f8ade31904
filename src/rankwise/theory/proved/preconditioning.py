"""The update of a product of layers as gradient descent with a preconditioner that depends on where it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rankwise.data.synthetic import low_rank, sense
from rankwise.dynamics import end_to_end_velocity
from rankwise.factorizations import Deep
from rankwise.keys import as_generator
from rankwise.loop import solve_batch
from rankwise.optimizers import Optimizer
from rankwise.solvers import GradientDescent
from rankwise.theory.finding import Check, Curve, Finding, Panel

# The loop of the line integral: from radius NEAR to FAR, between the directions of these angles.
NEAR, FAR, ANGLES = 0.5, 1.5, (0.3, 1.3)
# The slope and the second derivatives of the losses that are integrated along it.
SLOPE = np.array([1.0, 0.5])
BOWLS = {"equal curvatures": np.diag([2.0, 2.0]), "unequal curvatures": np.diag([1.0, 4.0])}


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
    at_least("depths", depths, 2)
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
    # What all directions have in common cancels, without a rounding error.
    uneven = bowl - np.trace(bowl) / 2 * np.eye(2)
    curved = (depth - 1) / (4 * depth - 2) * (FAR**c - NEAR**c) * (e @ uneven @ e - f @ uneven @ f)
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
    steps = solve_batch(problem, solvers, states=[(solvers[0].begin(layers), 0)], max_steps=1)
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
        Panel("Step / rate and −P_W ∇ℓ: order 1", "learning rate", "relative difference", tuple(steps), "xy"),
        Panel("Eigenvalues of P_W", "position", "eigenvalue", tuple(eigenvalues)),
        Panel("Not the gradient of a function", "depth", "integral along a loop", tuple(loops)),
    )


def at_least(name: str, numbers: Sequence[int], least: int) -> None:
    """Raise a ValueError unless the numbers are integers of at least so much, and there is one."""
    if not numbers or any(isinstance(n, bool) or not isinstance(n, int) or n < least for n in numbers):
        raise ValueError(f"{name} must be integers of at least {least}, not {tuple(numbers)}")
