"""A matrix times its own transpose: symmetric and positive semidefinite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rankwise.factorizations.base import Array, Factorization
from rankwise.factorizations.initializations import Gaussian, Initialization
from rankwise.factorizations.products import product
from rankwise.plain import positive_integer


@dataclass(frozen=True)
class Symmetric(Factorization):
    """W = Z Z^T with Z (d, h); the width h is d unless given, so that the rank is not constrained.

    Raises:
        ValueError: if the width is not a positive integer, or (from `check`) the matrix is not square or the start is
            no such matrix.

    Source: Gunasekar et al. 2017 (`gunasekar2017implicit`); Li, Luo, Lyu 2021 (`li2021greedy`).
    """

    start: Initialization = Gaussian(1e-3)
    width: int | None = None

    def __post_init__(self) -> None:
        if self.width is not None:
            positive_integer(self.width, "width")

    def check(self, shape: tuple[int, int]) -> None:
        """Raise a ValueError unless the matrix is square and can start as asked."""
        if shape[0] != shape[1]:
            raise ValueError(f"a symmetric factorization needs a square matrix, not one of shape {shape}")
        self.start.check_root(self._root_shape(shape))

    def init(self, shape: tuple[int, int], *, key: Array, dtype: Any) -> tuple[Array, ...]:
        """One (d, h) array Z."""
        return (self.start.root(self._root_shape(shape), key=key, dtype=dtype),)

    def _root_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        return shape[0], self.width or shape[0]

    @property
    def products(self) -> int:
        """One."""
        return 1

    def layers(self, params: tuple[Array, ...]) -> tuple[Array, ...]:
        """(Z^T, Z)."""
        return (params[0].T, params[0])

    def matrix(self, params: tuple[Array, ...]) -> Array:
        """Z Z^T."""
        return product(params[0], params[0].T)
