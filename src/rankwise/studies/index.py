"""What belongs to a study in its folder: `study.json`, the study as it was run, and `cases.parquet`, its cases."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rankwise.data.tables import write_atomically
from rankwise.studies.cases import Case
from rankwise.studies.study import Study

INDEX, CASES = "study.json", "cases.parquet"
ELSEWHERE = "name another folder with --out"
ANEW = "delete it and run the study again, which writes it anew and keeps the records"
# The tables of `study.json` with the kind of what they hold, the lists of one kind alone, and what must be there.
KINDS: dict[str, dict[str, type]] = {
    "": {"name": str, "folder": str, "file": str, "study": dict, "options": dict},
    "options": {"quick": bool, "data": dict, "changes": dict, "modules": list, "file": str, "out": str},
    "study": {"title": str, "about": str, "source": str, "case": dict, "axes": dict, "grid": dict, "figures": list,
              "tables": list, "claims": list},
}  # fmt: skip
LISTED = {"modules": str, "figures": dict, "tables": dict, "claims": dict}
NEEDED = ("name", "folder", "study")


def write_index(study: Study, cases: Sequence[Case], folder: Path) -> None:
    """Write `study.json` and `cases.parquet`: what belongs to the study, so that its folder explains itself.

    Raises:
        ValueError: if the folder holds another study.
    """
    refuse_another(study, folder)
    folder.mkdir(parents=True, exist_ok=True)
    out = {} if folder == Path(study.home) else {"out": str(folder)}
    axes = list(dict.fromkeys(name for case in cases for name in case.labels))
    columns: dict[str, Any] = {"address": [case.address for case in cases], "grid": [case.grid for case in cases]}
    for name in axes:
        columns[name] = _column([case.labels.get(name) for case in cases])
    write_atomically(folder / CASES, lambda file: pq.write_table(pa.table(columns), file))
    place_of, options = str(study.folder.resolve()), {**study.options, **out}
    described = {
        "name": study.name, "folder": place_of, "file": study.file and _relative(Path(study.file), folder),
        "study": study.given, "options": options,
    }  # fmt: skip
    text = json.dumps(described, indent=1).encode()
    write_atomically(folder / INDEX, lambda file: file.write(text))


def refuse_another(study: Study, folder: Path) -> None:
    """Raise a ValueError if the folder holds another study: of another file, or the other version of this one.

    A file is the same if it is the same shipped study, lies in the same place, or in the same place as seen from the
    folder, as after both were moved; and if it has kept its title or a grid. What else has changed in it, or by
    `--set`, changes nothing of what it is.
    """
    if not (folder / INDEX).exists():
        return
    there = read_index(folder)
    before, now = there.get("options", {}), study.options
    if there["name"] != study.name:
        raise ValueError(f"{folder} holds the study {there['name']!r}, not {study.name!r}: {ELSEWHERE}")
    if bool(before.get("quick")) != bool(now.get("quick")):
        held, asked = ("quick", "full") if before.get("quick") else ("full", "quick")
        raise ValueError(f"{folder} holds the {held} version of {study.name!r}, not the {asked} one: {ELSEWHERE}")
    if there.get("file") and study.file and not _same_file(there, study, folder):
        raise ValueError(
            f"{folder} holds a study {study.name!r} of another file, {before.get('file', there['file'])}, "
            f"not of {now.get('file', study.file)}: {ELSEWHERE}"
        )
    title, grids = study.given.get("title"), study.given.get("grid", {"all": {}})
    given = there["study"]
    if given.get("title") != title and not grids.keys() & given.get("grid", {"all": {}}).keys():
        raise ValueError(f"{folder} holds {study.name!r} with another title and other grids: {ELSEWHERE}")


def _same_file(there: dict[str, Any], study: Study, folder: Path) -> bool:
    called = there.get("options", {}).get("file"), study.options.get("file")
    if called[0] == called[1] == study.name:  # a shipped study, wherever rankwise is installed
        return True
    if study.name in called:
        return False
    place = Path(study.file).resolve()
    return place == Path(there["folder"]) / place.name or there["file"] == _relative(place, folder)


def _relative(file: Path, folder: Path) -> str:
    """The file as seen from the folder; on another drive its own place."""
    try:
        return Path(os.path.relpath(file.resolve(), folder.resolve())).as_posix()
    except ValueError:
        return file.resolve().as_posix()


def read_index(folder: Path) -> dict[str, Any]:
    """What `write_index` wrote: name, folder, study.

    Raises:
        ValueError: if the folder holds no study, or a broken one.
    """
    place = folder / INDEX
    if not place.is_file():
        raise ValueError(f"{folder} holds no study: it has no {INDEX}")
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place} is broken: {ANEW}") from error
    if not isinstance(found, dict) or any(key not in found for key in NEEDED):
        raise ValueError(f"{place} is broken: {ANEW}")
    for part, kinds in KINDS.items():
        given = found.get(part, {}) if part else found
        for key, kind in kinds.items():
            if key in given and not _is(kind, key, given[key]):
                raise ValueError(f"{place} is broken at {f'{part}.{key}'.lstrip('.')}: {ANEW}")
    return found


def _is(kind: type, key: str, value: Any) -> bool:
    """Whether what stands under a key is of its kind: a list with nothing else in it, grids at least one."""
    if not isinstance(value, kind) or (key == "grid" and not value):
        return False
    return key not in LISTED or all(isinstance(one, LISTED[key]) for one in value)


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
