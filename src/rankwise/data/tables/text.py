"""CSV and TSV: cells are kept as text, so that what was observed goes back letter for letter."""

from __future__ import annotations

import csv
import gzip
import io
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from rankwise.data.tables.base import Filled, Source, Table, make_table

HOLES = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
DELIMITERS = (",", "\t", ";", "|")
# First columns of these names hold labels even if they look like numbers.
LABEL_NAMES = frozenset({"", "id", "index", "label", "name", "row", "key", "year", "date", "time"})


@dataclass(frozen=True, eq=False)
class Text(Source):
    """The cells of a text table, and how they were separated.

    header: the first line, or None. numeric: positions of the numeric columns. labels: that of the labels, or None.
    """

    header: list[str] | None
    cells: list[list[str]]
    numeric: tuple[int, ...]
    labels: int | None
    delimiter: str
    ending: str
    bom: bool
    format: str

    def write(self, filled: Filled, file: BinaryIO) -> None:
        """The same cells, with new text only where a number is taken from `filled`."""
        write_cells(self.header, self.replaced(filled), self, file)

    def replaced(self, filled: Filled) -> list[list[str]]:
        """The lines with the new numbers in place."""
        lines = [list(line) for line in self.cells]
        for i, j in np.argwhere(filled.take):
            lines[i][self.numeric[j]] = number_text(filled.values[i, j])
        return lines

    def arrow(self, filled: Filled) -> Any:
        """Numeric columns as float64, all others as strings."""
        import pyarrow as pa

        names = self.header or [f"c{j + 1}" for j in range(len(self.cells[0]))]
        lines = self.replaced(filled)
        columns = []
        for j in range(len(names)):
            cells = [line[j] for line in lines]
            numbers = [None if is_hole(c) else float(c) for c in cells] if j in self.numeric else cells
            columns.append(pa.array(numbers, pa.float64() if j in self.numeric else pa.string()))
        return pa.Table.from_arrays(columns, names=_distinct(names))


def number_text(number: float) -> str:
    """A number in at most 12 significant digits."""
    return f"{float(number):.12g}"


def write_cells(header: list[str] | None, lines: list[list[str]], like: Text, file: BinaryIO) -> None:
    """Lines of cells with the delimiter, line ending, byte order mark and compression of another table."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=like.delimiter, lineterminator=like.ending)
    if header is not None:
        writer.writerow(header)
    writer.writerows(lines)
    data = text.getvalue().encode("utf-8-sig" if like.bom else "utf-8")
    file.write(gzip.compress(data, mtime=0) if like.format.endswith(".gz") else data)


def read_text(
    data: bytes, name: str, format: str, header: bool | None = None, labels: bool | None = None
) -> Table:
    """A table from the bytes of a CSV or TSV file.

    Holes are empty cells and NA, N/A, NaN, null, None and ?, in any case. The delimiter is the one of
    comma, tab, semicolon and bar that cuts the first lines into most equal parts. Unless told:
    the first line is a header if a name stands in it above numbers, or if it is a run of integers (years)
    above or beside labels; the first column holds labels if it has words in it, if its header is empty or one of id,
    index, label, name, row, key, year, date, time, or if it counts up or down in equal steps.

    Raises:
        ValueError: on bytes that are not UTF-8 (the line is named), lines of unequal length (likewise),
            an empty file, no numeric column, or infinities (the cell is named).
    """
    parsed = parse(data, name, format)
    cells = parsed.cells
    numbers = [[to_number(cell) for cell in column] for column in zip(*cells, strict=True)]
    has_header = _looks_like_header(cells, numbers) if header is None else header
    first = 1 if has_header else 0
    body = [column[first:] for column in numbers]
    names = cells[0] if has_header else None
    label = 0 if (_looks_like_labels(body[0], names) and len(body) > 1 if labels is None else labels) else None
    numeric = tuple(j for j, column in enumerate(body) if j != label and None not in column)
    lines = cells[first:]
    source = Text(names, lines, numeric, label, parsed.delimiter, parsed.ending, parsed.bom, format)
    values = np.array([body[j] for j in numeric], dtype=float).reshape(len(numeric), len(lines)).T
    rows = tuple(line[label] for line in lines) if label is not None else None
    columns = tuple((names[j] or f"c{j + 1}") if names else f"c{j + 1}" for j in numeric)
    if len(numeric) < len(body) - (label is not None) and np.isnan(values).all():
        raise ValueError(f"{name} has no numeric column: what is not empty holds words")
    return make_table(values, rows, columns, source, name)


def parse(data: bytes, name: str, format: str) -> Text:
    """The cells of a text file, first line included, no column interpreted yet."""
    if format.endswith(".gz"):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError) as error:
            raise ValueError(f"{name} is not a gzip file: {error}") from error
    text = _decode(data, name)
    delimiter = "\t" if format.startswith("tsv") else _sniff(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    cells: list[list[str]] = []
    try:
        for line in reader:
            if not line:
                continue
            if cells and len(line) != len(cells[0]):
                raise ValueError(
                    f"{name}: line {reader.line_num} has {len(line)} cells, the lines before have {len(cells[0])}"
                )
            cells.append(line)
    except csv.Error as error:
        raise ValueError(f"{name}: line {reader.line_num}: {error}") from error
    if not cells:
        raise ValueError(f"{name} is empty")
    ending = "\r\n" if "\r\n" in text else "\n"
    return Text(None, cells, (), None, delimiter, ending, data.startswith(b"\xef\xbb\xbf"), format)


def is_hole(cell: str) -> bool:
    """Whether a cell's text marks a hole."""
    return cell.strip().lower() in HOLES


