"""Data frames of any library that narwhals knows: pandas, polars, pyarrow and others."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from rankwise.data.tables.arrow import replace_numbers
from rankwise.data.tables.base import Filled, Source, Table, make_table


@dataclass(frozen=True, eq=False)
class Frame(Source):
    """A narwhals data frame and the names of its numeric columns."""

    frame: Any
    numeric: tuple[str, ...]
    format: str = "parquet"

    def write(self, filled: Filled, file: BinaryIO) -> None:
        """As Parquet."""
        from rankwise.data.tables.arrow import write_arrow

        write_arrow(self.arrow(filled), "parquet", file)

    def arrow(self, filled: Filled) -> Any:
        """The frame as an Arrow table with the new numbers in place."""
        import narwhals as nw

        return nw.from_native(self.native(filled), eager_only=True).to_arrow()

    def native(self, filled: Filled) -> Any:
        """The frame in its own library, same index, columns and types, with the new numbers in place."""
        import narwhals as nw

        changed = [k for k in range(len(self.numeric)) if filled.take[:, k].any()]
        if "pandas" in sys.modules and isinstance(self.frame.to_native(), sys.modules["pandas"].DataFrame):
            return self._pandas(filled, changed)
        arrow = self.frame.to_arrow()
        columns = []
        for k in changed:
            name = self.numeric[k]
            new = replace_numbers(arrow.column(name), filled.values[:, k], filled.take[:, k])
            backend = self.frame.implementation
            series = nw.new_series(name, new.to_pylist(), self.frame.schema[name], backend=backend)
            columns.append(series)
        return self.frame.with_columns(*columns).to_native()

    def _pandas(self, filled: Filled, changed: list[int]) -> Any:
        frame = self.frame.to_native().copy()
        for k in changed:
            column = frame[self.numeric[k]]
            take, values = filled.take[:, k], filled.values[:, k]
            integer = "int" in str(column.dtype).lower()
            new = column.copy()
            new[take] = np.round(values[take]).astype(np.int64) if integer else values[take]
            frame[self.numeric[k]] = new.astype(column.dtype)
        return frame


def is_frame(X: Any) -> bool:  # noqa: N803
    """Whether narwhals takes the object for an eager data frame."""
    import narwhals as nw

    return isinstance(nw.from_native(X, eager_only=True, pass_through=True), nw.DataFrame)


def from_frame(X: Any) -> Table:  # noqa: N803
    """A table from a data frame: its numeric columns; row labels from a pandas index or the first other column.

    Raises:
        ValueError: if there is no numeric column, two share a name, or a cell is infinite (named).
    """
    import narwhals as nw
    from narwhals.exceptions import DuplicateError

    try:
        frame = nw.from_native(X, eager_only=True)
        schema = frame.schema
    except DuplicateError as error:
        raise ValueError(f"the frame has two columns of one name: {str(error).splitlines()[0]}") from error
    numeric = tuple(name for name, kind in schema.items() if kind.is_numeric() and not kind.is_decimal())
    others = [name for name in schema if name not in numeric]
    columns = [frame[name].cast(_kind(schema[name])).to_numpy() for name in numeric]
    values = np.column_stack(columns) if columns else np.zeros((len(frame), 0))
    index = nw.maybe_get_index(frame)
    labels = index if index is not None else frame[others[0]].to_list() if others else None
    rows = tuple(str(label) for label in labels) if labels is not None else None
    return make_table(np.asarray(values), rows, tuple(map(str, numeric)), Frame(frame, numeric), "the frame")


def _kind(dtype: Any) -> Any:
    import narwhals as nw

    return nw.Float32 if dtype == nw.Float32 else nw.Float64
