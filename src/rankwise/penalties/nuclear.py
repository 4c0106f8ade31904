"""The nuclear norm as a penalty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from array_api_compat import array_namespace

from rankwise.penalties.base import Array, SpectralPenalty, check_resolution
from rankwise.plain import fixed
from rankwise.polar import polar_factor


@dataclass(frozen=True)
class Nuclear(SpectralPenalty):
    """weight * |W|_*, with subgradient U V^T, the polar factor.

    resolution = 0 takes the exact singular value decomposition. A positive resolution uses matrix products
    only (JAX arrays): singular values above resolution * |W|_F keep slope 1, smaller ones get a slope that
    falls to zero with them (see `rankwise.polar`).

    Raises:
        ValueError: if weight is negative or resolution outside [0, 1).
    """

    weight: Any = 1e-3
    resolution: float = fixed(0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_resolution(self.resolution)

    def of_spectrum(self, sigma: Array) -> Array:
        """sum sigma."""
        return array_namespace(sigma).sum(sigma)

    def slopes(self, sigma: Array, positive: Array) -> Array:
        """1."""
        return array_namespace(sigma).ones_like(sigma)

    def __call__(self, matrix: Array) -> Array:
        """weight * |W|_*, or weight * <Q, W> with the polar factor Q resolved to the resolution."""
        if self.resolution:
            return self.weight * (polar_factor(matrix, self.resolution) * matrix).sum()
        return super().__call__(matrix)

    def gradient(self, matrix: Array) -> Array:
        """weight * U V^T."""
        if self.resolution:
            return self.weight * polar_factor(matrix, self.resolution)
        return super().gradient(matrix)

    def prox(self, matrix: Array, step: Any) -> Array:
        """argmin_X weight |X|_* + |X - W|_F^2 / (2 step): singular values soft-thresholded.

        Source: Cai, Candes, Shen 2010 (`cai2010singular`), theorem 2.1.
        """
        xp = array_namespace(matrix)
        u, sigma, vt = xp.linalg.svd(matrix, full_matrices=False)
        kept = sigma - step * self.weight
        return (u * xp.where(kept > 0, kept, xp.zeros_like(kept))) @ vt
