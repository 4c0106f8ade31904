"""Plain matrices: .npy, .npz and Matrix Market files, NumPy and SciPy arrays, lists of lists."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import scipy.io
import scipy.sparse

from rankwise.data.tables.base import Filled, Source, Table, floats, make_table

KEYS = ("X", "arr_0")


@dataclass(frozen=True, eq=False)
class Matrix(Source):
    """A numeric array; entries that are not stored in a sparse one are holes. key: its name in an .npz file."""

    array: np.ndarray
    format: str
    key: str = "arr_0"

    def write(self, filled: Filled, file: BinaryIO) -> None:
        """The array with the new numbers in place, dense."""
        write_matrix(self.filled(filled), self.format, file, self.key)

    def filled(self, filled: Filled) -> np.ndarray:
        """The array with the new numbers in place, in the precision it had."""
        return np.where(filled.take, filled.values, self.array).astype(self.array.dtype)

    def arrow(self, filled: Filled) -> Any:
        """Columns c1, c2, ..."""
        import pyarrow as pa

        array = self.filled(filled)
        return pa.table({f"c{j + 1}": pa.array(array[:, j], from_pandas=True) for j in range(array.shape[1])})


def write_matrix(array: np.ndarray, format: str, file: BinaryIO, key: str = "arr_0") -> None:
    """Write an array as .npy, .npz or dense Matrix Market."""
    if format == "npy":
        np.save(file, array, allow_pickle=False)
    elif format == "npz":
        np.savez(file, **{key: array})
    else:
        buffer = io.BytesIO()
        scipy.io.mmwrite(buffer, array, precision=17)
        file.write(buffer.getvalue())


def read_matrix(file: BinaryIO, name: str, format: str) -> Table:
    """A table from .npy, .npz or Matrix Market.

    .npz: a single array, or the one named X or arr_0, or a SciPy sparse matrix. Sparse and coordinate
    files: stored entries are observed, explicit zeros too, all others are holes; they come back dense.

    Raises:
        ValueError: on a broken file, an .npz with several arrays none of which has such a name (its names are
            listed), an array that is not a numeric matrix, or infinities.
    """
    key = "arr_0"
    try:
        if format == "npy":
            array = np.load(file, allow_pickle=False)
        elif format == "npz":
            array, key = _from_npz(file, name)
        else:
            array = scipy.io.mmread(file)
    except (ValueError, EOFError, OSError, KeyError) as error:
        if str(error).startswith(name):
            raise
        raise ValueError(f"{name} is not a readable {format} file: {str(error).splitlines()[0]}") from error
    return from_array(array, name, format, key)


def from_array(array: Any, name: str, format: str = "npy", key: str = "arr_0") -> Table:
    """A table from a NumPy array (NaN or the mask marks holes), a SciPy sparse array or nested lists (None does)."""
    if scipy.sparse.issparse(array):
        stored = array.tocoo()
        stored.sum_duplicates()
        data = np.full(stored.shape, np.nan, floats(stored.data).dtype)
        data[stored.coords] = stored.data
    elif np.ma.isMaskedArray(array):
        data = np.ma.filled(floats(np.ma.asarray(array)), np.nan)
    else:
        data = np.asarray(array)
        if data.dtype == object:
            data = _from_objects(data, name)
    if data.ndim != 2:
        raise ValueError(f"{name} has {data.ndim} dimensions, a table has two")
    if data.dtype.kind not in "fiub":
        raise ValueError(f"{name} has no numeric column (its type is {data.dtype})")
    return make_table(floats(data), None, None, Matrix(data, format, key), name)


def _from_objects(data: np.ndarray, name: str) -> np.ndarray:
    try:
        return np.where(np.equal(data, None), np.nan, data).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} holds something that is not a number: {error}") from error


def _from_npz(file: BinaryIO, name: str) -> tuple[Any, str]:
    with np.load(file, allow_pickle=False) as archive:
        if not hasattr(archive, "files"):
            raise ValueError(f"{name} is not an .npz archive")
        if {"format", "data", "shape"} <= set(archive.files):
            file.seek(0)
            return scipy.sparse.load_npz(file), "arr_0"
        known = [key for key in KEYS if key in archive.files] or archive.files
        if len(known) != 1 and known[0] not in KEYS:
            raise ValueError(f"{name} holds several arrays ({', '.join(archive.files)}); name one of them X")
        if not known:
            raise ValueError(f"{name} holds no array")
        return archive[known[0]], known[0]
