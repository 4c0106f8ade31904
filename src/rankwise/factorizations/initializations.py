"""How a factorization starts: the scale is that of the end-to-end matrix, and each kind says of which norm."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

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


INITIALIZATIONS: dict[str, type[Initialization]] = {
    "gaussian": Gaussian,
    "uniform": Uniform,
    "orthogonal": Orthogonal,
    "identity": Identity,
}
