"""The compiled driver of the one loop: steps under XLA, measured at checkpoints, one run or a whole batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from threading import Event
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rankwise.factorizations.vectors import shaped, vectors
from rankwise.keys import as_jax_key
from rankwise.measures import MEASURES
from rankwise.plain import register
from rankwise.problems import Problem
from rankwise.results import RESULTS
from rankwise.solvers import Solver

# Between so many parts of a run it can be interrupted and reports its progress.
SEGMENTS = 20
# A batch runs in groups whose states fill at most so many bytes of a core's cache.
CACHE = 1 << 19
RUNNING = RESULTS.running.code
# Elementwise updates at a CPU's full vector width (a tenth of the time of a step with Adam at 100 x 100).
WIDE = {"xla_cpu_prefer_vector_width": 512}
# What JAX calls the operations that LAPACK does on a CPU.
DECOMPOSITIONS = frozenset({
    "cholesky", "eig", "eigh", "geqp3", "geqrf", "hessenberg", "householder_product", "lu", "ormqr", "qr", "schur",
    "svd", "triangular_solve", "tridiagonal",
})  # fmt: skip


class Carry(NamedTuple):
    """What the loop carries: the state, why each run stopped (a code), its steps, and the common clock."""

    state: Any
    code: Any
    steps: Any
    now: Any


class Data(NamedTuple):
    """What measures may look at and the solver may not."""

    heldout: Problem | None
    truth: Any


class Axes(NamedTuple):
    """Which arguments are stacked along a leading batch axis (0) and which are shared (None)."""

    problem: int | None
    solver: int | None
    data: int | None


@contextmanager
def precision(dtype: np.dtype) -> Iterator[None]:
    """Float64 where the data are float64, float32 where they are float32, and only inside this block."""
    with jax.enable_x64(bool(dtype == np.float64)):
        yield


def lift(function: Callable[..., Any], axes: Axes | None, *in_axes: Any) -> Callable[..., Any]:
    """The function itself for one run, mapped over the batch for many; one by one where it decomposes on a CPU.

    Decompositions of several matrices at once wait in a thread of XLA's pool for others of that pool. Groups of a batch
    that all do so wait for one another for ever (jaxlib 0.10); those of one matrix are done where they are called.
    """
    if axes is None:
        return function

    def lifted(*args: Any) -> Any:
        if jax.default_backend() != "cpu" or not _decomposes(function, args, in_axes):
            return jax.vmap(function, in_axes=in_axes)(*args)
        every = tuple(arg for arg, axis in zip(args, in_axes, strict=True) if axis == 0)

        def one(part: tuple[Any, ...]) -> Any:
            own = iter(part)
            return function(*(next(own) if axis == 0 else arg for arg, axis in zip(args, in_axes, strict=True)))

        return lax.map(one, every)

    return lifted


def _decomposes(function: Callable[..., Any], args: Sequence[Any], in_axes: Sequence[Any]) -> bool:
    """Whether a function of one run decomposes a matrix, or solves equations with one."""

    def form(leaf: Any, axis: int | None) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape if axis is None else leaf.shape[1:], leaf.dtype)

    one = [jax.tree.map(partial(form, axis=axis), arg) for arg, axis in zip(args, in_axes, strict=True)]
    return any(step.primitive.name in DECOMPOSITIONS for step in operations(jax.make_jaxpr(function)(*one).jaxpr))


def operations(program: Any) -> Iterator[Any]:
    """All equations of a program of JAX, those of the programs inside it too."""
    for step in program.eqns:
        yield step
        for inner in jax.tree.leaves(step.params, is_leaf=lambda value: hasattr(value, "eqns")):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from operations(inner)


@partial(jax.jit, static_argnames="axes")
def start(problem: Problem, solver: Solver, key: Any, axes: Axes | None) -> Any:
    """The initial state, or a batch of them."""
    init = lift(lambda p, s, k: s.init(p, k), axes, *(axes or ())[:2], 0)
    return init(problem, solver, key)


@partial(jax.jit, static_argnames=("track", "axes"), compiler_options=WIDE)
def advance(
    problem: Problem,
    solver: Solver,
    data: Data,
    carry: Carry,
    checkpoints: Any,
    *,
    track: tuple[str, ...],
    axes: Axes | None,
) -> tuple[Carry, tuple[Any, dict[str, Any]]]:
    """Run to each checkpoint in turn and measure there; stopped runs stand still."""
    two = (axes.problem, axes.solver) if axes else ()
    # From step to step the state is handed on as vectors.
    restored = partial(shaped, forms=_forms_of_one(carry.state, axes))
    step = lift(lambda p, s, x: vectors(s.step(p, restored(x))), axes, *two, 0)
    pack, unpack = lift(vectors, axes, 0), lift(restored, axes, 0)
    outcome = lift(lambda p, s, x: s.outcome(p, x), axes, *two, 0)
    measure = lift(partial(_measure, track), axes, *two, axes.data if axes else None, 0)
    freeze = _all if axes is None else lift(_choose, axes, 0, 0, 0)
    every = solver.check_every

    def block(carry: Carry, until: Any) -> Carry:
        stop = jnp.minimum(until, (carry.now // every + 1) * every)
        state = unpack(lax.fori_loop(carry.now, stop, lambda _, x: step(problem, solver, x), pack(carry.state)))
        running = carry.code == RUNNING
        state = freeze(running, state, carry.state)
        steps = jnp.where(running, stop, carry.steps)
        due = running & (stop % every == 0)
        code = lax.cond(
            stop % every == 0,
            lambda: jnp.where(due, outcome(problem, solver, state), carry.code),
            lambda: carry.code,
        )
        return Carry(state, code, steps, stop)

    def to_checkpoint(carry: Carry, until: Any) -> tuple[Carry, Any]:
        carry = lax.while_loop(lambda c: (c.now < until) & jnp.any(c.code == RUNNING), lambda c: block(c, until), carry)
        return carry, (carry.steps, measure(problem, solver, data, carry.state))

    return lax.scan(to_checkpoint, carry, checkpoints)


@partial(jax.jit, static_argnames="axes")
def judge(problem: Problem, solver: Solver, state: Any, axes: Axes | None) -> Any:
    """The outcome code of a state, or of a batch."""
    return lift(lambda p, s, x: s.outcome(p, x), axes, *(axes or ())[:2], 0)(problem, solver, state)


@partial(jax.jit, static_argnames="axes")
def matrices(solver: Solver, state: Any, axes: Axes | None) -> Any:
    """The matrix of a state, or of a batch."""
    return lift(lambda s, x: s.matrix(x), axes, axes.solver if axes else None, 0)(solver, state)


def _forms_of_one(state: Any, axes: Axes | None) -> Any:
    """Shape and type of every array in the state of one run."""
    lead = 0 if axes is None else 1
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[lead:], leaf.dtype), state)


def _measure(track: tuple[str, ...], problem: Problem, solver: Solver, data: Data, state: Any) -> dict[str, Any]:
    given = {
        "matrix": solver.matrix(state), "problem": problem, "heldout": data.heldout, "truth": data.truth,
        "layers": solver.layers(state),
    }  # fmt: skip
    return {name: MEASURES[name](given) for name in track} | solver.record(state)


def _all(running: Any, new: Any, old: Any) -> Any:
    """A single run leaves the loop when it stops, so that nothing has to be kept aside."""
    del running, old
    return new


def _choose(running: Any, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(running, a, b), new, old)


class Run(NamedTuple):
    """A finished run: plain NumPy throughout."""

    matrix: np.ndarray
    code: int
    steps: int
    checkpoints: np.ndarray
    records: dict[str, np.ndarray]
    state: tuple[Any, int]


class Members(NamedTuple):
    """The runs of a batch: each sequence has one item, shared, or one per run. Keys or states, not both."""

    problems: Sequence[Problem]
    solvers: Sequence[Solver]
    data: Sequence[Data]
    keys: Sequence[Any] | None
    states: Sequence[tuple[Any, int]] | None

    def part(self, index: range) -> Members:
        """Some of the runs."""
        first, last = index.start, index.stop
        return Members(*(_several(items, first, last) for items in self))  # pyright: ignore[reportArgumentType]

    @property
    def count(self) -> int:
        """How many runs there are."""
        return max(len(items) for items in self if items is not None)


def _several(items: Any, first: int, last: int) -> Any:
    """A slice of a sequence with an item per run; what is shared or absent as it is."""
    return items if items is None or len(items) == 1 else items[first:last]


def run(
    members: Members, checkpoints: np.ndarray, track: tuple[str, ...], progress: Callable[[int], None] | None
) -> list[Run]:
    """Every run of a batch, in groups of a size that suits the machine, as many groups at once as it has cores."""
    register()
    members = members._replace(problems=[problem.compiled() for problem in members.problems])
    with precision(members.problems[0].dtype):
        _refuse_mixtures(members)
        size = _group_size(members)
    groups = [range(first, min(first + size, members.count)) for first in range(0, members.count, size)]
    if len(groups) == 1:
        return run_group(members, checkpoints, track, progress, Event())
    halt, clocks = Event(), [0] * len(groups)

    def run_one(g: int) -> list[Run]:
        def tell(now: int) -> None:
            clocks[g] = now
            if progress is not None:
                progress(sum(clocks) // len(clocks))

        return run_group(members.part(groups[g]), checkpoints, track, tell, halt)

    with ThreadPoolExecutor(min(threads(), len(groups))) as pool:
        try:
            return [one for group in pool.map(run_one, range(len(groups))) for one in group]
        finally:
            halt.set()


def run_group(
    members: Members,
    checkpoints: np.ndarray,
    track: tuple[str, ...],
    progress: Callable[[int], None] | None,
    halt: Event,
) -> list[Run]:
    """Several runs as one compiled program, or a single one."""
    many, dtype = members.count, members.problems[0].dtype
    axes = Axes(*(0 if len(items) > 1 else None for items in members[:3])) if many > 1 else None
    with precision(dtype):
        problem = _stack([_cast(p, dtype) for p in members.problems])
        solver = _stack([_cast(s, dtype) for s in members.solvers])
        shown = _stack([_cast(Data(d.heldout and d.heldout.compiled(), d.truth), dtype) for d in members.data])
        carry = _begin(problem, solver, members.keys, members.states, axes, many)
        rows = []
        for part in _segments(checkpoints):
            carry, row = advance(problem, solver, shown, carry, part, track=track, axes=axes)
            rows.append(jax.device_get(row))
            if progress is not None:
                progress(int(carry.now))
            if halt.is_set():
                break
        # Stopping tests fall due at multiples of check_every; where the run ends between two, one more is made.
        last = judge(problem, solver, carry.state, axes).astype(jnp.int32)
        carry = carry._replace(code=jnp.where(carry.code == RUNNING, last, carry.code))
        final = jax.device_get((carry, matrices(solver, carry.state, axes)))
    return [_unpack(final, rows, checkpoints, None if axes is None else i) for i in range(many)]


def _refuse_mixtures(members: Members) -> None:
    """Raise a ValueError if the members differ in more than numbers."""
    if len({jax.tree.structure(s) for s in members.solvers}) > 1:
        raise ValueError("the members of a batch may differ in numbers only, not in kind, depth, width or names")
    if len({(type(p), p.shape, p.values.shape, p.dtype) for p in members.problems}) > 1:
        raise ValueError("the problems of a batch must be of one kind, size and precision")
    if len({(jax.tree.structure(d), _forms(d)) for d in members.data}) > 1:
        raise ValueError("the held-out problems of a batch must be of one kind, size and precision")
    if members.states is None:
        return
    fresh = jax.eval_shape(members.solvers[0].init, members.problems[0], jax.random.key(0))
    for state, _ in members.states:
        if jax.tree.structure(fresh) != jax.tree.structure(state) or _forms(fresh) != _forms(state):
            raise ValueError("the state is of another solver, or of a problem of another size or precision")


def _forms(tree: Any) -> tuple[Any, ...]:
    """Shapes and types of all arrays in a structure."""
    return tuple((np.shape(leaf), str(np.result_type(leaf))) for leaf in jax.tree.leaves(tree))


def _group_size(members: Members) -> int:
    """All runs at once on an accelerator; on a CPU as many as stay in a core's cache, spread over the cores."""
    if members.count == 1 or jax.default_backend() != "cpu":
        return members.count
    solver, problem = members.solvers[0], members.problems[0]
    state = jax.eval_shape(lambda: solver.init(problem, jax.random.key(0)))
    held = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    spread = -(-members.count // cores())
    return int(min(max(CACHE // held, 1), spread))


def cores() -> int:
    """Over how many groups a batch is spread at least: the number of cores, or RANKWISE_CORES for another's bits."""
    return _told("RANKWISE_CORES")


def threads() -> int:
    """How many groups run at once: the number of cores, or RANKWISE_THREADS where others have their share of them."""
    return _told("RANKWISE_THREADS")


def _told(name: str) -> int:
    """A number of cores from the environment, or how many this process may use."""
    given = os.environ.get(name, "")
    if given and (not given.isdecimal() or int(given) < 1):
        raise ValueError(f"{name} must be a positive number, not {given!r}")
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return int(given or usable or 1)


def _begin(
    problem: Any,
    solver: Any,
    keys: Sequence[Any] | None,
    states: Sequence[tuple[Any, int]] | None,
    axes: Any,
    many: int,
) -> Carry:
    if states is None:
        key_list = [as_jax_key(key) for key in keys or []]
        key_list = key_list * many if len(key_list) == 1 else key_list
        key = key_list[0] if axes is None else jnp.stack(key_list)
        state, now = start(problem, solver, key, axes), 0
    else:
        every = list(states) * many if len(states) == 1 else list(states)
        state, now = _stack([state for state, _ in every]), every[0][1]
    counter = jnp.full(() if axes is None else (many,), now, jnp.int32)
    code = judge(problem, solver, state, axes).astype(jnp.int32) if now % solver.check_every == 0 else 0 * counter
    return Carry(state, code + 0 * counter, counter, jnp.asarray(now, jnp.int32))


def _segments(checkpoints: np.ndarray) -> list[np.ndarray]:
    """The checkpoints in at most `SEGMENTS` parts of equal length, the last one padded by repeating its end."""
    length = -(-len(checkpoints) // SEGMENTS)
    padded = np.append(checkpoints, np.full(-len(checkpoints) % length, checkpoints[-1]))
    return list(padded.astype(np.int32).reshape(-1, length))


def _cast(item: Any, dtype: np.dtype) -> Any:
    """Every number in the working precision."""
    return jax.tree.map(lambda leaf: leaf if np.asarray(leaf).dtype.kind in "iub" else np.asarray(leaf, dtype), item)


def _stack(items: list[Any]) -> Any:
    if len(items) == 1:
        return items[0]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *items)


def _unpack(final: tuple[Carry, Any], rows: list[Any], checkpoints: np.ndarray, i: int | None) -> Run:
    """The i-th run of a batch, its history cut where it stopped."""
    carry, matrix = final if i is None else jax.tree.map(lambda leaf: leaf[i] if np.ndim(leaf) else leaf, final)
    axis = () if i is None else (slice(None), i)
    times = np.concatenate([steps if i is None else steps[:, i] for steps, _ in rows])[: len(checkpoints)]
    kept = np.searchsorted(times, carry.steps) + 1 if len(times) else 0
    records = {
        name: np.concatenate([row[name][axis] if axis else row[name] for _, row in rows])[:kept] for name in rows[0][1]
    }
    return Run(matrix, int(carry.code), int(carry.steps), times[:kept], records, (carry.state, int(carry.steps)))
