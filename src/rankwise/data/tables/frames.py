"""Data frames of any library that narwhals knows: pandas, polars, pyarrow and others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from rankwise.data.tables.arrow import in_type, numbers_of, replace_numbers
from rankwise.data.tables.base import Filled, Source, Table, columns_in_words, make_table, shortened
from rankwise.data.tables.guess import choose_labels, first_notes, left_out

# Whole numbers beyond this have no double.
LARGEST = int(np.finfo(float).max)


@dataclass(frozen=True, eq=False)
class Frame(Source):
    """A narwhals data frame and the positions of its numeric columns."""

    frame: Any
    numeric: tuple[int, ...]
    format: str = "parquet"

    def write(self, filled: Filled, file: BinaryIO) -> None:
        """As Parquet."""
        self.write_as("parquet", filled, file)

    def arrow(self, filled: Filled) -> Any:
        """The frame as an Arrow table with the new numbers in place."""
        import narwhals as nw

        return nw.from_native(self.native(filled), eager_only=True).to_arrow()

    def besides(self) -> tuple[str, ...]:
        """The column names, and the columns that are not numeric."""
        rest = columns_in_words(name for j, name in enumerate(self.frame.columns) if j not in self.numeric)
        return ("the column names", *rest)

    def whole(self) -> np.ndarray:
        """Which numeric columns are of an integer type."""
        kinds = [self.frame.schema[name] for name in self.frame.columns]
        return np.array([kinds[j].is_integer() for j in self.numeric])

    def native(self, filled: Filled) -> Any:
        """The frame in its own library, same index, columns and types, with the new numbers in place."""
        import narwhals as nw

        changed = [k for k in range(len(self.numeric)) if filled.take[:, k].any()]
        if _is_pandas(self.frame):
            return self._pandas(filled, changed)
        arrow, schema = self.frame.to_arrow(), self.frame.schema
        columns = []
        for k in changed:
            name = self.frame.columns[self.numeric[k]]
            new = replace_numbers(arrow.column(self.numeric[k]), filled.values[:, k], filled.take[:, k])
            backend = self.frame.implementation
            columns.append(nw.new_series(name, new.to_pylist(), schema[name], backend=backend))
        return self.frame.with_columns(*columns).to_native()

    def _pandas(self, filled: Filled, changed: list[int]) -> Any:
        frame = self.frame.to_native().copy()
        for k in changed:
            j = self.numeric[k]
            new = frame.iloc[:, j].copy()
            take, values = filled.take[:, k], filled.values[:, k]
            kind = new.dtype if isinstance(new.dtype, np.dtype) else new.dtype.numpy_dtype
            new[take] = values[take].tolist() if kind.kind == "O" else in_type(values[take], kind)
            frame.isetitem(j, new.astype(frame.dtypes.iloc[j]))
        return frame


def is_frame(X: Any) -> bool:
    """Whether narwhals takes the object for a data frame.

    Raises:
        ValueError: on a lazy one, or one with two columns of one name.
    """
    import narwhals as nw
    from narwhals.exceptions import DuplicateError

    try:
        frame = nw.from_native(X, pass_through=True)
    except DuplicateError as error:
        raise ValueError(f"the frame has two columns of one name: {' '.join(str(error).split())}") from error
    if isinstance(frame, nw.LazyFrame):
        raise ValueError("a lazy frame has no cells yet: collect it first")
    return isinstance(frame, nw.DataFrame)


def from_frame(X: Any) -> Table:
    """A table from a data frame: its numeric columns.

    Row labels come from a pandas index other than 0, 1, 2, ...; else see `rankwise.data.tables.guess.choose_labels`.

    Raises:
        ValueError: if there is no numeric column, or a cell is infinite (named).
    """
    import narwhals as nw

    frame = nw.from_native(X, eager_only=True)
    every = _columns(frame)
    _refuse_long_integers(every)
    arrow = None if _is_pandas(frame) else frame.to_arrow()

    def numbers(j: int) -> np.ndarray:
        column = every[j][1]
        if column.dtype == nw.Object:
            return np.array([np.nan if none else x for x, none in _objects(column)], float)
        return column.cast(_kind(column.dtype)).to_numpy() if arrow is None else numbers_of(arrow.column(j))

    numeric = [
        j
        for j, (_, column) in enumerate(every)
        if _is_numeric(column.dtype) or (arrow is None and _only_numbers(column))
    ]
    odd = [j for j, (_, column) in enumerate(every) if j not in numeric and _may_hold_numbers(column)]
    rest = [j for j in range(len(every)) if j not in (*numeric, *odd)]
    words = [j for j in rest if every[j][1].dtype != nw.Boolean]
    names = [str(name) for name, _ in every]
    index = nw.maybe_get_index(frame)
    label, notes = None, ()
    if _says_nothing(index):
        first = numbers(0).tolist() if 0 in numeric else None
        label, notes = choose_labels(names, first, words, None, flags=False)
    holes = {j: bool(every[j][1].is_null().any()) for j in (*odd, *rest) if j != label}
    notes += first_notes(
        [
            left_out(names[j], f"its type is {every[j][1].dtype}", holes[j])
            for j in sorted(holes)
            if j in odd or holes[j]
        ]
    )
    numeric = tuple(j for j in numeric if j != label)
    values = np.column_stack([numbers(j) for j in numeric]) if numeric else np.zeros((len(frame), 0))
    labels = index if label is None else every[label][1].to_list()
    rows = tuple(str(x) for x in labels) if labels is not None else None
    return make_table(values, rows, tuple(names[j] for j in numeric), Frame(frame, numeric), "the frame", notes)


def _says_nothing(index: Any) -> bool:
    """Whether there is no pandas index, or only the one that counts rows from 0."""
    return index is None or (
        index.name is None and type(index).__name__ == "RangeIndex" and index[:1].tolist() in ([], [0])
    )


def _may_hold_numbers(column: Any) -> bool:
    """Whether a column that is not numeric holds nothing, decimals, or objects most of which are numbers."""
    import narwhals as nw

    if column.dtype.is_decimal() or column.is_null().all():
        return True
    if column.dtype != nw.Object:
        return False
    there = [x for x, none in _objects(column) if not none]
    return 2 * sum(map(_is_number, there)) >= len(there)


def _only_numbers(column: Any) -> bool:
    """Whether a column of objects holds numbers, and besides them nothing but what stands for a hole."""
    import narwhals as nw

    if column.dtype != nw.Object or column.is_null().all():
        return False
    return all(none or _is_number(x) for x, none in _objects(column))


def _objects(column: Any) -> Iterator[tuple[Any, bool]]:
    """The cells of a column of objects, and whether each stands for a hole."""
    return zip(column.to_list(), column.is_null().to_list(), strict=True)


def _is_number(x: Any) -> bool:
    """Whether an object is a number that a double can stand for."""
    if isinstance(x, bool | np.bool_) or not isinstance(x, int | float | np.integer | np.floating):
        return False
    return not isinstance(x, int) or abs(x) <= LARGEST


def _refuse_long_integers(columns: list[tuple[Any, Any]]) -> None:
    """Raise a ValueError naming the first column of 128-bit integers, which Arrow does not know."""
    import narwhals as nw

    for name, column in columns:
        if column.dtype in (nw.Int128, nw.UInt128):
            kind = str(column.dtype)
            raise ValueError(f"column {shortened(str(name))!r} is of type {kind}: cast it to Int64 or Float64")


def _columns(frame: Any) -> list[tuple[Any, Any]]:
    """Names and columns by position: pandas allows names that are numbers, tuples, or equal."""
    import narwhals as nw

    if not _is_pandas(frame):
        return [(column.name, column) for column in frame.iter_columns()]
    native = frame.to_native()
    return [(name, nw.from_native(native.iloc[:, j].rename(str(j)), series_only=True)) for j, name in enumerate(native)]


def _is_pandas(frame: Any) -> bool:
    return frame.implementation.is_pandas()


def _is_numeric(kind: Any) -> bool:
    return kind.is_numeric() and not kind.is_decimal()


def _kind(dtype: Any) -> Any:
    import narwhals as nw

    return nw.Float32 if dtype == nw.Float32 else nw.Float64
