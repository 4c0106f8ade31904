"""How far a prediction is from an observation: the function of each residual that the loss adds up."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from array_api_compat import array_namespace

from rankwise.plain import Plain, checked

Array = Any


class Misfit(Plain, ABC):
    """h, even and convex with h(e) = e^2 / 2 near 0: loss(W) = scale * sum_i h(residual_i).

    All three functions act elementwise on residuals of any shape, NumPy or JAX.
    """

    @abstractmethod
    def value(self, residual: Array) -> Array:
        """h(residual)."""

    @abstractmethod
    def slope(self, residual: Array) -> Array:
        """h'(residual)."""

    @abstractmethod
    def weight(self, residual: Array) -> Array:
        """h'(residual) / residual, and 1 at 0: the weight of the square that touches h at the residual."""


@dataclass(frozen=True)
class Squared(Misfit):
    """h(e) = e^2 / 2: least squares, the most likely matrix under Gaussian noise."""

    def value(self, residual: Array) -> Array:
        """e^2 / 2."""
        return residual**2 / 2

    def slope(self, residual: Array) -> Array:
        """e."""
        return residual

    def weight(self, residual: Array) -> Array:
        """1."""
        return array_namespace(residual).ones_like(residual)


@dataclass(frozen=True)
class Huber(Misfit):
    """h(e) = e^2 / 2 for |e| <= delta, delta |e| - delta^2 / 2 beyond: no observation pulls harder than delta.

    delta: in the units of the values; 1.345 times the standard deviation of Gaussian noise costs 5 % of the
    precision that least squares would have without any outlier.

    Raises:
        ValueError: if delta is not positive and finite.

    Source: Huber 1964 (`huber1964robust`).
    """

    delta: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "delta", checked(self.delta, "delta", above=0))

    def value(self, residual: Array) -> Array:
        """c (e - c / 2) with c = slope(e)."""
        clipped = self.slope(residual)
        return clipped * (residual - clipped / 2)

    def slope(self, residual: Array) -> Array:
        """e, clipped to [-delta, delta]."""
        return array_namespace(residual).clip(residual, -self.delta, self.delta)

    def weight(self, residual: Array) -> Array:
        """min(1, delta / |e|)."""
        xp = array_namespace(residual)
        size = xp.abs(residual)
        return xp.where(size > self.delta, self.delta / xp.where(size > 0, size, 1.0), 1.0)


MISFITS: dict[str, type[Misfit]] = {"squared": Squared, "huber": Huber}
