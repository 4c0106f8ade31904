"""How one number is got from the rows of a study: which value, when in the run, of which cases, over them how."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np

from rankwise.registry import nearest
from rankwise.results import RESULTS
from rankwise.spec.reading import check_kind, section, table
from rankwise.studies.records import FAILED, Row
from rankwise.studies.scope import COLUMNS, Scope
from rankwise.studies.tasks.measuring import FINAL

KEYS = ("value", "at", "component", "where", "grid", "statistic", "level")
MOMENTS = ("end", "min", "max", "argmin")
CROSSINGS = ("first_above", "first_below")
STATISTICS = ("median", "mean", "min", "max", "share_below", "share_above", "count")
SHARES = ("share_below", "share_above")
# Measures with several numbers at a step.
VECTORS = ("singular_values", "singular_speeds", "matrix")
# Ends that say nothing of later steps: a limit on steps, time or seconds (the last ends a case's process).
CUT_OFF = (RESULTS.max_steps.name, RESULTS.end_time.name, RESULTS.integrator_stuck.name, "limit")


@dataclass(frozen=True)
class Value:
    """One number of many rows.

    name: a final number, a column or a tracked curve. at: a moment, a step, a crossing with its threshold, which gives
    the step, or another tracked curve with a bound: the first record at which that is no greater. component: which of
    a vector. where: the values of axes that rows must have. statistic: over all rows that remain; level: what shares
    are counted below or above of.
    """

    name: str
    grid: str
    at: str | int | tuple[str, float] = "end"
    component: int = 0
    where: dict[str, tuple[str, ...]] = field(default_factory=dict)
    statistic: str = "median"
    level: float | None = None

    @property
    def words(self) -> str:
        """What it is called beside an axis."""
        name = self.name.replace("_", " ")
        if self.name in VECTORS:
            name = f"{name.removesuffix('s')} {self.component + 1}"
        if isinstance(self.at, tuple):
            if self.at[0] not in CROSSINGS:
                return f"{name} where {self.at[0].replace('_', ' ')} is first at most {self.at[1]:g}"
            return f"first step with {name} {self.at[0].removeprefix('first_')} {self.at[1]:g}"
        moments = {"end": "", "argmin": "step of the least ", "min": "least ", "max": "greatest "}
        name = f"{name} at step {self.at}" if isinstance(self.at, int) else f"{moments[self.at]}{name}"
        if self.statistic in SHARES:
            return f"share with {name} {self.statistic.removeprefix('share_')} {self.level:g}"
        return f"number of runs with {name}" if self.statistic == "count" else name

    def wants_curves(self, row: Row) -> bool:
        """Whether this row's curves are needed."""
        if row["result"] == FAILED or self.name in COLUMNS:
            return False
        return self.at != "end" or self.name in VECTORS or self.name not in row["numbers"]

    def of(self, row: Row) -> float | None:
        """The number of one row; None if it has none: the case failed, or what is looked for never happened."""
        if row["result"] == FAILED:
            return None
        if self.name in COLUMNS:
            return None if row[self.name] is None else float(row[self.name])
        if not self.wants_curves(row):
            return row["numbers"][self.name]
        steps, values = curve(row, self.name, self.component)
        if isinstance(self.at, tuple) and self.at[0] not in CROSSINGS:
            met = np.flatnonzero(curve(row, self.at[0])[1][: len(values)] <= self.at[1])
            return _finite(values[met[0]]) if len(met) else None
        return self._along(steps, values) if self.gets_there(row) else None

    def gets_there(self, row: Row) -> bool:
        """Whether a run got to the step asked for, or ended by itself before: what it had last then stays."""
        if not isinstance(self.at, int) or self.name in COLUMNS:
            return True
        return row["result"] not in CUT_OFF or (row["steps"] or 0) >= self.at

    def lacking(self, rows: Sequence[Row]) -> str:
        """Why these rows cannot be judged, in words: runs were cut off before the step asked for. Empty if none was."""
        kept = [row for row in rows if row["result"] != FAILED]
        there = sum(map(self.gets_there, kept))
        if there == len(kept):
            return ""
        return f"{f'only {there} of {len(kept)} runs' if there else 'no run'} got to step {self.at:,}"

    def is_in(self, row: Row) -> bool:
        """Whether the row has such a number at all, be it that it is not finite or that a crossing was never met."""
        if row["result"] == FAILED or not self.gets_there(row):
            return False
        # A run whose matrix is not finite has none of the final numbers, and no rank.
        if not row["numbers"] and self.name in (*FINAL, *COLUMNS):
            return True
        if self.name in COLUMNS:
            return row[self.name] is not None
        tracked = {*row.get("curves", ()), *row.get("vectors", ())}
        if isinstance(self.at, tuple) and self.at[0] not in CROSSINGS and self.at[0] not in tracked:
            return False
        return self.name in tracked or (self.at == "end" and self.name in row.get("numbers", ()))

    def _along(self, steps: Sequence[int], values: np.ndarray) -> float | None:
        """The number of one curve; NaN in it is what was not finite."""
        if not len(values):
            return None
        if self.at == "end":
            return _finite(values[-1])
        if isinstance(self.at, int):
            before = np.flatnonzero(np.asarray(steps) <= self.at)
            return _finite(values[before[-1]]) if len(before) else None
        if isinstance(self.at, tuple):
            where, threshold = self.at
            met = np.flatnonzero(values > threshold if where == "first_above" else values < threshold)
            return float(steps[met[0]]) if len(met) else None
        if np.isnan(values).all():
            return None
        if self.at == "argmin":
            return float(steps[int(np.nanargmin(values))])
        return float(np.nanmin(values) if self.at == "min" else np.nanmax(values))

    def over(self, numbers: Iterable[float | None]) -> float | None:
        """The statistic over rows.

        A row without the number lies neither below nor above a level, and is left out of all but shares.
        """
        every = list(numbers)
        kept = np.array([number for number in every if number is not None], float)
        if self.statistic == "count":
            return float(len(kept))
        if self.statistic in SHARES and every:
            level = self.level or 0.0
            return float((kept < level if self.statistic == "share_below" else kept > level).sum()) / len(every)
        if not len(kept):
            return None
        return float({"median": np.median, "mean": np.mean, "min": np.min, "max": np.max}[self.statistic](kept))


