"""Figures of a study as panels: the numbers of its folder where its file wants them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from rankwise.studies.figures import Figure, Published, Row
from rankwise.studies.folder import Entry, Folder
from rankwise.studies.records import FAILED
from rankwise.studies.scope import key
from rankwise.studies.shared import called, color_of, groups, is_number, lacking, spelled
from rankwise.studies.trajectories import trajectories
from rankwise.studies.values import SHARES, Value
from rankwise.theory.finding import Chart, Curve, Line, Panel

# At most so many panels beside one another; four of one row stand two by two.
ACROSS = 3
# How far points of one place in a row of names stand from one another.
APART = 0.12


@dataclass(frozen=True, eq=False)
class Sheet:
    """A figure to be drawn: panels in rows of `across` (None leaves a place empty), and what to say below them.

    cases: of how many cases of the study it is, on record or not.
    """

    name: str
    title: str
    caption: str
    panels: tuple[Panel | Chart | None, ...]
    across: int
    cases: int

    @property
    def has_content(self) -> bool:
        """Whether there is anything to draw yet."""
        charts = [panel for panel in self.panels if isinstance(panel, Chart)]
        curves = [curve for panel in self.panels if isinstance(panel, Panel) for curve in panel.curves]
        return bool(curves) or any(np.isfinite(chart.z).any() for chart in charts)


def draw_figure(figure: Figure, folder: Folder) -> Sheet:
    """The panels of a figure; places without any number stay empty."""
    if figure.kind == "map":
        made = [_maps(figure, folder)]
    else:
        made = [_row(figure, i, folder) for i in range(len(figure.rows))]
    if len(made) > 1 and not figure.panels:
        # One panel of each value: beside one another, under the title of the whole.
        made = [[replace(panel, title="") for row in made for panel in row]]
    made = [[replace(panel, title="" if i else panel.title) for panel in row] for i, row in enumerate(made)]
    count = max(map(len, made))
    across = _across(count, len(made))
    panels: list[Panel | Chart | None] = []
    for row in made:
        panels += [*row, *[None] * (-len(row) % across)]
    while panels and panels[-1] is None:
        panels.pop()
    cases = len(folder.select(figure.grid, figure.where))
    return Sheet(figure.name, figure.title, _caption(figure, folder), tuple(panels), across, cases)


def _across(count: int, rows: int) -> int:
    """How many panels stand beside one another: four of a single row two by two."""
    if count == 4:
        return 2 if rows == 1 else 4
    return max(min(count, ACROSS), 1)


def _row(figure: Figure, index: int, folder: Folder) -> list[Panel]:
    """One panel for each value of the figure's axis `panels`."""
    row = figure.rows[index]
    entries = folder.select(row.value.grid, row.value.where)
    series = [value for value, _ in groups(figure.series, entries, folder)]
    ticks: list[str] = []
    label = figure.x_label or figure.x.replace("_", " ")
    if figure.kind == "lines":
        folder.expect(entries, row.value)
        label = figure.x_label or folder.label(figure.x)
        places = folder.values(figure.x, entries)
        ticks = [] if all(is_number(value) for value in places) else [spelled(value) for value in places]
    panels = []
    for value, inside in groups(figure.panels, entries, folder):
        here = {figure.panels: key(value)} if figure.panels else {}
        curves = []
        for one, own in groups(figure.series, inside, folder):
            k = series.index(one)
            if figure.kind == "lines":
                curves.append(_line(figure, row, series, k, own, ticks, folder))
            else:
                curves += trajectories(figure, row, series, k, own, folder)
        for given in figure.published:
            if given.row == index and _agree(given.where, here) and _has_series(figure, given, series):
                curves.append(_points(figure, given, series, ticks, folder))
        title = called(figure.panels, value, folder) if figure.panels else figure.title
        shown, lines = tuple(one for one in curves if len(one.x)), _lines(figure, index, here, series, folder)
        ranges = figure.x_range, figure.y_range
        panels.append(Panel(title, label, row.label, shown, cast(Any, figure.log), lines, tuple(ticks), *ranges))
    return panels


