"""The ratio of the nuclear to the Frobenius norm as a penalty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from array_api_compat import array_namespace

from rankwise.penalties.base import Array, SpectralPenalty, check_resolution, reciprocal
from rankwise.penalties.frobenius import norm
from rankwise.plain import fixed
from rankwise.polar import polar_factor


@dataclass(frozen=True)
class Ratio(SpectralPenalty):
    """weight * |W|_* / |W|_F, between 1 (rank one) and sqrt(min(d1, d2)), blind to the scale of W.

    Gradient: U V^T / |W|_F - |W|_* W / |W|_F^3. resolution = 0 takes the exact singular value
    decomposition; a positive one uses matrix products only, as in `Nuclear`. At W = 0 value and gradient are 0.

    Raises:
        ValueError: if weight is negative or resolution outside [0, 1).

    Source: Zhao 2022 (`zhao2022combining`).
    """

    weight: Any = 1e-3
    resolution: float = fixed(0.0)
    scale_invariant: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_resolution(self.resolution)

    def of_spectrum(self, sigma: Array) -> Array:
        """sum sigma / |sigma|_2."""
        return array_namespace(sigma).sum(sigma) * reciprocal(norm(sigma))

    def slopes(self, sigma: Array, positive: Array) -> Array:
        """1 / |sigma|_2 - (sum sigma) sigma / |sigma|_2^3."""
        inverse = reciprocal(norm(sigma))
        return inverse * (1 - self.of_spectrum(sigma) * inverse * sigma)

    def __call__(self, matrix: Array) -> Array:
        """weight * |W|_* / |W|_F."""
        if self.resolution:
            factor = polar_factor(matrix, self.resolution)
            return self.weight * (factor * matrix).sum() * reciprocal(norm(matrix))
        return super().__call__(matrix)

    def gradient(self, matrix: Array) -> Array:
        """weight * (Q - <Q, W> W / |W|_F^2) / |W|_F with the polar factor Q."""
        if not self.resolution:
            return super().gradient(matrix)
        factor, inverse = polar_factor(matrix, self.resolution), reciprocal(norm(matrix))
        unit = inverse * matrix
        return self.weight * inverse * (factor - (factor * unit).sum() * unit)
