"""Which trials there are, and running those that are not on disk yet, each in a child process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.recovery.cases import Case
from benchmarks.recovery.methods import METHODS
from benchmarks.recovery.records import Records, Result, Settings, code_version
from benchmarks.recovery.trial import INSTANCE, INSTANCE_LIMIT, hard_limit

ROOT = Path(__file__).resolve().parents[2]
# Seconds for a child to start, import and draw, before its own clock ends it.
START = 120.0
TRIAL = (sys.executable, "-m", "benchmarks.recovery.trial")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Plan:
    """What is to be run: cases, methods, seeds from `first` on; `rivals` seeds for every method but those of `auto`.

    limit: seconds per trial. budget: seconds that `auto` is given, None for none. threads: of BLAS and OpenMP.
    version: stands in records in place of the code's own, to go on with a table after a change that does not matter.
    """

    cases: tuple[Case, ...]
    methods: tuple[str, ...]
    seeds: int = 20
    rivals: int = 5
    first: int = 0
    limit: float = 60.0
    budget: float | None = None
    threads: int = 2
    version: str | None = None

    def seeds_of(self, method: str) -> range:
        """The seeds that a method is run on."""
        rival = method != INSTANCE and not method.startswith("auto")
        return range(self.first, self.first + (min(self.rivals, self.seeds) if rival else self.seeds))

    def settings(self, case: Case, seed: int, method: str) -> Settings:
        """Everything that decides a trial, and its address."""
        own = {"seed": seed, "method": method, "version": self._version(method)}
        if method == INSTANCE:
            return {**case.settings, **own}
        budget = self.budget if method.startswith("auto") else None
        given = {"limit": float(self.limit), "budget": None if budget is None else float(budget)}
        return {**case.settings, **own, **given, "threads": self.threads}

    def trials(self) -> Iterator[tuple[Case, int, str]]:
        """All of them: the instances first, then method by method."""
        for method in (INSTANCE, *self.methods):
            for case in self.cases:
                if method == INSTANCE or METHODS[method].takes(case):
                    yield from ((case, seed, method) for seed in self.seeds_of(method))

    def _version(self, method: str) -> str:
        if method != INSTANCE and (peer := METHODS[method].peer) is not None:
            return peer.version
        return self.version or code_version(method == INSTANCE)


def installed(methods: Sequence[str], say: Callable[[str], None]) -> tuple[str, ...]:
    """The methods that can be run; a line for each that cannot."""
    here = []
    for name in methods:
        peer = METHODS[name].peer
        if peer is not None and (why := peer.missing()):
            say(f"skipped: {name}: {why}")
        else:
            here.append(name)
    return tuple(here)


def run(plan: Plan, records: Records, say: Callable[[str], None], retry: bool = False) -> None:
    """Run what is not on record yet; retry: what failed too.

    Raises:
        ValueError: if a record is not what its name says, or the code has changed while a trial ran.
    """
    trials = list(plan.trials())
    found = [records.get(plan.settings(*trial)) for trial in trials]
    again = [result is None or (retry and result["outcome"] == "failed") for result in found]
    missing = [trial for trial, wanted in zip(trials, again, strict=True) if wanted]
    say(f"{len(trials)} trials, {len(trials) - len(missing)} on record; {plan.threads} BLAS threads")
    for number, (case, seed, method) in enumerate(missing, 1):
        settings = plan.settings(case, seed, method)
        result = in_child(settings, plan.threads)
        if plan.settings(case, seed, method) != settings:
            raise ValueError("the code has changed while a trial ran, which is not kept; start again, or see --version")
        records.put(settings, result)
        say(f"[{number}/{len(missing)}] {method}  {case.name}  seed {seed}  {in_words(result)}")


def in_child(settings: Settings, threads: int) -> Result:
    """What a trial gives in a process of its own, which is ended at the limit whatever it is doing."""
    own = INSTANCE_LIMIT if settings["method"] == INSTANCE else hard_limit(settings["limit"])
    environment = {**os.environ, **dict.fromkeys(THREADS, str(threads))}
    child = subprocess.Popen(
        TRIAL, cwd=ROOT, env=environment, start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        out, err = child.communicate(json.dumps(settings), timeout=own + START)
    except subprocess.TimeoutExpired:
        return {"outcome": "limit"}
    finally:
        _end(child)
    if child.returncode == -getattr(signal, "SIGALRM", 0):
        return {"outcome": "limit"}
    if child.returncode:
        last = err.strip().splitlines()[-1:] or [f"status {child.returncode}"]
        return {"outcome": "failed", "words": last[0][:300]}
    return json.loads(out)


def _end(child: subprocess.Popen[Any]) -> None:
    """End a child and whatever it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL) if hasattr(os, "killpg") else child.kill()
    child.communicate()


def in_words(result: Result) -> str:
    """A result in a few words."""
    if result["outcome"] != "done":
        return f"{result['outcome']}: {result.get('words', 'ended at the time limit')}"
    if "completable" in result:
        return "completable" if result["completable"] else "not completable"
    error = "not finite" if result["error"] is None else f"error {result['error']:.1e}"
    certified = {True: ", certified", False: ", uncertified", None: ""}[result["certified"]]
    return f"{error}{certified}, {result['seconds']:.2f} s ({result['words']})"
