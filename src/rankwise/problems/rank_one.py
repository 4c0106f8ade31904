"""Rank-one sensing: each measurement is a bilinear form of two known vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rankwise.lowrank import LowRank
from rankwise.problems.base import Array, Problem, positive_energy, positive_scale, refuse_non_finite, working_precision
from rankwise.problems.implicit import DENSE_ADJOINT, implicit_jacobian, jacobian_fits, product_operator
from rankwise.problems.misfit import Misfit, Squared


@dataclass(frozen=True, eq=False)
class RankOneSensing(Problem):
    """Measurements values[i] = lefts[i]^T W rights[i], with lefts (m, d1) and rights (m, d2).

    The sensors lefts[i] rights[i]^T are never formed: a `LowRank` of rank r is measured in O(m (d1 + d2) r). The same
    array on both sides makes them symmetric.

    Raises:
        ValueError: on arrays of unequal length, no measurement, entries that are not finite (named), or vectors whose
            products are all zero or whose squares leave the range of floats.

    Source: Cai, Zhang 2015 (`cai2015rop`).
    """

    lefts: Array
    rights: Array
    values: Array
    scale: Any = 1.0
    misfit: Misfit = Squared()

    def __post_init__(self) -> None:
        given = {name: working_precision(getattr(self, name), name) for name in ("lefts", "rights", "values")}
        lefts, rights, values = given.values()
        if not (lefts.ndim == rights.ndim == 2 and values.shape == lefts.shape[:1] == rights.shape[:1]):
            shapes = f"{lefts.shape}, {rights.shape} and {values.shape}"
            raise ValueError(f"lefts (m, d1), rights (m, d2) and values (m,) are needed, not {shapes}")
        if min(*lefts.shape, *rights.shape) == 0:
            raise ValueError(
                f"at least one measurement of a non-empty matrix is needed, not {lefts.shape}, {rights.shape}"
            )
        for name, array in (("left vector", lefts), ("right vector", rights), ("value", values)):
            refuse_non_finite(array, name)
        positive_scale(self.scale)
        dtype = np.result_type(*given.values())
        for name, array in given.items():
            object.__setattr__(self, name, array.astype(dtype, copy=False))
        object.__setattr__(self, "scale", float(self.scale))
        positive_energy(self, "lefts and rights")

    @property
    def shape(self) -> tuple[int, int]:
        """(d1, d2) of the unknown matrix."""
        return (self.lefts.shape[-1], self.rights.shape[-1])

    def measure(self, matrix: Array) -> Array:
        """lefts[i]^T matrix rights[i], shape (m,)."""
        if isinstance(matrix, LowRank):
            return ((self.lefts @ matrix.left) * (self.rights @ matrix.right)).sum(axis=1)
        return ((self.lefts @ matrix) * self.rights).sum(axis=1)

    def adjoint(self, vector: Array) -> Array:
        """sum_i vector_i lefts[i] rights[i]^T, shape (d1, d2)."""
        return (self.lefts * vector[:, None]).T @ self.rights

    def adjoint_operator(self, vector: np.ndarray) -> Any:
        """`adjoint`, in products alone where the matrix is large."""
        if self.shape[0] * self.shape[1] <= DENSE_ADJOINT:
            return self.adjoint(vector)
        weights = vector[:, None]
        return product_operator(
            self.shape,
            lambda x: self.lefts.T @ (weights * (self.rights @ x)),
            lambda x: self.rights.T @ (weights * (self.lefts @ x)),
            self.dtype,
        )

    def energy(self) -> Any:
        """sum_i |lefts[i]|^2 |rights[i]|^2."""
        return ((self.lefts**2).sum(axis=1) * (self.rights**2).sum(axis=1)).sum()

    def subset(self, index: Array) -> RankOneSensing:
        """The problem with only the measurements at `index`."""
        return self.replace(lefts=self.lefts[index], rights=self.rights[index], values=self.values[index])

    def gram(self, symmetric: bool = False) -> Array:
        """<lefts[i], lefts[j]> <rights[i], rights[j]> in float64, shape (m, m), of symmetric parts if `symmetric`."""
        lefts, rights = np.asarray(self.lefts, float), np.asarray(self.rights, float)
        gram = (lefts @ lefts.T) * (rights @ rights.T)
        if not symmetric:
            return gram
        across = lefts @ rights.T
        return (gram + across * across.T) / 2

    def factor_jacobian(self, left: np.ndarray, right: np.ndarray) -> Any:
        """Row i holds lefts[i] (rights[i] right)^T and rights[i] (lefts[i] left)^T, flattened; large: its products."""
        if not jacobian_fits(self, left, right):
            return implicit_jacobian(self, left, right)
        by_left = self.lefts[:, :, None] * (self.rights @ right)[:, None, :]
        by_right = self.rights[:, :, None] * (self.lefts @ left)[:, None, :]
        return np.hstack([by_left.reshape(self.size, -1), by_right.reshape(self.size, -1)])
