"""Tables with holes: read from files and frames, and written back as they came."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rankwise.data.tables.arrays import Matrix, from_array, read_matrix, write_matrix
from rankwise.data.tables.arrow import read_arrow
from rankwise.data.tables.atomic import Writer, is_device, write_atomically, write_together
from rankwise.data.tables.base import Filled, Table
from rankwise.data.tables.frames import Frame, from_frame, is_frame
from rankwise.data.tables.holes import marks_of, with_holes, with_suspicion
from rankwise.data.tables.long import long_from_arrow, long_from_text
from rankwise.data.tables.losses import MATRICES, losses
from rankwise.data.tables.notation import OTHER, SIGNS, Notation
from rankwise.data.tables.text import TEXTS, parse, read_text
from rankwise.registry import look_up, nearest

# The endings of file names, and the formats they stand for.
FORMATS: dict[str, str] = {
    ".csv": "csv",
    ".csv.gz": "csv.gz",
    ".tsv": "tsv",
    ".tsv.gz": "tsv.gz",
    ".tab": "tsv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".feather": "feather",
    ".arrow": "feather",
    ".npy": "npy",
    ".npz": "npz",
    ".mtx": "mtx",
}
# Spreadsheets, which are not read.
SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers")
# How the files of a format begin that is not text to guess at.
STARTS = {
    b"PAR1": "parquet",
    b"ARROW1": "feather",
    b"\x93NUMPY": "npy",
    b"PK": "npz",
    b"%%MatrixMarket": "mtx",
    b"\x1f\x8b": "csv.gz",
}

__all__ = [
    "FORMATS",
    "Table",
    "fill_like",
    "filling_losses",
    "format_of",
    "is_device",
    "read_table",
    "table_from",
    "table_writer",
    "write_atomically",
    "write_table",
    "write_together",
    "writing_losses",
]


def format_of(path: str | os.PathLike[str]) -> str:
    """The format a file's ending stands for.

    Raises:
        ValueError: on a spreadsheet's ending, or an unknown one; it names the nearest.
    """
    name = Path(path).name.lower()
    for ending in sorted(FORMATS, key=len, reverse=True):
        if name.endswith(ending):
            return FORMATS[ending]
    ending = Path(name).suffix
    if ending in SPREADSHEETS:
        raise ValueError(f"{path}: spreadsheets are neither read nor written: save it as CSV")
    fault = f"unknown file ending {Path(path).suffix!r}" if ending else "a file name without an ending tells no format"
    raise ValueError(f"{path}: {fault}{nearest(ending, FORMATS)}")


def read_table(
    path: str | os.PathLike[str],
    *,
    long: tuple[str, str, str] | None = None,
    format: str | None = None,
    header: bool | None = None,
    labels: bool | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    holes: Sequence[str | float] = (),
) -> Table:
    """The table in a file; "-" is standard input. Its format, and that of a pipe or device, is told by the first bytes
    unless `format` does.

    long: the names of the row, column and value columns of a table in long form; c1, c2, ... where header is False.
    header: whether a text table's first line is names; labels: whether the first column of a table is (None: found
    out, see `rankwise.data.tables.guess`; the first line of a long table is names).
    decimal, thousands: the decimal sign of a text table and what separates its thousands, the comma or the point; one
    tells the other (None: found out, see `rankwise.data.tables.notation`). holes: words (of a text table) and numbers
    that stand for holes, besides those of `rankwise.data.tables.holes.HOLES`.

    Raises:
        ValueError: on a broken or unsuitable file, in one line.
        OSError: if the file cannot be read.
    """
    piped = str(path) == "-"
    kind = format or (None if piped or is_device(path) else format_of(path))
    name = "standard input" if piped else str(path) if is_device(path) else Path(path).name
    data = _standard_input() if piped else Path(path).read_bytes()
    kind = kind or _kind_of(data)
    look_up(kind, dict.fromkeys(FORMATS.values()), "format")
    for setting, given in (("a header", header), ("a decimal sign", decimal), ("a thousands separator", thousands)):
        if given is not None and kind not in TEXTS:
            raise ValueError(f"{setting} can only be set for a CSV or TSV table, which {name} is not")
    if labels is not None and long is not None:
        raise ValueError("labels cannot be set for a table in long form, whose columns are named")
    if labels is not None and kind in MATRICES:
        raise ValueError(f"labels can only be set for a table with named columns, which {name} is not")
    if kind in MATRICES and long is not None:
        raise ValueError(f"{name} is a plain matrix; long form needs named columns")
    marks = marks_of(holes)
    if kind in TEXTS:
        told = _told(decimal, thousands)
        if long is not None:
            parsed = parse(data, name, kind, told, marks)
            return with_suspicion(long_from_text(parsed, long, name, header is not False))
        return with_suspicion(read_text(data, name, kind, header, labels, told, marks))
    table = read_matrix(data, name, kind) if kind in MATRICES else read_arrow(data, name, kind, labels)
    table = table if long is None else long_from_arrow(table, long, name)
    return with_suspicion(with_holes(table, marks))


def _told(decimal: str | None, thousands: str | None) -> Notation | None:
    for name, sign in (("decimal", decimal), ("thousands", thousands)):
        if sign is not None and sign not in SIGNS:
            raise ValueError(f"{name} must be ',' or '.', not {sign!r}")
    if decimal == thousands:
        if decimal is None:
            return None
        raise ValueError(f"the {SIGNS[decimal]} cannot both be the decimal sign and separate thousands")
    decimal = decimal or OTHER[thousands or ""]
    return Notation(decimal, OTHER[decimal])


def _standard_input() -> bytes:
    if sys.stdin is None:
        raise ValueError("standard input is closed")
    return sys.stdin.buffer.read()


def _kind_of(data: bytes) -> str:
    return next((kind for start, kind in STARTS.items() if data.startswith(start)), "csv")


def write_table(
    table: Table,
    filled: np.ndarray,
    path: str | os.PathLike[str],
    *,
    denoise: bool = False,
    format: str | None = None,
) -> None:
    """Write a table with its holes filled; "-" is standard output. A file is written whole or not at all.

    The format is that of the ending, or, for standard output, a pipe or a device, that of the table. Observed
    cells come back as they were unless `denoise`.

    Raises:
        ValueError: on an unknown ending, or a shape that is not the table's.
        OSError: if the file cannot be written.
    """
    write_atomically(path, table_writer(table, filled, path, denoise=denoise, format=format))


def table_writer(
    table: Table,
    filled: np.ndarray,
    path: str | os.PathLike[str],
    *,
    denoise: bool = False,
    format: str | None = None,
) -> Writer:
    """What `write_table` puts into the file, for `write_together`."""
    changes = table.filled(filled, denoise)
    source = table.source
    kind = _kind_for(table, path, format)

    def write(file: BinaryIO) -> None:
        if kind == source.format:
            source.write(changes, file)
        elif kind in MATRICES:
            write_matrix(np.where(changes.take, changes.values, table.values), kind, file)
        else:
            source.write_as(kind, changes, file)

    return write


def writing_losses(
    table: Table,
    filled: np.ndarray,
    path: str | os.PathLike[str],
    *,
    denoise: bool = False,
    format: str | None = None,
) -> tuple[str, ...]:
    """What `write_table`, called alike, leaves out or rounds: at most one sentence for either."""
    return losses(table, table.filled(filled, denoise), _kind_for(table, path, format))


def _kind_for(table: Table, path: str | os.PathLike[str], format: str | None) -> str:
    return format or (table.source.format if str(path) == "-" or is_device(path) else format_of(path))


def table_from(X: Any) -> Table:
    """A table from an array, masked array, sparse matrix, nested lists or any data frame narwhals knows.

    Raises:
        ValueError: if there is no numeric column, or a cell is infinite (named).
    """
    if isinstance(X, np.ndarray | list | tuple) or hasattr(X, "tocoo") or not is_frame(X):
        return from_array(X, "the array")
    return from_frame(X)


def fill_like(table: Table, filled: np.ndarray) -> Any:
    """The filled table as the kind of object it came from: a frame of the same library, else an array.

    `filled` differs from the table where it was filled or denoised; a table from a file gives an array.
    """
    changes = _changes(table, filled)
    if isinstance(table.source, Frame):
        return table.source.native(changes)
    return table.source.filled(changes) if isinstance(table.source, Matrix) else filled


def filling_losses(table: Table, filled: np.ndarray) -> tuple[str, ...]:
    """What `fill_like`, called alike, rounds: at most one sentence."""
    return losses(table, _changes(table, filled), table.source.format)


def _changes(table: Table, filled: np.ndarray) -> Filled:
    changes = table.filled(filled, denoise=True)
    changes.take[filled == table.values] = False
    return changes
