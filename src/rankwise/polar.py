"""The polar factor U V^T, the nuclear norm's gradient, in matrix products only and to a stated resolution."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import Polynomial, chebyshev

if TYPE_CHECKING:
    import jax

Coefficients = tuple[float, ...]
Step = tuple[Coefficients, float, float]  # coefficients, and the least and the largest value they leave

# Products that one step costs, by its number of coefficients: the degrees 5 and 9 gain most per product.
PRODUCTS = {3: 3, 5: 4}
# The power series of 1 / sqrt(1 - z): the best step when every singular value is already close to 1.
BINOMIAL = (1.0, 1 / 2, 3 / 8, 5 / 16, 35 / 128)
# What `polar_factor` promises unless told: a little above rounding.
ACCURACY = {"float32": 1e-6, "float64": 1e-13}


def polar_factor(matrix: jax.Array, resolution: float, accuracy: float | None = None) -> jax.Array:
    """U phi(S) V^T for matrix = U S V^T: the polar factor U V^T, smoothed below a stated singular value.

    With the Schatten-8 norm M = (sum_i s_i^8)^(1/8), which lies between the spectral and the Frobenius norm,
    phi(s) = 1 within `accuracy` for every s >= resolution * M. Below that phi increases from phi(0) = 0,
    nearly linearly while it is small: phi(s) = slope * s / M, where `slope` tells the number, 2 to 9 times
    1 / resolution. So the result is the gradient of a nuclear norm that is rounded off where singular values
    fall below resolution * M. A zero matrix gives zero, never NaN.

    `matrix` is (m, n) in float32 or float64, and so is the result; `accuracy` is 1e-6 or 1e-13 unless given.
    Rounding perturbs the result as a relative change of the matrix by machine epsilon would. Both numbers
    are static under jit and vmap.

    Raises:
        ValueError: for any other array, for a resolution outside (epsilon, 1), for an accuracy outside
            (epsilon / 100, 1).

    A composition of odd minimax polynomials, each the best on the interval that the ones before leave.

    Source: Amsel, Persson, Musco, Gower 2025 (`amsel2025polar`), who prove that no composition of the same
    degrees is better.
    """
    import jax
    import jax.numpy as jnp

    array = jnp.asarray(matrix)
    if array.dtype != matrix.dtype:
        raise ValueError(f"a {matrix.dtype} matrix needs JAX's 64-bit mode: jax.enable_x64(True)")
    if array.ndim != 2 or str(array.dtype) not in ACCURACY:
        got = f"{array.dtype}{list(array.shape)}"
        raise ValueError(f"polar_factor takes a float32 or float64 matrix, not {got}")
    if array.shape[0] > array.shape[1]:
        return polar_factor(array.T, resolution, accuracy).T  # the smaller of the two Gram matrices
    first, *others = schedule(resolution, accuracy, str(array.dtype))
    largest = jnp.max(jnp.abs(array), initial=0)
    unit = array / jnp.where(largest > 0, largest, 1)  # so that eighth powers neither overflow nor vanish
    gram = _product(unit, unit.T)
    square = _product(gram, gram)
    norm = jnp.maximum(jnp.sum(square * square) ** 0.125, 1)  # at least the largest entry, unless all are 0
    factor = _step(unit / norm, gram / norm**2, square / norm**4, first)
    if not others:
        return factor

    def advance(factor: jax.Array, coefficients: jax.Array) -> tuple[jax.Array, None]:
        gram = _product(factor, factor.T)
        return _step(factor, gram, _product(gram, gram), coefficients), None

    # As a loop: in one piece with a sum over the result XLA makes the products over 20 times as slow on a CPU.
    return jax.lax.scan(advance, factor, jnp.asarray(others, array.dtype))[0]


def response(
    values: np.ndarray, resolution: float, accuracy: float | None = None, dtype: str = "float64"
) -> np.ndarray:
    """phi(s): what `polar_factor` makes of singular values given as fractions of the Schatten-8 norm."""
    for coefficients in schedule(resolution, accuracy, dtype):
        values = values * Polynomial(coefficients)(values**2)
    return values


def slope(resolution: float, accuracy: float | None = None, dtype: str = "float64") -> float:
    """phi'(0), singular values being fractions of the Schatten-8 norm: 1 / slope is the smoothing's width."""
    return float(np.prod([coefficients[0] for coefficients in schedule(resolution, accuracy, dtype)]))


@cache
def schedule(resolution: float, accuracy: float | None, dtype: str) -> tuple[Coefficients, ...]:
    """The steps x -> x (c0 + c1 x^2 + ...) that bring [resolution, 1] to 1 with the fewest products."""
    epsilon = float(np.finfo(dtype).eps)
    if not epsilon < resolution < 1:
        raise ValueError(f"resolution must lie between {epsilon:.1e} ({dtype}) and 1, not {resolution}")
    accuracy = ACCURACY[dtype] if accuracy is None else accuracy
    if not epsilon / 100 < accuracy < 1:
        raise ValueError(f"accuracy must lie between {epsilon / 100:.1e} and 1, not {accuracy}")
    candidates = [_compose(resolution, accuracy, terms, epsilon**0.5) for terms in PRODUCTS]
    return min(candidates, key=lambda steps: sum(PRODUCTS[len(step)] for step in steps))


def _compose(low: float, accuracy: float, first_terms: int, margin: float) -> tuple[Coefficients, ...]:
    """The best step on each interval that the steps before leave, until it lies within the accuracy."""
    steps: list[Coefficients] = []
    high = 1.0
    while max(1 - low, high - 1) > accuracy or not steps:
        high *= 1 + margin  # room for rounding: outside its interval a step would throw values away from 1
        coefficients, low, high = _best_step(low, high, accuracy, len(BINOMIAL) if steps else first_terms)
        steps.append(coefficients)
    return tuple(steps)


def _best_step(low: float, high: float, accuracy: float, terms: int) -> Step:
    """Coefficients nearest to 1 on [low, high], and the interval that they map it to."""
    deviation = max(1 - low**2, high**2 - 1)
    if terms == len(BINOMIAL) and 63 / 256 * deviation**5 < accuracy / 4:
        coefficients = tuple(float(c) for c in Polynomial(BINOMIAL)(Polynomial((1, -1))).coef)
        return coefficients, 1 - accuracy / 2, 1 + accuracy / 2
    return _minimax(low, high, terms)


def _minimax(low: float, high: float, terms: int) -> Step:
    """Remez exchange for the odd polynomial nearest to 1 on [low, high].

    Its `terms` - 1 positive critical points and the two ends are all the places where it can be farthest from
    1, so each exchange takes exactly these.
    """
    nodes = low + (high - low) * (1 - np.cos(np.pi * np.arange(terms + 1) / terms)) / 2
    for _ in range(50):
        nodes, before = _exchange(nodes), nodes
        if np.allclose(nodes, before, rtol=1e-9, atol=0):
            break
    q, middle, half = _levelled(nodes)
    values = nodes * q((nodes**2 - middle) / half)
    coefficients = q(Polynomial((-middle, 1)) / half).coef
    return tuple(float(c) for c in coefficients), float(values.min()), float(values.max())


def _exchange(nodes: np.ndarray) -> np.ndarray:
    """The ends and the critical points of the polynomial whose errors are level on the nodes."""
    q, middle, half = _levelled(nodes)
    critical = (q + Polynomial((2 * middle / half, 2)) * q.deriv()).roots()  # of x q((x^2 - middle) / half)
    inner = np.sort(np.sqrt(middle + half * critical.real))
    return np.concatenate([nodes[:1], np.clip(inner, nodes[0], nodes[-1]), nodes[-1:]])


def _levelled(nodes: np.ndarray) -> tuple[Polynomial, float, float]:
    """q, middle, half such that x q((x^2 - middle) / half) - 1 is level on the nodes, signs alternating."""
    # the squares are mapped to [-1, 1], where Chebyshev polynomials stay independent on short intervals too
    middle, half = (nodes[-1] ** 2 + nodes[0] ** 2) / 2, (nodes[-1] ** 2 - nodes[0] ** 2) / 2
    basis = nodes[:, None] * chebyshev.chebvander((nodes**2 - middle) / half, len(nodes) - 2)
    signs = (-1.0) ** np.arange(len(nodes))
    solution = np.linalg.solve(np.column_stack([basis, signs]), np.ones(len(nodes)))
    return Polynomial(chebyshev.cheb2poly(solution[:-1])), middle, half


def _step(factor: jax.Array, gram: jax.Array, square: jax.Array, coefficients: Coefficients | jax.Array) -> jax.Array:
    """(c0 I + c1 G + c2 G^2 + c3 G^3 + c4 G^4) factor, for the Gram matrix G and its square."""
    import jax.numpy as jnp

    c0, c1, c2, *higher = coefficients
    polynomial = c0 * jnp.eye(len(gram), dtype=gram.dtype) + c1 * gram + c2 * square
    if higher:
        polynomial += _product(square, higher[0] * gram + higher[1] * square)
    return _product(polynomial, factor)


def _product(left: jax.Array, right: jax.Array) -> jax.Array:
    """left @ right in the full precision of its type: accelerators may keep 10 bits by default."""
    import jax

    return jax.numpy.matmul(left, right, precision=jax.lax.Precision.HIGHEST)
