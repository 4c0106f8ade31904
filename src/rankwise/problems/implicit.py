"""Measurements and Jacobians given by what they do to vectors, where writing them out would cost too much memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy

from rankwise.lowrank import LowRank
from rankwise.problems.base import Problem

# Up to so many entries a matrix is formed: products with it are then faster than its parts.
DENSE_ADJOINT = 40_000
DENSE_JACOBIAN = 10_000_000

Product = Callable[[np.ndarray], np.ndarray]


def product_operator(
    shape: tuple[int, int], product: Product, transposed: Product, dtype: Any
) -> scipy.sparse.linalg.LinearOperator:
    """The (d1, d2) matrix with these products: `product` maps (d2, k) to (d1, k), `transposed` (d1, k) to (d2, k)."""

    def one(of: Product) -> Product:
        return lambda x: of(x.reshape(-1, 1)).reshape(-1)

    return scipy.sparse.linalg.LinearOperator(
        shape, matvec=one(product), rmatvec=one(transposed), matmat=product, rmatmat=transposed, dtype=dtype
    )


def implicit_jacobian(problem: Problem, left: np.ndarray, right: np.ndarray) -> scipy.sparse.linalg.LinearOperator:
    """`factor_jacobian` as its products, from those of the problem alone.

    J (dL, dR) = measure(dL R^T + L dR^T) and J^T v = (G R, G^T L) with G = adjoint(v).
    """
    half = left.size

    def forward(step: np.ndarray) -> np.ndarray:
        by_left, by_right = step[:half].reshape(left.shape), step[half:].reshape(right.shape)
        return problem.measure(LowRank(np.hstack([by_left, left]), np.hstack([right, by_right])))

    def backward(vector: np.ndarray) -> np.ndarray:
        gradient = problem.adjoint_operator(vector.reshape(-1))
        return np.concatenate([(gradient @ right).reshape(-1), (gradient.T @ left).reshape(-1)])

    def columns(of: Product) -> Product:
        return lambda many: np.stack([of(each) for each in many.T], axis=1)

    return product_operator((problem.size, half + right.size), columns(forward), columns(backward), left.dtype)


def jacobian_fits(problem: Problem, left: np.ndarray, right: np.ndarray) -> bool:
    """Whether a Jacobian written out stays small."""
    return problem.size * (left.size + right.size) <= DENSE_JACOBIAN