def curve(row: Row, name: str, component: int = 0) -> tuple[Sequence[int], np.ndarray]:
    """The steps and the values of a tracked scalar, or of one component of a vector; empty if it is not there."""
    if name in row["curves"]:
        return row["at"], np.array(row["curves"][name], float)
    if name in row["vectors"]:
        many = row["vectors"][name]
        return row["at"], np.array([each[component] if component < len(each) else None for each in many], float)
    return [], np.array([])


def read_value(given: Mapping[str, Any], path: str, scope: Scope, like: Value | None = None) -> Value:
    """The value that keys of `KEYS` describe; what they leave out is as in `like`.

    The conditions of `like` hold too, where the grid has these axes, unless `given` sets the axis otherwise.

    Raises:
        ValueError: naming the key's path.
    """
    grid = scope.grid(given.get("grid", like.grid if like else None), f"{path}.grid")
    where = scope.where(given.get("where", {}), f"{path}.where", grid)
    if like:
        where = {name: v for name, v in like.where.items() if name in scope.grids[grid]} | where
    name = given.get("value", like.name) if like else section(given, "value", f"{path}.")
    return Value(
        scope.number(name, f"{path}.value", grid),
        grid,
        _at(given["at"], f"{path}.at", scope, grid, name) if "at" in given else like.at if like else "end",
        _component(given, path, name) if "component" in given else like.component if like else 0,
        where,
        *_statistic(given, path, like),
    )


def read_number(given: Any, path: str) -> float:
    """A finite number.

    Raises:
        ValueError: naming the key's path.
    """
    check_kind(given, {"float"}, path)
    if not math.isfinite(given):
        raise ValueError(f"{path} must be a finite number, not {given}")
    return float(given)


def read_label(given: Mapping[str, Any], path: str, default: str) -> str:
    """What is called so in figures and tables: words under `label`."""
    label = given.get("label", default)
    check_kind(label, {"str"}, f"{path}.label")
    return label


def _at(given: Any, path: str, scope: Scope, grid: str, name: str) -> str | int | tuple[str, float]:
    if isinstance(given, Mapping):
        asked = table(given, path)
        if len(asked) != 1:
            raise ValueError(f"{path} must be one crossing, {{first_below = number}} say, or one curve, not {asked}")
        ((key, number),) = asked.items()
        if key not in CROSSINGS:
            _check_curve(key, f"{path}.{key}", scope, grid, name)
        return key, read_number(number, f"{path}.{key}")
    if type(given) is int and given >= 0:
        return given
    if given not in MOMENTS:
        raise ValueError(f"{path} must be a step, {', '.join(map(repr, MOMENTS))} or a crossing, not {given!r}")
    return given


def _check_curve(key: str, path: str, scope: Scope, grid: str, name: str) -> None:
    """Raise a ValueError unless a value can be taken where this curve first falls to a bound."""
    if get_close_matches(key, CROSSINGS):
        raise ValueError(f"{path}: there is no crossing {key!r}{nearest(key, CROSSINGS)}")
    if scope.number(key, path, grid) in (*COLUMNS, *VECTORS):
        raise ValueError(f"{path}: {key!r} is not one number at each step")
    if name in COLUMNS:
        raise ValueError(f"{path}: {name!r} is one number of the whole run; {{first_below = number}} gives steps")


def _component(given: Mapping[str, Any], path: str, name: str) -> int:
    component = given["component"]
    if type(component) is not int or component < 0:
        raise ValueError(f"{path}.component must be a whole number, 0 for the largest, not {component!r}")
    if name in COLUMNS:
        raise ValueError(f"{path}.component: {name!r} is one number")
    return component


def _statistic(given: Mapping[str, Any], path: str, like: Value | None) -> tuple[str, float | None]:
    statistic = given.get("statistic", like.statistic if like else "median")
    level = given.get("level", like.level if like else None)
    if statistic not in STATISTICS:
        raise ValueError(f"{path}.statistic: unknown {statistic!r}{nearest(str(statistic), STATISTICS)}")
    if statistic in SHARES:
        if level is None:
            raise ValueError(f"{path}.level is missing: the statistic {statistic} counts by it")
        read_number(level, f"{path}.level")
    elif "level" in given:
        raise ValueError(f"{path}.level is for the statistics {' and '.join(SHARES)}")
    return statistic, level


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
