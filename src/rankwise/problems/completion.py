"""Matrix completion: some entries of the matrix are observed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy

from rankwise.lowrank import LowRank
from rankwise.problems.base import Array, Problem, positive_scale, two_sides, working_precision
from rankwise.problems.misfit import Misfit, Squared


@dataclass(frozen=True, eq=False)
class Completion(Problem):
    """Observed entries: values[i] = W[rows[i], cols[i]], i = 1..m, of a matrix of the given shape.

    Raises:
        ValueError: on a shape that is not two positive integers, arrays of unequal length, no observation, an index
            outside the shape, a value that is not finite (named by its cell), or a cell observed twice (the first in
            row order is named; `from_triples` and `from_sparse` take `duplicates="mean"`).
    """

    shape: tuple[int, int]
    rows: Array
    cols: Array
    values: Array
    scale: Any = 1.0
    misfit: Misfit = Squared()

    def __post_init__(self) -> None:
        shape = two_sides(self.shape)
        rows, cols = _indices(self.rows, "rows"), _indices(self.cols, "cols")
        values = working_precision(self.values, "values")
        _check(shape, rows, cols, values)
        positive_scale(self.scale)
        order = np.lexsort((cols, rows))
        _refuse_duplicates(rows[order], cols[order])
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "rows", rows[order])
        object.__setattr__(self, "cols", cols[order])
        object.__setattr__(self, "values", values[order])
        object.__setattr__(self, "scale", float(self.scale))

    @classmethod
    def from_dense(cls, array: Any, scale: float = 1.0) -> Completion:
        """From a (d1, d2) array in which NaN marks a hole, or a masked array in which the mask does.

        Raises:
            ValueError: if the array is not two-dimensional, has no observed entry, or holds an infinity.
        """
        masked = np.ma.isMaskedArray(array)
        data = working_precision(np.ma.getdata(array) if masked else array, "values")
        if data.ndim != 2:
            raise ValueError(f"a matrix is needed, not an array of {data.ndim} dimensions")
        seen = ~np.isnan(data) & ~np.ma.getmaskarray(array) if masked else ~np.isnan(data)
        rows, cols = np.nonzero(seen)
        return cls((data.shape[0], data.shape[1]), rows, cols, data[rows, cols], scale)

    @classmethod
    def from_sparse(cls, matrix: Any, scale: float = 1.0, duplicates: Literal["error", "mean"] = "error") -> Completion:
        """From a SciPy sparse matrix: every stored entry is an observation, explicit zeros too.

        Raises:
            ValueError: if it is not a sparse matrix of two dimensions, or one that stores whole diagonals or blocks
                (DIA, BSR), whose zeros may be filling; and as the constructor.
        """
        stored = stored_entries(matrix)
        rows, cols = stored.coords
        return cls.from_triples(rows, cols, stored.data, stored.shape, scale, duplicates)

    @classmethod
    def from_triples(
        cls,
        rows: Any,
        cols: Any,
        values: Any,
        shape: tuple[int, int] | None = None,
        scale: float = 1.0,
        duplicates: Literal["error", "mean"] = "error",
    ) -> Completion:
        """From index arrays and values; the shape defaults to the smallest that holds them.

        Raises:
            ValueError: also if a cell stands twice and `duplicates` is "error"; "mean" averages instead.
        """
        if duplicates not in ("error", "mean"):
            raise ValueError(f"duplicates must be 'error' or 'mean', not {duplicates!r}")
        rows, cols, values = (
            _indices(rows, "rows"),
            _indices(cols, "cols"),
            working_precision(values, "values"),
        )
        if shape is None:
            if rows.size == 0 or cols.size == 0:
                raise ValueError("no entry is observed")
            for name, index in (("row", rows), ("column", cols)):
                if index.min() < 0:
                    raise ValueError(f"{name} index {index.min()} is negative")
            shape = (int(rows.max()) + 1, int(cols.max()) + 1)
        if duplicates == "mean":
            shape = two_sides(shape)
            _check(shape, rows, cols, values)
            rows, cols, values = _average(shape, rows, cols, values)
        return cls(shape, rows, cols, values, scale)

    def measure(self, matrix: Array) -> Array:
        """The entries of a dense array or a `LowRank` at the observed places, shape (m,)."""
        if isinstance(matrix, LowRank):
            return matrix.entries(self.rows, self.cols)
        return matrix[self.rows, self.cols]

    def adjoint(self, vector: Array) -> Array:
        """The (d1, d2) array with the vector at the observed places and zero elsewhere."""
        if isinstance(vector, np.ndarray):
            out = np.zeros(self.shape, vector.dtype)
            out[self.rows, self.cols] = vector
            return out
        import jax.numpy as jnp

        return jnp.zeros(self.shape, vector.dtype).at[self.rows, self.cols].set(vector)

    def adjoint_operator(self, vector: np.ndarray) -> scipy.sparse.csr_array:
        """`adjoint` as a sparse array."""
        return scipy.sparse.csr_array((vector, (self.rows, self.cols)), shape=self.shape)

    def energy(self) -> float:
        """sum_i |A_i|_F^2 = m."""
        return float(self.size)

    def subset(self, index: Array) -> Completion:
        """The problem with only the observations at `index`."""
        return self.replace(rows=self.rows[index], cols=self.cols[index], values=self.values[index])

    def factor_jacobian(self, left: np.ndarray, right: np.ndarray) -> scipy.sparse.csr_array:
        """Row i holds right[cols[i]] in the block of left row rows[i], left[rows[i]] in that of right row cols[i]."""
        (d1, d2), r, m = self.shape, left.shape[1], self.size
        within = np.arange(r)
        columns = np.hstack([self.rows[:, None] * r + within, (d1 + self.cols[:, None]) * r + within])
        data = np.hstack([right[self.cols], left[self.rows]])
        pointer = np.arange(m + 1) * (2 * r)
        return scipy.sparse.csr_array((data.ravel(), columns.ravel(), pointer), shape=(m, (d1 + d2) * r))

    def distinct(self, symmetric: bool = False) -> int:
        """The number of entries, mirrored ones counted once if the matrix is symmetric."""
        return len(np.unique(self._pairs())) if symmetric else self.size

    def place(self, index: int) -> str:
        """What messages call the value at an index: by its row and column."""
        return f"the value at (row {self.rows[index]}, column {self.cols[index]})"

    def with_mirrors(self, index: np.ndarray) -> np.ndarray:
        """The indices given and those of the mirrored entries."""
        pairs = self._pairs()
        return np.nonzero(np.isin(pairs, pairs[index]))[0]

    def _pairs(self) -> np.ndarray:
        """One number per entry, the same for (i, j) and (j, i)."""
        return np.minimum(self.rows, self.cols) * max(self.shape) + np.maximum(self.rows, self.cols)

    def compiled(self) -> Problem:
        """The same problem as a mask and a target, cheapest where the whole matrix is formed anyway."""
        dtype = self.values.dtype
        target, mask = np.zeros(self.shape, dtype), np.zeros(self.shape, dtype)
        target[self.rows, self.cols], mask[self.rows, self.cols] = self.values, 1
        return MaskedCompletion(target, mask, self.scale, self.misfit)

    def held_out(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """At most `count` indices, leaving every row and column at least half of its observations (at least one)."""
        d1, d2 = self.shape
        row_left, col_left = np.bincount(self.rows, minlength=d1), np.bincount(self.cols, minlength=d2)
        row_keep, col_keep = (row_left + 1) // 2, (col_left + 1) // 2
        chosen = []
        for i in rng.permutation(self.size):
            if len(chosen) >= count:
                break
            row, col = self.rows[i], self.cols[i]
            if row_left[row] > row_keep[row] and col_left[col] > col_keep[col]:
                chosen.append(i)
                row_left[row] -= 1
                col_left[col] -= 1
        return np.sort(np.asarray(chosen, dtype=np.intp))


@dataclass(frozen=True, eq=False)
class MaskedCompletion(Problem):
    """Completion laid out densely: target and mask of shape (d1, d2), zero and one where unobserved and observed.

    The layout of `Completion.compiled`: the entries are measured in row-major order, unobserved ones as zero.
    """

    target: Array
    mask: Array
    scale: Any = 1.0
    misfit: Misfit = Squared()

    @property
    def shape(self) -> tuple[int, int]:
        """(d1, d2) of the unknown matrix."""
        return (self.target.shape[-2], self.target.shape[-1])

    @property
    def values(self) -> Array:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The target in row-major order, zero where unobserved."""
        return self.target.reshape(-1)

    def measure(self, matrix: Array) -> Array:
        """The masked matrix in row-major order."""
        return (self.mask * matrix).reshape(-1)

    def adjoint(self, vector: Array) -> Array:
        """The vector as a masked matrix."""
        return self.mask * vector.reshape(self.shape)

    def energy(self) -> Any:
        """sum_i |A_i|_F^2, the number of observed entries."""
        return self.mask.sum()

    def subset(self, index: Array) -> MaskedCompletion:
        """Only the entries at `index` of the row-major order stay observed."""
        keep = np.zeros(self.target.size, self.target.dtype)
        keep[index] = 1
        keep = keep.reshape(self.shape)
        return self.replace(target=self.target * keep, mask=self.mask * keep)

    def distinct(self, symmetric: bool = False) -> int:
        """The number of observed entries, mirrored ones counted once if the matrix is symmetric."""
        seen = np.asarray(self.mask) > 0
        return int(np.count_nonzero(np.triu(seen | seen.T) if symmetric else seen))

    def factor_jacobian(self, left: np.ndarray, right: np.ndarray) -> Any:
        """As for `Completion`, with a zero row for every unobserved entry."""
        rows, cols = np.indices(self.shape).reshape(2, -1)
        every = Completion(self.shape, rows, cols, self.values)
        return scipy.sparse.diags_array(self.mask.ravel()) @ every.factor_jacobian(left, right)


