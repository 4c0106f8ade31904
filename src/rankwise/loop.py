"""The one loop: a problem and a solver in, a Solution out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from rankwise.keys import as_generator
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
    with an item per run (keys also an array of keys). Members may differ in numbers only, not in kind or depth.
    Compiled solvers run the batch as one program, host solvers its members in turn. The same batch gives the
    same bits; a run in another batch, or alone, may differ from it by rounding.

    Raises:
        ValueError: as `solve`, and if sequences have different lengths or members differ in kind.
    """
    problems, solvers = _sequence(problem, Problem, "problem"), _sequence(solver, Solver, "solver")
    if isinstance(keys, int | np.integer):
        raise ValueError(f"keys must be a sequence of keys, not {keys}")
    keys, names = list(keys), tuple(dict.fromkeys(("train_loss", *_names(track))))
    data = _data(heldout, truth)
    many = common_length(problems, solvers, keys if states is None else states, data)
    for i in range(many):
        _check_member(pick(problems, i), pick(solvers, i), pick(data, i))
    if len({type(one) for one in solvers}) > 1:
        raise ValueError("the members of a batch may differ in numbers only, not in kind, depth, width or names")
    if states is not None:
        for state in states:
            _clock(state)
    limit = _limit(solvers[0].last_step(states[0] if states else None) if max_steps is None else max_steps)
    compiled = solvers[0].driver == "compiled"
    shown, true = data[0]
    measurable(names, {"heldout": shown is not None, "truth": true is not None, "layers": solvers[0].layered})
    begun = time.perf_counter()
    if not compiled:
        for key in keys if states is None else ():
            as_generator(key)
        return [
            _run_on_host(
                pick(problems, i), pick(solvers, i), pick(keys, i), states and pick(states, i), limit, names,
                pick(data, i), progress,
            )
            for i in range(many)
        ]  # fmt: skip
    from rankwise import compiled as driver

    if states is not None and len({_clock(state) for state in states}) > 1:
        options = {"max_steps": limit, "track": names, "checkpoints": checkpoints, "progress": progress}
        return _continue_apart(problems, solvers, list(states), data, many, options)
    first = 0 if states is None else _clock(states[0])
    with _one_thread_if_small(problems[0]):
        members = driver.Members(
            problems, solvers, [driver.Data(*pair) for pair in data], keys if states is None else None, states
        )
        steps = checkpoint_steps(solvers[0].default_checkpoints if checkpoints is None else checkpoints, first, limit)
        runs = driver.run(members, steps, names, progress and (lambda now: progress(now, limit)))
    seconds = time.perf_counter() - begun
    return [_solution(run, seconds) for run in runs]


def check(
    problem: Problem,
    solver: Solver,
    *,
    max_steps: int | None = None,
    track: Sequence[str] = (),
    checkpoints: int | Sequence[int] | None = None,
    heldout: Problem | None = None,
    truth: Any = None,
) -> None:
    """Raise the ValueError with which `solve` would refuse these arguments; nothing is run."""
    _check_member(problem, solver, (heldout, truth))
    limit = _limit(solver.last_step(None) if max_steps is None else max_steps)
    names = tuple(dict.fromkeys(("train_loss", *_names(track))))
    measurable(names, {"heldout": heldout is not None, "truth": truth is not None, "layers": solver.layered})
    if solver.driver == "compiled":
        checkpoint_steps(solver.default_checkpoints if checkpoints is None else checkpoints, 0, limit)


def _check_member(problem: Problem, solver: Solver, data: tuple[Any, Any]) -> None:
    """Raise a ValueError if the solver cannot take the problem or its misfit, or data are of another shape."""
    if not isinstance(problem.misfit, solver.misfits):
        known = " or ".join(misfit.__name__ for misfit in solver.misfits)
        raise ValueError(f"{type(solver).__name__} works with a misfit {known}, not {problem.misfit!r}")
    for each in fields(solver) if solver.driver == "host" else ():  # pyright: ignore[reportArgumentType]
        if np.ndim(value := getattr(solver, each.name)) and hasattr(value, "dtype"):
            raise ValueError(f"{each.name} is an array: a run takes one number, and a batch a solver for each")
    solver.check(problem)
    for name, item in zip(("heldout", "truth"), data, strict=True):
        if item is not None and tuple(item.shape) != tuple(problem.shape):
            raise ValueError(f"{name} has shape {tuple(item.shape)}, the problem {tuple(problem.shape)}")
    if np.iscomplexobj(data[1]):
        raise ValueError("truth is complex; real numbers are needed")


def _continue_apart(
    problems: list[Any], solvers: list[Any], states: list[Any], data: list[Any], many: int, options: dict[str, Any]
) -> list[Solution]:
    """Runs that stand at different steps go on in one batch per step."""
    clocks = [_clock(pick(states, i)) for i in range(many)]
    done: dict[int, Solution] = {}
    for clock in dict.fromkeys(clocks):
        part = [i for i in range(many) if clocks[i] == clock]
        ones = [[pick(items, i) for i in part] for items in (problems, solvers, states, data)]
        heldout, truth = ([pair[k] for pair in ones[3]] for k in (0, 1))
        runs = solve_batch(
            ones[0], ones[1], states=ones[2], heldout=None if heldout[0] is None else heldout,
            truth=None if truth[0] is None else truth, **options,
        )  # fmt: skip
        done.update(zip(part, runs, strict=True))
    return [done[i] for i in range(many)]


def _clock(state: Any) -> int:
    """The step that a solution's state stands at."""
    if not (isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], int)):
        raise ValueError("state must be the state of a solution")
    return state[1]


