"""What belongs to a study in its folder: `study.json`, the study as it was run, and `cases.parquet`, its cases."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rankwise.data.tables import write_atomically
from rankwise.studies.cases import Case
from rankwise.studies.study import Study

INDEX, CASES = "study.json", "cases.parquet"
ANEW = "delete it and run the study again, which writes it anew and keeps the records"


def write_index(study: Study, cases: Sequence[Case], folder: Path) -> None:
    """Write `study.json` and `cases.parquet`: what belongs to the study, so that its folder explains itself.

    Raises:
        ValueError: if the folder holds another study.
    """
    refuse_another(study, folder)
    folder.mkdir(parents=True, exist_ok=True)
    axes = list(dict.fromkeys(name for case in cases for name in case.labels))
    columns: dict[str, Any] = {"address": [case.address for case in cases], "grid": [case.grid for case in cases]}
    for name in axes:
        columns[name] = _column([case.labels.get(name) for case in cases])
    write_atomically(folder / CASES, lambda file: pq.write_table(pa.table(columns), file))
    place_of = str(study.folder.resolve())
    described = {"name": study.name, "folder": place_of, "study": study.given, "options": study.options}
    text = json.dumps(described, indent=1).encode()
    write_atomically(folder / INDEX, lambda file: file.write(text))


def refuse_another(study: Study, folder: Path) -> None:
    """Raise a ValueError if the folder holds another study."""
    if (folder / INDEX).exists() and (other := read_index(folder)["name"]) != study.name:
        raise ValueError(f"{folder} holds the study {other!r}, not {study.name!r}: take another folder")


def read_index(folder: Path) -> dict[str, Any]:
    """What `write_index` wrote: name, folder, study.

    Raises:
        ValueError: if the folder holds no study.
    """
    place = folder / INDEX
    if not place.is_file():
        raise ValueError(f"{folder} holds no study: it has no {INDEX}")
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
        if {"name", "folder", "study"} <= found.keys():
            return found
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{place} is broken: {ANEW}") from error
    raise ValueError(f"{place} is broken: {ANEW}")


def read_cases(folder: Path) -> list[dict[str, Any]]:
    """The rows of the other file that `write_index` wrote: address, grid, and the axes of every case.

    Raises:
        ValueError: if it is missing or broken.
    """
    place = folder / CASES
    if not place.is_file():
        raise ValueError(f"{place} is missing: run the study again, which writes it anew")
    try:
        rows = pq.read_table(place).to_pylist()
    except PermissionError as error:
        raise PermissionError(f"{place} cannot be read: permission denied") from error
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{place} is broken: {ANEW}") from error
    if rows and not {"address", "grid"} <= rows[0].keys():
        raise ValueError(f"{place} is broken: {ANEW}")
    return rows


def _column(values: list[Any]) -> pa.Array:
    """Numbers as numbers, anything mixed as text."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values])
