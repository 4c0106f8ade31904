"""`solve`: one solver on one problem; runs of gradient dynamics that differ in numbers make one compiled batch."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from rankwise.checkpoint import solve_batch_resumable
from rankwise.loop import solve, solve_batch
from rankwise.plain import structure
from rankwise.results import RESULTS
from rankwise.solution import Solution
from rankwise.solvers import GradientDescent, LogDet, NuclearNorm, PrincipalComponentPursuit, Solver
from rankwise.spec import RUN_KEYS, Spec, build_arguments, build_problem, build_solver, build_spec
from rankwise.studies.overlay import overlay
from rankwise.studies.tasks.base import Outcome, Progress, Settings, Task
from rankwise.studies.tasks.measuring import curves, final_numbers
from rankwise.studies.tasks.memory import instance, sensors, shape
from rankwise.studies.tasks.work import Work, descent

# Keys of a completion that change its numbers and not its shape.
NUMBERS = ("count", "key", "noise", "min_degree", "holdout_key")
# Batches of more operations than this can take longer than a minute, at 1 GFLOP/s, and are saved on their way.
LONG = 6e10
# Keys of a truth that cases of one batch share.
OF_TRUTH = ("shape", "symmetric", "matrix")
# Bytes for each entry and for each observation of a completion, measured, of solvers on the host that hold more than
# factors and least squares of them: dense matrices, and vectors as long as the observations.
HELD: dict[type[Solver], tuple[int, int]] = {
    LogDet: (16, 300), NuclearNorm: (290, 2280), PrincipalComponentPursuit: (230, 0),
}  # fmt: skip


class Solve(Task):
    """A run as `rankwise solve` reads it: problem, solver, key, max_steps, track, checkpoints."""

    keys = ("problem", "solver", *RUN_KEYS)
    resumable = True
    limited = True

    def seeded(self, settings: Settings, seed: int) -> Settings:
        """The solver's key is the seed; truth and observations get keys of their own."""
        problem = settings.get("problem", {})
        # Of a table, or of entries that are listed, nothing is drawn but what is held out.
        own: Settings = {"holdout_key": seed} if {"file", "observed"} & problem.keys() else {"key": 2 * seed + 1}
        if "truth" in problem and "matrix" not in problem["truth"]:
            own["truth"] = {"key": 2 * seed}
        return overlay(settings, {"key": seed, "problem": own})

    def check(self, settings: Settings, folder: Path) -> None:
        """Build everything, and let solver and problem look at one another."""
        build_spec(_light(settings), folder, _drawn).check()

    def alike(self, settings: Settings) -> Hashable | None:
        """The solver's structure, the problem's size and what is recorded; solvers on the host run alone."""
        solver = build_solver(settings["solver"])
        if solver.driver != "compiled":
            return None
        problem = dict(settings["problem"])
        if problem.get("name", "completion") == "completion":
            truth = {key: value for key, value in problem.get("truth", {}).items() if key in OF_TRUTH}
            problem = {key: value for key, value in problem.items() if key not in NUMBERS} | {"truth": truth}
        run = {key: value for key, value in settings.items() if key not in ("problem", "solver", "key")}
        return structure(solver), json.dumps([problem, run], sort_keys=True)

    def size(self, settings: Settings) -> int:
        """The layers with what an optimizer and a gradient keep beside them, and the measurements.

        On the host a completion is its observations, and the answer two factors, but for solvers of `HELD`.
        """
        solver, problem = build_solver(settings["solver"]), settings["problem"]
        if solver.driver == "host" and problem.get("name", "completion") == "completion":
            return instance(problem, *HELD.get(type(solver), ()))
        d1, d2 = shape(problem)
        return 8 * d1 * d2 * (8 * (depth(solver) or 1) + 2 + sensors(problem))

    def sized_by(self, settings: Settings) -> tuple[str, ...]:
        """Besides the shape the depth, where layers are held."""
        solver = build_solver(settings["solver"])
        held = solver.layered and depth(solver) is not None
        return (*super().sized_by(settings), *["solver.factorization.depth"] * held)

    def work(self, settings: Settings) -> Work | None:
        """That of gradient descent; None for other solvers, whose steps differ, and for a table in a file."""
        solver = build_solver(settings["solver"])
        if not isinstance(solver, GradientDescent) or "truth" not in settings["problem"]:
            return None
        return descent(solver, settings["problem"], build_arguments(settings, solver))

    def run(
        self,
        many: Sequence[Settings],
        folder: Path,
        progress: Progress | None = None,
        keep: Path | None = None,
        limit: float | None = None,
    ) -> list[Outcome]:
        """Alone on the host; as one batch where compiled. What may take long saves itself to `keep` every minute."""
        specs = _build(many, folder)
        if limit is not None and specs[0].solver.driver == "host":
            solutions = [_within(spec, limit) for spec in specs]
        elif keep is not None and self._may_take_long(many):
            keep.parent.mkdir(exist_ok=True)
            solutions = solve_batch_resumable(path=keep, progress=progress, **_together(specs))
        else:
            solutions = solve_batch(progress=progress, **_together(specs))
        return [_outcome(s, spec, len(specs)) for s, spec in zip(solutions, specs, strict=True)]

    def _may_take_long(self, many: Sequence[Settings]) -> bool:
        """Decided by the settings alone, so that it is the same whoever runs them; what is not known may."""
        works = [self.work(settings) for settings in many]
        return any(work is None for work in works) or sum(work.operations for work in works if work) > LONG


