"""How a factorization starts: the scale is that of the end-to-end matrix, and each kind says of which norm."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from rankwise.lowrank import dense
from rankwise.plain import Plain, checked

Array = Any


class Initialization(Plain, ABC):
    """A random or fixed starting point of a given scale for the layers of a product.

    Raises:
        ValueError: if the scale is not finite or negative.
    """

    scale: Any

    @abstractmethod
    def layers(self, widths: tuple[int, ...], *, key: Array, dtype: Any) -> tuple[Array, ...]:
        """Layers (W_1, ..., W_N), W_j of shape (widths[j], widths[j-1]): widths = (d2, h, ..., h, d1)."""

    @abstractmethod
    def root(self, shape: tuple[int, int], *, key: Array, dtype: Any) -> Array:
        """Z of shape (d, h), the end-to-end matrix being Z Z^T."""

    def check_layers(self, widths: tuple[int, ...]) -> None:
        """Raise a ValueError if layers of these widths cannot start so."""
        del widths

    def check_root(self, shape: tuple[int, int]) -> None:
        """Raise a ValueError if a root of this shape cannot start so."""
        del shape

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", checked(self.scale, "scale", least=0))


class Independent(Initialization):
    """Layers with independent entries of mean zero.

    The scale is the root mean square of the min(d1, d2) singular values of the end-to-end matrix W:
    E |W|_F^2 = scale^2 min(d1, d2). At square layers an entry has standard deviation
    scale^(1/N) n^(-1/2), the convention of Arora et al. 2019 and Zhao 2022.
    """

    @abstractmethod
    def unit(self, shape: tuple[int, int], key: Array, dtype: Any) -> Array:
        """Independent entries of mean zero and variance one."""

    def layers(self, widths: tuple[int, ...], *, key: Array, dtype: Any) -> tuple[Array, ...]:
        """Entries of variance s^2 with s^(2N) = scale^2 min(d1, d2) / (product of all widths)."""
        import jax

        depth = len(widths) - 1
        variance = min(widths[0], widths[-1]) / math.prod(widths)
        std = self.scale ** (1 / depth) * variance ** (1 / (2 * depth))
        shapes = zip(widths[1:], widths[:-1], strict=True)
        keys = jax.random.split(key, depth)
        return tuple(std * self.unit(shape, k, dtype) for shape, k in zip(shapes, keys, strict=True))

    def root(self, shape: tuple[int, int], *, key: Array, dtype: Any) -> Array:
        """Entries of variance s^2 with s^4 = scale^2 / (h (d + h + 1)), so that E |Z Z^T|_F^2 = scale^2 d.

        (Exact for Gaussian entries, to relative order 1 / d for uniform ones.)
        """
        d, h = shape
        std = self.scale**0.5 * (h * (d + h + 1)) ** -0.25
        return std * self.unit(shape, key, dtype)


@dataclass(frozen=True)
class Gaussian(Independent):
    """Independent Gaussian entries; E |W|_F^2 = scale^2 min(d1, d2)."""

    scale: Any = 1e-3

    def unit(self, shape: tuple[int, int], key: Array, dtype: Any) -> Array:
        """Standard normal entries."""
        import jax

        return jax.random.normal(key, shape, dtype)


@dataclass(frozen=True)
class Uniform(Independent):
    """Independent uniform entries, symmetric about zero; E |W|_F^2 = scale^2 min(d1, d2)."""

    scale: Any = 1e-3

    def unit(self, shape: tuple[int, int], key: Array, dtype: Any) -> Array:
        """Uniform entries on (-sqrt 3, sqrt 3)."""
        import jax

        return jax.random.uniform(key, shape, dtype, -(3**0.5), 3**0.5)


class Balanced(Initialization):
    """Layers W_j = scale^(1/N) Q_j Q_(j-1)^T with orthonormal frames Q_j of k = min(all widths) columns.

    Exactly balanced, W_(j+1)^T W_(j+1) = W_j W_j^T, and every one of the k non-zero singular values of the
    end-to-end matrix W equals the scale: |W|_2 = scale, |W|_F = scale sqrt(k).
    """

    @abstractmethod
    def frames(self, sizes: tuple[int, ...], k: int, key: Array, dtype: Any) -> list[Array]:
        """One (size, k) array with orthonormal columns for every size."""

    def layers(self, widths: tuple[int, ...], *, key: Array, dtype: Any) -> tuple[Array, ...]:
        """W_j = scale^(1/N) Q_j Q_(j-1)^T."""
        factor = self.scale ** (1 / (len(widths) - 1))
        frames = self.frames(widths, min(widths), key, dtype)
        return tuple(factor * (q @ p.T) for p, q in pairwise(frames))

    def root(self, shape: tuple[int, int], *, key: Array, dtype: Any) -> Array:
        """Z = sqrt(scale) Q_1 Q_0^T."""
        first, second = self.frames(shape, min(shape), key, dtype)
        return self.scale**0.5 * (first @ second.T)


@dataclass(frozen=True)
class Orthogonal(Balanced):
    """Random orthonormal frames; balanced, all singular values of the end-to-end matrix equal the scale.

    (The published code of Arora et al. 2019 multiplies by a further sqrt(n).)
    """

    scale: Any = 1e-3

    def frames(self, sizes: tuple[int, ...], k: int, key: Array, dtype: Any) -> list[Array]:
        """Uniformly distributed frames: the Q of a Gaussian matrix, with the signs of R's diagonal."""
        import jax
        import jax.numpy as jnp

        def frame(size: int, key: Array) -> Array:
            q, r = jnp.linalg.qr(jax.random.normal(key, (size, k), dtype))
            return q * jnp.where(jnp.diagonal(r) < 0, -1, 1).astype(dtype)

        keys = jax.random.split(key, len(sizes))
        return [frame(size, k_) for size, k_ in zip(sizes, keys, strict=True)]


