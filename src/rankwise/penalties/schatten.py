"""Schatten-p quasi-norms and their ratios as penalties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from array_api_compat import array_namespace

from rankwise.penalties.base import Array, SpectralPenalty, reciprocal
from rankwise.plain import checked
from rankwise.spectrum import schatten_norm


@dataclass(frozen=True)
class Schatten(SpectralPenalty):
    """weight * |W|_p = weight * (sum sigma^p)^(1/p), 0 < p <= 2: p = 1 nuclear, p = 2 Frobenius.

    Slopes (sigma / |W|_p)^(p - 1), unbounded near zero for p < 1. For very small p the value overflows, as
    min(d1, d2)^(1/p) does (at p = 0.05 in float32 and 100 singular values); a run then ends as `non_finite`.

    Raises:
        ValueError: if weight is negative or p outside (0, 2].
    """

    weight: Any = 1e-3
    p: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_exponent(self.p, "p")

    def of_spectrum(self, sigma: Array) -> Array:
        """(sum sigma^p)^(1/p)."""
        return schatten_norm(sigma, self.p)

    def slopes(self, sigma: Array, positive: Array) -> Array:
        """(sigma / |W|_p)^(p - 1)."""
        return schatten_slopes(sigma, positive, self.p)


@dataclass(frozen=True)
class SchattenRatio(SpectralPenalty):
    """weight * |W|_p / |W|_q with p < q, blind to the scale of W: (1, 2) is `Ratio`; also 1/2:2/3, 1/3:2/3, 1/3:1/2.

    Gradient: (|W|_q grad |W|_p - |W|_p grad |W|_q) / |W|_q^2. At W = 0 value and gradient are 0.

    Raises:
        ValueError: if weight is negative, or not 0 < p < q <= 2.
    """

    weight: Any = 1e-3
    p: float = 1 / 2
    q: float = 2 / 3
    scale_invariant: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_exponent(self.p, "p")
        check_exponent(self.q, "q")
        if isinstance(self.p, float | int) and isinstance(self.q, float | int) and not self.p < self.q:
            raise ValueError(f"p must be smaller than q, not {self.p} and {self.q}")

    def of_spectrum(self, sigma: Array) -> Array:
        """|sigma|_p / |sigma|_q."""
        return schatten_norm(sigma, self.p) * reciprocal(schatten_norm(sigma, self.q))

    def slopes(self, sigma: Array, positive: Array) -> Array:
        """(slopes of |sigma|_p - ratio * slopes of |sigma|_q) / |sigma|_q."""
        upper = schatten_slopes(sigma, positive, self.p)
        lower = schatten_slopes(sigma, positive, self.q)
        return (upper - self.of_spectrum(sigma) * lower) * reciprocal(schatten_norm(sigma, self.q))


def schatten_slopes(sigma: Array, positive: Array, p: Any) -> Array:
    """The derivative (sigma / |sigma|_p)^(p - 1) of |sigma|_p where sigma is positive, else 0."""
    xp = array_namespace(sigma)
    one = xp.ones_like(sigma)
    relative = xp.where(positive, sigma * reciprocal(schatten_norm(sigma, p)), one)
    return xp.where(positive, relative ** (p - 1), xp.zeros_like(sigma))


def check_exponent(p: Any, name: str) -> None:
    """Raise a ValueError unless 0 < p <= 2."""
    if not 0 < checked(p, name) <= 2:
        raise ValueError(f"{name} must lie in (0, 2], not {p}")
