"""What a worker of another process does: check a batch that was sent, run it, and send its rows back."""

from __future__ import annotations

import ast
import hashlib
import importlib
import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa

from rankwise.source import PACKAGES, code, stripped, versions
from rankwise.studies.cases import Case, address
from rankwise.studies.plan import Batch
from rankwise.studies.records import SCHEMA, Row, failure, mapped
from rankwise.studies.running import reason, run_batch
from rankwise.studies.tasks import TASKS
from rankwise.studies.trust import TOKEN, genuine, sign, token

# How a batch is written down for a worker; both sides must know the same.
FORMAT = 1
# A process runs one batch at a time, however many threads Dask gives it: how many threads BLAS has and over how many
# cores a batch is spread are settings of the whole process, and bits depend on them. Python 3.11 may not even parse
# in two threads at once, as the hash of the code asks it to.
ONE_AT_A_TIME = Lock()


class Refused(ValueError):
    """A worker will not run a batch: the one line that says why."""


def one_xla_thread() -> None:
    """Let XLA compute in one thread, unless PJRT_NPROC says otherwise; too late once JAX has computed anything.

    Several workers would fight for the cores, and products round differently where there is more than one thread to
    make them: a record must not depend on how many there were.
    """
    os.environ.setdefault("PJRT_NPROC", "1")


@dataclass(frozen=True)
class Sender:
    """One run of a study, as it sends batches. folder: where file names start from. nonce: unlike any other run's.

    cores: over how many a batch is spread; another number gives other bits. any_version: whether workers with other
    code may take part. scratch: where long runs save themselves, None where workers may not have the same folders.
    """

    folder: Path
    nonce: str
    cores: int
    any_version: bool = False
    scratch: Path | None = None

    def pack(self, batch: Batch) -> tuple[bytes, str]:
        """A batch as bytes, and their signature."""
        module = type(TASKS[batch.task]).__module__
        sent = {
            "format": FORMAT, "nonce": self.nonce, "cores": self.cores, "folder": str(self.folder),
            "scratch": None if self.scratch is None else str(self.scratch), "task": batch.task, "module": module,
            "code": None if self.any_version else _code(module), "versions": None if self.any_version else _versions(),
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
        Refused: if the batch is not signed with this worker's token, comes from another version of rankwise, or has a
            task or needs a file that this worker has not.
    """
    _refuse_unsigned(payload, signature)
    sent = json.loads(payload)
    if sent["format"] != FORMAT:
        raise Refused(f"the worker on {_here()} has a rankwise that reads other batches: install the same there")
    one_xla_thread()
    try:
        with ONE_AT_A_TIME, _told("RANKWISE_CORES", sent["cores"]), _told("RANKWISE_THREADS", own_threads()):
            rows = _run(sent)
    except OSError as error:  # of a checkpoint: on the way back it would look like trouble of the network
        raise Refused(f"on {_here()}: {error}") from error
    made = _as_bytes(rows)
    return made, sign(_secret(), b"rows", hashlib.sha256(payload).digest(), made)


def _run(sent: dict[str, Any]) -> list[Row]:
    """The rows of a batch, where this process can make them."""
    _learn(sent["task"], sent["module"])
    _refuse_other_version(sent)
    cases = [Case(grid, {}, settings, name) for grid, name, settings in sent["cases"]]
    return list(_rows(cases, Path(sent["folder"]), Path(sent["scratch"]) if sent["scratch"] else None))


@contextmanager
def _told(name: str, number: int) -> Iterator[None]:
    """A variable of the environment, for the time of a batch."""
    before = os.environ.get(name)
    os.environ[name] = str(number)
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def own_threads() -> int:
    """How many threads Dask has given this worker: others may have the other cores."""
    from distributed import get_worker

    from rankwise.compiled import threads

    try:
        return get_worker().state.nthreads
    except ValueError:  # not called by a worker
        return threads()


def _rows(cases: list[Case], folder: Path, scratch: Path | None) -> Iterator[Row]:
    """The rows of cases, failed where a file is another one here than where the study was read, or is missing."""
    faults = {case.address: _fault(case, folder) for case in cases}
    yield from (failure(case, fault) for case in cases if (fault := faults[case.address]))
    if sound := tuple(case for case in cases if not faults[case.address]):
        yield from run_batch(Batch(sound), folder, scratch=scratch)


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


def _learn(task: str, module: str) -> None:
    """Raise `Refused` if a task is not known here even once the module of its class has been imported."""
    if task in TASKS:
        return
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise Refused(f"the worker on {_here()} cannot import {module} for the task {task!r}: {error}") from error
    if task not in TASKS:
        raise Refused(f"the worker on {_here()} has imported {module}, which adds no task {task!r}")


def _refuse_other_version(sent: dict[str, Any]) -> None:
    """Raise `Refused` if this worker's code would give other numbers than the sender's."""
    hint = "its results could differ: install the same there, or allow it with --any-version"
    here = _versions()
    # Versions first: another Python writes the same code in another way, and so has another hash.
    for name, version in (sent["versions"] or {}).items():
        if here.get(name) != version:
            raise Refused(f"the worker on {_here()} has {name} {here.get(name)}, not {version}; {hint}")
    if sent["code"] not in (None, own := _code(sent["module"])):
        raise Refused(f"the worker on {_here()} runs other code of rankwise ({own}, not {sent['code']}); {hint}")


def _versions() -> dict[str, str]:
    """What a case runs on beside rankwise, which its code stands for."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"Python": python} | {name: version for name, version in versions().items() if name in PACKAGES[1:]}


@cache
def _code(module: str) -> str:
    """The hash of the code that runs a case: rankwise, the part of studies that does, and the module of the task."""
    here = Path(__file__).parent
    files = [here / "running.py", here / "limited.py", *sorted((here / "tasks").glob("*.py"))]
    if own := getattr(sys.modules.get(module), "__file__", None):
        files.append(Path(own))
    whole = hashlib.sha256(code().encode())
    for file in files:
        whole.update(ast.dump(stripped(file.read_bytes())).encode())
    return whole.hexdigest()[:8]


def _here() -> str:
    return platform.node() or "another machine"
