"""Run what is not on record yet, batch by batch, here or by an engine that spreads them over workers."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rankwise.studies.cases import Case
from rankwise.studies.plan import Batch, batches
from rankwise.studies.records import FAILED, SHORT, Records, Row, failure, row
from rankwise.studies.study import Study
from rankwise.studies.tasks import TASKS

# Called with the cases done since the last call.
Progress = Callable[[int], None]
# Runs batches in any order and hands out the rows of each as it ends.
Engine = Callable[[Sequence[Batch], Path, Callable[[], None]], Iterator[tuple[Batch, list[Row]]]]


@dataclass(frozen=True)
class Standing:
    """How far a study is: cases in all, on record, and failed among those."""

    cases: int
    done: int
    failed: int


def run_study(
    study: Study,
    folder: Path,
    *,
    engine: Engine | None = None,
    retry: bool = False,
    progress: Progress | None = None,
    check: Callable[[], None] = lambda: None,
) -> Standing:
    """Run the cases that `folder` has no record of; with `retry` also those that failed.

    engine: who runs the batches; this process, one after the other, if None. check: called now and then; what it
    raises ends the run, of which only the batches in hand are lost.

    Raises:
        ValueError: if the study cannot run as it stands, or the folder holds another study.
        OSError: if the folder cannot be written.
    """
    cases = study.cases()
    write_index(study, cases, folder)
    records = Records(folder / "records")
    found = records.rows(columns=SHORT)
    done = {address for address, one in found.items() if not (retry and one["result"] == FAILED)}
    waiting = [left for batch in batches(cases, study.batch) if (left := batch.without(done))]
    if progress is not None:
        progress(len(done & {case.address for case in cases}))
    for batch, rows in (engine or here)(waiting, study.folder, check):
        records.put(batch.name, rows)
        if progress is not None:
            progress(len(rows))
    return standing(study, folder, cases)


def here(waiting: Sequence[Batch], folder: Path, check: Callable[[], None]) -> Iterator[tuple[Batch, list[Row]]]:
    """This process, one batch after the other."""
    for batch in waiting:
        check()
        yield batch, run_batch(batch, folder, lambda *_: check())


def run_batch(batch: Batch, folder: Path, progress: Any = None) -> list[Row]:
    """The rows of a batch; where it fails as a whole, each member is run alone, so that one does not take all down."""
    begun = time.perf_counter()
    try:
        outcomes = TASKS[batch.task].run(batch.settings, folder, progress)
    except Exception as error:  # whatever a case raises is that case's result
        if len(batch.cases) > 1:
            return [one for case in batch.cases for one in run_batch(Batch((case,)), folder, progress)]
        return [failure(batch.cases[0], reason(error), time.perf_counter() - begun, 1, device())]
    where = device()
    return [row(case, one, len(batch.cases), where) for case, one in zip(batch.cases, outcomes, strict=True)]


def reason(error: BaseException) -> str:
    """An error in one line."""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def device() -> str:
    """What the dynamics run on, in the words of JAX; "" if it was not needed."""
    if "jax" not in sys.modules:
        return ""
    import jax

    return str(jax.devices()[0].device_kind)


def standing(study: Study, folder: Path, cases: Sequence[Case] | None = None) -> Standing:
    """How many of a study's cases are on record in a folder."""
    return _standing({case.address for case in (study.cases() if cases is None else cases)}, folder)


def _standing(addresses: set[str], folder: Path) -> Standing:
    found = Records(folder / "records").rows(addresses, SHORT)
    return Standing(len(addresses), len(found), sum(one["result"] == FAILED for one in found.values()))


def stored_standing(folder: Path) -> Standing:
    """How many of the cases of a folder's own index are on record."""
    read_index(folder)
    addresses = set(pq.read_table(folder / "cases.parquet", columns=["address"])["address"].to_pylist())
    return _standing(addresses, folder)


def write_index(study: Study, cases: Sequence[Case], folder: Path) -> None:
    """Write `study.json` and `cases.parquet`: what belongs to the study, so that its folder explains itself.

    Raises:
        ValueError: if the folder holds another study.
    """
    place = folder / "study.json"
    if place.exists() and (other := read_index(folder)["name"]) != study.name:
        raise ValueError(f"{folder} holds the study {other!r}, not {study.name!r}: take another folder")
    folder.mkdir(parents=True, exist_ok=True)
    axes = list(dict.fromkeys(name for case in cases for name in case.labels))
    columns: dict[str, Any] = {"address": [case.address for case in cases], "grid": [case.grid for case in cases]}
    for name in axes:
        columns[name] = _column([case.labels.get(name) for case in cases])
    draft = folder / ".cases.parquet"
    pq.write_table(pa.table(columns), draft)
    draft.replace(folder / "cases.parquet")
    described = {"name": study.name, "folder": str(study.folder.resolve()), "study": study.given}
    draft = folder / ".study.json"
    draft.write_text(json.dumps(described, indent=1), encoding="utf-8")
    draft.replace(place)


def read_index(folder: Path) -> dict[str, Any]:
    """What `write_index` wrote: name, folder, study.

    Raises:
        ValueError: if the folder holds no study.
    """
    try:
        found = json.loads((folder / "study.json").read_text(encoding="utf-8"))
        if {"name", "folder", "study"} <= found.keys():
            return found
    except (OSError, ValueError, AttributeError):
        pass
    raise ValueError(f"{folder} holds no study: its study.json is missing or broken")


def _column(values: list[Any]) -> pa.Array:
    """Numbers as numbers, anything mixed as text."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values])
