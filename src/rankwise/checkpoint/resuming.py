"""Runs that save themselves now and then and, begun again, go on from what was saved to the same bits."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rankwise.checkpoint.identity import described, surroundings
from rankwise.checkpoint.saving import RUN, Member, identity, load, save
from rankwise.loop import Progress, check, checkpoint_steps, common_length, listed, pick, solve_batch
from rankwise.plain import checked
from rankwise.problems import Problem
from rankwise.results import RESULTS
from rankwise.solution import History, Solution
from rankwise.solvers import Solver

# Seconds between two savings unless told otherwise.
EVERY = 60.0
# A run is made in parts of about so many seconds, each at most so many times as long as the one before.
SECONDS, GROWTH = 5.0, 8
# At most so many checkpoints in a part: the compiled driver takes them one by one then, with one program for all.
CHECKPOINTS = 20


def solve_resumable(
    problem: Problem, solver: Solver, path: str | os.PathLike[str], *, key: Any = 0, **arguments: Any
) -> Solution:
    """`solve`, saving to a file about every so many seconds; begun again with that file it goes on, to the same bits.

    path: the file. It is written first when so many seconds have passed, or at Ctrl-C, and stays when the run has
    ended: remove it when the solution is kept. arguments: `every`, 60 seconds if not given, and those of
    `solve`: max_steps, track, checkpoints, heldout, truth, progress.

    Raises:
        ValueError: as `solve`; and if the file is damaged or that of another run (a `RefusedCheckpoint`).
        OSError: if it cannot be read or written.
    """
    return solve_batch_resumable(problem, solver, path, keys=[key], **arguments)[0]


def solve_batch_resumable(
    problem: Problem | Sequence[Problem],
    solver: Solver | Sequence[Solver],
    path: str | os.PathLike[str],
    *,
    every: float = EVERY,
    keys: Sequence[Any] = (0,),
    max_steps: int | None = None,
    track: Sequence[str] = (),
    checkpoints: int | Sequence[int] | None = None,
    heldout: Problem | Sequence[Problem] | None = None,
    truth: Any = None,
    progress: Progress | None = None,
) -> list[Solution]:
    """`solve_batch` that saves the whole batch as `solve_resumable` saves one run."""
    checked(every, "every", above=0)
    members = _members(problem, solver, list(keys), heldout, truth)
    first, options = members[0], {"track": track, "heldout": heldout, "truth": truth}
    limit = first.solver.last_step(None) if max_steps is None else max_steps
    check(
        first.problem, first.solver, max_steps=limit, track=track, checkpoints=checkpoints,
        heldout=listed(heldout)[0], truth=listed(truth)[0],
    )  # fmt: skip
    many = first.solver.default_checkpoints if checkpoints is None else checkpoints
    course = Course(int(limit), checkpoint_steps(many, 0, limit) if first.compiled else None, first.solver.check_every)
    asked = {"key": list(keys), "max_steps": course.limit, "checkpoints": course.steps, **options}
    about = surroundings() | identity(members)
    for name, value in asked.items():
        about |= described(value, RUN + name)
    tell = None if progress is None else lambda step, _: progress(step, course.limit)

    def part(standing: Standing | None, until: int) -> list[Solution]:
        return solve_batch(
            problem, solver, keys=keys, max_steps=until, states=standing and standing.states,
            checkpoints=course.between(standing, until), progress=tell, **options,
        )  # fmt: skip

    begun = Standing(*load(path, about, members)) if Path(path).exists() else None
    return _follow(course, begun, every, part, lambda now: save(path, about, now.step, now.runs, members)).runs


@dataclass(frozen=True, eq=False)
class Standing:
    """A batch at a step: its members, those that have stopped included."""

    step: int
    runs: list[Solution]

    def goes_on(self, run: Solution) -> bool:
        """Whether a member has not stopped."""
        return run.result is RESULTS.max_steps and run.steps == self.step

    @property
    def states(self) -> list[Any]:
        """What `solve_batch` goes on from. Stopped members stay in the batch, so that it remains the same batch."""
        return [(run.state[0], self.step) for run in self.runs]


@dataclass(frozen=True, eq=False)
class Course:
    """A run from step 0 to its limit. steps: where it is measured, None: at every step.

    every: parts end at multiples of so many steps, where the run as a whole looks whether to stop.
    """

    limit: int
    steps: np.ndarray | None
    every: int

    def until(self, standing: Standing | None, size: float) -> int:
        """The end of the next part, of about so many steps."""
        now = 0 if standing is None else standing.step
        least = (now // self.every + 1) * self.every
        end = max(now + round(size), least) // self.every * self.every
        if self.steps is not None:
            ahead = self._ahead(standing)
            if len(ahead) >= CHECKPOINTS:
                end = min(end, max(int(ahead[CHECKPOINTS - 1]) // self.every * self.every, least))
        return min(end, self.limit)

    def between(self, standing: Standing | None, until: int) -> list[int] | None:
        """The checkpoints of a part."""
        if self.steps is None:
            return None
        ahead = self._ahead(standing)
        return [int(step) for step in ahead[ahead <= until]]

    def joined(self, before: Standing | None, later: list[Solution], until: int) -> Standing:
        """A batch after a part: each member's history goes on, without what is no checkpoint of the whole."""
        after, runs = Standing(until, later), []
        for i, run in enumerate(later):
            old = None if before is None else before.runs[i]
            if before is not None and old is not None and not before.goes_on(old):
                runs.append(old)
                continue
            history = self._kept(run.history, stopped=not after.goes_on(run))
            if old is not None:
                run = replace(run, history=old.history.then(history), seconds=old.seconds + run.seconds)
            else:
                run = replace(run, history=history)
            runs.append(run)
        return Standing(until, runs)

    def _ahead(self, standing: Standing | None) -> np.ndarray:
        assert self.steps is not None
        return self.steps if standing is None else self.steps[self.steps > standing.step]

    def _kept(self, history: History, stopped: bool) -> History:
        if self.steps is None:
            return history
        kept = np.isin(history.steps, self.steps)
        kept[-1] |= stopped
        return History(history.steps[kept], {name: values[kept] for name, values in history.records.items()})


def _follow(
    course: Course,
    standing: Standing | None,
    every: float,
    part: Callable[[Standing | None, int], list[Solution]],
    keep: Callable[[Standing], None],
) -> Standing:
    """Part after part to the end; what is reached is kept when `every` seconds have passed, and at Ctrl-C."""
    kept, since, size = standing, time.perf_counter(), float(course.every)
    try:
        while standing is None or (standing.step < course.limit and any(map(standing.goes_on, standing.runs))):
            begun, now = time.perf_counter(), 0 if standing is None else standing.step
            until = course.until(standing, size)
            standing = course.joined(standing, part(standing, until), until)
            ended = time.perf_counter()
            size = (until - now) * min(GROWTH, min(SECONDS, every) / (ended - begun))
            if ended - since >= every:
                keep(standing)
                kept, since = standing, time.perf_counter()
    except KeyboardInterrupt:
        if standing is not None and standing is not kept:
            keep(standing)
        raise
    return standing


def _members(problem: Any, solver: Any, *others: Any) -> list[Member]:
    """The members of a batch, each with its problem and solver."""
    problems, solvers = listed(problem), listed(solver)
    many = common_length(problems, solvers, *map(listed, others))
    return [Member(pick(problems, i), pick(solvers, i)) for i in range(many)]
