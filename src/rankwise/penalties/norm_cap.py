"""A cap on the Frobenius norm, for penalties that do not see scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rankwise.penalties.base import Array, Penalty, reciprocal
from rankwise.penalties.frobenius import norm as frobenius
from rankwise.plain import checked


@dataclass(frozen=True)
class NormCap(Penalty):
    """weight * max(|W|_F / norm - 1, 0)^2: nothing up to a Frobenius norm, then a parabola.

    Gradient 2 weight (|W|_F / norm - 1) W / (norm |W|_F) above the norm, 0 below. Added to `Ratio`, which would let one
    singular value run away, it keeps the matrix at the size that the observations suggest, norm =
    problem.norm_estimate(): Ratio(1e-3) + NormCap(1.0, norm).

    norm: the Frobenius norm from which on there is a penalty, in the units of W.

    Raises:
        ValueError: if weight is negative or norm not positive.
    """

    weight: Any = 1.0
    norm: Any = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "norm", checked(self.norm, "norm", above=0))

    @np.errstate(over="ignore")
    def __call__(self, matrix: Array) -> Array:
        """weight * max(|W|_F / norm - 1, 0)^2."""
        return self.weight * self._excess(frobenius(matrix)) ** 2

    @np.errstate(over="ignore", invalid="ignore")
    def gradient(self, matrix: Array) -> Array:
        """weight * 2 max(|W|_F / norm - 1, 0) W / (norm |W|_F)."""
        size = frobenius(matrix)
        return (2 * self.weight * self._excess(size) / self.norm) * (reciprocal(size) * matrix)

    def _excess(self, size: Array) -> Array:
        over = size / self.norm - 1
        return over * (over > 0)