def to_number(cell: str) -> float | None:
    """The number in a cell, NaN for a hole, None for words."""
    if is_hole(cell):
        return float("nan")
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def _decode(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(f"{name}: line {line} is not UTF-8 text") from error


def _sniff(text: str) -> str:
    """The delimiter that cuts the first lines into the most parts, equal in number."""
    best, parts = ",", 1
    for delimiter in DELIMITERS:
        reader = csv.reader(io.StringIO(text[:100_000], newline=""), delimiter=delimiter)
        counts = [len(line) for line, _ in zip(reader, range(20), strict=False) if line][:20]
        if len(text) > 100_000:
            counts = counts[:-1] or counts
        typical = max(set(counts), key=counts.count) if counts else 1
        if typical > parts:
            best, parts = delimiter, typical
    return best


def _looks_like_header(cells: list[list[str]], numbers: list[list[float | None]]) -> bool:
    if len(cells) < 2:
        return False
    for column in numbers:
        below = column[1:]
        if column[0] is None and None not in below and not all(np.isnan(below)):
            return True
    rest = [column[0] for column in numbers[1:]]
    labelled = cells[0][0].strip().lower() in LABEL_NAMES or is_hole(cells[0][0])
    if all(column[0] is None for column in numbers):
        return len(numbers) > 1
    return bool(labelled and rest and all(x is not None and float(x).is_integer() for x in rest) and _runs(rest))


def _looks_like_labels(column: list[float | None], names: list[str] | None) -> bool:
    if None in column:
        return True
    if any(np.isnan(x) for x in column if x is not None) or not column:
        return False
    distinct = len(set(column)) == len(column)
    if names is not None and names[0].strip().lower() in LABEL_NAMES:
        return distinct
    return distinct and len(column) > 2 and all(float(x or 0).is_integer() for x in column) and _runs(column)


def _runs(numbers: Any) -> bool:
    """Whether numbers go up or down in equal steps."""
    steps = np.diff(np.asarray(numbers, float))
    return len(steps) > 0 and steps[0] != 0 and bool((steps == steps[0]).all())


def _distinct(names: list[str]) -> list[str]:
    """Names made distinct by numbers, as formats with a schema need them."""
    seen: dict[str, int] = {}
    out = []
    for name in names:
        count = seen[name] = seen.get(name, 0) + 1
        out.append(name if count == 1 else f"{name}_{count}")
    return out