def _names(track: Sequence[str]) -> tuple[str, ...]:
    if isinstance(track, str):
        raise ValueError(f"track must be a list of names, not the name {track!r} alone")
    return tuple(track)


def _limit(steps: Any) -> int:
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or not 0 <= steps < 2**31:
        raise ValueError(f"max_steps must be a non-negative integer below 2^31, not {steps!r}")
    return int(steps)


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
        while (result := _outcome(solver, problem, state, rows[-1])) is RESULTS.running and steps < limit:
            state, steps = solver.step(problem, state), steps + 1
            times.append(steps)
            rows.append(_measure(solver, problem, state, data, names))
            if progress is not None:
                progress(steps, limit)
    if (result is RESULTS.running or result.successful) and not _is_finite(solver.matrix(state)):
        result = RESULTS.non_finite
    result = RESULTS.max_steps if result is RESULTS.running else result
    records = {name: _align([row[name] for row in rows]) for name in rows[0]}
    history = History(np.asarray(times), records)
    return Solution(solver.matrix(state), result, steps, history, (state, steps), time.perf_counter() - begun)


def _outcome(solver: Solver, problem: Problem, state: Any, row: dict[str, np.ndarray]) -> RESULTS:
    """What the solver says, but for a loss beyond the floats where that of the data is not: a run that diverged.

    Inequalities of a stopping test hold by chance there, or never: inf <= tolerance * inf, nan <= tolerance * nan.
    """
    result = solver.outcome(problem, state)
    if (result is RESULTS.running or result.successful) and not np.isfinite(row["train_loss"]):
        with np.errstate(over="ignore"):
            if np.isfinite((np.asarray(problem.values, float) ** 2).sum()):
                return RESULTS.non_finite
    return result


def _is_finite(matrix: Any) -> bool:
    """Whether a matrix is finite, of a product its factors."""
    parts = (matrix.left, matrix.right) if isinstance(matrix, LowRank) else (matrix,)
    return all(bool(np.isfinite(part).all()) for part in parts)


def _one_thread_if_small(problem: Problem) -> AbstractContextManager[Any]:
    """One BLAS thread for problems of this size: more wait for one another longer than they work (4 times slower)."""
    d1, d2 = problem.shape
    return threadpool_limits(1, user_api="blas") if d1 * d2 <= SMALL else nullcontext()


def _measure(
    solver: Solver, problem: Problem, state: Any, data: tuple[Any, Any], names: tuple[str, ...]
) -> dict[str, np.ndarray]:
    given = {"matrix": solver.matrix(state), "problem": problem, "heldout": data[0], "truth": data[1]}
    own = {name: np.asarray(value) for name, value in solver.record(state).items()}
    with np.errstate(over="ignore", invalid="ignore"):  # squares beyond the floats are inf, their quotients nan
        return {name: np.asarray(MEASURES[name](given)) for name in names} | own


def _align(values: list[np.ndarray]) -> np.ndarray:
    """Stacked, shorter vectors (the singular values of a lower rank) padded with zeros."""
    if values[0].ndim == 0:
        return np.asarray(values)
    width = max(len(value) for value in values)
    return np.stack([np.pad(value, (0, width - len(value))) for value in values])


def checkpoint_steps(given: int | Sequence[int], first: int, last: int) -> np.ndarray:
    """The steps from `first` to `last` at which a run is measured, ascending: evenly spaced, or as they are given.

    Raises:
        ValueError: if the number is not positive, or a step not between 0 and `last`.
    """
    if isinstance(given, int | np.integer):
        if given < 1:
            raise ValueError(f"checkpoints must be a positive number or a list of steps, not {given}")
        steps = np.unique(np.linspace(first, last, min(given, max(last - first, 1)) + 1).round().astype(int))
    else:
        steps = np.unique(np.asarray(given))
        if np.ndim(given) != 1 or (steps.size and steps.dtype.kind not in "iu"):
            raise ValueError(f"checkpoints must be a positive number or a list of steps, not {given!r}")
        if steps.size and (steps[0] < 0 or steps[-1] > last):
            raise ValueError(f"checkpoints must lie between 0 and max_steps = {last}, not {steps[0]}..{steps[-1]}")
    return np.unique(np.append(steps[steps >= first], last)).astype(int)


def listed(item: Any) -> list[Any]:
    """The items of a sequence, or one item that all runs of a batch share."""
    return list(item) if isinstance(item, Sequence) and not isinstance(item, str) else [item]


def pick(items: Sequence[Any], i: int) -> Any:
    """The item of run i of a batch."""
    return items[i] if len(items) > 1 else items[0]


def _sequence(item: Any, kind: type, name: str) -> list[Any]:
    items = listed(item)
    for one in items:
        if not isinstance(one, kind):
            raise ValueError(f"{name} must be a rankwise {name}, not {type(one).__name__}")
    return items


def _data(heldout: Any, truth: Any) -> list[tuple[Any, Any]]:
    """(heldout, truth) pairs, one shared or one per run."""
    heldouts, truths = listed(heldout), [None if t is None else np.asarray(t) for t in listed(truth)]
    many = max(len(heldouts), len(truths))
    return [(pick(heldouts, i), pick(truths, i)) for i in range(many)]


def common_length(*groups: Sequence[Any]) -> int:
    """How many runs a batch has, of sequences with an item for each run or one for all.

    Raises:
        ValueError: if a sequence is empty, or two have different numbers of items.
    """
    lengths = {len(group) for group in groups} - {1}
    if 0 in lengths or len(lengths) > 1:
        raise ValueError(f"the sequences of a batch must have one item or the same number, not {sorted(lengths)}")
    return lengths.pop() if lengths else 1
