"""The plan of every factorization: parameters to start from, and the matrix they stand for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from rankwise.plain import Plain

Array = Any


class Factorization(Plain, ABC):
    """How the unknown (d1, d2) matrix is written; settings only, the parameters stand beside it."""

    @abstractmethod
    def init(self, shape: tuple[int, int], *, key: Array, dtype: Any) -> tuple[Array, ...]:
        """The starting parameters for a matrix of the given shape, from a JAX key."""

    @abstractmethod
    def matrix(self, params: tuple[Array, ...]) -> Array:
        """The end-to-end (d1, d2) matrix."""

    @property
    @abstractmethod
    def products(self) -> int:
        """How many products of matrices the end-to-end matrix is: one fewer than its factors."""

    def layers(self, params: tuple[Array, ...]) -> tuple[Array, ...]:
        """The factors (W_1, ..., W_N) whose product W_N ... W_1 the matrix is: the parameters, unless they are tied."""
        return params

    def check(self, shape: tuple[int, int]) -> None:
        """Raise a ValueError if a matrix of this shape cannot be written so."""
