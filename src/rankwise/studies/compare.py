"""Two folders of studies beside one another: which results differ in cases of the same settings, and by how much."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rankwise.studies.folder import Entry, Folder
from rankwise.studies.records import CIRCUMSTANCES, SCHEMA, Row

# Columns that are equal or not; the numbers of all others have a distance.
WORDS = ("result", "sentence", "steps", "rank", "at", "details")
MAPS = ("numbers", "curves", "vectors")
# Rows are read in parts, so that the curves of a large study need not fit into memory.
PART = 500


@dataclass
class Difference:
    """In how many cases a value differs, the largest relative difference (inf where one has no number), and where."""

    name: str
    cases: int = 0
    most: float = 0.0
    where: str = ""

    def add(self, distance: float, words: str) -> None:
        """One more case that differs."""
        self.cases += 1
        if distance > self.most or not self.where:
            self.most, self.where = distance, words


def compare(first: Folder, second: Folder) -> dict[str, Any]:
    """What differs between the records of two folders, as plain numbers and words.

    Cases are the same if their settings are, by address. Circumstances, such as seconds and versions, are not compared.
    """
    entries = {entry.address: entry for entry in (*second.entries, *first.entries)}
    both = sorted(first.rows.keys() & second.rows.keys())
    found: dict[str, Difference] = {}
    differing = 0
    for start in range(0, len(both), PART):
        part = both[start : start + PART]
        ours, theirs = (_whole(folder, part) for folder in (first, second))
        for address in part:
            distances = dict(_distances(ours[address], theirs[address]))
            differing += bool(distances)
            for name, distance in distances.items():
                found.setdefault(name, Difference(name)).add(distance, entries[address].words)
    return {
        "same_cases": len(both),
        "differing": differing,
        "differences": [
            {"name": one.name, "cases": one.cases, "most": _plain(one.most), "where": one.where}
            for one in sorted(found.values(), key=lambda one: -one.most)
        ],
        "only_first": _only(first, second),
        "only_second": _only(second, first),
        "settings": _changed(first, second),
        "codes": [sorted({row["code"] for row in folder.rows.values()}) for folder in (first, second)],
    }


def _whole(folder: Folder, addresses: Sequence[str]) -> dict[str, Row]:
    columns = [name for name in SCHEMA.names if name not in CIRCUMSTANCES]
    return folder.records.rows(addresses, columns)


def _distances(first: Row, second: Row) -> Iterable[tuple[str, float]]:
    """What differs in two rows, with the distance: infinite where it cannot be told in numbers."""
    for name in WORDS:
        if first[name] != second[name]:
            yield name, _distance([first[name]], [second[name]])
    for column in MAPS:
        one, other = dict(first[column]), dict(second[column])
        for name in {**one, **other}:
            label = name if column == "numbers" else f"{name} ({column[:-1]})"
            if name not in one or name not in other:
                yield label, math.inf
            elif not _same(one[name], other[name]):
                yield label, _distance(_flat(one[name]), _flat(other[name]))


def _same(one: Any, other: Any) -> bool:
    """The same bits: 0.0 and -0.0 are two numbers."""
    return repr(one) == repr(other)


def _flat(value: Any) -> list[Any]:
    if not isinstance(value, list):
        return [value]
    return [part for item in value for part in _flat(item)]


def _distance(one: list[Any], other: list[Any]) -> float:
    """max |a - b| / max |a|, |b| over both; infinite where lengths or kinds differ."""
    if len(one) != len(other):
        return math.inf
    largest = span = 0.0
    for a, b in zip(one, other, strict=True):
        if a is None and b is None:
            continue
        if not (isinstance(a, int | float) and isinstance(b, int | float)):
            return math.inf
        largest, span = max(largest, abs(a), abs(b)), max(span, abs(a - b))
    return span / largest if largest else 0.0


def _only(folder: Folder, other: Folder) -> dict[str, Any]:
    """The cases that the other study does not have, and those of which only this folder has a record."""
    known = {entry.address for entry in other.entries}
    unshared = {entry.address: entry.words for entry in folder.entries if entry.address not in known}
    return {
        "cases": len(unshared),
        "examples": list(unshared.values())[:5],
        "unfinished_there": len((folder.rows.keys() & known) - other.rows.keys()),
    }


def _changed(first: Folder, second: Folder) -> dict[str, list[Any]]:
    """Settings, by dotted key, that cases of the same grid and axis values have otherwise: one example each."""
    theirs = {_place(entry): entry for entry in second.entries}
    made: dict[str, list[Any]] = {}
    for entry in first.entries:
        twin = theirs.get(_place(entry))
        if twin is None or twin.address == entry.address:
            continue
        rows = first.rows.get(entry.address), second.rows.get(twin.address)
        if rows[0] is None or rows[1] is None:
            continue
        one, other = (dict(dotted(json.loads(row["settings"]))) for row in rows if row is not None)
        for key in {**one, **other}:
            if one.get(key) != other.get(key):
                made.setdefault(key, [one.get(key), other.get(key)])
    return made


def _place(entry: Entry) -> tuple[Any, ...]:
    return entry.grid, *sorted(entry.keys.items())


def dotted(settings: Mapping[str, Any], path: str = "") -> Iterable[tuple[str, Any]]:
    """All settings in nested tables under dotted keys."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from dotted(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _plain(number: float) -> float | None:
    """None in place of infinity, for which JSON has no number."""
    return number if math.isfinite(number) else None
