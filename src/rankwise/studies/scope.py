"""What figures, tables and claims of a study may name: its grids, their axes and values, and what records hold."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from rankwise.measures import MEASURES
from rankwise.registry import nearest
from rankwise.solvers import SOLVERS
from rankwise.spec.reading import table
from rankwise.studies.tasks.instance import OF_INSTANCE
from rankwise.studies.tasks.measuring import FINAL, RANK_ERROR
from rankwise.studies.tasks.recover import OF_RECOVER
from rankwise.studies.tasks.theory import HOLDS

if TYPE_CHECKING:
    from rankwise.studies.axes import Axis
    from rankwise.studies.grids import Grid

SEED = "seed"
# Numbers of a row that are columns of their own.
COLUMNS = ("steps", "rank", "seconds")
# What the rows of every task have beside the columns; of another task, given by a module, only running tells.
NUMBERS: dict[str, tuple[str, ...]] = {
    "solve": (*FINAL, RANK_ERROR, "train_loss"), "recover": (*FINAL, RANK_ERROR, *OF_RECOVER),
    "instance": OF_INSTANCE, "theory": (HOLDS,),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Scope:
    """What may be named.

    axes: by name. grids: the axes of each grid. numbers: the values that its rows have, None if only running tells.
    measuring: the grids of findings, whose rows have more numbers than these: each finding names its checks by its
    arguments, and only running it tells which there are.
    called: every value that each axis has; None in a smaller version of a study, where some may be missing.
    """

    axes: Mapping[str, Axis]
    grids: Mapping[str, tuple[str, ...]]
    numbers: Mapping[str, frozenset[str] | None] = field(default_factory=dict)
    called: Mapping[str, frozenset[str]] | None = None
    measuring: frozenset[str] = frozenset()

    def grid(self, name: Any, path: str) -> str:
        """The grid of that name, the first one if None."""
        if name is None:
            return next(iter(self.grids))
        if not isinstance(name, str) or name not in self.grids:
            raise ValueError(f"{path}: there is no grid {name!r}{nearest(str(name), self.grids)}")
        return name

    def axis(self, name: Any, path: str, grid: str) -> str:
        """An axis that the grid has."""
        known = {*self.axes, SEED}
        if not isinstance(name, str) or name not in known:
            raise ValueError(f"{path}: there is no axis {name!r}{nearest(str(name), known)}")
        if self.called is not None and name not in self.grids[grid]:
            raise ValueError(f"{path}: grid {grid!r} has no axis {name!r}{nearest(name, self.grids[grid])}")
        return name

    def number(self, name: Any, path: str, grid: str) -> str:
        """A value that the rows of the grid have."""
        names = self.numbers.get(grid)
        if not isinstance(name, str):
            raise ValueError(f"{path} must be a name, not {name!r}")
        if names is None or name in names:
            return name
        if grid in self.measuring and not get_close_matches(name, names, n=1):
            return name
        if name in MEASURES and grid not in self.measuring:
            raise ValueError(f"{path}: {name!r} is not in `track` of grid {grid!r}")
        raise ValueError(f"{path}: there is no value {name!r}{nearest(name, names)}")

    def where(self, given: Any, path: str, grid: str) -> dict[str, tuple[str, ...]]:
        """The values, as `key` writes them, that rows must have, by axis."""
        made = {}
        for name, values in table(given, path).items():
            place = f"{path}.{name}"
            self.axis(name, place, grid)
            listed = values if isinstance(values, list | tuple) else [values]
            if not listed:
                raise ValueError(f"{place} is empty, so no case has it")
            made[name] = tuple(key(value) for value in listed)
            for value, one in zip(listed, made[name], strict=True):
                known = None if self.called is None else self.called.get(name)
                if known is not None and one not in known:
                    raise ValueError(f"{place}: {value!r} is no value of axis {name!r}{nearest(str(value), known)}")
        return made


def key(value: Any) -> str:
    """A value of an axis as it is compared: 1, 1.0 and "1" are one value, as columns of mixed kinds become text."""
    if isinstance(value, bool):
        return str(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return f"{number:.12g}" if math.isfinite(number) else str(value)


def scope_of(grids: Iterable[Grid], axes: Mapping[str, Axis], versions: Iterable[Mapping[str, Axis]]) -> Scope:
    """What may be named in a study.

    versions: the axes of the study as its file has it, full and quick, whose values may be named; none where some may
    be missing, as in the quick version itself.
    """
    grids = tuple(grids)
    called: dict[str, set[str]] = {}
    for version in versions:
        for name, axis in version.items():
            called.setdefault(name, set()).update(key(value) for value in axis.values)
    return Scope(
        axes,
        {grid.name: tuple(axis.name for axis in grid.axes) for grid in grids},
        {grid.name: _numbers(grid) for grid in grids},
        {name: frozenset(values) for name, values in called.items()} if called else None,
        frozenset(grid.name for grid in grids if "theory" in _tasks(grid)),
    )


def _changes(grid: Grid) -> list[Mapping[str, Any]]:
    """What the values of its axes change."""
    return [change for axis in grid.axes for change in axis.changes]


def _tasks(grid: Grid) -> set[str]:
    return {grid.settings["task"], *(change["task"] for change in _changes(grid) if "task" in change)}


def _numbers(grid: Grid) -> frozenset[str] | None:
    """What the rows of a grid hold; None where a task adds names of its own."""
    tasks, changes = _tasks(grid), _changes(grid)
    if not tasks <= NUMBERS.keys():
        return None
    names = {*COLUMNS, *(name for task in tasks for name in NUMBERS[task])}
    if "solve" in tasks:
        tracked = [grid.settings.get("track", []), *(change.get("track", []) for change in changes)]
        names |= {name for each in tracked if isinstance(each, list) for name in each if isinstance(name, str)}
        solvers = [_solver(grid.settings.get("solver")), *(_solver(change.get("solver")) for change in changes)]
        solvers += [_solver(change.get("solver.name")) for change in changes]
        names |= {own for one in solvers if one in SOLVERS for own in SOLVERS[one].recorded}
    return frozenset(names)


def _solver(given: Any) -> str:
    name = given.get("name") if isinstance(given, Mapping) else given
    return name if isinstance(name, str) else ""
