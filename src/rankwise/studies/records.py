"""Finished cases on disk: a Parquet file per batch, a row group per case, whole or not at all.

Any reader of Parquet reads them: pandas, polars, DuckDB. `settings` and `details` are JSON; `numbers`, `curves` and
`vectors` are maps from names to final values, to one number per step in `at`, and to one list per step.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rankwise.source import code, versions
from rankwise.studies.cases import Case
from rankwise.studies.tasks import Outcome

FORMAT = 1
FAILED = "failed"
TEXT, NUMBER, NUMBERS = pa.string(), pa.float64(), pa.list_(pa.float64())
SCHEMA = pa.schema(
    [
        ("address", TEXT), ("task", TEXT), ("settings", TEXT), ("key", pa.int64()), ("result", TEXT),
        ("sentence", TEXT), ("steps", pa.int64()), ("rank", pa.int64()), ("seconds", NUMBER), ("batch", pa.int64()),
        ("device", TEXT), ("code", TEXT), ("versions", pa.map_(TEXT, TEXT)), ("numbers", pa.map_(TEXT, NUMBER)),
        ("at", pa.list_(pa.int64())), ("curves", pa.map_(TEXT, NUMBERS)),
        ("vectors", pa.map_(TEXT, pa.list_(NUMBERS))), ("details", TEXT),
    ],
    metadata={"rankwise": str(FORMAT)},
)  # fmt: skip
# Columns that say how long and where a case ran; all others depend on its settings and the code alone.
CIRCUMSTANCES = ("seconds", "batch", "device", "versions", "code")
# Everything but the curves: what a table needs.
SHORT = [name for name in SCHEMA.names if name not in ("at", "curves", "vectors", "details")]

Row = dict[str, Any]


def row(case: Case, outcome: Outcome, batch: int, device: str) -> Row:
    """A finished case as a row of its file."""
    made = asdict(outcome)
    key = case.settings.get("key")
    return {
        "address": case.address, "task": case.settings["task"], "key": key if isinstance(key, int) else None,
        "settings": json.dumps({k: v for k, v in case.settings.items() if k != "task"}, sort_keys=True),
        "batch": batch, "device": device, "code": code(), "versions": versions(), **made,
    }  # fmt: skip


def failure(case: Case, reason: str, seconds: float = 0.0, batch: int = 1, device: str = "") -> Row:
    """The row of a case that could not be run, with the reason."""
    return row(case, Outcome(FAILED, reason, seconds), batch, device)


@dataclass(frozen=True)
class Records:
    """The finished cases of a folder; any number of runs may read and write it at once."""

    folder: Path

    def put(self, name: str, rows: Sequence[Row]) -> None:
        """Keep the rows of a batch, each as a row group of one file, which appears whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / f".{name}.{os.getpid()}"
        try:
            with open(draft, "wb") as file:
                with pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
                    for one in rows:
                        writer.write_table(pa.Table.from_pylist([mapped(one)], SCHEMA))
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, self.folder / f"{name}.parquet")
        finally:
            draft.unlink(missing_ok=True)

    def rows(self, addresses: Iterable[str] | None = None, columns: list[str] | None = None) -> dict[str, Row]:
        """The rows by address, those asked for or all; of a case that has several, the newest that has not failed.

        Raises:
            ValueError: naming the file, if it is no record.
            OSError: if the folder or a file in it may not be read.
        """
        wanted = None if addresses is None else set(addresses)
        found: dict[str, Row] = {}
        for one in self._all(wanted, columns):
            name = one["address"]
            if name not in found or one["result"] != FAILED:
                found[name] = one
        return found

    def _all(self, wanted: set[str] | None, columns: list[str] | None) -> Iterator[Row]:
        # `Path.glob` would find nothing in a folder that may not be read.
        files = [path for path in self.folder.iterdir() if path.suffix == ".parquet"] if self.folder.exists() else []
        files.sort(key=lambda path: (path.stat().st_mtime_ns, path.name))
        for path in files:
            try:
                stamp = path.stat()
                names = _addresses(path, stamp.st_mtime_ns, stamp.st_size)
                # A row group is a case: the curves of all but those wanted are not even unpacked.
                groups = [i for i, name in enumerate(names) if wanted is None or name in wanted]
                if not groups:
                    continue
                with pq.ParquetFile(path) as file:
                    read = file.read_row_groups(groups, columns=columns, use_threads=False)
            except PermissionError as error:
                raise PermissionError(f"{path} cannot be read: permission denied") from error
            except (pa.ArrowException, OSError) as error:
                fault = f"{path} cannot be read ({type(error).__name__}): delete it to run its cases again"
                raise ValueError(fault) from error
            yield from read.to_pylist(maps_as_pydicts="strict")


@cache
def _addresses(path: Path, *_: int) -> tuple[str, ...]:
    """The addresses in a file that has not changed since it was last asked."""
    with pq.ParquetFile(path) as file:
        if (file.schema_arrow.metadata or {}).get(b"rankwise") != str(FORMAT).encode():
            raise ValueError(
                f"{path} is no record of this version of rankwise: move it elsewhere, or take another folder"
            )
        return tuple(file.read(columns=["address"], use_threads=False)["address"].to_pylist())


def mapped(one: Row) -> Row:
    """Maps as lists of pairs, as Arrow takes them."""
    return {key: list(value.items()) if isinstance(value, dict) else value for key, value in one.items()}