@dataclass(frozen=True)
class Identity(Balanced):
    """Multiples of the identity; the end-to-end matrix is scale times the (rectangular) identity."""

    scale: Any = 1e-3

    def frames(self, sizes: tuple[int, ...], k: int, key: Array, dtype: Any) -> list[Array]:
        """The leading k columns of the identity."""
        import jax.numpy as jnp

        return [jnp.eye(size, k, dtype=dtype) for size in sizes]


@dataclass(frozen=True, eq=False)
class Given(Initialization):
    """A given matrix: W = scale * matrix, written in balanced layers.

    With matrix = U S V^T the layers are R V^T, R, ..., R, U R, R = (scale * S)^(1/N), padded with zeros where they are
    wider than min(d1, d2); depth 1 starts at scale * matrix itself. For W = Z Z^T, Z = Q (scale * D)^(1/2) from the
    eigenvalues D of a positive semidefinite matrix. Singular values that are rounding beside the largest (below machine
    epsilon times max(d1, d2)) start at 0.

    matrix: (d1, d2), an array or a `LowRank`, in units of the observations. scale: its factor; 1 is the matrix itself.

    Raises:
        ValueError: if the matrix is not a finite two-dimensional array, the scale is negative; or (from
            `check_layers` and `check_root`) the shape is not that asked for, a layer is narrower than the rank,
            or the matrix of Z Z^T is not symmetric and positive semidefinite.

    Source: Arora, Cohen, Hazan 2018 (`arora2018optimization`), theorem 1, whose condition of balance the layers meet.
    """

    matrix: Any
    scale: Any = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        matrix = dense(self.matrix)
        if not hasattr(matrix, "dtype"):
            matrix = np.asarray(matrix)
        if matrix.ndim != 2 or (isinstance(matrix, np.ndarray) and not _finite(matrix)):
            raise ValueError("matrix must be a two-dimensional array of finite real numbers")
        object.__setattr__(self, "matrix", matrix)

    def layers(self, widths: tuple[int, ...], *, key: Array, dtype: Any) -> tuple[Array, ...]:
        """(scale * S)^(1/N) between consecutive frames: V, columns of the identity, U."""
        import jax.numpy as jnp

        matrix = self.scale * jnp.asarray(self.matrix, dtype)
        if len(widths) == 2:
            return (matrix,)
        k = min(widths)
        u, sigma, vt = jnp.linalg.svd(matrix, full_matrices=False)
        root = _beyond_rounding(sigma, matrix.shape)[:k] ** (1 / (len(widths) - 1))
        frames = [vt[:k].T, *(jnp.eye(width, k, dtype=dtype) for width in widths[1:-1]), u[:, :k]]
        return tuple((above * root) @ below.T for below, above in pairwise(frames))

    def root(self, shape: tuple[int, int], *, key: Array, dtype: Any) -> Array:
        """Z = Q (scale * D)^(1/2), the largest eigenvalues first, padded with columns of zeros."""
        import jax.numpy as jnp

        matrix = self.scale * jnp.asarray(self.matrix, dtype)
        values, vectors = jnp.linalg.eigh(matrix)
        k = min(shape)
        half = vectors[:, ::-1][:, :k] * _beyond_rounding(values[::-1], matrix.shape)[:k] ** 0.5
        return jnp.pad(half, ((0, 0), (0, shape[1] - k)))

    def check_layers(self, widths: tuple[int, ...]) -> None:
        """Raise a ValueError unless the matrix has the shape of the product and fits through its narrowest layer."""
        matrix = self._of_shape((widths[-1], widths[0]))
        self._fits(np.linalg.matrix_rank(matrix), min(widths))

    def check_root(self, shape: tuple[int, int]) -> None:
        """Raise a ValueError unless the matrix is symmetric, positive semidefinite and no wider in rank than Z."""
        matrix = self._of_shape((shape[0], shape[0]))
        if not self.semidefinite:
            raise ValueError("the given matrix must be symmetric and positive semidefinite to be written Z Z^T")
        self._fits(np.linalg.matrix_rank(matrix), shape[1])

    @property
    def semidefinite(self) -> bool:
        """Whether the matrix is symmetric and positive semidefinite, up to rounding."""
        matrix = np.asarray(self.matrix)
        if matrix.shape[0] != matrix.shape[1]:
            return False
        slack = len(matrix) * np.finfo(np.result_type(matrix, np.float32)).eps * np.linalg.norm(matrix)
        values = np.linalg.eigvalsh((matrix + matrix.T) / 2)
        return bool(np.abs(matrix - matrix.T).max() <= slack and values[0] >= -slack)

    def _of_shape(self, shape: tuple[int, int]) -> np.ndarray:
        if tuple(self.matrix.shape) != shape:
            raise ValueError(f"the given matrix has shape {tuple(self.matrix.shape)}; the start needs {shape}")
        return np.asarray(self.matrix)

    def _fits(self, rank: int, width: int) -> None:
        if rank > width:
            raise ValueError(f"the given matrix has rank {rank}, more than a layer of width {width} can hold")


def _finite(matrix: np.ndarray) -> bool:
    return matrix.dtype.kind in "fiub" and bool(np.isfinite(matrix).all())


def _beyond_rounding(values: Array, shape: tuple[int, ...]) -> Array:
    """Zero in place of what is rounding beside the first, the largest: its root would not be small."""
    import jax.numpy as jnp

    return jnp.where(values > max(shape) * jnp.finfo(values.dtype).eps * values[0], values, 0)


INITIALIZATIONS: dict[str, type[Initialization]] = {
    "gaussian": Gaussian,
    "uniform": Uniform,
    "orthogonal": Orthogonal,
    "identity": Identity,
    "given": Given,
}
