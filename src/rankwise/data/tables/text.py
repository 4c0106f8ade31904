"""CSV and TSV: cells are kept as they are written, so that what was observed goes back letter for letter."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from rankwise.data.tables.base import Filled, Source, Table, columns_in_words, make_table, shortened
from rankwise.data.tables.guess import first_notes, labels_notes, left_out, looks_like_header, looks_like_labels
from rankwise.data.tables.holes import holes_notes
from rankwise.data.tables.notation import Notation, notation_of
from rankwise.data.tables.sheet import Sheet, quoted, read_sheet, unpack
from rankwise.registry import distinct

TEXTS = ("csv", "csv.gz", "tsv", "tsv.gz")
FIRST_LINE_NOTE = "the first line is taken for data; --header if it names the columns"
HEADER_NOTE = "the numbers in the first line are taken for column names, not for data; --no-header if they are data"


@dataclass(frozen=True, eq=False)
class Text(Source):
    """The cells of a text table.

    first: the line of the sheet where the numbers begin, 1 below a header. numeric: positions of the numeric
    columns. labels: that of the labels, or None. notation: how numbers are written.
    """

    sheet: Sheet
    first: int
    numeric: tuple[int, ...]
    labels: int | None
    notation: Notation
    format: str

    @property
    def header(self) -> list[str] | None:
        """The names of all columns, if the first line holds them."""
        return self.sheet.texts[0] if self.first else None

    @property
    def cells(self) -> list[list[str]]:
        """The texts of all cells below the header."""
        return self.sheet.texts[self.first :]

    def write(self, filled: Filled, file: BinaryIO) -> None:
        """The same cells, with new text only where a number is taken from `filled`."""
        self.write_as(self.format, filled, file)

    def write_as(self, format: str, filled: Filled, file: BinaryIO) -> None:
        """The same in another format; in another text format only the delimiter and the compression change."""
        if format not in TEXTS:
            return super().write_as(format, filled, file)
        changes = {
            (self.first + int(i), self.numeric[j]): self.notation.text(filled.values[i, j])
            for i, j in np.argwhere(filled.take)
        }
        return self.write_cells(format, changes, (), file)

    def write_cells(
        self,
        format: str,
        changes: Mapping[tuple[int, int], str],
        more: Sequence[Sequence[str]],
        file: BinaryIO,
    ) -> None:
        """The sheet with changed cells and further lines, as CSV or TSV, packed or not."""
        delimiter = self.sheet.delimiter
        if is_tsv(format) != is_tsv(self.format):
            delimiter = "\t" if is_tsv(format) else ";" if self.notation.decimal == "," else ","
        cells = {place: quoted(text, delimiter) for place, text in changes.items()}
        data = self.sheet.text(cells, more, delimiter).encode(self.sheet.encoding)
        file.write(gzip.compress(data, mtime=0) if format.endswith(".gz") else data)

    def arrow(self, filled: Filled) -> Any:
        """Numeric columns as float64, all others as strings."""
        import pyarrow as pa

        width = len(self.sheet.raw[0])
        names = self.header or [f"c{j + 1}" for j in range(width)]
        columns: list[Any] = [None] * width
        for k, j in enumerate(self.numeric):
            own = np.array([self.notation.number(line[j]) for line in self.cells], float)
            columns[j] = pa.array(np.where(filled.take[:, k], filled.values[:, k], own), from_pandas=True)
        for j in range(width):
            if columns[j] is None:
                columns[j] = pa.array([line[j] for line in self.cells], pa.string())
        return pa.Table.from_arrays(columns, names=distinct(names))

    def besides(self) -> tuple[str, ...]:
        """The column names, if the first line holds them, and the columns that are not numeric."""
        names = self.header or [f"c{j + 1}" for j in range(len(self.sheet.raw[0]))]
        rest = columns_in_words(name for j, name in enumerate(names) if j not in self.numeric)
        return ("the column names", *rest) if self.header else rest


def is_tsv(format: str) -> bool:
    """Whether a text format is separated by tabs."""
    return format.startswith("tsv")


def read_text(
    data: bytes,
    name: str,
    format: str,
    header: bool | None = None,
    labels: bool | None = None,
    told: Notation | None = None,
    marks: frozenset[str | float] = frozenset(),
) -> Table:
    """A table from the bytes of a CSV or TSV file.

    Holes are `rankwise.data.tables.holes.HOLES` in any case, and `marks`. The delimiter is the one of comma, tab,
    semicolon and bar that cuts the first lines into equal parts, most of them numbers; for the decimal sign and what
    separates thousands, unless told, see `rankwise.data.tables.notation`. Whether the first line is a header and the
    first column holds labels is found out (see `rankwise.data.tables.guess`) unless told. A column with words in
    it is left as it is; if it has holes, or most of its cells are numbers, the table's notes name it.

    Raises:
        ValueError: on bytes that are neither UTF-8 nor UTF-16 with its mark (the line is named), lines of unequal
            length (likewise), an empty file, no numeric column, infinities (the cell is named), or a sign that may as
            well separate thousands as be the decimal one.
    """
    parsed = parse(data, name, format, told, marks)
    cells, notation = parsed.cells, parsed.notation
    numbers = [[notation.number(cell) for cell in column] for column in zip(*cells, strict=True)]
    first = int(looks_like_header(cells, numbers) if header is None else header)
    body = [column[first:] for column in numbers]
    names = cells[0] if first else None
    label = 0 if (looks_like_labels(body[0], names) and len(body) > 1 if labels is None else labels) else None
    numeric = tuple(j for j, column in enumerate(body) if j != label and None not in column)
    if not body[0]:
        raise ValueError(f"{name} has no rows below its header")
    if not numeric or (len(numeric) < len(body) - (label is not None) and _all_holes(body, numeric)):
        raise ValueError(f"{name} has no numeric column: {_first_words(cells[first:], body, label)}")
    values = np.array([body[j] for j in numeric], dtype=float).T
    rows = tuple(line[label] for line in cells[first:]) if label is not None else None
    titles = tuple((names[j] or f"c{j + 1}") if names else f"c{j + 1}" for j in range(len(body)))
    source = Text(parsed.sheet, first, numeric, label, notation, format)
    notes = [*notation.notes]
    if header is None and first and all(numbers[j][0] is not None for j in numeric):
        notes.append(HEADER_NOTE)
    if header is None and not first and None in body[0]:
        notes.append(FIRST_LINE_NOTE)
    if labels is None and len(body) > 1:
        notes += labels_notes(names[0] if names else "", body[0], label is not None)
    notes += _notes(cells[first:], body, numeric, titles, rows, label)
    notes += holes_notes(notation.counted([line[j] for line in cells[first:] for j in numeric]))
    return make_table(values, rows, tuple(titles[j] for j in numeric), source, name, tuple(notes))


def parse(
    data: bytes, name: str, format: str, told: Notation | None = None, marks: frozenset[str | float] = frozenset()
) -> Text:
    """The cells of a text file, first line included, no column interpreted yet."""
    data = unpack(data, name) if format.endswith(".gz") else data
    sheet = read_sheet(data, name, "\t" if is_tsv(format) else None)
    return Text(sheet, 0, (), None, notation_of(sheet, name, told, marks), format)


def _all_holes(body: list[list[float | None]], numeric: tuple[int, ...]) -> bool:
    return all(np.isnan(x) for j in numeric for x in body[j] if x is not None)


def _first_words(cells: list[list[str]], body: list[list[float | None]], label: int | None) -> str:
    for j, column in enumerate(body):
        if j != label and None in column:
            return f"{_short(cells[column.index(None)][j])} is not a number"
    return "its only column holds labels"


def _notes(
    cells: list[list[str]],
    body: list[list[float | None]],
    numeric: tuple[int, ...],
    titles: tuple[str, ...],
    rows: tuple[str, ...] | None,
    label: int | None,
) -> tuple[str, ...]:
    """A sentence for each column left out although it has holes, or most of its cells are numbers."""
    notes = []
    for j, column in enumerate(body):
        words = column.count(None)
        if j in numeric or not words:
            continue
        holes = j != label and any(x is not None and x != x for x in column)
        if holes or sum(x is not None and x == x for x in column) >= words:
            i = column.index(None)
            row = shortened(rows[i]) if rows is not None and j != label else str(i + 1)
            notes.append(left_out(titles[j], f"{_short(cells[i][j])} in row {row!r} is not a number", holes))
    return first_notes(notes)


def _short(text: str) -> str:
    return repr(shortened(text))
