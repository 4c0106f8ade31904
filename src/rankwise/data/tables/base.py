"""A table: numbers with holes, names for rows and columns, and what is needed to write it back as it came."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

# Tables are held dense, several times over; what is larger would end without a word, for want of memory.
MOST_CELLS = 2**29
# So many characters of a label are shown in a message.
LONGEST = 40


class Source(ABC):
    """Where a table came from, and how it goes back: one class per kind of file or object."""

    format: str

    @abstractmethod
    def write(self, filled: Filled, file: BinaryIO) -> None:
        """Write the filled table in the format it came in."""

    @abstractmethod
    def arrow(self, filled: Filled) -> Any:
        """The filled table as a pyarrow Table, labels first: the way to every other tabular format."""

    @abstractmethod
    def besides(self) -> tuple[str, ...]:
        """What it holds besides the matrix of numbers, in words: "the column names", "column 'date'"."""

    def whole(self) -> np.ndarray:
        """Which numeric columns hold whole numbers by their type, shape (p,) or one value for all."""
        return np.array(False)

    def write_as(self, format: str, filled: Filled, file: BinaryIO) -> None:
        """Write the filled table in another tabular format."""
        from rankwise.data.tables.arrow import write_arrow

        write_arrow(self.arrow(filled), format, file)


@dataclass(frozen=True, eq=False)
class Filled:
    """New values for a table: `values` (n, p), and which cells `take` them instead of what they were.

    A cell that still is NaN is written back as the hole it was.
    """

    values: np.ndarray
    take: np.ndarray


@dataclass(frozen=True, eq=False)
class Table:
    """Numeric columns of a table as an (n, p) array with NaN for holes, and where they came from.

    row_labels: "1", "2", ... where the source has none. column_names: of the p numeric columns. notes: what
    a reader should be told, a sentence each.
    """

    values: np.ndarray
    row_labels: tuple[str, ...]
    column_names: tuple[str, ...]
    source: Any
    name: str
    notes: tuple[str, ...] = ()

    def filled(self, values: np.ndarray, denoise: bool = False) -> Filled:
        """The cells to replace: the holes that `values` fills, or with `denoise` every cell it has a number for."""
        if values.shape != self.values.shape:
            raise ValueError(f"the table is {self.values.shape}, the filled one {values.shape}")
        known = ~np.isnan(values)
        return Filled(values, known if denoise else known & np.isnan(self.values))


def refuse_infinities(values: np.ndarray, rows: tuple[str, ...], columns: tuple[str, ...], name: str) -> None:
    """Raise a ValueError naming the first infinite cell, if there is one."""
    infinite = np.argwhere(np.isinf(values))
    if len(infinite):
        i, j = infinite[0]
        row, column = shortened(rows[i]), shortened(columns[j])
        raise ValueError(f"{name}: the cell in row {row!r}, column {column!r} is infinite")


def refuse_huge(rows: int, columns: int, name: str) -> None:
    """Raise a ValueError if a table whose holes are not stored has more cells than `MOST_CELLS`."""
    if rows * columns > MOST_CELLS:
        raise ValueError(f"{name}: {rows} x {columns} cells are too many, at most {MOST_CELLS} can be filled")


def numbered(count: int, prefix: str = "") -> tuple[str, ...]:
    """Labels "1", "2", ... for rows, or "c1", "c2", ... with a prefix for columns."""
    return tuple(f"{prefix}{i + 1}" for i in range(count))


def shortened(label: str) -> str:
    """A label as messages show it: at most `LONGEST` characters."""
    return label if len(label) <= LONGEST else label[: LONGEST - 3] + "..."


def columns_in_words(names: Iterable[object]) -> tuple[str, ...]:
    """ "column 'date'" for each name."""
    return tuple(f"column {shortened(str(name))!r}" for name in names)


def floats(values: np.ndarray) -> np.ndarray:
    """float32 as it is, every other number as float64."""
    return values if values.dtype == np.float32 else values.astype(np.float64)


def make_table(
    values: np.ndarray,
    rows: tuple[str, ...] | None,
    columns: tuple[str, ...] | None,
    source: Any,
    name: str,
    notes: tuple[str, ...] = (),
) -> Table:
    """A checked table; rows and columns without labels are numbered.

    Raises:
        ValueError: on infinities (the cell is named), no row or no numeric column.
    """
    rows = rows or numbered(values.shape[0])
    columns = columns or numbered(values.shape[1], "c")
    if values.shape[1] == 0:
        raise ValueError(f"{name} has no numeric column")
    if values.shape[0] == 0:
        raise ValueError(f"{name} has no rows")
    refuse_infinities(values, rows, columns, name)
    return Table(values, rows, columns, source, name, notes)
