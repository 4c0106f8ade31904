"""Data frames of any library that narwhals knows: pandas, polars, pyarrow and others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from rankwise.data.tables.arrow import numbers_of, replace_numbers, whole_numbers
from rankwise.data.tables.base import Filled, Source, Table, make_table


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
            new[take] = whole_numbers(values[take], kind) if kind.kind in "iu" else values[take].astype(kind)
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
    """A table from a data frame: its numeric columns; row labels from a pandas index or the first other column.

    Raises:
        ValueError: if there is no numeric column, or a cell is infinite (named).
    """
    import narwhals as nw

    frame = nw.from_native(X, eager_only=True)
    every = _columns(frame)
    numeric = tuple(j for j, (_, column) in enumerate(every) if _is_numeric(column.dtype))
    others = [column for _, column in every if not _is_numeric(column.dtype)]
    arrow = None if _is_pandas(frame) else frame.to_arrow()
    columns = [
        every[j][1].cast(_kind(every[j][1].dtype)).to_numpy() if arrow is None else numbers_of(arrow.column(j))
        for j in numeric
    ]
    values = np.column_stack(columns) if columns else np.zeros((len(frame), 0))
    index = nw.maybe_get_index(frame)
    labels = index if index is not None else others[0].to_list() if others else None
    rows = tuple(str(label) for label in labels) if labels is not None else None
    names = tuple(str(every[j][0]) for j in numeric)
    return make_table(values, rows, names, Frame(frame, numeric), "the frame")


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
