"""Plain matrices: .npy, .npz and Matrix Market files, NumPy and SciPy arrays, lists of lists."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import scipy

from rankwise.data.tables.arrow import in_type
from rankwise.data.tables.base import Filled, Source, Table, floats, make_table, refuse_huge, shortened
from rankwise.data.tables.matrix_market import read_matrix_market
from rankwise.problems.completion import stored_entries

FORMAT_NAMES = {"npy": ".npy", "npz": ".npz", "mtx": "Matrix Market"}
KEYS = ("X", "arr_0")
OBJECTS = "Python objects, which are refused because loading them can run code: save it with array.astype(float)"
# Stands for the arrays that together are a SciPy sparse matrix.
SPARSE = "\0sparse"


@dataclass(frozen=True, eq=False)
class Matrix(Source):
    """A numeric array; entries that are not stored in a sparse one are holes.

    key: its name in an .npz file. rest: the other members of that file, as they are.
    """

    array: np.ndarray
    format: str
    key: str = "arr_0"
    rest: tuple[tuple[zipfile.ZipInfo, bytes], ...] = ()

    def write(self, filled: Filled, file: BinaryIO) -> None:
        """The array with the new numbers in place, dense."""
        write_matrix(self.filled(filled), self.format, file, self.key, self.rest)

    def filled(self, filled: Filled) -> np.ndarray:
        """The array with the new numbers in place, in the precision it had."""
        array = self.array.copy()
        array[filled.take] = in_type(filled.values[filled.take], array.dtype)
        return array

    def arrow(self, filled: Filled) -> Any:
        """Columns c1, c2, ..."""
        import pyarrow as pa

        array = self.filled(filled)
        return pa.table({f"c{j + 1}": pa.array(array[:, j], from_pandas=True) for j in range(array.shape[1])})

    def besides(self) -> tuple[str, ...]:
        """The other members of the .npz file."""
        return tuple(f"array {shortened(one.filename.removesuffix('.npy'))!r}" for one, _ in self.rest)

    def whole(self) -> np.ndarray:
        """Whether the array is one of whole numbers or truth values."""
        return np.array(self.array.dtype.kind in "iub")


def write_matrix(
    array: np.ndarray,
    format: str,
    file: BinaryIO,
    key: str = "arr_0",
    rest: tuple[tuple[zipfile.ZipInfo, bytes], ...] = (),
) -> None:
    """Write an array as .npy, .npz (with the `rest` of its members) or dense Matrix Market."""
    buffer = io.BytesIO()
    if format == "npy":
        np.save(buffer, array, allow_pickle=False)
    elif format == "npz":
        member = io.BytesIO()
        np.save(member, array, allow_pickle=False)
        with zipfile.ZipFile(buffer, "w") as archive:
            for one, data in ((f"{key}.npy", member.getvalue()), *rest):
                archive.writestr(one, data)
    else:
        scipy.io.mmwrite(buffer, array, precision=17)
    file.write(buffer.getvalue())


def read_matrix(data: bytes, name: str, format: str) -> Table:
    """A table from .npy, .npz or Matrix Market.

    .npz: a single array, or the one named X or arr_0, or a SciPy sparse matrix. Sparse and coordinate
    files: stored entries are observed, explicit zeros too, all others are holes; they come back dense.

    Raises:
        ValueError: on a broken file, an array of Python objects (loading one can run code), an .npz with several
            arrays none of which has such a name (its names are listed), an array that is not a numeric matrix, or
            infinities.
    """
    key, rest = "arr_0", ()
    file = io.BytesIO(data)
    try:
        if format == "npz":
            key, rest = _choose(file)
            array = scipy.sparse.load_npz(file) if key == SPARSE else np.load(file, allow_pickle=False)[key]
        else:
            array = _from_npy(file) if format == "npy" else read_matrix_market(data)
    except MemoryError:
        raise
    except Exception as error:  # the readers raise many kinds on broken bytes
        words = (str(error) or repr(error)).splitlines()[0]
        if "allow_pickle" in words:  # so NumPy and SciPy say that they would have to run what the file holds
            raise ValueError(f"{name} holds {OBJECTS}") from error
        raise ValueError(f"{name} is not a readable {FORMAT_NAMES[format]} file: {words}") from error
    return from_array(array, name, format, "arr_0" if key == SPARSE else key, rest)


def from_array(
    array: Any,
    name: str,
    format: str = "npy",
    key: str = "arr_0",
    rest: tuple[tuple[zipfile.ZipInfo, bytes], ...] = (),
) -> Table:
    """A table from a NumPy array (NaN or the mask marks holes), a SciPy sparse array or nested lists (None does)."""
    if scipy.sparse.issparse(array):
        data = _from_sparse(array, name)
    elif np.ma.isMaskedArray(array):
        _refuse_words(array, name)
        data = np.ma.filled(floats(np.ma.asarray(array)), np.nan)
    else:
        try:
            data = np.asarray(array)
        except ValueError as error:
            raise ValueError(f"{name} is no table: its rows differ in length or kind") from error
        if data.dtype == object:
            data = _from_objects(data, name)
    if data.ndim != 2:
        raise ValueError(f"{name} has {data.ndim} dimensions, a table has two")
    _refuse_words(data, name)
    return make_table(floats(data), None, None, Matrix(data, format, key, rest), name)


def _refuse_words(data: Any, name: str) -> None:
    if data.dtype.kind == "c":
        raise ValueError(f"{name} is complex; real numbers are needed")
    if data.dtype.kind not in "fiub":
        raise ValueError(f"{name} has no numeric column: its type is {data.dtype}")


def _from_sparse(matrix: Any, name: str) -> np.ndarray:
    _refuse_words(matrix, name)
    if len(matrix.shape) != 2:
        raise ValueError(f"{name} has {len(matrix.shape)} dimensions, a table has two")
    stored = stored_entries(matrix)
    refuse_huge(stored.shape[0], stored.shape[1], name)
    rows, cols = stored.coords
    cells, count = np.unique(rows.astype(np.int64) * stored.shape[1] + cols, return_counts=True)
    if (count > 1).any():
        i, j = divmod(int(cells[np.argmax(count > 1)]), stored.shape[1])
        raise ValueError(f"{name}: the cell in row {i + 1}, column {j + 1} stands in it more than once")
    data = np.full(stored.shape, np.nan, floats(stored.data[:0]).dtype)
    data[rows, cols] = stored.data
    return data


def _from_objects(data: np.ndarray, name: str) -> np.ndarray:
    try:
        return np.where(data == None, np.nan, data).astype(np.float64)  # noqa: E711
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} holds something that is not a number: {error}") from error


def _from_npy(file: BinaryIO) -> np.ndarray:
    if file.read(6) != b"\x93NUMPY":
        raise ValueError("it does not begin as one")
    file.seek(0)
    return np.load(file, allow_pickle=False)


def _choose(file: BinaryIO) -> tuple[str, tuple[tuple[zipfile.ZipInfo, bytes], ...]]:
    """The name of the array in an .npz file, and the members beside it."""
    with zipfile.ZipFile(file) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        if {"format", "data", "shape"} <= set(names):
            file.seek(0)
            return SPARSE, ()
        known = [key for key in KEYS if key in names] or names
        if not known:
            raise ValueError("it holds no array")
        if len(known) > 1 and known[0] not in KEYS:
            raise ValueError(f"it holds several arrays ({', '.join(names)}); name one of them X")
        rest = [one for one in archive.infolist() if one.filename != f"{known[0]}.npy"]
        members = tuple((one, archive.read(one)) for one in rest)
    file.seek(0)
    return known[0], members