def _has_series(figure: Figure, given: Published, series: Sequence[Any]) -> bool:
    """Whether published numbers are of a series that this version of the study has, or of none."""
    chosen = given.where.get(figure.series)
    return chosen is None or not {key(value) for value in series}.isdisjoint(chosen)


def _agree(where: dict[str, tuple[str, ...]], here: dict[str, str]) -> bool:
    return all(value in where.get(axis, (value,)) for axis, value in here.items())


def _line(
    figure: Figure, row: Row, series: Sequence[Any], k: int, entries: Sequence[Entry], ticks: Sequence[str],
    folder: Folder,
) -> Curve:  # fmt: skip
    """The statistic against an axis, with the band from the least to the greatest of the median and the mean."""
    x, y, low, high = [], [], [], []
    for at, own in groups(figure.x, entries, folder):
        numbers = folder.numbers(own, row.value)
        middle = row.value.over(numbers) if numbers else None
        if middle is None or ("y" in figure.log and middle <= 0):
            continue
        kept = [one for one in numbers if one is not None and (one > 0 or "y" not in figure.log)]
        x.append(ticks.index(spelled(at)) + _aside(k, len(series)) if ticks else figure.x_factor * at)
        y.append(middle)
        low.append(min(kept, default=middle))
        high.append(max(kept, default=middle))
    banded = row.value.statistic in ("median", "mean") and any(a < b for a, b in zip(low, high, strict=True))
    label = called(figure.series, series[k], folder) if figure.series else ""
    style = "points" if ticks else "dots"
    return Curve(label, x, y, style, (low, high) if banded else None, color_of(series, k))


def _aside(k: int, many: int) -> float:
    """How far the k-th of so many points stands from the middle of its place."""
    return APART * (k - (many - 1) / 2)


def _points(figure: Figure, given: Published, series: Sequence[Any], ticks: Sequence[str], folder: Folder) -> Curve:
    """Published numbers, in the color of the series they belong to."""
    label, shift, color = given.label, 0.0, ""
    chosen, keys = given.where.get(figure.series, ()), [key(value) for value in series]
    if figure.series and len(chosen) == 1 and chosen[0] in keys:
        k = keys.index(chosen[0])
        label, color = f"{called(figure.series, series[k], folder)} (published)", color_of(series, k)
        shift = _aside(k, len(series))
    pairs = [(ticks.index(spelled(a)) + shift if ticks else a, b) for a, b in zip(given.x, given.y, strict=True)
             if not ticks or spelled(a) in ticks]  # fmt: skip
    return Curve(label, [a for a, _ in pairs], [b for _, b in pairs], "open", None, color)


def _lines(figure: Figure, index: int, here: dict[str, str], series: Sequence[Any], folder: Folder) -> tuple[Line, ...]:
    """Levels to compare with in this panel, and lines at given places."""
    made = []
    for reference in figure.references:
        if (value := reference.values.get(index)) is not None:
            made += _levels(figure, reference.label, value, here, series, folder)
    for mark in figure.marks:
        if mark.row in (None, index) and _agree(mark.where, here):
            made.append(Line(mark.label, mark.at, mark.upright))
    return tuple(made)


def _levels(
    figure: Figure, label: str, value: Value, here: dict[str, str], series: Sequence[Any], folder: Folder
) -> list[Line]:
    """The value of another grid: of the panel and of each series where that grid has these axes."""
    axes = folder.grids.get(value.grid, ())
    where = value.where | {axis: (one,) for axis, one in here.items() if axis in axes}
    each: list[tuple[str, dict[str, tuple[str, ...]]]] = [("", {})]
    if figure.series in axes and figure.series not in value.where:
        each = [(called(figure.series, one, folder), {figure.series: (key(one),)}) for one in series]
    made = []
    for name, more in each:
        level = value.over(folder.numbers(folder.select(value.grid, where | more), value))
        if level is not None and (level > 0 or "y" not in figure.log):
            made.append(Line(label, level, name=name))
    return made


