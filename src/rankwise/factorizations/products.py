"""The product of two layers, with a gradient that a CPU computes at the rate of the product."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

Array = Any


def product(left: Array, right: Array) -> Array:
    """left @ right; the gradient of the right factor is left^T @ (gradient of the product).

    XLA's products in double precision on a CPU take half as long again where the left factor is read transposed: there
    it is transposed beforehand.
    """
    import jax

    slow = isinstance(left, jax.Array) and left.dtype == "float64" and jax.default_backend() == "cpu"
    return _transposing()(left, right) if slow else left @ right


@cache
def _transposing() -> Callable[[Array, Array], Array]:
    """left @ right, with a derivative in which left^T is a matrix of its own."""
    import jax
    from jax import lax

    @jax.custom_jvp
    def multiply(left: Array, right: Array) -> Array:
        return left @ right

    def derivative(at: tuple[Array, Array], moves: tuple[Array, Array]) -> tuple[Array, Array]:
        left, right = at
        transposed = lax.optimization_barrier(left.T)
        # Forward left @ move, of which the gradient is transposed @ (gradient of the product).
        of_right = lax.dot_general(transposed, moves[1], (((0,), (0,)), ((), ())))
        return left @ right, moves[0] @ right + of_right

    multiply.defjvp(derivative)
    return multiply
