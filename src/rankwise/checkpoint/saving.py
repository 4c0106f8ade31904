"""Solutions saved and loaded: one run, or all members of a batch, with what tells them from any other."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rankwise.checkpoint.container import RefusedCheckpoint, read, write
from rankwise.checkpoint.identity import Described, described, difference, surroundings
from rankwise.checkpoint.packing import Packer, Unpacker, parts
from rankwise.plain import register
from rankwise.problems import Problem
from rankwise.solution import History, Solution
from rankwise.solvers import Solver

# Where in a description what the user gave to a run of its own begins.
RUN = "run."


def save_state(path: str | os.PathLike[str], solution: Solution, problem: Problem, solver: Solver) -> None:
    """Save a solution with its state and history, so that `load_state` gives it back with the same bits.

    The file appears whole or not at all. It holds arrays and words and is never run as code.

    Raises:
        ValueError: if the state of a solver of one's own holds what a file cannot, or the solution has no state.
        OSError: naming the file, if it cannot be written.
    """
    one = Member(problem, solver)
    save(path, surroundings() | identity([one]), solution.steps, [solution], [one])


def load_state(path: str | os.PathLike[str], problem: Problem, solver: Solver) -> Solution:
    """The solution that was saved, of exactly this problem and solver; its `state` goes on to the same bits.

    On the same kind of machine, that is: the last bit of a matrix product may be another on another one.

    Raises:
        RefusedCheckpoint: a ValueError: if the file is damaged or no checkpoint, or that of another problem, solver,
            precision or version, which is named.
        OSError: if it cannot be read.
    """
    one = Member(problem, solver)
    return load(path, surroundings() | identity([one]), [one])[1][0]


@dataclass(frozen=True, eq=False)
class Member:
    """One run of a batch: what its state belongs to."""

    problem: Problem
    solver: Solver

    @property
    def given(self) -> dict[str, Any]:
        """What a state may share with problem and solver, by path."""
        return dict([*parts(self.problem, "problem"), *parts(self.solver, "solver")])

    @property
    def compiled(self) -> bool:
        """Whether the state is a pytree whose structure the solver knows."""
        return self.solver.driver == "compiled"


def identity(members: Sequence[Member]) -> Described:
    """The problems and solvers of a batch in words; one that all share is described once."""
    found: Described = {}
    for name in ("problem", "solver"):
        items = [getattr(member, name) for member in members]
        shared = all(item is items[0] for item in items)
        for i, item in enumerate(items[:1] if shared else items):
            found |= described(item, name if shared else f"{name}[{i}]")
    return found


def save(
    path: str | os.PathLike[str], about: Described, now: int, solutions: Sequence[Solution], members: Sequence[Member]
) -> None:
    """Save the members of a batch, which stands at step `now` as a whole.

    about: what must be the same when it is loaded.
    """
    arrays: list[Any] = []
    packed = [_pack(one, member, arrays) for one, member in zip(solutions, members, strict=True)]
    write(path, {"about": about, "now": now, "runs": packed}, arrays)


def load(path: str | os.PathLike[str], about: Described, members: Sequence[Member]) -> tuple[int, list[Solution]]:
    """The step that a batch stood at, and its members.

    Raises:
        RefusedCheckpoint: if the file is damaged, or `about` is another; what a run was given besides (the names that
            begin with `run.`) is only compared where `about` has it.
    """
    structure, arrays = read(path)
    try:
        there = {str(name): str(words) for name, words in structure["about"].items()}
        now, runs = int(structure["now"]), structure["runs"]
        _refuse_another(path, there, about)
        return now, [_unpack(one, member, arrays) for one, member in zip(runs, members, strict=True)]
    except RefusedCheckpoint:
        raise
    except Unpacker.BROKEN as error:
        raise RefusedCheckpoint(f"{path} is no checkpoint that rankwise wrote:") from error


def _refuse_another(path: Any, there: Mapping[str, str], here: Described) -> None:
    if not any(name.startswith(RUN) for name in here):
        there = {name: words for name, words in there.items() if not name.startswith(RUN)}
    if found := difference(there, here):
        raise RefusedCheckpoint(
            f"{path} is the checkpoint of another run: {found};", "delete it to begin anew, or name another file"
        )


def _pack(solution: Solution, member: Member, arrays: list[Any]) -> Any:
    if not (isinstance(solution.state, tuple) and len(solution.state) == 2):
        raise ValueError("only the solution of a solver can be saved: this one has no state to go on from")
    state, clock = solution.state
    if member.compiled:
        import jax

        state = tuple(jax.tree.leaves(state))
    packer, history = Packer(member.given, arrays), solution.history
    fields = (
        solution.matrix, solution.result, solution.steps, history.steps, history.records, state, clock,
        solution.seconds,
    )  # fmt: skip
    return packer.pack(fields)


def _unpack(packed: Any, member: Member, arrays: list[Any]) -> Solution:
    fields = Unpacker(member.given, arrays).unpack(packed)
    matrix, result, steps, times, records, state, clock, seconds = fields
    if member.compiled:
        import jax

        state = jax.tree.unflatten(_structure(member), state)
    return Solution(matrix, result, steps, History(times, records), (state, clock), seconds)


def _structure(member: Member) -> Any:
    """How the arrays of a compiled state hang together: as in the solver's first state, which is not computed."""
    import jax

    from rankwise.compiled import precision

    register()
    with precision(member.problem.dtype):
        fresh = jax.eval_shape(member.solver.init, member.problem.compiled(), jax.random.key(0))
    return jax.tree.structure(fresh)
