"""The polar factor U V^T of a matrix, the nuclear norm's gradient, in matrix products only and to a stated resolution."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import Polynomial, chebyshev

if TYPE_CHECKING:
    import jax

# Products that one step costs, by its number of coefficients: the degrees 5 and 9 gain most per product.
PRODUCTS = {3: 3, 5: 4}
# The power series of 1/sqrt(1 - z): the limit of the best step when every singular value is already close to 1.
BINOMIAL = (1.0, 1 / 2, 3 / 8, 5 / 16, 35 / 128)


def polar_factor(matrix: jax.Array, resolution: float, accuracy: float | None = None) -> jax.Array:
    """U phi(S) V^T for matrix = U S V^T: the polar factor U V^T, smoothed below a stated singular value.

    With the Schatten-8 norm M = (sum_i s_i^8)^(1/8), which lies between the spectral and the Frobenius norm,
    phi(s) = 1 within `accuracy` for every s >= resolution * M; below that phi is concave and increasing,
    from phi(0) = 0 with the slope that `slope` tells (about 2.5 / (resolution * M)). So it is the gradient
    of a nuclear norm rounded off at resolution * M. A zero matrix gives zero, never NaN.

    `matrix` is (m, n), float32 or float64; so is the result. `accuracy` is 1e-6 or 1e-13 by default.
    Rounding perturbs the result like a perturbation of the matrix of about machine epsilon * M would.
    Works under jit and vmap. ValueError: not a floating-point matrix, or a resolution outside (epsilon, 1).

    A composition of odd minimax polynomials: Nakatsukasa and Freund (SIAM Review 2016); Amsel, Persson,
    Musco, Gower (2025), "The Polar Express", Theorem 3.1 (the best step follows from the last one's interval).
    """
    import jax.numpy as jnp

    matrix = jnp.asarray(matrix)
    if matrix.ndim != 2 or not jnp.issubdtype(matrix.dtype, jnp.floating):
        raise ValueError(f"polar_factor needs a floating-point matrix, not {matrix.dtype}{matrix.shape}")
    if matrix.shape[0] > matrix.shape[1]:
        return polar_factor(matrix.T, resolution, accuracy).T
    first, *rest = schedule(resolution, accuracy, str(matrix.dtype))
    largest = jnp.max(jnp.abs(matrix))
    unit = matrix / jnp.where(largest > 0, largest, 1)  # neither the matrix's eighth powers overflow nor underflow
    gram = _product(unit, unit.T)
    square = _product(gram, gram)
    norm = jnp.sqrt(jnp.sqrt(jnp.sqrt(jnp.sum(square * square))))
    norm = jnp.where(norm > 0, norm, 1)
    factor = _step(unit / norm, gram / norm**2, square / norm**4, first)
    for coefficients in rest:
        gram = _product(factor, factor.T)
        factor = _step(factor, gram, _product(gram, gram), coefficients)
    return factor


def response(values: np.ndarray, resolution: float, accuracy: float | None = None, dtype: str = "float64") -> np.ndarray:
    """phi at singular values given as fractions of the Schatten-8 norm: what `polar_factor` makes of them."""
    for coefficients in schedule(resolution, accuracy, dtype):
        values = values * Polynomial(coefficients)(values**2)
    return values


def slope(resolution: float, accuracy: float | None = None, dtype: str = "float64") -> float:
    """phi'(0), singular values being fractions of the Schatten-8 norm: 1 / slope is the width of the smoothing."""
    return float(np.prod([coefficients[0] for coefficients in schedule(resolution, accuracy, dtype)]))


@lru_cache(maxsize=None)
def schedule(resolution: float, accuracy: float | None, dtype: str) -> tuple[tuple[float, ...], ...]:
    """The steps x -> x (c0 + c1 x^2 + ...) that bring [resolution, 1] to 1 with the fewest products."""
    epsilon = float(np.finfo(dtype).eps)
    if not epsilon < resolution < 1:
        raise ValueError(f"resolution must lie between {epsilon:.1e} ({dtype}'s epsilon) and 1, not {resolution}")
    accuracy = (1e-6 if dtype == "float32" else 1e-13) if accuracy is None else accuracy
    if not epsilon / 100 < accuracy < 1:
        raise ValueError(f"accuracy must lie between {epsilon / 100:.1e} and 1, not {accuracy}")
    candidates = [_compose(resolution, accuracy, terms, epsilon**0.5) for terms in PRODUCTS]
    return min(candidates, key=lambda steps: sum(PRODUCTS[len(step)] for step in steps))


def _compose(low: float, accuracy: float, first_terms: int, margin: float) -> tuple[tuple[float, ...], ...]:
    """The best step on each interval that the steps before leave, until the interval lies within the accuracy."""
    steps: list[tuple[float, ...]] = []
    high = 1.0
    while max(1 - low, high - 1) > accuracy or not steps:
        high *= 1 + margin  # room for rounding: outside its interval a step would throw values away from 1
        coefficients, low, high = _best_step(low, high, accuracy, len(BINOMIAL) if steps else first_terms)
        steps.append(coefficients)
    return tuple(steps)


def _best_step(low: float, high: float, accuracy: float, terms: int) -> tuple[tuple[float, ...], float, float]:
    """Coefficients nearest to 1 on [low, high], and the interval that they map it to."""
    deviation = max(1 - low**2, high**2 - 1)
    if terms == len(BINOMIAL) and 63 / 256 * deviation**5 < accuracy / 4:
        coefficients = tuple(float(c) for c in Polynomial(BINOMIAL)(Polynomial((1, -1))).coef)
        return coefficients, 1 - accuracy / 2, 1 + accuracy / 2
    return _minimax(low, high, terms)


def _minimax(low: float, high: float, terms: int) -> tuple[tuple[float, ...], float, float]:
    """Remez exchange for the odd polynomial x q(x^2) nearest to 1 on [low, high], and the interval of its values.

    Its `terms` - 1 positive critical points and the two ends are all the places where it may be farthest from 1,
    so each exchange takes exactly these.
    """
    signs = (-1.0) ** np.arange(terms + 1)
    # q is a polynomial in the squares, mapped to [-1, 1]: a basis that stays well conditioned on short intervals
    middle, half = (high**2 + low**2) / 2, (high**2 - low**2) / 2
    nodes = low + (high - low) * (1 - np.cos(np.pi * np.arange(terms + 1) / terms)) / 2
    for _ in range(50):
        basis = nodes[:, None] * chebyshev.chebvander((nodes**2 - middle) / half, terms - 1)
        *weights, error = np.linalg.solve(np.column_stack([basis, signs]), np.ones(terms + 1))
        q = Polynomial(chebyshev.cheb2poly(weights))
        critical = (q + Polynomial((2 * middle / half, 2)) * q.deriv()).roots()
        inner = np.sort(np.sqrt(middle + half * critical.real))
        exchanged = np.concatenate([[low], np.clip(inner, low, high), [high]])
        if np.allclose(exchanged, nodes, rtol=1e-9, atol=0):
            break
        nodes = exchanged
    coefficients = q(Polynomial((-middle, 1)) / half).coef
    values = basis @ weights
    return tuple(float(c) for c in coefficients), float(values.min()), float(values.max())


def _step(factor: jax.Array, gram: jax.Array, square: jax.Array, coefficients: tuple[float, ...]) -> jax.Array:
    """(c0 I + c1 G + c2 G^2 + c3 G^3 + c4 G^4) factor, for the Gram matrix G and its square."""
    import jax.numpy as jnp

    c0, c1, c2, *higher = coefficients
    polynomial = c0 * jnp.eye(len(gram), dtype=gram.dtype) + c1 * gram + c2 * square
    if higher:
        polynomial += _product(square, higher[0] * gram + higher[1] * square)
    return _product(polynomial, factor)


def _product(left: jax.Array, right: jax.Array) -> jax.Array:
    """left @ right in the full precision of its type: an accelerator's default keeps 10 bits, which is no resolution."""
    import jax

    return jax.numpy.matmul(left, right, precision=jax.lax.Precision.HIGHEST)
