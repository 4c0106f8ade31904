"""A product of matrices: the deep linear network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

from rankwise.factorizations.base import Array, Factorization
from rankwise.factorizations.initializations import Gaussian, Initialization
from rankwise.factorizations.products import product
from rankwise.plain import positive_integer


@dataclass(frozen=True)
class Deep(Factorization):
    r"""W = W_N ... W_1 with W_1 (h, d2), W_j (h, h), W_N (d1, h); depth N >= 1.

    The hidden width h is min(d1, d2) unless given, so that the rank is not constrained.

    Raises:
        ValueError: if depth or width is not a positive integer, or (from `check`) the start does not fit the layers.

    Source: Arora, Cohen, Hu, Luo 2019 (`arora2019implicit`), section 2.
    """

    depth: int = 2
    start: Initialization = Gaussian(1e-3)
    width: int | None = None

    def __post_init__(self) -> None:
        positive_integer(self.depth, "depth")
        if self.width is not None:
            positive_integer(self.width, "width")

    def check(self, shape: tuple[int, int]) -> None:
        """Raise a ValueError if the layers of a matrix of this shape cannot start as asked."""
        self.start.check_layers(self._widths(shape))

    def init(self, shape: tuple[int, int], *, key: Array, dtype: Any) -> tuple[Array, ...]:
        """The layers (W_1, ..., W_N), first the one that acts first."""
        return self.start.layers(self._widths(shape), key=key, dtype=dtype)

    def _widths(self, shape: tuple[int, int]) -> tuple[int, ...]:
        hidden = self.width or min(shape)
        return (shape[1], *[hidden] * (self.depth - 1), shape[0])

    @property
    def products(self) -> int:
        """N - 1."""
        return self.depth - 1

    def matrix(self, params: tuple[Array, ...]) -> Array:
        """The product W_N ... W_1."""
        return reduce(lambda inner, layer: product(layer, inner), params)
