"""One flat table of a study: a row per case with its axes, why it ended, and its final numbers."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rankwise.data.tables import write_atomically
from rankwise.studies.folder import Folder

NAME = "results.parquet"
# Of every row, beside the axes and the final numbers.
ENDED = {
    "result": pa.string(), "sentence": pa.string(), "steps": pa.int64(), "rank": pa.int64(), "seconds": pa.float64(),
}  # fmt: skip
# Before what a run came to, where an axis has that name already.
PREFIX = "run_"


def results(folder: Folder) -> pa.Table:
    """address, grid, the axes, result, sentence, steps, rank, seconds, and every final number as a column.

    Cases without a record have none of the latter. A column whose name an axis has is called `run_` and that name.
    """
    rows = [folder.rows.get(entry.address) for entry in folder.entries]
    axes = list(dict.fromkeys(name for entry in folder.entries for name in entry.labels))
    names = list(dict.fromkeys(name for row in rows if row for name in row["numbers"]))
    columns: dict[str, Any] = {
        "address": pa.array([entry.address for entry in folder.entries], pa.string()),
        "grid": pa.array([entry.grid for entry in folder.entries], pa.string()),
    }
    for name in axes:
        columns[_free(name, columns, "axis_")] = pa.array([entry.labels.get(name) for entry in folder.entries])
    for name, kind in ENDED.items():
        columns[_free(name, columns, PREFIX)] = pa.array([row[name] if row else None for row in rows], kind)
    for name in names:
        values = [row["numbers"].get(name) if row else None for row in rows]
        columns[_free(name, columns, PREFIX)] = pa.array(values, pa.float64())
    return pa.table(columns)


def write_results(folder: Folder) -> None:
    """Write them as `results.parquet` into the folder, whole or not at all.

    Raises:
        OSError: if the folder cannot be written.
    """
    table = results(folder)
    write_atomically(folder.path / NAME, lambda file: pq.write_table(table, file, compression="zstd"))


def _free(name: str, taken: dict[str, Any], prefix: str) -> str:
    """The name, with the prefix while it is taken."""
    while name in taken:
        name = prefix + name
    return name