def _maps(figure: Figure, folder: Folder) -> list[Chart]:
    """One map for each value of the figure's axis `panels`, all on one scale."""
    value, log = figure.rows[0].value, bool(figure.log)
    entries = folder.select(value.grid, value.where)
    folder.expect(entries, value)
    across, upward = folder.values(figure.x, entries), folder.values(figure.y, entries)
    names = [figure.x_factor * one if is_number(one) else spelled(one) for one in across]
    labels = figure.x_label or folder.label(figure.x), figure.y_label or folder.label(figure.y)
    made = []
    for panel, inside in groups(figure.panels, entries, folder):
        z = np.full((len(upward), len(across)), np.nan)
        for at, own in groups(figure.y, inside, folder):
            for one, cell in groups(figure.x, own, folder):
                number = value.over(numbers) if (numbers := folder.numbers(cell, value)) else None
                if number is not None and (number > 0 or not log):
                    z[upward.index(at), across.index(one)] = number
        title = called(figure.panels, panel, folder) if figure.panels else figure.title
        made.append(
            Chart(
                title,
                *labels,
                names,
                [one if is_number(one) else spelled(one) for one in upward],
                z,
                figure.rows[0].label,
                log,
            )
        )
    limits = figure.limits or _limits(value, [chart.z for chart in made])
    return [replace(chart, limits=limits) for chart in made]


def _limits(value: Value, many: Sequence[np.ndarray]) -> tuple[float, float] | None:
    """The ends of the color scale: 0 and 1 for shares, else the least and the greatest number of all maps."""
    if value.statistic in SHARES:
        return 0.0, 1.0
    kept = np.concatenate([z[np.isfinite(z)] for z in many]) if many else np.array([])
    return (float(kept.min()), float(kept.max())) if len(kept) and kept.min() < kept.max() else None


def _caption(figure: Figure, folder: Folder) -> str:
    """What the figure's file says, over how many runs each number is, and what is missing."""
    entries = folder.select(figure.grid, figure.where)
    done = [entry for entry in entries if entry.address in folder.rows]
    axes = [figure.x, figure.y, figure.panels, figure.series]
    rest = [axis for axis in folder.grids.get(figure.grid, ()) if axis not in axes]
    mixed = [(axis, len(folder.values(axis, entries))) for axis in rest]
    told = " and ".join(f"{count} {_many(axis, folder)}" for axis, count in mixed if count > 1)
    statistic = figure.rows[0].value.statistic
    words = [figure.caption] if figure.caption else []
    if told and figure.first:
        words.append(f"Each curve is the first of its runs ({told}).")
    elif told:
        bands = "; bands reach from the least to the greatest" if statistic in ("median", "mean") else ""
        words.append(f"{WORDS[statistic]} over {told}{bands if figure.kind != 'map' else ''}.")
    if figure.published:
        labels = dict.fromkeys("published numbers" if p.label == "published" else p.label for p in figure.published)
        words.append(f"Open markers: {', '.join(labels)}.")
    if len(done) < len(entries):
        words.append(f"{lacking(len(done), len(entries)).capitalize()}.")
    if failed := sum(folder.rows[entry.address]["result"] == FAILED for entry in done):
        words.append(f"{failed} of its {len(entries)} cases failed.")
    return " ".join(words)


WORDS = {
    "median": "Median", "mean": "Mean", "min": "The least", "max": "The greatest", "share_below": "Share",
    "share_above": "Share", "count": "Number",
}  # fmt: skip


def _many(axis: str, folder: Folder) -> str:
    return "seeds" if axis == "seed" else f"values of {folder.label(axis)}"
