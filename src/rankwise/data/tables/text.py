"""CSV and TSV: cells are kept as they are written, so that what was observed goes back letter for letter."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from rankwise.data.tables.base import Filled, Source, Table, columns_in_words, make_table, shortened
from rankwise.data.tables.guess import first_notes, left_out, looks_like_header, looks_like_labels, numbers_as_labels
from rankwise.data.tables.sheet import Sheet, quoted, read_sheet, unpack
from rankwise.registry import distinct

HOLES = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
TEXTS = ("csv", "csv.gz", "tsv", "tsv.gz")
DECIMAL_COMMA = re.compile(r"\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*")
THOUSANDS = re.compile(r"\s*[+-]?[1-9]\d{0,2}(,\d{3})+\s*")
DECIMAL_NOTE = "the decimal sign is taken to be the comma"
FIRST_LINE_NOTE = "the first line is taken for data; --header if it names the columns"


@dataclass(frozen=True, eq=False)
class Text(Source):
    """The cells of a text table.

    first: the line of the sheet where the numbers begin, 1 below a header. numeric: positions of the numeric
    columns. labels: that of the labels, or None. decimal: the decimal sign.
    """

    sheet: Sheet
    first: int
    numeric: tuple[int, ...]
    labels: int | None
    decimal: str
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
            (self.first + int(i), self.numeric[j]): number_text(filled.values[i, j], self.decimal)
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
            delimiter = "\t" if is_tsv(format) else ";" if self.decimal == "," else ","
        cells = {place: quoted(text, delimiter) for place, text in changes.items()}
        data = self.sheet.text(cells, more, delimiter).encode()
        file.write(gzip.compress(data, mtime=0) if format.endswith(".gz") else data)

    def arrow(self, filled: Filled) -> Any:
        """Numeric columns as float64, all others as strings."""
        import pyarrow as pa

        width = len(self.sheet.raw[0])
        names = self.header or [f"c{j + 1}" for j in range(width)]
        columns: list[Any] = [None] * width
        for k, j in enumerate(self.numeric):
            own = np.array([to_number(line[j], self.decimal) for line in self.cells], float)
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


def number_text(number: Any, decimal: str = ".") -> str:
    """A number in at most 12 significant digits."""
    return f"{float(number):.12g}".replace(".", decimal)


def read_text(data: bytes, name: str, format: str, header: bool | None = None, labels: bool | None = None) -> Table:
    """A table from the bytes of a CSV or TSV file.

    Holes are empty cells and NA, N/A, NaN, null, None and ?, in any case. The delimiter is the one of
    comma, tab, semicolon and bar that cuts the first lines into equal parts, most of them numbers; the decimal sign
    is a comma where no number has a point and commas inside cells (quoted, where the comma is the delimiter) can be no
    thousands separators. Whether the first line is a header and the
    first column holds labels is found out (see `rankwise.data.tables.guess`) unless told. A column with words in
    it is left as it is; if it has holes, or most of its cells are numbers, the table's notes name it.

    Raises:
        ValueError: on bytes that are not UTF-8 (the line is named), lines of unequal length (likewise),
            an empty file, no numeric column, or infinities (the cell is named).
    """
    parsed = parse(data, name, format)
    cells, decimal = parsed.cells, parsed.decimal
    numbers = [[to_number(cell, decimal) for cell in column] for column in zip(*cells, strict=True)]
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
    source = Text(parsed.sheet, first, numeric, label, decimal, format)
    notes = _notes(cells[first:], body, numeric, titles, rows, label)
    if label is not None and labels is None and None not in body[label]:
        notes = (numbers_as_labels(names[label] if names else ""), *notes)
    if header is None and not first and None in body[0]:
        notes = (FIRST_LINE_NOTE, *notes)
    if decimal == ",":
        notes = (DECIMAL_NOTE, *notes)
    return make_table(values, rows, tuple(titles[j] for j in numeric), source, name, notes)


def parse(data: bytes, name: str, format: str) -> Text:
    """The cells of a text file, first line included, no column interpreted yet."""
    data = unpack(data, name) if format.endswith(".gz") else data
    sheet = read_sheet(data, name, "\t" if is_tsv(format) else None)
    return Text(sheet, 0, (), None, _decimal_sign(sheet), format)


def is_hole(cell: str) -> bool:
    """Whether a cell's text marks a hole."""
    return cell.strip().lower() in HOLES


def to_number(cell: str, decimal: str = ".") -> float | None:
    """The number in a cell, NaN for a hole, None for words."""
    if is_hole(cell):
        return float("nan")
    if decimal == "," and DECIMAL_COMMA.fullmatch(cell):
        cell = cell.replace(",", ".")
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def _decimal_sign(sheet: Sheet) -> str:
    """A comma if some cells are numbers with one and none is a number with a point.

    In quotes between commas it may also separate thousands: there some cell must show that it does not, and none that
    it does.
    """
    cells = [cell for line in sheet.texts for cell in line]
    with_comma = [cell for cell in cells if "," in cell]
    decimals = [cell for cell in with_comma if DECIMAL_COMMA.fullmatch(cell)]
    if sheet.delimiter == ",":
        if any(cell.count(",") > 1 and THOUSANDS.fullmatch(cell) for cell in with_comma):
            return "."
        decimals = [cell for cell in decimals if not THOUSANDS.fullmatch(cell)]
    if not decimals:
        return "."
    return "." if any(to_number(cell) is not None for cell in cells if "." in cell) else ","


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