def depth(solver: Solver) -> int | None:
    """Of how many layers its factorization is the product; None where there are none."""
    layers = getattr(getattr(solver, "factorization", None), "depth", None)
    return None if layers is None else int(layers)


def _light(settings: Settings) -> Settings:
    """The settings with two dense sensors instead of thousands: any number is possible or none."""
    problem: Any = settings.get("problem")
    dense = isinstance(problem, Mapping) and problem.get("name") == "sensing"
    many = dense and type(problem.get("count")) is int and problem["count"] > 2
    return overlay(settings, {"problem": {"count": 2}}) if many else settings


def _drawn(problem: Any, folder: Path) -> Any:
    """What is made of a problem's settings; of equal ones one after the other once, for a file by what is in it now."""
    if not isinstance(problem, Mapping) or "file" in problem:
        return build_problem(problem, folder)
    return _drawn_of(json.dumps(problem))


@lru_cache(maxsize=1)
def _drawn_of(problem: str) -> Any:
    return build_problem(json.loads(problem))


def _within(spec: Spec, limit: float) -> Solution:
    """A run that is stopped at the first step after so many seconds, with the matrix it has then."""
    last = spec.arguments.get("max_steps", spec.solver.default_steps)
    given = {"truth": spec.truth, "heldout": spec.heldout, "track": spec.arguments.get("track", [])}
    whole = solve(spec.problem, spec.solver, key=spec.arguments.get("key", 0), max_steps=min(1, last), **given)
    while whole.result is RESULTS.max_steps and whole.steps < last and whole.seconds < limit:
        # Not many calls, and beyond the limit by a twentieth of what has been done at most.
        more = min(whole.steps + 1 + whole.steps // 20, last)
        later = solve(spec.problem, spec.solver, state=whole.state, max_steps=more, **given)
        whole = replace(later, history=whole.history.then(later.history), seconds=whole.seconds + later.seconds)
    return whole


def _together(specs: Sequence[Spec]) -> dict[str, Any]:
    """The runs as the arguments of `solve_batch`; what all share is given once."""
    every = specs[:1] if all(spec.problem is specs[0].problem for spec in specs) else specs
    return {
        "problem": [spec.problem for spec in every], "solver": [spec.solver for spec in specs],
        "keys": [spec.arguments.get("key", 0) for spec in specs],
        "heldout": _shared([spec.heldout for spec in every]), "truth": _shared([spec.truth for spec in every]),
        **{key: value for key, value in specs[0].arguments.items() if key != "key"},
    }  # fmt: skip


def _shared(items: list[Any]) -> Any:
    """One item for all, or the list; None if there are none."""
    return items[0] if len(items) == 1 or items[0] is None else items


def _build(many: Sequence[Settings], folder: Path) -> list[Spec]:
    """The runs; equal problems are one object."""
    made: dict[str, Spec] = {}
    specs = []
    for settings in many:
        text = json.dumps(settings["problem"], sort_keys=True)
        if text not in made:
            made[text] = build_spec(settings, folder)
        same = made[text]
        solver = build_solver(settings["solver"])
        specs.append(
            Spec(same.problem, solver, same.truth, same.heldout, build_arguments(settings, solver), dict(settings))
        )
    return specs


def _outcome(solution: Solution, spec: Spec, many: int) -> Outcome:
    at, lines, vectors = curves(solution.history)
    matrix = solution.matrix
    finite = bool(np.isfinite(np.asarray(solution.history["train_loss"][-1])).all()) and _finite(matrix)
    rank = solution.rank if finite else None
    numbers = final_numbers(matrix, spec.problem, spec.heldout, spec.truth, rank) if finite else {}
    shared = solution.seconds / many if solution.seconds and math.isfinite(solution.seconds) else 0.0
    return Outcome(
        solution.result.name, solution.result.value, shared, solution.steps, rank,
        numbers, at, lines, vectors,
    )  # fmt: skip


def _finite(matrix: Any) -> bool:
    parts = (matrix.left, matrix.right) if hasattr(matrix, "left") else (matrix,)
    return all(bool(np.isfinite(part).all()) for part in parts)
