"""The Frobenius norm as a penalty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from rankwise.penalties.base import Array, Penalty, reciprocal


@dataclass(frozen=True)
class Frobenius(Penalty):
    """weight * |W|_F, with gradient W / |W|_F (0 at W = 0)."""

    weight: Any = 1e-3

    def __call__(self, matrix: Array) -> Array:
        """weight * |W|_F."""
        return self.weight * norm(matrix)

    @np.errstate(invalid="ignore")
    def gradient(self, matrix: Array) -> Array:
        """weight * W / |W|_F."""
        return self.weight * reciprocal(norm(matrix)) * matrix

    @np.errstate(invalid="ignore")
    def prox(self, matrix: Array, step: Any) -> Array:
        """argmin_X weight |X|_F + |X - W|_F^2 / (2 step): W shrunk towards zero."""
        xp = array_namespace(matrix)
        shrink = 1 - step * self.weight * reciprocal(norm(matrix))
        return xp.where(shrink > 0, shrink, xp.zeros_like(shrink)) * matrix


@np.errstate(over="ignore")
def norm(matrix: Array) -> Array:
    """|W|_F of a dense array, its squares safe from overflow and underflow; inf where it is beyond the floats."""
    xp = array_namespace(matrix)
    top = xp.max(xp.abs(matrix))
    safe = xp.where((top > 0) & xp.isfinite(top), top, xp.ones_like(top))
    return safe * xp.sqrt(xp.sum((matrix / safe) ** 2))
