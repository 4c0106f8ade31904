"""Finished cases on disk: a Parquet file per batch, a row group per case, whole or not at all.

Any reader of Parquet reads them: pandas, polars, DuckDB. `settings` and `details` are JSON; `numbers`, `curves` and
`vectors` are maps from names to final values, to one number per step in `at`, and to one list per step.

A case that was run again, or by two runs at once, has several rows until a run has ended; of these one is the best.
Which one never changes: a row is as old as its file was when it was put, and no name of a file is taken twice.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

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
T = TypeVar("T")


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
        """Keep the rows of a batch, each as a row group of one new file, which appears whole or not at all.

        Raises:
            OSError: naming the folder, if it cannot be written.
        """
        unlike_any = f"{name}-{secrets.token_hex(4)}.parquet"
        self._write(unlike_any, (pa.Table.from_pylist([mapped(one)], SCHEMA) for one in rows))

    def rows(self, addresses: Iterable[str] | None = None, columns: list[str] | None = None) -> dict[str, Row]:
        """The rows by address, those asked for or all; of a case that has several, the newest that has not failed.

        Raises:
            ValueError: naming the file, if it is no record.
            OSError: if the folder or a file in it may not be read.
        """
        wanted = None if addresses is None else set(addresses)
        return _undisturbed(lambda: self._rows(wanted, columns))

    def drop_superseded(self) -> None:
        """Take out every row but the best of each case, so that raw readers find an address once.

        Other runs may do so and put rows at the same time: whoever sees a case's best row leaves it where it is. A row
        that comes back, since two runs wrote one file anew, is met once more by the later of them.

        Raises:
            ValueError: naming the file, if it is no record.
            OSError: naming file or folder, if it cannot be read or written.
        """
        while superseded := _undisturbed(self._superseded):
            for path, addresses in superseded.items():
                self._take_out(path, addresses)

    def _write(self, name: str, groups: Iterable[pa.Table], times: tuple[int, int] | None = None) -> None:
        """Write tables as row groups of a file; times: of its last access and change, those of now if None."""
        draft = self.folder / f".{name}.{secrets.token_hex(4)}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(draft, "wb") as file:
                with pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
                    for group in groups:
                        writer.write_table(group)
                file.flush()
                os.fsync(file.fileno())
            if times is not None:
                os.utime(draft, ns=times)
            os.replace(draft, self.folder / name)
        except OSError as error:
            fault = f"{error.strerror or error}; what is on record stays, and the same command goes on"
            raise OSError(error.errno, fault, str(self.folder)) from error
        finally:
            draft.unlink(missing_ok=True)

    def _files(self) -> list[tuple[Path, os.stat_result]]:
        """The files of the folder, the oldest first."""
        # `Path.glob` would find nothing in a folder that may not be read.
        paths = [path for path in self.folder.iterdir() if path.suffix == ".parquet"] if self.folder.exists() else []
        with _told_if_swept():
            return sorted(((path, path.stat()) for path in paths), key=lambda one: (one[1].st_mtime_ns, one[0].name))

    def _rows(self, wanted: set[str] | None, columns: list[str] | None) -> dict[str, Row]:
        found: dict[str, Row] = {}
        for one in self._all(wanted, columns):
            name = one["address"]
            if name not in found or one["result"] != FAILED or found[name]["result"] == FAILED:
                found[name] = one
        return found

    def _all(self, wanted: set[str] | None, columns: list[str] | None) -> Iterator[Row]:
        for path, stamp in self._files():
            with _opened(path) as file:
                if os.fstat(file.fileno()).st_size != stamp.st_size:  # with fewer rows it is smaller, and as old
                    raise _Swept
                # A row group is a case: the curves of all but those wanted are not even unpacked.
                groups = [i for i, (name, _) in enumerate(_ends(path, file)) if wanted is None or name in wanted]
                if not groups:
                    continue
                read = pq.ParquetFile(file).read_row_groups(groups, columns=columns, use_threads=False)
            yield from read.to_pylist(maps_as_pydicts="strict")

    def _superseded(self) -> dict[Path, set[str]]:
        """The addresses in each file of which another has a better row: not failed where it has, or else newer."""
        best: dict[str, tuple[bool, int]] = {}
        rows: list[tuple[Path, str, tuple[bool, int]]] = []
        for i, (path, _) in enumerate(self._files()):
            with _opened(path) as file:
                rows += [(path, name, (end != FAILED, i)) for name, end in _ends(path, file)]
        for _, name, rank in rows:
            best[name] = max(best.get(name, rank), rank)
        found: dict[Path, set[str]] = {}
        for path, name, rank in rows:
            if rank < best[name]:
                found.setdefault(path, set()).add(name)
        return found

    def _take_out(self, path: Path, addresses: Collection[str]) -> None:
        """Put a file without the rows of these cases in the place of one, or none if nothing is left of it."""
        try:
            with _opened(path) as file:
                kept = [i for i, (name, _) in enumerate(_ends(path, file)) if name not in addresses]
                there, stamp = pq.ParquetFile(file), os.fstat(file.fileno())
                groups = [there.read_row_group(i, use_threads=False) for i in kept]
        except _Swept:
            return
        if groups:
            self._write(path.name, groups, (stamp.st_atime_ns, stamp.st_mtime_ns))
        else:
            path.unlink(missing_ok=True)


class _Swept(Exception):
    """A file that was listed is gone or has changed, as another run has ended: its rows may stand where none looked."""


def _undisturbed(read: Callable[[], T]) -> T:
    """What is read of a folder that does not change meanwhile."""
    while True:
        with suppress(_Swept):
            return read()


@contextmanager
def _told_if_swept() -> Iterator[None]:
    """Tell a file that another run has taken out from one that never was, as a link may name."""
    try:
        yield
    except FileNotFoundError as error:
        if os.path.lexists(error.filename):
            raise
        raise _Swept from error


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """A file of records; what is read from it is from one version of it, whatever takes its place meanwhile."""
    try:
        with _told_if_swept(), open(path, "rb") as file:
            yield file
    except PermissionError as error:
        raise PermissionError(f"{path} cannot be read: permission denied") from error
    except (pa.ArrowException, OSError) as error:
        fault = f"{path} cannot be read ({type(error).__name__}): delete it to run its cases again"
        raise ValueError(fault) from error


# Address and result of each row of the files read so far, by path, inode, age and size.
_KNOWN: dict[tuple[Path, int, int, int], tuple[tuple[str, str], ...]] = {}


def _ends(path: Path, file: BinaryIO) -> tuple[tuple[str, str], ...]:
    """Address and result of each row of an open file, read once as long as it does not change."""
    stamp = os.fstat(file.fileno())
    key = path, stamp.st_ino, stamp.st_mtime_ns, stamp.st_size
    if key not in _KNOWN:
        there = pq.ParquetFile(file)
        if (there.schema_arrow.metadata or {}).get(b"rankwise") != str(FORMAT).encode():
            raise ValueError(
                f"{path} is no record of this version of rankwise: move it elsewhere, or take another folder"
            )
        read = there.read(columns=["address", "result"], use_threads=False).to_pydict()
        _KNOWN[key] = tuple(zip(read["address"], read["result"], strict=True))
    return _KNOWN[key]


def mapped(one: Row) -> Row:
    """Maps as lists of pairs, as Arrow takes them."""
    return {key: list(value.items()) if isinstance(value, dict) else value for key, value in one.items()}
