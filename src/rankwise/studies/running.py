"""Run what is not on record yet, batch by batch, here or by an engine that spreads them over workers."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from rankwise.checkpoint import RefusedCheckpoint
from rankwise.studies.cases import Case
from rankwise.studies.index import read_cases, read_index, write_index
from rankwise.studies.limited import run_limited
from rankwise.studies.plan import Batch, batches
from rankwise.studies.records import FAILED, SHORT, Records, Row, failure, row
from rankwise.studies.study import Study
from rankwise.studies.tasks import TASKS

# Called with the cases done since the last call.
Progress = Callable[[int], None]
# Called with how much of the batch in hand is done, counted in cases.
Share = Callable[[float], None]
# Called with a step and the last one.
Steps = Callable[[int, int], Any]
# Runs batches in any order and hands out the rows of each as it ends.
Finished = Generator[tuple[Batch, list[Row]], None, None]
Engine = Callable[[Sequence[Batch], Path, Callable[[], None], Path], Finished]


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
    share: Share | None = None,
    check: Callable[[], None] = lambda: None,
) -> Standing:
    """Run the cases that `folder` has no record of; with `retry` also those that failed.

    engine: who runs the batches; this process, one after the other, if None. progress: called with the cases done
    since the last call. share: called, in this process, with how much of the batch in hand is done, counted in cases.
    check: called now and then while batches run; what it raises ends the run, of which only the batches in hand are
    lost. A run that has come to its end leaves one row of each case, whoever else ran it.

    Raises:
        ValueError: if the study cannot run as it stands, or the folder holds another study.
        OSError: if the folder cannot be written.
    """
    cases = study.cases()
    write_index(study, cases, folder)
    waiting = left_to_run(study, folder, retry)
    if progress is not None:
        progress(len({case.address for case in cases}) - sum(len(batch.cases) for batch in waiting))
    records = Records(folder / "records")
    scratch = folder.resolve() / "checkpoints"
    # Closed whatever happens, so that an engine's processes end with the run.
    with closing((engine or partial(here, share=share))(waiting, study.folder.resolve(), check, scratch)) as finished:
        for batch, rows in finished:
            records.put(batch.name, rows)
            for one in (batch, *batch.alone):
                checkpoint_of(one, scratch).unlink(missing_ok=True)
            if progress is not None:
                progress(len(rows))
    records.drop_superseded()
    return standing(study, folder, cases)


def left_to_run(study: Study, folder: Path, retry: bool) -> list[Batch]:
    """The batches of a study without the cases that are on record; with `retry` those that failed are left too."""
    cases = study.cases()
    found = Records(folder / "records").rows({case.address for case in cases}, SHORT)
    done = {address for address, one in found.items() if not (retry and one["result"] == FAILED)}
    return [left for batch in batches(cases, study.batch) if (left := batch.without(done))]


def here(
    waiting: Sequence[Batch],
    folder: Path,
    check: Callable[[], None],
    scratch: Path | None = None,
    share: Share | None = None,
) -> Finished:
    """This process, one batch after the other."""
    for batch in waiting:

        def tell(step: int, last: int, many: int = len(batch.cases)) -> None:
            check()
            if share is not None:
                share(many * min(step / max(last, 1), 1.0))

        check()
        yield batch, run_batch(batch, folder, tell, scratch)


def checkpoint_of(batch: Batch, scratch: Path) -> Path:
    """The file in which a batch that takes long is saved until its rows are on record."""
    return scratch / f"{batch.name}.checkpoint"


def run_batch(batch: Batch, folder: Path, progress: Steps | None = None, scratch: Path | None = None) -> list[Row]:
    """The rows of a batch; where it fails as a whole, each member is run alone, so that one does not take all down.

    scratch: a folder in which long runs save themselves, to go on from there when they are begun again.

    Raises:
        RefusedCheckpoint: if what lies there is damaged or was saved by another version: nobody else may delete it.
        OSError: if a file there cannot be written.
    """
    begun, task, first = time.perf_counter(), TASKS[batch.task], batch.cases[0]
    keep = {"keep": checkpoint_of(batch, scratch)} if scratch is not None and task.resumable else {}
    try:
        if first.limit:
            outcomes = [run_limited(first, folder, lambda: progress and progress(0, 1))]
        else:
            # Products split over threads round differently, and a record must not depend on how many cores there are.
            # Only libraries that are loaded can be limited, and SciPy has a BLAS of its own.
            import scipy.linalg  # noqa: F401

            with threadpool_limits(1, user_api="blas"):
                outcomes = task.run(batch.settings, folder, progress, **keep)
    except (Exception, SystemExit) as error:  # whatever a case raises is that case's result
        if isinstance(error, RefusedCheckpoint):
            # No command of a study names this file, as others that are refused can be named anew.
            raise RefusedCheckpoint(error.fault) from error
        if keep and getattr(error, "filename", "") == str(keep["keep"]):
            raise  # the disk's trouble is no case's result
        if progress is not None:
            progress(0, 1)  # nor is an interruption, which another error may stand for
        if len(batch.cases) > 1:
            parts = enumerate(batch.alone)
            return [row for i, one in parts for row in run_batch(one, folder, _part(progress, i, batch), scratch)]
        return [failure(first, reason(error), time.perf_counter() - begun, 1, device())]
    where = device()
    return [row(case, one, len(batch.cases), where) for case, one in zip(batch.cases, outcomes, strict=True)]


def _part(progress: Steps | None, i: int, batch: Batch) -> Steps | None:
    """The progress of the i-th case of a batch, as that of the batch."""
    return progress and (lambda step, last: progress(i * last + step, len(batch.cases) * last))


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
    return _standing({row["address"] for row in read_cases(folder)}, folder)
