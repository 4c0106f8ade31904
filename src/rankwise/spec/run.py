"""A run from names and numbers, as in a TOML file: a problem, a solver, and how long and what to watch."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rankwise.loop import check, solve
from rankwise.lowrank import LowRank
from rankwise.measures import MEASURES
from rankwise.problems import Problem
from rankwise.solution import Solution
from rankwise.solvers import Solver
from rankwise.spec.derived import concrete
from rankwise.spec.problems import build_problem
from rankwise.spec.reading import check_kind, known, refuse_unknown, section, table, words
from rankwise.spec.solvers import build_solver

Draw = Callable[[Any, Path], tuple[Problem, LowRank | None, Problem | None]]
RUN_KEYS = ("key", "max_steps", "track", "checkpoints")
MOST_CHECKPOINTS = 1_000_000
# What a measure needs besides the matrix and the problem, as a file has it.
NEEDED = {
    "truth": "problem.truth",
    "heldout": "problem.holdout above 0",
    "layers": "a solver with layers, such as gradient_descent",
}


@dataclass(frozen=True)
class Spec:
    """One run: the training problem, what measures may look at besides, the solver, and `solve`'s arguments."""

    problem: Problem
    solver: Solver
    truth: LowRank | None = None
    heldout: Problem | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Raise the ValueError with which `solve` would refuse the run, with the path of the key; nothing is run."""
        seen = {"truth": self.truth is not None, "heldout": self.heldout is not None, "layers": self.solver.layered}
        for name in self.arguments.get("track", ()):
            for needed in MEASURES[name].needs:
                if not seen.get(needed, True):
                    raise ValueError(f"track has {name!r}, which needs {NEEDED[needed]}")
        try:
            check(self.problem, self.solver, heldout=self.heldout, truth=self.truth)
        except ValueError as error:
            raise ValueError(f"solver: {error}") from error
        steps = {key: self.arguments[key] for key in ("max_steps", "checkpoints") if key in self.arguments}
        check(self.problem, self.solver, **steps)

    def solve(self, progress: Any = None) -> Solution:
        """Run it."""
        return solve(
            self.problem,
            self.solver,
            truth=self.truth,
            heldout=self.heldout,
            progress=progress,
            **self.arguments,
        )


def read_spec(path: str | Path) -> Spec:
    """The run that a TOML file describes.

    Raises:
        ValueError: naming the file and the key's path, on broken TOML, unknown keys or names, or wrong values.
        OSError: if the file cannot be read.
    """
    given = read_toml(path)
    try:
        spec = build_spec(given, Path(path).parent)
        spec.check()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return spec


def read_toml(path: str | Path) -> dict[str, Any]:
    """What a TOML file says.

    Raises:
        ValueError: naming the file, if it is not TOML.
        OSError: if the file cannot be read.
    """
    try:
        # Some editors begin UTF-8 text with a byte-order mark.
        return tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a TOML file: it is not UTF-8 text") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not a TOML file: {error}") from error


def build_spec(given: Mapping[str, Any], folder: Path = Path(), draw: Draw = build_problem) -> Spec:
    """The run that nested names and numbers describe; file names are relative to `folder`.

    draw: what makes a problem, its truth and what was held out of a table of names and numbers.
    """
    refuse_unknown(given, ("problem", "solver", *RUN_KEYS), "")
    settings = concrete(given)
    solver = build_solver(section(settings, "solver", ""))
    arguments = build_arguments(settings, solver)
    problem, truth, heldout = draw(section(settings, "problem", ""), folder)
    return Spec(problem, solver, truth, heldout, arguments, dict(given))


def build_arguments(given: Mapping[str, Any], solver: Solver) -> dict[str, Any]:
    """The arguments of `solve` that a run gives: key, max_steps, track, checkpoints."""
    arguments = {key: given[key] for key in RUN_KEYS if key in given}
    for name in ("key", "max_steps"):
        check_kind(arguments.get(name, 0), {"int"}, name)
        if arguments.get(name, 0) < 0:
            raise ValueError(f"{name} must be at least 0, not {arguments[name]}")
    for name in words(arguments.get("track", []), "track"):
        known(name, {"train_loss": None, **MEASURES}, "track")
    steps = arguments.get("checkpoints", [])
    if isinstance(steps, Mapping):
        last = arguments.get("max_steps", solver.default_steps)
        arguments["checkpoints"] = _spaced(table(steps, "checkpoints"), last)
        return arguments
    if not isinstance(steps, list | tuple):
        _check_count(steps, "checkpoints")
        return arguments
    for number in steps:
        check_kind(number, {"int"}, "checkpoints")
    return arguments


def _check_count(count: Any, path: str) -> None:
    """Raise a ValueError unless a number of checkpoints is one that a history can hold."""
    check_kind(count, {"int"}, path)
    if not 1 <= count <= MOST_CHECKPOINTS:
        raise ValueError(f"{path} must lie between 1 and {MOST_CHECKPOINTS:,}, not {count}")


def _spaced(given: dict[str, Any], last: int) -> list[int]:
    """Steps from 0 to the last in so many intervals, equal or of equal ratio."""
    refuse_unknown(given, ("count", "spacing"), "checkpoints.")
    count, spacing = section(given, "count", "checkpoints."), given.get("spacing", "log")
    _check_count(count, "checkpoints.count")
    if spacing not in ("log", "linear"):
        raise ValueError(f"checkpoints.spacing must be 'log' or 'linear', not {spacing!r}")
    steps = np.geomspace(1, max(last, 1), count) if spacing == "log" else np.linspace(0, last, count + 1)
    return [0, *np.unique(steps[(steps >= 0.5) & (steps <= last)].round().astype(int)).tolist()]
