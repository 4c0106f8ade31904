"""The one loop: a problem and a solver in, a Solution out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from rankwise.lowrank import LowRank
from rankwise.measures import MEASURES, measurable
from rankwise.problems import Problem
from rankwise.results import RESULTS
from rankwise.solution import History, Solution
from rankwise.solvers import Solver

# Matrices of up to so many entries are worked on by one thread (products under XLA have threads of their own).
SMALL = 4_000_000

Progress = Callable[[int, int], None]


def solve(
    problem: Problem,
    solver: Solver,
    *,
    key: Any = 0,
    max_steps: int | None = None,
    state: Any = None,
    track: Sequence[str] = (),
    checkpoints: int | Sequence[int] | None = None,
    heldout: Problem | None = None,
    truth: Any = None,
    progress: Progress | None = None,
) -> Solution:
    """Run a solver on a problem until it says why to stop, or to step `max_steps` since the very start.

    key: an int or a JAX key; the same key on the same machine gives the same bits.
    state: the state of an earlier solution, to go on exactly where it stopped.
    track: names from `rankwise.measures.MEASURES` to record at the checkpoints, besides the training loss.
    checkpoints: how many, evenly spaced from 0 to max_steps, or the steps themselves; None: the solver's own number
    (100 for gradient descent, every requested time for a flow). Host solvers, whose steps are few and large, are
    measured at every step.
    heldout, truth: what measures may look at; the solver never sees them.
    progress: called with (step, max_steps) now and then.

    Raises:
        ValueError: if an argument is out of range, a name unknown, or the solver cannot take the problem.
    """
    return solve_batch(
        problem, solver, keys=[key], max_steps=max_steps, states=None if state is None else [state],
        track=track, checkpoints=checkpoints, heldout=heldout, truth=truth, progress=progress,
    )[0]  # fmt: skip


def solve_batch(
    problem: Problem | Sequence[Problem],
    solver: Solver | Sequence[Solver],
    *,
    keys: Sequence[Any] = (0,),
    max_steps: int | None = None,
    states: Sequence[Any] | None = None,
    track: Sequence[str] = (),
    checkpoints: int | Sequence[int] | None = None,
    heldout: Problem | Sequence[Problem] | None = None,
    truth: Any = None,
    progress: Progress | None = None,
) -> list[Solution]:
    """Run a whole batch at once: seeds, initialization scales, learning rates, penalty weights, masks.

    Each of problem, solver, keys, states, heldout and truth is one item, shared by all runs, or a sequence
    with an item per run. Members may differ in numbers only, not in kind or depth. Compiled solvers run
    the batch as one program; host solvers run its members in turn.

    Raises:
        ValueError: as `solve`, and if sequences have different lengths or members differ in kind.
    """
    problems, solvers = _sequence(problem), _sequence(solver)
    data = _data(heldout, truth)
    many = _common_length(problems, solvers, keys if states is None else states, data)
    for i in range(many):
        _pick(solvers, i).check(_pick(problems, i))
    limit = solvers[0].default_steps if max_steps is None else max_steps
    if isinstance(limit, bool) or not isinstance(limit, int | np.integer) or limit < 0:
        raise ValueError(f"max_steps must be a non-negative integer, not {limit!r}")
    limit = int(limit)
    names = tuple(dict.fromkeys(("train_loss", *track)))
    compiled = solvers[0].driver == "compiled"
    measurable(names, {"heldout": data[0][0] is not None, "truth": data[0][1] is not None, "layers": solvers[0].layered})
    begun = time.perf_counter()
    if not compiled:
        return [
            _run_on_host(
                _pick(problems, i), _pick(solvers, i), _pick(keys, i), states and _pick(states, i), limit, names,
                _pick(data, i), progress,
            )
            for i in range(many)
        ]  # fmt: skip
    from rankwise import compiled as driver

    first = 0 if states is None else states[0][1]
    with _one_thread_if_small(problems[0]):
        members = driver.Members(
            problems, solvers, [driver.Data(*pair) for pair in data], keys if states is None else None, states
        )
        steps = _checkpoints(solvers[0].default_checkpoints if checkpoints is None else checkpoints, first, limit)
        runs = driver.run(members, steps, names, progress and (lambda now: progress(now, limit)))
    seconds = time.perf_counter() - begun
    return [_solution(run, seconds) for run in runs]


def _solution(run: Any, seconds: float) -> Solution:
    result = RESULTS.of(run.code)
    result = RESULTS.max_steps if result is RESULTS.running else result
    return Solution(run.matrix, result, run.steps, History(run.checkpoints, run.records), run.state, seconds)


def _run_on_host(
    problem: Problem,
    solver: Solver,
    key: Any,
    state: Any,
    limit: int,
    names: tuple[str, ...],
    data: tuple[Any, Any],
    progress: Progress | None,
) -> Solution:
    begun = time.perf_counter()
    with _one_thread_if_small(problem):
        state, steps = (solver.init(problem, key), 0) if state is None else state
        times, rows = [steps], [_measure(solver, problem, state, data, names)]
        while (result := solver.outcome(problem, state)) is RESULTS.running and steps < limit:
            state, steps = solver.step(problem, state), steps + 1
            times.append(steps)
            rows.append(_measure(solver, problem, state, data, names))
            if progress is not None:
                progress(steps, limit)
    result = RESULTS.max_steps if result is RESULTS.running else result
    records = {name: _align([row[name] for row in rows]) for name in rows[0]}
    history = History(np.asarray(times), records)
    return Solution(solver.matrix(state), result, steps, history, (state, steps), time.perf_counter() - begun)


def _one_thread_if_small(problem: Problem) -> AbstractContextManager[Any]:
    """One BLAS thread for problems of this size: more wait for one another longer than they work (4 times slower)."""
    d1, d2 = problem.shape
    return threadpool_limits(1, user_api="blas") if d1 * d2 <= SMALL else nullcontext()


def _measure(
    solver: Solver, problem: Problem, state: Any, data: tuple[Any, Any], names: tuple[str, ...]
) -> dict[str, np.ndarray]:
    given = {"matrix": solver.matrix(state), "problem": problem, "heldout": data[0], "truth": data[1]}
    own = {name: np.asarray(value) for name, value in solver.record(state).items()}
    return {name: np.asarray(MEASURES[name](given)) for name in names} | own


def _align(values: list[np.ndarray]) -> np.ndarray:
    """Stacked, shorter vectors (the singular values of a lower rank) padded with zeros."""
    if values[0].ndim == 0:
        return np.asarray(values)
    width = max(len(value) for value in values)
    return np.stack([np.pad(value, (0, width - len(value))) for value in values])


def _checkpoints(given: int | Sequence[int], first: int, last: int) -> np.ndarray:
    if isinstance(given, int | np.integer):
        if given < 1:
            raise ValueError(f"checkpoints must be a positive number or a list of steps, not {given}")
        steps = np.unique(np.linspace(first, last, given + 1).round().astype(int))
    else:
        steps = np.unique(np.asarray(given, dtype=int))
        if steps.size and (steps[0] < 0 or steps[-1] > last):
            raise ValueError(f"checkpoints must lie between 0 and max_steps = {last}, not {steps[0]}..{steps[-1]}")
    return np.unique(np.append(steps[steps >= first], last))


def _sequence(item: Any) -> list[Any]:
    return list(item) if isinstance(item, Sequence) else [item]


def _data(heldout: Any, truth: Any) -> list[tuple[Any, Any]]:
    """(heldout, truth) pairs, one shared or one per run."""
    heldouts = _sequence(heldout)
    stacked = isinstance(truth, Sequence) and not isinstance(truth, LowRank)
    truths = [None if t is None else np.asarray(t) for t in (truth if stacked else [truth])]
    many = max(len(heldouts), len(truths))
    return [(_pick(heldouts, i), _pick(truths, i)) for i in range(many)]


def _pick(items: Sequence[Any], i: int) -> Any:
    return items[i] if len(items) > 1 else items[0]


def _common_length(*groups: Sequence[Any]) -> int:
    lengths = {len(group) for group in groups} - {1}
    if 0 in lengths or len(lengths) > 1:
        raise ValueError(f"the sequences of a batch must have one item or the same number, not {sorted(lengths)}")
    return lengths.pop() if lengths else 1
