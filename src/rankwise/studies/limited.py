"""Cases with a limit: each in a process of its own, which is ended when its time is up, whatever it is doing."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rankwise.studies.cases import Case
from rankwise.studies.overlay import overlay
from rankwise.studies.records import FAILED
from rankwise.studies.tasks import TASKS, Outcome

LIMIT = "limit"
COMMAND = (sys.executable, "-m", "rankwise.studies.limited")
# One thread in each: a record must not depend on how many cores there are. By the environment, since a library that is
# loaded later, SciPy's BLAS or a package with OpenMP, would not know of a limit that was set before.
THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
)  # fmt: skip
# Seconds for the process to start and import, before its own clock ends it; and between looks at interruptions.
START, POLL = 120.0, 0.2
# The instance on which everything is imported and set up, so that the clock measures the method alone.
TINY = {"count": 92, "min_degree": 2, "truth": {"shape": [12, 12], "rank": 1}}
# At most so many steps on it: millions of them would take longer than the case may.
TINY_STEPS = 1000


def hard_limit(limit: float) -> float:
    """When a case is ended: a method that stops by itself at its limit may finish the step it is in."""
    return 1.1 * limit + 1


def run_limited(case: Case, folder: Path, check: Callable[[], None]) -> Outcome:
    """What a case comes to in a process of its own, with one thread.

    The result is `limit`, without numbers, if it was ended; `failed`, with the last line it said, if it failed.
    check: called now and then; what it raises ends the process too.
    """
    limit, task = float(case.settings["limit"]), case.settings["task"]
    sent = {"task": task, "module": type(TASKS[task]).__module__, "settings": case.of_task, "limit": limit,
            "folder": str(folder), "path": sys.path, "parent": os.getpid()}  # fmt: skip
    child = subprocess.Popen(
        COMMAND, env={**os.environ, **dict.fromkeys(THREADS, "1")}, start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    given: str | None = json.dumps(sent)
    ends = time.monotonic() + hard_limit(limit) + START
    try:
        while True:
            try:
                out, err = child.communicate(given, timeout=POLL)
                break
            except subprocess.TimeoutExpired:
                given = None
                check()
                if time.monotonic() > ends:
                    return _ended(limit)
    finally:
        _end(child)
    if child.returncode == -getattr(signal, "SIGALRM", 0):
        return _ended(limit)
    if child.returncode:
        last = (err.strip().splitlines() or [f"status {child.returncode}"])[-1]
        return Outcome(FAILED, last[:300], 0.0)
    return Outcome(**json.loads(out))


def _ended(limit: float) -> Outcome:
    return Outcome(LIMIT, f"ended at its limit of {limit:g} s", limit)


def _end(child: subprocess.Popen[str]) -> None:
    """End a process and whatever it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL) if hasattr(os, "killpg") else child.kill()
    child.communicate()


def _run(sent: dict[str, Any]) -> Outcome:
    """The case that was sent, with the clock set once everything is imported."""
    sys.path[:] = sent["path"]
    if sent["task"] not in TASKS:
        importlib.import_module(sent["module"])
    task, settings, folder = TASKS[sent["task"]], sent["settings"], Path(sent["folder"])
    own = {"limit": sent["limit"]} if task.limited else {}
    if "truth" in settings.get("problem", {}):
        # A method that cannot take the tiny instance is measured with its imports.
        with contextlib.suppress(Exception):
            task.run([_tiny(settings)], folder, **own)
    _alarm(hard_limit(sent["limit"]))
    (outcome,) = task.run([settings], folder, **own)
    _alarm(0)
    return outcome


def _tiny(settings: dict[str, Any]) -> dict[str, Any]:
    """The same on a tiny instance, for which a rank that the solver was told is 1."""
    made = overlay(settings, {"problem": TINY})
    made["problem"]["truth"].pop("kappa", None)
    if made.get("max_steps", 0) > TINY_STEPS:
        made["max_steps"] = TINY_STEPS
        made.pop("checkpoints", None)  # they may lie beyond
    return overlay(made, {"solver": {"rank": 1}}) if "rank" in settings.get("solver", {}) else made


def _end_with(parent: int) -> None:
    """End this process and whatever it has started once the one that waits for its answer is gone."""
    while os.getppid() == parent:
        time.sleep(POLL)
    os.killpg(os.getpid(), signal.SIGKILL) if hasattr(os, "killpg") else os._exit(1)


def _alarm(seconds: float) -> None:
    """The system ends this process after so many seconds, whatever it is doing; 0: it does not."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def main() -> None:
    """Answer on what was standard output; what others print there goes to standard error."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sent = json.load(sys.stdin)
    threading.Thread(target=_end_with, args=(sent["parent"],), daemon=True).start()
    try:
        outcome = _run(sent)
    except SystemExit as error:  # a case that leaves has failed, whatever status it leaves with
        outcome = Outcome(FAILED, f"SystemExit: {error}" if str(error) else "SystemExit", 0.0)
    json.dump(asdict(outcome), answer, allow_nan=False)
    answer.close()


if __name__ == "__main__":
    main()
