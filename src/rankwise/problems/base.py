"""The plan of every problem: a linear map from a matrix to numbers, the numbers, and what follows from them."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, Self

import numpy as np

from rankwise.keys import as_generator
from rankwise.lowrank import LowRank
from rankwise.plain import Plain, checked
from rankwise.problems.misfit import Misfit, Squared

Array = Any

# Measurements are told apart by what they see of so many random matrices, up to so many units of rounding.
PROBES, ROUNDING = 3, 64


class Problem(Plain, ABC):
    """Observations values_i = <A_i, W> of a (d1, d2) matrix W, i = 1..m.

    With residuals e_i = <A_i, W> - values_i and the misfit h, the loss is scale * sum_i h(e_i), and its gradient in W
    is scale * sum_i h'(e_i) A_i: with squares, the default, scale * 1/2 * sum_i e_i^2 and scale * sum_i e_i A_i.
    Papers differ in the scale: see `mean` and `sum`.
    """

    shape: tuple[int, int]
    values: Array
    scale: Any
    misfit: Misfit = Squared()

    @abstractmethod
    def measure(self, matrix: Array) -> Array:
        """<A_i, matrix> for a dense (d1, d2) array or a `LowRank`; returns shape (m,)."""

    @abstractmethod
    def adjoint(self, vector: Array) -> Array:
        """sum_i vector_i A_i as a dense (d1, d2) array, for vector of shape (m,)."""

    @abstractmethod
    def energy(self) -> float:
        """sum_i |A_i|_F^2."""

    @abstractmethod
    def subset(self, index: Array) -> Self:
        """The same problem with only the observations at `index`, an integer array."""

    @abstractmethod
    def factor_jacobian(self, left: np.ndarray, right: np.ndarray) -> Any:
        """The derivative of measure(left @ right.T) in (left, right), both flattened row by row.

        Shape (m, (d1 + d2) r), as a NumPy array, a SciPy sparse array or, where it would be too large to write out,
        a SciPy LinearOperator.
        """

    def adjoint_operator(self, vector: Array) -> Any:
        """`adjoint` in its cheapest form that can be multiplied with `@` (sparse where possible)."""
        return self.adjoint(vector)

    def gram(self, symmetric: bool = False) -> Array:
        """<A_i, A_j>, shape (m, m), up to rounding symmetric; symmetric: of the symmetric parts of the A_i."""

        def seen(row: np.ndarray) -> np.ndarray:
            back = np.asarray(self.adjoint(row))
            return np.asarray(self.measure((back + back.T) / 2 if symmetric else back))

        return np.stack([seen(row) for row in np.eye(self.size)])

    def compiled(self) -> Problem:
        """The layout compiled dynamics use: an equal problem whose loss is cheapest on dense matrices."""
        return self

    @property
    def size(self) -> int:
        """The number m of observations."""
        return self.values.shape[0]

    @property
    def dtype(self) -> np.dtype:
        """The working precision, that of the data."""
        return self.values.dtype

    def residual(self, matrix: Array) -> Array:
        """measure(matrix) - values, shape (m,)."""
        return self.measure(matrix) - self.values

    def loss(self, matrix: Array) -> Array:
        """scale * sum_i h(residual_i), a scalar: scale * 1/2 * |measure(matrix) - values|^2 with squares."""
        return self.scale * self.misfit.value(self.residual(matrix)).sum()

    def gradient(self, matrix: Array) -> Array:
        """The gradient of the loss in the matrix: scale * adjoint(h'(residual)), a dense (d1, d2) array."""
        return self.scale * self.adjoint(self.misfit.slope(self.residual(matrix)))

    def mean(self) -> Self:
        """The same problem whose loss is the mean of 2 h(residual), the squared residuals (scale = 2 / m)."""
        return self.replace(scale=2 / self.size)

    def sum(self) -> Self:
        """The same problem whose loss is the plain sum of 2 h(residual), the squared residuals (scale = 2)."""
        return self.replace(scale=2.0)

    def half_sum(self) -> Self:
        """The same problem whose loss is the sum of h(residual), half the squares (scale = 1), the default."""
        return self.replace(scale=1.0)

    def in_units(self, size: float) -> Self:
        """The same problem in float64 with its values divided by `size`, and scale 1."""
        return self.replace(values=np.asarray(self.values, np.float64) / size, scale=1.0)

    def norm_estimate(self) -> Any:
        """An estimate of |W|_F from the data: sqrt(d1 d2 / sum_i |A_i|_F^2) * |values|.

        Exact in expectation when the measurements do not favour any entry (uniform masks, Gaussian sensors). Safe
        from overflow and underflow of the squares; 0 where all values are zero and say nothing.
        """
        d1, d2 = self.shape
        top = abs(self.values).max()
        unit = top + (top == 0)
        return (d1 * d2) ** 0.5 / self.energy() ** 0.5 * unit * (((self.values / unit) ** 2).sum()) ** 0.5

    def distinct(self, symmetric: bool = False) -> int:
        """How many observations differ in more than value and scale; on a symmetric matrix mirrored ones are the same.

        Told by what they see of 3 random matrices of rank one, to rounding: measurements that are multiples of one
        another see multiples, others almost surely not, and one that sees nothing counts for none. What depends on
        several others is not found; see `rankwise.problems.independence` for how many are independent.
        """
        return 1 + int((self._symmetric_rays if symmetric else self._rays).max())

    def representatives(self, symmetric: bool = False) -> np.ndarray:
        """The index of one observation of every kind that `distinct` tells apart, shape (distinct,)."""
        numbers, first = np.unique(self._symmetric_rays if symmetric else self._rays, return_index=True)
        return first[numbers >= 0]

    def with_mirrors(self, index: np.ndarray) -> np.ndarray:
        """The indices given and those of the observations that say the same of a symmetric matrix."""
        return np.flatnonzero(np.isin(self._symmetric_rays, self._symmetric_rays[index]))

    def split(self, fraction: float, key: Any, symmetric: bool = False) -> tuple[Self, Self]:
        """Two problems, (kept, held out), the second with about `fraction` of the observations.

        symmetric: what mirrors a held-out observation is held out too, for the matrix is known to be symmetric.

        Raises:
            ValueError: if the fraction is not inside (0, 1) or either side would be empty.
        """
        if not 0 < checked(fraction, "fraction") < 1:
            raise ValueError(f"fraction must lie strictly between 0 and 1, not {fraction}")
        count = fraction * (self.distinct(symmetric=True) if symmetric else self.size)
        held = self.held_out(round(count), as_generator(key))
        held = self.with_mirrors(held) if symmetric else held
        if held.size == 0 or held.size == self.size:
            raise ValueError(f"cannot hold out a fraction {fraction} of {self.size} observations")
        kept = np.setdiff1d(np.arange(self.size), held)
        return self.subset(kept), self.subset(held)

    def held_out(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """The indices of at most `count` observations that can be set aside."""
        return np.sort(rng.permutation(self.size)[:count])

    def place(self, index: int) -> str:
        """What messages call the value at an index."""
        return f"value {index}"

    # Kept, since solvers ask between their steps.
    @cached_property
    def _rays(self) -> np.ndarray:
        return _rays(self, symmetric=False)

    @cached_property
    def _symmetric_rays(self) -> np.ndarray:
        return _rays(self, symmetric=True)


def _rays(problem: Problem, symmetric: bool) -> np.ndarray:
    """A number from 0 for every measurement, the same for multiples of one another; -1 for those that see nothing."""
    rng = np.random.default_rng(0)
    lefts, rights = (rng.standard_normal((PROBES, length, 1)) for length in problem.shape)
    seen = _seen(problem, lefts, lefts if symmetric else rights)
    rounding = ROUNDING * max(float(np.finfo(dtype).eps) for dtype in (seen.dtype, problem.dtype))
    sizes = np.abs(seen).max(axis=1)
    # What is antisymmetric sees of symmetric matrices only rounding errors.
    least = rounding * np.abs(_seen(problem, lefts, rights)).max(axis=1) if symmetric else 0.0
    known = np.flatnonzero(sizes > least)
    rays = seen[known] / sizes[known, None]  # in their own unit: no square overflows
    rays /= np.copysign(np.linalg.norm(rays, axis=1), rays[:, 0])[:, None]
    order = np.argsort(rays[:, 0], kind="stable")
    numbers = np.full(problem.size, -1)
    numbers[known[order[:1]]] = 0
    numbers[known[order[1:]]] = np.cumsum(np.abs(np.diff(rays[order], axis=0)).max(axis=1) > rounding)
    return numbers


def _seen(problem: Problem, lefts: np.ndarray, rights: np.ndarray) -> np.ndarray:
    """The measurements of matrices of rank one, shape (m, k)."""
    probes = zip(lefts, rights, strict=True)
    return np.stack([np.asarray(problem.measure(LowRank(left, right))) for left, right in probes], axis=1)


def working_precision(values: Any, name: str) -> np.ndarray:
    """The array in the precision it is worked in: float32 stays, everything else becomes float64.

    Raises:
        ValueError: if the values are complex or not numbers.
    """
    array = np.asarray(values)
    if array.dtype.kind == "c":
        raise ValueError(f"{name} are complex; real numbers are needed")
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} are not numbers (their type is {array.dtype})")
    return array.astype(np.float32 if array.dtype.kind == "f" and array.dtype.itemsize == 4 else np.float64, copy=False)


def refuse_non_finite(array: np.ndarray, what: str) -> None:
    """Raise a ValueError that names the first item of the array (along its first axis) that is not finite."""
    finite = np.isfinite(array).all(axis=tuple(range(1, array.ndim)))
    if not finite.all():
        raise ValueError(f"{what} {int(np.argmin(finite))} is not finite")


def positive_scale(scale: Any) -> None:
    """Raise a ValueError unless the scale of a loss is a positive finite number."""
    if np.ndim(scale):
        raise ValueError(f"scale must be a number, not {scale!r}")
    checked(scale, "scale", above=0)


def positive_energy(problem: Problem, what: str) -> None:
    """Raise a ValueError naming the measurements unless sum_i |A_i|_F^2, the unit of solvers, is a normal number."""
    with np.errstate(over="ignore", invalid="ignore"):
        energy = float(problem.energy())
    known = np.finfo(problem.dtype)
    if not known.tiny <= energy <= known.max:
        raise ValueError(
            f"{what} must have an energy, sum_i |A_i|_F^2, from {known.tiny:.1e} to {known.max:.1e}, not {energy:g}: "
            "they are zero, or need another unit"
        )


def two_sides(shape: Any) -> tuple[int, int]:
    """(d1, d2) as integers.

    Raises:
        ValueError: unless they are two positive integers.
    """
    try:
        d1, d2 = (operator.index(side) for side in shape)
    except (TypeError, ValueError):
        d1 = d2 = 0
    if min(d1, d2) < 1:
        raise ValueError(f"shape must be two positive integers, not {shape!r}")
    return d1, d2