def stored_entries(matrix: Any) -> Any:
    """A SciPy sparse matrix in coordinate form, with what it stores and nothing else.

    Raises:
        ValueError: if it is not sparse, not two-dimensional, or stores whole diagonals or blocks.
    """
    if not scipy.sparse.issparse(matrix) or len(matrix.shape) != 2:
        raise ValueError(f"a SciPy sparse matrix of two dimensions is needed, not {type(matrix).__name__}")
    if matrix.format in ("dia", "bsr"):
        raise ValueError(
            f"a {matrix.format.upper()} matrix stores zeros that only fill its "
            f"{'diagonals' if matrix.format == 'dia' else 'blocks'}: convert it to COO or CSR with the entries meant"
        )
    return matrix.tocoo()


def _indices(index: Any, name: str) -> np.ndarray:
    array = np.asarray(index)
    if array.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, not of shape {array.shape}")
    if array.size and array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be integers, not {array.dtype}")
    return array.astype(np.intp)


def _check(shape: tuple[int, int], rows: np.ndarray, cols: np.ndarray, values: np.ndarray) -> None:
    if not rows.shape == cols.shape == values.shape:
        raise ValueError(
            f"rows, cols and values must have equal lengths, not {rows.shape}, {cols.shape}, {values.shape}"
        )
    if rows.size == 0:
        raise ValueError("no entry is observed")
    for name, index, bound in (("row", rows, shape[0]), ("column", cols, shape[1])):
        outside = (index < 0) | (index >= bound)
        if outside.any():
            raise ValueError(f"{name} index {index[outside][0]} lies outside 0..{bound - 1}")
    bad = ~np.isfinite(values)
    if bad.any():
        first = int(np.argmax(bad))
        raise ValueError(f"the value at (row {rows[first]}, column {cols[first]}) is {values[first]}, not finite")


def _refuse_duplicates(rows: np.ndarray, cols: np.ndarray) -> None:
    twice = (np.diff(rows) == 0) & (np.diff(cols) == 0)
    if twice.any():
        first = int(np.argmax(twice))
        raise ValueError(
            f"(row {rows[first]}, column {cols[first]}) is observed more than once; "
            'from_triples(..., duplicates="mean") averages repeated observations'
        )


def _average(
    shape: tuple[int, int], rows: np.ndarray, cols: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    cells, where = np.unique(rows * shape[1] + cols, return_inverse=True)
    means = np.bincount(where, values) / np.bincount(where)
    return cells // shape[1], cells % shape[1], means.astype(values.dtype)
