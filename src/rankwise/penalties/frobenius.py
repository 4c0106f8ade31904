"""The Frobenius norm as a penalty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from array_api_compat import array_namespace

from rankwise.penalties.base import Array, Penalty, reciprocal


@dataclass(frozen=True)
class Frobenius(Penalty):
    """weight * |W|_F, with gradient W / |W|_F (0 at W = 0)."""

    weight: Any = 1e-3

    def __call__(self, matrix: Array) -> Array:
        """weight * |W|_F."""
        return self.weight * norm(matrix)

    def gradient(self, matrix: Array) -> Array:
        """weight * W / |W|_F."""
        return self.weight * reciprocal(norm(matrix)) * matrix

    def prox(self, matrix: Array, step: Any) -> Array:
        """argmin_X weight |X|_F + |X - W|_F^2 / (2 step): W shrunk towards zero."""
        xp = array_namespace(matrix)
        shrink = 1 - step * self.weight * reciprocal(norm(matrix))
        return xp.where(shrink > 0, shrink, xp.zeros_like(shrink)) * matrix


def norm(matrix: Array) -> Array:
    """|W|_F of a dense array, safe from overflow and underflow."""
    xp = array_namespace(matrix)
    top = xp.max(xp.abs(matrix))
    safe = xp.where(top > 0, top, xp.ones_like(top))
    return safe * xp.sqrt(xp.sum((matrix / safe) ** 2))
