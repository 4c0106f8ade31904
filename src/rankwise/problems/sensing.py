"""Matrix sensing: inner products of the matrix with known matrices are observed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rankwise.lowrank import dense
from rankwise.problems.base import Array, Problem, positive_energy, positive_scale, refuse_non_finite, working_precision
from rankwise.problems.misfit import Misfit, Squared


@dataclass(frozen=True, eq=False)
class Sensing(Problem):
    """Measurements values[i] = <sensors[i], W> with sensors of shape (m, d1, d2).

    Raises:
        ValueError: on arrays of unequal length, no measurement, entries that are not finite (named), or sensors that
            are all zero or whose squares leave the range of floats.
    """

    sensors: Array
    values: Array
    scale: Any = 1.0
    misfit: Misfit = Squared()

    def __post_init__(self) -> None:
        sensors = working_precision(self.sensors, "sensors")
        values = working_precision(self.values, "values")
        if sensors.ndim != 3 or values.ndim != 1 or sensors.shape[0] != values.shape[0]:
            raise ValueError(f"sensors (m, d1, d2) and values (m,) are needed, not {sensors.shape} and {values.shape}")
        if min(sensors.shape) == 0:
            raise ValueError(f"at least one measurement of a non-empty matrix is needed, not {sensors.shape}")
        refuse_non_finite(sensors, "sensor")
        refuse_non_finite(values, "value")
        positive_scale(self.scale)
        dtype = np.result_type(sensors, values)
        object.__setattr__(self, "sensors", sensors.astype(dtype, copy=False))
        object.__setattr__(self, "values", values.astype(dtype, copy=False))
        object.__setattr__(self, "scale", float(self.scale))
        positive_energy(self, "sensors")

    @property
    def shape(self) -> tuple[int, int]:
        """(d1, d2) of the unknown matrix."""
        return (self.sensors.shape[-2], self.sensors.shape[-1])

    def symmetrized(self) -> Sensing:
        """The same values with the sensors' symmetric parts: equal on symmetric matrices.

        Raises:
            ValueError: if the matrix is not square.
        """
        if self.shape[0] != self.shape[1]:
            raise ValueError(f"only a square matrix can be symmetric, not one of shape {self.shape}")
        return self.replace(sensors=(self.sensors + self.sensors.transpose(0, 2, 1)) / 2)

    def measure(self, matrix: Array) -> Array:
        """<sensors[i], matrix>, shape (m,)."""
        return self._flat() @ dense(matrix).reshape(-1)

    def adjoint(self, vector: Array) -> Array:
        """sum_i vector_i sensors[i], shape (d1, d2)."""
        return (vector @ self._flat()).reshape(self.shape)

    def energy(self) -> Any:
        """sum_i |sensors[i]|_F^2."""
        return (self.sensors**2).sum()

    def subset(self, index: Array) -> Sensing:
        """The problem with only the measurements at `index`."""
        return self.replace(sensors=self.sensors[index], values=self.values[index])

    def factor_jacobian(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Row i holds sensors[i] @ right and sensors[i].T @ left, flattened."""
        by_left = np.einsum("mij,jr->mir", self.sensors, right, optimize=True)
        by_right = np.einsum("mij,ir->mjr", self.sensors, left, optimize=True)
        m = self.size
        return np.hstack([by_left.reshape(m, -1), by_right.reshape(m, -1)])

    def gram(self, symmetric: bool = False) -> Array:
        """<sensors[i], sensors[j]> in float64, shape (m, m), of the symmetric parts if `symmetric`."""
        sensors = np.asarray(self.sensors, float)
        flat = ((sensors + sensors.transpose(0, 2, 1)) / 2 if symmetric else sensors).reshape(self.size, -1)
        return flat @ flat.T

    def _flat(self) -> Array:
        return self.sensors.reshape(self.sensors.shape[0], -1)
