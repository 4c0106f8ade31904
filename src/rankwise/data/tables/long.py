"""Long form: one observation per line, in columns for row, column and value (ratings, sensors)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np

from rankwise.data.tables.arrow import Arrow, in_type, is_numeric, numbers_of, replace_numbers, write_arrow
from rankwise.data.tables.base import (
    Filled,
    Source,
    Table,
    columns_in_words,
    make_table,
    numbered,
    refuse_huge,
    shortened,
)
from rankwise.data.tables.holes import holes_notes
from rankwise.data.tables.text import TEXTS, Text
from rankwise.registry import distinct, nearest


@dataclass(frozen=True, eq=False)
class Long(Source):
    """Lines of a long table: `lines` (n, p) says in which line a cell stands, -1 if in none.

    places: the positions of the row, column and value columns. labels, names: of the rows and columns.
    """

    lines: np.ndarray
    places: tuple[int, int, int]
    labels: tuple[Any, ...]
    names: tuple[Any, ...]
    inner: Text | Arrow

    @property
    def format(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """That of the file."""
        return self.inner.format

    def write(self, filled: Filled, file: BinaryIO) -> None:
        """The lines as they were, values filled in place, then one line per further cell."""
        self.write_as(self.format, filled, file)

    def write_as(self, format: str, filled: Filled, file: BinaryIO) -> None:
        """The same in another format."""
        if isinstance(self.inner, Arrow) or format not in TEXTS:
            write_arrow(self.arrow(filled), format, file)
            return
        notation, value, first = self.inner.notation, self.places[2], self.inner.first
        changes = {
            (first + int(self.lines[i, j]), value): notation.text(filled.values[i, j])
            for i, j in np.argwhere(filled.take & (self.lines >= 0))
        }
        more = []
        for i, j in np.argwhere(filled.take & (self.lines < 0)):
            line = [""] * len(self.inner.sheet.raw[0])
            cells = (self.labels[i], self.names[j], notation.text(filled.values[i, j]))
            for place, text in zip(self.places, cells, strict=True):
                line[place] = text
            more.append(line)
        self.inner.write_cells(format, changes, more, file)

    def arrow(self, filled: Filled) -> Any:
        """The lines as an Arrow table, further cells at its end."""
        import pyarrow as pa

        table = self.inner.table if isinstance(self.inner, Arrow) else self._text_table()
        there = np.argwhere(filled.take & (self.lines >= 0))
        value = self.places[2]
        if len(there):
            values, take = np.zeros(table.num_rows), np.zeros(table.num_rows, bool)
            at = self.lines[there[:, 0], there[:, 1]]
            values[at], take[at] = filled.values[there[:, 0], there[:, 1]], True
            column = replace_numbers(table.column(value), values, take)
            table = table.set_column(value, table.schema.field(value), column)
        more = np.argwhere(filled.take & (self.lines < 0))
        numbers = filled.values[more[:, 0], more[:, 1]]
        kind = table.schema.field(value).type
        new = {
            self.places[0]: pa.array([self.labels[i] for i in more[:, 0]]),
            self.places[1]: pa.array([self.names[j] for j in more[:, 1]]),
            value: pa.array(in_type(numbers, np.dtype(kind.to_pandas_dtype()))),
        }
        columns = [
            new[j].cast(field.type, safe=False) if j in new else pa.nulls(len(more), field.type)
            for j, field in enumerate(table.schema)
        ]
        return pa.concat_tables([table, pa.Table.from_arrays(columns, schema=table.schema)])

    def besides(self) -> tuple[str, ...]:
        """The labels of rows and columns, and the columns that are none of the three."""
        names = self.inner.table.column_names if isinstance(self.inner, Arrow) else _header(self.inner)
        rest = columns_in_words(name for j, name in enumerate(names) if j not in self.places)
        return ("the row and column labels", *rest)

    def whole(self) -> np.ndarray:
        """Whether the value column is of an integer type."""
        import pyarrow as pa

        inner, place = self.inner, self.places[2]
        return np.array(isinstance(inner, Arrow) and pa.types.is_integer(inner.table.schema.field(place).type))

    def _text_table(self) -> Any:
        """The cells as an Arrow table: the value column in float64, all others as text."""
        import pyarrow as pa

        assert isinstance(self.inner, Text)
        columns = [pa.array(column) for column in zip(*self.inner.cells, strict=True)]
        value = [self.inner.notation.number(cell[self.places[2]]) for cell in self.inner.cells]
        columns[self.places[2]] = pa.array(value, pa.float64(), from_pandas=True)
        return pa.Table.from_arrays(columns, names=distinct(_header(self.inner)))


def long_from_text(parsed: Text, long: tuple[str, str, str], name: str, header: bool = True) -> Table:
    """A table from the cells of a long text file, whose first line names the columns; without, they are c1, c2, ...

    Raises:
        ValueError: on an unknown column (the nearest is named), a value that is no number, or a cell that
            stands twice (both lines are named).
    """
    inner = replace(parsed, first=int(header))
    cells, lines = inner.cells, parsed.sheet.lines[inner.first :]
    places = _places(_header(inner), long, name)
    if not cells:
        raise ValueError(f"{name} has no rows below its header")
    numbers = [parsed.notation.number(line[places[2]]) for line in cells]
    if None in numbers:
        first = numbers.index(None)
        value = shortened(cells[first][places[2]])
        raise ValueError(f"{name}: line {lines[first]}: the value {value!r} is not a number")
    rows, columns = ([line[place] for line in cells] for place in places[:2])
    notes = (*parsed.notation.notes, *holes_notes(parsed.notation.counted([line[places[2]] for line in cells])))
    return _pivot(rows, columns, np.asarray(numbers, float), places, inner, name, lines, notes)


def long_from_arrow(table: Table, long: tuple[str, str, str], name: str) -> Table:
    """A table from a Parquet or Feather file in long form; raises as `long_from_text`."""
    arrow = table.source.table
    places = _places(arrow.column_names, long, name)
    if not is_numeric(arrow.schema.field(places[2]).type):
        raise ValueError(f"{name}: column {long[2]!r} is not numeric")
    rows, columns = (arrow.column(place).to_pylist() for place in places[:2])
    return _pivot(
        rows,
        columns,
        numbers_of(arrow.column(places[2])),
        places,
        table.source,
        name,
        range(1, len(rows) + 1),
    )


def _header(inner: Text) -> list[str]:
    """The names of the columns: those in the first line, or c1, c2, ..."""
    return inner.header or list(numbered(len(inner.sheet.raw[0]), "c"))


def _places(header: list[str], long: tuple[str, str, str], name: str) -> tuple[int, int, int]:
    row, column, value = (_place(header, one, name) for one in long)
    if len({row, column, value}) < 3:
        raise ValueError(f"row, column and value must be three different columns, not {', '.join(long)}")
    return row, column, value


def _place(header: list[str], column: str, name: str) -> int:
    """Where the column of a name stands, or else the only one of that name but for blanks around it."""
    alike = [j for j, one in enumerate(header) if one == column]
    alike = alike or [j for j, one in enumerate(header) if one.strip() == column.strip()]
    if not alike:
        raise ValueError(f"{name} has no column {column!r}{nearest(column, header)}")
    if len(alike) > 1:
        raise ValueError(f"{name} has {len(alike)} columns named {column!r}")
    return alike[0]


def _pivot(
    rows: list[Any], columns: list[Any], numbers: np.ndarray, places: tuple[int, int, int], inner: Text | Arrow,
    name: str, at: Sequence[int], notes: tuple[str, ...] = (),
) -> Table:  # fmt: skip
    labels, names = tuple(dict.fromkeys(rows)), tuple(dict.fromkeys(columns))
    row_at, column_at = ({label: k for k, label in enumerate(every)} for every in (labels, names))
    refuse_huge(len(labels), len(names), name)
    lines = np.full((len(labels), len(names)), -1)
    values = np.full(lines.shape, np.nan, numbers.dtype)
    for line, (row, column) in enumerate(zip(rows, columns, strict=True)):
        for label, axis in ((row, "row"), (column, "column")):
            if label is None or not str(label).strip():
                raise ValueError(f"{name}: line {at[line]} has no {axis} label")
        i, j = row_at[row], column_at[column]
        if lines[i, j] >= 0:
            place = f"row {shortened(str(row))!r}, column {shortened(str(column))!r}"
            raise ValueError(f"{name}: {place} stands in line {at[lines[i, j]]} and again in line {at[line]}")
        lines[i, j] = line
    seen = lines >= 0
    values[seen] = numbers[lines[seen]]
    source = Long(lines, places, labels, names, inner)
    return make_table(values, tuple(map(str, labels)), tuple(map(str, names)), source, name, notes)
