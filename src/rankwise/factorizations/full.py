"""The matrix itself as the only parameter: depth 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rankwise.factorizations.base import Array, Factorization
from rankwise.factorizations.initializations import Gaussian, Initialization


@dataclass(frozen=True)
class Full(Factorization):
    """W itself, shape (d1, d2): a one-layer linear network.

    Raises:
        ValueError: (from `check`) if the start does not fit the shape.
    """

    start: Initialization = Gaussian(1e-3)

    def check(self, shape: tuple[int, int]) -> None:
        """Raise a ValueError if a matrix of this shape cannot start as asked."""
        self.start.check_layers((shape[1], shape[0]))

    def init(self, shape: tuple[int, int], *, key: Array, dtype: Any) -> tuple[Array, ...]:
        """One (d1, d2) array."""
        return self.start.layers((shape[1], shape[0]), key=key, dtype=dtype)

    @property
    def products(self) -> int:
        """None: 0."""
        return 0

    def matrix(self, params: tuple[Array, ...]) -> Array:
        """The array itself."""
        return params[0]
