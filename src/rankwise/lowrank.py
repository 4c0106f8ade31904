"""A matrix written as left @ right.T, never formed unless asked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from rankwise.plain import Plain
from rankwise.spectrum import root_mean_square

Array = Any


@dataclass(frozen=True, eq=False)
class LowRank(Plain):
    """The matrix left @ right.T, with left (d1, r) and right (d2, r).

    Raises:
        ValueError: if the factors are not two real matrices, as arrays, with the same number of columns.
    """

    left: Array
    right: Array

    def __post_init__(self) -> None:
        for name, factor in (("left", self.left), ("right", self.right)):
            if not hasattr(factor, "ndim"):
                raise ValueError(f"{name} must be an array, not a {type(factor).__name__}")
        if self.left.ndim != 2 or self.right.ndim != 2 or self.left.shape[1] != self.right.shape[1]:
            raise ValueError(
                f"left and right must be matrices of equal width, not {self.left.shape} and {self.right.shape}"
            )
        for name, factor in (("left", self.left), ("right", self.right)):
            if factor.dtype.kind == "c":
                raise ValueError(f"{name} is complex; real numbers are needed")

    @classmethod
    def zeros(cls, shape: tuple[int, int], dtype: Any = np.float64) -> LowRank:
        """The zero matrix of a shape, with rank 0."""
        return cls(np.zeros((shape[0], 0), dtype), np.zeros((shape[1], 0), dtype))

    @property
    def shape(self) -> tuple[int, int]:
        """(d1, d2)."""
        return (self.left.shape[0], self.right.shape[0])

    @property
    def rank(self) -> int:
        """The number of columns of the factors: an upper bound of the rank of the matrix."""
        return self.left.shape[1]

    @property
    def dtype(self) -> Any:
        """The data type of the factors."""
        return self.left.dtype

    @property
    def T(self) -> LowRank:
        """The transpose."""
        return LowRank(self.right, self.left)

    def entries(self, rows: Array, cols: Array) -> Array:
        """The entries at (rows, cols), each an index array of shape (m,); returns shape (m,)."""
        return (self.left[rows] * self.right[cols]).sum(axis=1)

    def dense(self) -> Array:
        """The (d1, d2) array."""
        return self.left @ self.right.T

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("a LowRank has no array of its own to share; call numpy.asarray(matrix)")
        return np.asarray(self.dense(), dtype=dtype)

    def svd(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The thin singular value decomposition (U, s, V), W = U diag(s) V^T, in O((d1 + d2) r^2)."""
        q_left, r_left = np.linalg.qr(np.asarray(self.left))
        q_right, r_right = np.linalg.qr(np.asarray(self.right))
        u, s, vt = np.linalg.svd(r_left @ r_right.T, full_matrices=False)
        return q_left @ u, s, q_right @ vt.T

    def singular_values(self) -> np.ndarray:
        """The leading r singular values in descending order; the others are zero."""
        return self.svd()[1]

    def norm(self) -> float:
        """|W|_F in O((d1 + d2) r^2), safe from overflow, for differences of near matrices as exact as the factors."""
        sizes = root_mean_square(self.left), root_mean_square(self.right)
        size = sizes[0] * sizes[1]
        if not 0 < size < math.inf:
            return size
        r_left, r_right = np.linalg.qr(self.left / sizes[0])[1], np.linalg.qr(self.right / sizes[1])[1]
        return size * float(np.linalg.norm(r_left @ r_right.T))

    def balanced(self) -> LowRank:
        """The same matrix with left^T left = right^T right = diag(s)."""
        u, s, v = self.svd()
        root = np.sqrt(s)
        return LowRank(u * root, v * root)

    def astype(self, dtype: Any) -> LowRank:
        """The same factors in another precision."""
        return LowRank(self.left.astype(dtype, copy=False), self.right.astype(dtype, copy=False))

    def truncate(self, rank: int) -> LowRank:
        """The best approximation of at most the given rank (Eckart and Young), balanced."""
        u, s, v = self.svd()
        root = np.sqrt(s[:rank])
        return LowRank(u[:, :rank] * root, v[:, :rank] * root)


def degrees_of_freedom(rank: int, shape: tuple[int, int], symmetric: bool = False) -> int:
    """The dimension of the matrices of a rank: r (d1 + d2 - r), or r d - r (r - 1) / 2 if symmetric."""
    d1, d2 = shape
    return rank * d1 - rank * (rank - 1) // 2 if symmetric else rank * (d1 + d2 - rank)


def singular_values(matrix: Array) -> Array:
    """Singular values in descending order of a dense matrix (d1, d2) or a `LowRank`."""
    if isinstance(matrix, LowRank):
        return matrix.singular_values() if matrix.rank else np.zeros(1, matrix.dtype)
    from array_api_compat import array_namespace

    return array_namespace(matrix).linalg.svdvals(matrix)


def dense(matrix: Array) -> Array:
    """The dense array of a matrix that may be a `LowRank`."""
    return matrix.dense() if isinstance(matrix, LowRank) else matrix
