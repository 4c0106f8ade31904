"""What a worker of another process does: check a batch that was sent, run it, and send its rows back."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from rankwise.studies.cases import Case, address
from rankwise.studies.plan import Batch
from rankwise.studies.records import SCHEMA, Row, failure, mapped
from rankwise.studies.running import reason, run_batch
from rankwise.studies.source import PACKAGES, code, versions
from rankwise.studies.tasks import TASKS
from rankwise.studies.trust import TOKEN, genuine, sign, token

# How a batch is written down for a worker; both sides must know the same.
FORMAT = 1


class Refused(ValueError):
    """A worker will not run a batch: the one line that says why."""


def one_xla_thread() -> None:
    """Let XLA compute in one thread, unless PJRT_NPROC says otherwise; too late once JAX has computed anything.

    Several workers would fight for the cores, large products round differently when split over threads, and a pool
    of few threads can stall for ever where two batches with singular value decompositions share it (jaxlib 0.10).
    """
    os.environ.setdefault("PJRT_NPROC", "1")


@dataclass(frozen=True)
class Sender:
    """One run of a study, as it sends batches. folder: where file names start from. nonce: unlike any other run's.

    cores: over how many a batch is spread; another number gives other bits. any_version: whether workers with other
    code may take part.
    """

    folder: Path
    nonce: str
    cores: int
    any_version: bool = False

    def pack(self, batch: Batch) -> tuple[bytes, str]:
        """A batch as bytes, and their signature."""
        sent = {
            "format": FORMAT, "nonce": self.nonce, "cores": self.cores, "folder": str(self.folder),
            "module": type(TASKS[batch.task]).__module__, "code": None if self.any_version else code(),
            "versions": None if self.any_version else versions(),
            "cases": [[case.grid, case.address, case.settings] for case in batch.cases],
        }  # fmt: skip
        payload = json.dumps(sent).encode()
        return payload, sign(token(), b"batch", payload)

    def unpack(self, payload: bytes, answer: tuple[bytes, str]) -> list[Row]:
        """The rows that a worker sent back for a batch.

        Raises:
            ValueError: if they are not what a worker with the same token has signed for this batch in this run.
        """
        rows, signature = answer
        if not genuine(token(), signature, b"rows", hashlib.sha256(payload).digest(), rows):
            raise ValueError(f"rows came back that no worker with this {TOKEN} has signed")
        return pa.ipc.open_stream(rows).read_all().to_pylist(maps_as_pydicts="strict")


def work(payload: bytes, signature: str) -> tuple[bytes, str]:
    """Run a batch that `Sender.pack` made, and sign its rows.

    Raises:
        Refused: if the batch is not signed with this worker's token, or comes from another version of rankwise.
    """
    _refuse_unsigned(payload, signature)
    sent = json.loads(payload)
    _refuse_other_version(sent)
    if sent["cases"][0][2]["task"] not in TASKS:
        importlib.import_module(sent["module"])
    one_xla_thread()
    cases = [Case(grid, {}, settings, name) for grid, name, settings in sent["cases"]]
    with _spread_over(sent["cores"]):
        rows = list(_rows(cases, Path(sent["folder"])))
    made = _as_bytes(rows)
    return made, sign(_secret(), b"rows", hashlib.sha256(payload).digest(), made)


@contextmanager
def _spread_over(cores: int) -> Iterator[None]:
    """Batches are cut into groups as on a machine with so many cores."""
    before = os.environ.get("RANKWISE_CORES")
    os.environ["RANKWISE_CORES"] = str(cores)
    try:
        yield
    finally:
        if before is None:
            del os.environ["RANKWISE_CORES"]
        else:
            os.environ["RANKWISE_CORES"] = before


def _rows(cases: list[Case], folder: Path) -> Iterator[Row]:
    """The rows of cases, failed where a file is another one here than where the study was read, or is missing."""
    faults = {case.address: _fault(case, folder) for case in cases}
    yield from (failure(case, fault) for case in cases if (fault := faults[case.address]))
    if sound := tuple(case for case in cases if not faults[case.address]):
        yield from run_batch(Batch(sound), folder)


def _fault(case: Case, folder: Path) -> str:
    try:
        return "" if address(case.settings, folder) == case.address else f"a file of it is another one on {_here()}"
    except OSError as error:
        return f"{reason(error)} (on {_here()})"


def _as_bytes(rows: list[Row]) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, SCHEMA) as stream:
        stream.write_table(pa.Table.from_pylist([mapped(one) for one in rows], SCHEMA))
    return sink.getvalue().to_pybytes()


def _refuse_unsigned(payload: bytes, signature: str) -> None:
    secret = _secret()
    if secret is None and signature:
        raise Refused(f"the worker on {_here()} has no {TOKEN}, and batches are signed: give it the same")
    if secret is not None and not signature:
        raise Refused(f"the worker on {_here()} takes signed batches only: put its token into {TOKEN}")
    if not genuine(secret, signature, b"batch", payload):
        raise Refused(f"the worker on {_here()} has another {TOKEN} than this process")


def _secret() -> bytes | None:
    try:
        return token()
    except ValueError as error:
        raise Refused(f"on {_here()}: {error}") from error


def _refuse_other_version(sent: dict[str, Any]) -> None:
    """Raise `Refused` if this worker's code would give other numbers than the sender's."""
    hint = "its results could differ: install the same there, or allow it with --any-version"
    if sent["format"] != FORMAT:
        raise Refused(f"the worker on {_here()} has a rankwise that reads other batches: install the same there")
    if sent["code"] not in (None, _code()):
        raise Refused(f"the worker on {_here()} has rankwise with code {_code()}, not {sent['code']}; {hint}")
    for name in PACKAGES[1:] if sent["versions"] else ():
        if versions().get(name) != sent["versions"].get(name):
            raise Refused(
                f"the worker on {_here()} has {name} {versions().get(name)}, not {sent['versions'].get(name)}; {hint}"
            )


@cache
def _code() -> str:
    return code()


def _here() -> str:
    return platform.node() or "another machine"
