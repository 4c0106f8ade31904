"""A study's folder as it is read again: the study, its cases, and the rows on record, whoever ran them and where."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rankwise.spec.reading import table, words
from rankwise.studies.axes import Axis, read_axis
from rankwise.studies.index import INDEX, read_cases, read_index
from rankwise.studies.records import FAILED, SHORT, Records, Row
from rankwise.studies.scope import SEED, Scope, key
from rankwise.studies.values import Value


@dataclass(frozen=True, eq=False)
class Entry:
    """One case of a grid: its address, and the value of each axis the grid has."""

    address: str
    grid: str
    labels: dict[str, Any]

    @cached_property
    def keys(self) -> dict[str, str]:
        """The labels as they are compared."""
        return {name: key(value) for name, value in self.labels.items()}

    @property
    def words(self) -> str:
        """The case as it is called in messages."""
        return ", ".join([f"grid {self.grid}", *(f"{name} = {value}" for name, value in self.labels.items())])


class Folder:
    """What `run_study` left in a folder.

    Raises:
        ValueError: if the folder holds no study, or a file in it is broken.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.index = read_index(path)
        with self.blamed():
            self.given = table(self.index["study"], "study")
            self.axes: dict[str, Axis] = {
                name: read_axis(name, value) for name, value in table(self.given.get("axes", {}), "axes").items()
            }
        self.entries = self._entries()
        self.records = Records(path / "records")
        self._curves: dict[str, Row] = {}
        self._expected: set[str] = set()

    @contextlib.contextmanager
    def blamed(self) -> Iterator[None]:
        """Name the file of the study in what is said to be wrong with it: of several folders one is meant."""
        try:
            yield
        except ValueError as error:
            raise ValueError(f"{self.path / INDEX}: {error}") from error

    def _entries(self) -> list[Entry]:
        made = []
        for row in read_cases(self.path):
            address, grid = row.pop("address"), row.pop("grid")
            made.append(Entry(address, grid, {name: value for name, value in row.items() if value is not None}))
        return made

    @cached_property
    def grids(self) -> dict[str, tuple[str, ...]]:
        """The axes of every grid, with the seeds."""
        listed = table(self.given.get("grid", {"all": {}}), "grid")
        return {name: self._axes_of(table(one, f"grid.{name}")) for name, one in listed.items()}

    def _axes_of(self, grid: Mapping[str, Any]) -> tuple[str, ...]:
        own = words(grid.get("axes", list(self.axes)), "axes")
        return (*own, SEED) if grid.get("seeds", self.given.get("seeds")) is not None else tuple(own)

    @property
    def scope(self) -> Scope:
        """What figures, tables and claims may name; values of axes may be those of another version of the study."""
        return Scope(self.axes, self.grids)

    @cached_property
    def rows(self) -> dict[str, Row]:
        """The row of every case on record, by address, without its curves."""
        return self.records.rows({entry.address for entry in self.entries}, SHORT)

    def label(self, axis: str) -> str:
        """What an axis is called."""
        return self.axes[axis].label if axis in self.axes else axis

    def select(self, grid: str, where: Mapping[str, Sequence[str]]) -> list[Entry]:
        """The cases of a grid with these values of axes."""
        return [
            entry
            for entry in self.entries
            if entry.grid == grid and all(entry.keys.get(name) in allowed for name, allowed in where.items())
        ]

    def values(self, axis: str, entries: Iterable[Entry]) -> list[Any]:
        """The values of an axis that cases have, in the order of the study."""
        met = {entry.keys[axis]: entry.labels[axis] for entry in entries if axis in entry.labels}
        declared = {key(value): value for value in self.axes[axis].values} if axis in self.axes else {}
        order = [*(one for one in declared if one in met), *sorted(met.keys() - declared.keys(), key=_number)]
        return [declared.get(one, met[one]) for one in order]

    def curves(self, addresses: Iterable[str]) -> dict[str, Row]:
        """The rows on record with their curves and vectors; only these are read."""
        asked = [address for address in addresses if address in self.rows and self.rows[address]["result"] != FAILED]
        if set(asked) - self._curves.keys():
            missing = (self._expected | set(asked)) - self._curves.keys()
            self._curves |= self.records.rows(missing, ["address", "result", "at", "curves", "vectors"])
        return {address: self._curves[address] for address in asked}

    def expect(self, entries: Iterable[Entry], value: Value) -> None:
        """Say which values will be asked for: the curves they need are then read together."""
        rows = (self.rows[entry.address] for entry in entries if entry.address in self.rows)
        self._expected |= {row["address"] for row in rows if value.wants_curves(row)}

    def numbers(self, entries: Iterable[Entry], value: Value) -> list[float | None]:
        """The value of every case on record."""
        rows = [self.rows[entry.address] for entry in entries if entry.address in self.rows]
        more = self.curves([row["address"] for row in rows if value.wants_curves(row)])
        return [value.of({**row, **more[row["address"]]} if row["address"] in more else row) for row in rows]

    def details(self, addresses: Iterable[str]) -> dict[str, str]:
        """The JSON of the cases that have details."""
        found = self.records.rows(set(addresses), ["address", "result", "details"])
        return {address: row["details"] for address, row in found.items() if row["details"]}


def _number(text: str) -> tuple[float, str]:
    """Numbers in their order, before words."""
    try:
        return float(text), ""
    except ValueError:
        return float("inf"), text
