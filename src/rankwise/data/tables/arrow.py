"""Parquet and Feather: column types come back, and observed cells bit for bit."""

from __future__ import annotations

import gzip
import io
import json
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from rankwise.data.tables.base import Filled, Source, Table, columns_in_words, make_table
from rankwise.data.tables.guess import choose_labels, first_notes, left_out


@dataclass(frozen=True, eq=False)
class Arrow(Source):
    """An Arrow table and the positions of its numeric columns."""

    table: Any
    numeric: tuple[int, ...]
    format: str

    def write(self, filled: Filled, file: BinaryIO) -> None:
        """The same columns with the new numbers in place."""
        write_arrow(self.arrow(filled), self.format, file)

    def arrow(self, filled: Filled) -> Any:
        """The table with the new numbers in place; schema and its metadata stay."""
        table = self.table
        for k, j in enumerate(self.numeric):
            if filled.take[:, k].any():
                column = replace_numbers(table.column(j), filled.values[:, k], filled.take[:, k])
                table = table.set_column(j, table.schema.field(j), column)
        return table

    def besides(self) -> tuple[str, ...]:
        """The column names, and the columns that are not numeric."""
        names = self.table.column_names
        rest = columns_in_words(name for j, name in enumerate(names) if j not in self.numeric)
        return ("the column names", *rest)

    def whole(self) -> np.ndarray:
        """Which numeric columns are of an integer type."""
        import pyarrow as pa

        return np.array([pa.types.is_integer(self.table.schema.field(j).type) for j in self.numeric])


def read_arrow(data: bytes, name: str, format: str, labels: bool | None = None) -> Table:
    """A table from a Parquet or Feather file; nulls and NaN both are holes.

    Integer and floating-point columns are numeric (an index that pandas stored beside the columns is not). labels:
    whether the first column holds row labels; None: see `rankwise.data.tables.guess.choose_labels`. Filled cells
    of an integer column are rounded, so that the type stays.

    Raises:
        ValueError: on a broken file, no numeric column, or infinities (the cell is named).
    """
    from pyarrow import feather, parquet

    file = io.BytesIO(data)
    try:
        table = parquet.read_table(file) if format == "parquet" else feather.read_table(file)
        table.validate(full=True)  # broken bytes may show only when a name or a cell is looked at
        _ = [(field.name, field.type) for field in table.schema]
    except Exception as error:  # pyarrow raises many kinds on broken bytes
        raise ValueError(
            f"{name} is not a readable {format} file: {(str(error) or repr(error)).splitlines()[0]}"
        ) from error
    return from_arrow(table, name, format, labels)


def from_arrow(table: Any, name: str, format: str, labels: bool | None = None) -> Table:
    """A table from a pyarrow Table."""
    fields = list(enumerate(table.schema))
    index = _index_columns(table)
    numeric = [j for j, field in fields if is_numeric(field.type) and field.name not in index]
    odd = [j for j, field in fields if _may_hold_numbers(field.type)]
    rest = [j for j, _ in fields if j not in (*numeric, *odd)]
    words = sorted((j for j in rest if not _is_truth(fields[j][1].type)), key=lambda j: fields[j][1].name not in index)
    first = None if index or 0 not in numeric else numbers_of(table.column(0)).tolist()
    label, notes = choose_labels(table.column_names, first, words, labels)
    numeric = tuple(j for j in numeric if j != label)
    notes += first_notes(
        [
            left_out(fields[j][1].name, f"its type is {fields[j][1].type}", holes=bool(table.column(j).null_count))
            for j in sorted((*odd, *rest))
            if j != label and (j in odd or table.column(j).null_count) and fields[j][1].name not in index
        ]
    )
    rows = tuple(str(x) for x in table.column(label).to_pylist()) if label is not None else None
    columns = [numbers_of(table.column(j)) for j in numeric]
    single = bool(columns) and all(column.dtype == np.float32 for column in columns)
    values = np.column_stack(columns).astype(np.float32 if single else np.float64) if columns else np.zeros((1, 0))
    names = tuple(str(table.schema.field(j).name) for j in numeric)
    return make_table(values, rows, names, Arrow(table, numeric, format), name, notes)


def write_arrow(table: Any, format: str, file: BinaryIO) -> None:
    """Write a pyarrow Table as Parquet, Feather, CSV or TSV, the last two packed or not."""
    from pyarrow import csv, feather, parquet

    if format == "parquet":
        parquet.write_table(table, file)
    elif format == "feather":
        feather.write_feather(table, file)
    else:
        delimiter = "\t" if format.startswith("tsv") else ","
        buffer = io.BytesIO()
        csv.write_csv(table, buffer, csv.WriteOptions(delimiter=delimiter, quoting_style="needed"))
        text = buffer.getvalue()
        file.write(gzip.compress(text, mtime=0) if format.endswith(".gz") else text)


def numbers_of(column: Any) -> np.ndarray:
    """A numeric Arrow column as floats, NaN for null; float32 stays."""
    import pyarrow as pa

    kind = pa.float32() if column.type in (pa.float16(), pa.float32()) else pa.float64()
    return column.cast(kind, safe=False).to_numpy()


def replace_numbers(column: Any, values: np.ndarray, take: np.ndarray) -> Any:
    """The column with `values` where `take` is true, in its own type; all other cells as they were."""
    import pyarrow as pa
    import pyarrow.compute as pc

    new = pa.array(in_type(np.where(take, values, 0), np.dtype(column.type.to_pandas_dtype())), column.type)
    return pc.if_else(pa.array(take), new, column.combine_chunks())  # pyright: ignore[reportAttributeAccessIssue]


def in_type(values: np.ndarray, kind: np.dtype) -> np.ndarray:
    """The nearest numbers that a numeric type, or one of truth values, holds."""
    if kind.kind == "b":
        return values >= 0.5
    if kind.kind not in "iu":
        limits = np.finfo(kind)
        return np.clip(values, float(limits.min), float(limits.max)).astype(kind)
    limits = np.iinfo(kind)
    # The largest float within the limits: 2**63 - 1, say, is none.
    most = np.floor(np.nextafter(float(limits.max) + 1, 0))
    return np.clip(np.round(values), limits.min, most).astype(kind)


def is_numeric(kind: Any) -> bool:
    """Whether an Arrow type holds integers or floating-point numbers."""
    import pyarrow as pa

    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def _may_hold_numbers(kind: Any) -> bool:
    import pyarrow as pa

    return pa.types.is_decimal(kind) or pa.types.is_null(kind)


def _is_truth(kind: Any) -> bool:
    """Whether a type is that of truth values, which name no rows."""
    import pyarrow as pa

    return pa.types.is_boolean(kind)


def _index_columns(table: Any) -> set[str]:
    """The names under which pandas stored its index."""
    stored = (table.schema.metadata or {}).get(b"pandas")
    return {name for name in json.loads(stored).get("index_columns", []) if isinstance(name, str)} if stored else set()
