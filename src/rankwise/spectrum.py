"""Singular values and functions of them, for NumPy and JAX arrays alike."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from array_api_compat import array_namespace

Array = Any


def effective_rank(sigma: Array) -> Array:
    r"""Effective rank exp(H(p)) with p_k = sigma_k / sum(sigma); shape (k,) -> scalar, 0 for a zero matrix.

    Source: Roy and Vetterli 2007 (`roy2007effective`), as used by Arora et al. 2019 (`arora2019implicit`).
    """
    xp = array_namespace(sigma)
    total = xp.sum(sigma)
    p = sigma / xp.where(total > 0, total, xp.ones_like(total))
    entropy = -xp.sum(xp.where(p > 0, p * xp.log(xp.where(p > 0, p, xp.ones_like(p))), xp.zeros_like(p)))
    return xp.where(total > 0, xp.exp(entropy), xp.zeros_like(total))


def numerical_rank(sigma: Array, rtol: float = 1e-3) -> Array:
    """The number of singular values above rtol * sigma_1; shape (k,) -> integer scalar."""
    xp = array_namespace(sigma)
    return xp.sum(xp.astype(sigma > rtol * xp.max(sigma), xp.int32))


def stable_rank(sigma: Array) -> Array:
    """Stable rank |W|_F^2 / |W|_2^2, at most the rank; shape (k,) -> scalar, 0 for a zero matrix."""
    xp = array_namespace(sigma)
    top = xp.max(sigma)
    safe = xp.where(top > 0, top, xp.ones_like(top))
    return xp.sum((sigma / safe) ** 2)


def nuclear_norm(sigma: Array) -> Array:
    """Nuclear norm, the sum of the singular values; shape (k,) -> scalar."""
    return array_namespace(sigma).sum(sigma)


def frobenius_norm(sigma: Array) -> Array:
    """Frobenius norm, the root of the sum of squared singular values; shape (k,) -> scalar."""
    return schatten_norm(sigma, 2)


def schatten_norm(sigma: Array, p: float) -> Array:
    """Schatten-p (quasi-)norm (sum sigma^p)^(1/p), scaled so that it neither overflows nor underflows."""
    xp = array_namespace(sigma)
    top = xp.max(sigma)
    safe = xp.where(top > 0, top, xp.ones_like(top))
    return top * xp.sum((sigma / safe) ** p) ** (1 / p)


def nuclear_frobenius_ratio(sigma: Array) -> Array:
    """Ratio |W|_* / |W|_F, between 1 (rank one) and sqrt(min(d1, d2)); 0 for a zero matrix.

    Source: Zhao 2022 (`zhao2022combining`).
    """
    xp = array_namespace(sigma)
    top = xp.max(sigma)
    unit = sigma / xp.where(top > 0, top, xp.ones_like(top))
    norm = xp.sqrt(xp.sum(unit**2))
    return xp.sum(unit) / xp.where(norm > 0, norm, xp.ones_like(norm))


def root_mean_square(numbers: Any) -> float:
    """The root of the mean of squares, in float64, safe from overflow and underflow; 0 for no numbers."""
    values = np.asarray(numbers, np.float64)
    top = float(np.max(np.abs(values))) if values.size else 0.0
    return top * float(np.sqrt(np.mean((values / top) ** 2))) if 0 < top < math.inf else top


def finite_or_zero(matrix: Array) -> tuple[Array, Array]:
    """The matrix, or zeros where an entry of it is not finite, and whether all are.

    LAPACK decomposes zeros without a word, and writes to standard error of what is infinite.
    """
    xp = array_namespace(matrix)
    finite = xp.all(xp.isfinite(matrix))
    return xp.where(finite, matrix, xp.zeros_like(matrix)), finite
