"""What `rankwise study run --dry-run` prints: how many cases are left, and the time and memory that they take."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any


def tell_cost(options: argparse.Namespace, study: Any, folder: Path) -> int:
    """Print what would be run: numbers of cases, time and memory; the exit status."""
    from rankwise.compiled import cores
    from rankwise.report.wording import count, plural, seconds
    from rankwise.studies.estimate import estimate
    from rankwise.studies.running import left_to_run

    waiting = left_to_run(study, folder, options.retry)
    cost = estimate(waiting, 1 if options.workers else cores())
    processes = min(options.workers or 1, max(len(waiting), 1))
    told = {
        "cases": len({case.address for case in study.cases()}), "to_run": sum(len(batch.cases) for batch in waiting),
        "batches": len(waiting), "about_seconds": cost.seconds / processes, "of_known_time": cost.fixed,
        "at_most_seconds": cost.most / processes, "of_bounded_time": cost.bounded, "of_unknown_time": cost.unknown,
        "bytes": cost.bytes,
    }  # fmt: skip
    if options.json:
        print(json.dumps(told))  # noqa: T201
    elif not options.quiet:
        if not waiting:
            print(f"{plural(told['cases'], 'case')}, nothing left to run")  # noqa: T201
            return 0
        batched = plural(len(waiting), "batch", "batches")
        print(f"{plural(told['cases'], 'case')}, {count(told['to_run'])} to run in {batched}")  # noqa: T201
        about, most = (seconds(max(told[key], 1)) for key in ("about_seconds", "at_most_seconds"))
        parts = {
            f"about {about} for {plural(cost.fixed, 'case')} of known length": cost.fixed,
            f"at most about {most} for {plural(cost.bounded, 'case')} that may end sooner": cost.bounded,
            f"unknown time for {plural(cost.unknown, 'case')}": cost.unknown,
            f"about {_memory(cost.bytes)} in one batch": True,
        }
        # Nobody knows the workers behind a scheduler before they are there.
        where = "in one process of this machine: " if options.scheduler is not None else ""
        print(where + "; ".join(words for words, many in parts.items() if many))  # noqa: T201
    return 0


def warn_of_memory(study: Any) -> None:
    """Say so if a case needs more memory than there is: it will fail, or take this machine with it."""
    from rankwise.studies.plan import memory, too_large
    from rankwise.studies.tasks import TASKS

    case, needed = next(too_large(study.cases()), (None, 0))
    if case is not None:
        keys = TASKS[case.settings["task"]].sized_by(case.of_task)
        print(  # noqa: T201
            f"rankwise: {case.words}: needs about {_memory(needed)} ({', '.join(keys)}), "
            f"more than the {_memory(memory())} of this machine",
            file=sys.stderr,
        )


def _memory(size: float) -> str:
    return f"{max(size / 2**20, 1):.0f} MiB" if size < 2**33 else f"{size / 2**30:,.0f} GiB"
