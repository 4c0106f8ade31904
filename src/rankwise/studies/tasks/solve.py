"""`solve`: one solver on one problem; runs of gradient dynamics that differ in numbers make one compiled batch."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rankwise.loop import check, solve_batch
from rankwise.plain import structure
from rankwise.solution import Solution
from rankwise.spec import RUN_KEYS, Spec, build_arguments, build_solver, build_spec
from rankwise.studies.overlay import overlay
from rankwise.studies.tasks.base import Outcome, Progress, Settings, Task
from rankwise.studies.tasks.measuring import curves, final_numbers

# Keys of a completion that change its numbers and not its shape.
NUMBERS = ("count", "key", "noise", "min_degree", "holdout_key")


class Solve(Task):
    """A run as `rankwise solve` reads it: problem, solver, key, max_steps, track, checkpoints."""

    keys = ("problem", "solver", *RUN_KEYS)

    def seeded(self, settings: Settings, seed: int) -> Settings:
        """The solver's key is the seed; truth and observations get keys of their own."""
        problem = settings.get("problem", {})
        own: Settings = {"holdout_key": seed} if "file" in problem else {"key": 2 * seed + 1}
        if "truth" in problem:
            own["truth"] = {"key": 2 * seed}
        return overlay(settings, {"key": seed, "problem": own})

    def check(self, settings: Settings, folder: Path) -> None:
        """Build everything, and let solver and problem look at one another."""
        spec = build_spec(settings, folder)
        given = {key: value for key, value in spec.arguments.items() if key != "key"}
        check(spec.problem, spec.solver, heldout=spec.heldout, truth=spec.truth, **given)

    def alike(self, settings: Settings) -> Hashable | None:
        """The solver's structure, the problem's size and what is recorded; solvers on the host run alone."""
        solver = build_solver(settings["solver"])
        if solver.driver != "compiled":
            return None
        problem = dict(settings["problem"])
        if problem.get("name", "completion") == "completion":
            truth = {key: value for key, value in problem.get("truth", {}).items() if key in ("shape", "symmetric")}
            problem = {key: value for key, value in problem.items() if key not in NUMBERS} | {"truth": truth}
        run = {key: value for key, value in settings.items() if key not in ("problem", "solver", "key")}
        return structure(solver), json.dumps([problem, run], sort_keys=True)

    def size(self, settings: Settings) -> int:
        """The layers with what an optimizer and a gradient keep beside them, and the measurements."""
        d1, d2 = self._shape(settings)
        depth = getattr(getattr(build_solver(settings["solver"]), "factorization", None), "depth", 1)
        sensors = settings["problem"].get("count", 0) if settings["problem"].get("name") == "sensing" else 2
        return 8 * d1 * d2 * (8 * int(depth) + int(sensors))

    def operations(self, settings: Settings) -> float | None:
        """Matrix products of all steps: 2 (N - 1) for the product and its gradient, times about 1.5 for each N."""
        solver = build_solver(settings["solver"])
        factorization = getattr(solver, "factorization", None)
        if solver.driver != "compiled" or factorization is None:
            return None
        d1, d2 = self._shape(settings)
        steps = build_arguments(settings, solver).get("max_steps", solver.default_steps)
        depth, k = int(getattr(factorization, "depth", 1)), min(d1, d2)
        products = 3 * (depth - 1) + (25 if getattr(solver, "penalty", None) is not None else 0)
        return float(steps) * (2.0 * d1 * d2 * k * products + 30.0 * d1 * d2 * depth)

    def run(self, many: Sequence[Settings], folder: Path, progress: Progress | None = None) -> list[Outcome]:
        """One after the other on the host; as one batch where compiled."""
        specs = _build(many, folder)
        if len(specs) == 1:
            solutions = [specs[0].solve(progress)]
        else:
            first = specs[0].arguments
            shared = all(spec.problem is specs[0].problem for spec in specs)
            every = specs[:1] if shared else specs
            solutions = solve_batch(
                [spec.problem for spec in every], [spec.solver for spec in specs],
                keys=[spec.arguments.get("key", 0) for spec in specs],
                heldout=_shared([spec.heldout for spec in every]), truth=_shared([spec.truth for spec in every]),
                progress=progress, **{key: value for key, value in first.items() if key != "key"},
            )  # fmt: skip
        return [_outcome(s, spec, len(specs)) for s, spec in zip(solutions, specs, strict=True)]

    @staticmethod
    def _shape(settings: Settings) -> tuple[int, int]:
        shape = settings["problem"].get("truth", {}).get("shape", (0, 0))
        return int(shape[0]), int(shape[1])


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
    numbers = final_numbers(matrix, spec.problem, spec.heldout, spec.truth) if finite else {}
    shared = solution.seconds / many if solution.seconds and math.isfinite(solution.seconds) else 0.0
    return Outcome(
        solution.result.name, solution.result.value, shared, solution.steps, solution.rank if finite else None,
        numbers, at, lines, vectors,
    )  # fmt: skip


def _finite(matrix: Any) -> bool:
    parts = (matrix.left, matrix.right) if hasattr(matrix, "left") else (matrix,)
    return all(bool(np.isfinite(part).all()) for part in parts)
