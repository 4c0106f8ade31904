"""The plan of every penalty: weight times a function of the matrix, with its (sub)gradient in closed form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from array_api_compat import array_namespace

from rankwise.plain import Plain, checked
from rankwise.spectrum import finite_or_zero

Array = Any


class Penalty(Plain, ABC):
    """weight * R(W) on dense (d1, d2) arrays, NumPy or JAX.

    `scale_invariant` says that R(c W) = R(W) for every c > 0: such a penalty cannot keep W from growing.
    """

    weight: Any
    scale_invariant: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", checked(self.weight, "weight", least=0))

    @abstractmethod
    def __call__(self, matrix: Array) -> Array:
        """weight * R(matrix), a scalar."""

    @abstractmethod
    def gradient(self, matrix: Array) -> Array:
        """weight times the gradient of R, or an element of its subdifferential, (d1, d2); no NaN for a finite |W|_F."""

    def __add__(self, other: Penalty) -> Total:
        """Both penalties, as one."""
        return Total(terms=(self, other)) if isinstance(other, Penalty) else NotImplemented


@dataclass(frozen=True)
class Total(Penalty):
    """weight * the sum of penalties, each with its own weight; `one + other` makes one.

    Raises:
        ValueError: if weight is negative or a term is no penalty.
    """

    weight: Any = 1.0
    terms: tuple[Penalty, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        for term in self.terms:
            if not isinstance(term, Penalty):
                raise ValueError(f"the terms of a Total must be penalties, not {term!r}")

    def __call__(self, matrix: Array) -> Array:
        """weight * the sum of the terms' values."""
        zero = array_namespace(matrix).zeros_like(matrix[0, 0])
        return self.weight * sum((term(matrix) for term in self.terms), zero)

    def gradient(self, matrix: Array) -> Array:
        """weight * the sum of the terms' gradients."""
        zero = array_namespace(matrix).zeros_like(matrix)
        return self.weight * sum((term.gradient(matrix) for term in self.terms), zero)


class SpectralPenalty(Penalty):
    """A penalty R(W) = f(sigma) of the singular values, f symmetric.

    The gradient is U diag(df/dsigma) V^T (Lewis 1995, `lewis1995convex`). Singular values of at most
    eps * max(d1, d2) * sigma_1 count as zero, and directions of value zero get slope zero: the element of
    the subdifferential of least norm, and the only choice that does not depend on an arbitrary basis. Of a matrix that
    is not finite, value and gradient are NaN.
    """

    @abstractmethod
    def of_spectrum(self, sigma: Array) -> Array:
        """f(sigma) for shape (k,)."""

    @abstractmethod
    def slopes(self, sigma: Array, positive: Array) -> Array:
        """df/dsigma, shape (k,); `positive` marks the values that count as non-zero, the others are 0."""

    def __call__(self, matrix: Array) -> Array:
        """weight * f(sigma(matrix))."""
        decomposable, finite = finite_or_zero(matrix)
        sigma, _ = _clean(array_namespace(matrix).linalg.svdvals(decomposable), matrix.shape, finite)
        return self.weight * self.of_spectrum(sigma)

    def gradient(self, matrix: Array) -> Array:
        """weight * U diag(df/dsigma) V^T."""
        xp = array_namespace(matrix)
        decomposable, finite = finite_or_zero(matrix)
        u, sigma, vt = xp.linalg.svd(decomposable, full_matrices=False)
        sigma, positive = _clean(sigma, matrix.shape, finite)
        # What is not positive is 0, and its slope too; or NaN, and its slope too.
        slopes = xp.where(positive, self.slopes(sigma, positive), sigma)
        return self.weight * ((u * slopes) @ vt)


def _clean(sigma: Array, shape: tuple[int, ...], finite: Array) -> tuple[Array, Array]:
    """The singular values with those of the size of rounding errors or below set to 0, and which are positive.

    Those of a matrix that is not finite are NaN, and none of them positive.
    """
    xp = array_namespace(sigma)
    limits = xp.finfo(sigma.dtype)
    positive = (sigma > limits.eps * max(shape) * sigma[0]) & (sigma >= limits.smallest_normal)
    return xp.where(positive, sigma, xp.where(finite, xp.zeros_like(sigma), xp.nan)), positive


@cache
def closed_form() -> Callable[[Penalty, Array], Array]:
    """penalty(matrix) for JAX, whose derivative is the penalty's own `gradient`, never that of an SVD.

    In the matrix only: the derivative in the penalty's own numbers is taken to be 0.
    """
    import jax
    import jax.numpy as jnp

    @jax.custom_jvp
    def value(penalty: Penalty, matrix: Array) -> Array:
        return penalty(matrix)

    @value.defjvp
    def _(primals: tuple[Any, Any], tangents: tuple[Any, Any]) -> tuple[Array, Array]:
        penalty, matrix = primals
        return penalty(matrix), jnp.vdot(penalty.gradient(matrix), tangents[1])

    return value  # pyright: ignore[reportReturnType]


def check_resolution(resolution: Any) -> None:
    """Raise a ValueError unless the resolution lies in [0, 1)."""
    if not 0 <= checked(resolution, "resolution") < 1:
        raise ValueError(f"resolution must be at least 0 and below 1, not {resolution}")


def reciprocal(value: Array) -> Array:
    """1 / value, and 0 at 0 and below the least normal number, whose reciprocal would overflow."""
    xp = array_namespace(value)
    nonzero = value >= xp.finfo(value.dtype).smallest_normal
    return xp.where(nonzero, 1 / xp.where(nonzero, value, xp.ones_like(value)), xp.zeros_like(value))
