"""What the figures of a study are to show, as its file says: checked before anything runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from rankwise.registry import nearest
from rankwise.spec.reading import check_kind, refuse_unknown, section, table, words
from rankwise.studies.scope import Scope
from rankwise.studies.shared import is_number
from rankwise.studies.values import KEYS as VALUE_KEYS
from rankwise.studies.values import VECTORS, Value, read_label, read_number, read_value

COMMON = (
    "name", "title", "caption", "kind", "x", "x_label", "x_factor", "panels", "where", "grid", "log", "statistic",
    "level",
)  # fmt: skip
AGAINST = ("y", "y_label", "y_labels", "series", "x_range", "y_range", "horizontal", "vertical", "published")
KINDS = {
    "lines": (*COMMON, *AGAINST, "value", "at", "component", "references"),
    "curves": (*COMMON, *AGAINST, "components"),
    "map": (*COMMON, "y", "y_label", "value", "at", "component", "value_label", "limits"),
}
LOGS = ("", "x", "y", "xy")
# Components of a vector that are drawn unless told otherwise.
COMPONENTS = 10


@dataclass(frozen=True)
class Row:
    """One row of panels: what is drawn, and what its axis is called."""

    value: Value
    label: str


@dataclass(frozen=True)
class Reference:
    """A level to compare with: the value of another grid, by the figure's rows that it belongs to."""

    label: str
    values: dict[int, Value]


@dataclass(frozen=True)
class Mark:
    """A line across panels at a given place; x: whether it stands upright. where: the panels it is in."""

    label: str
    at: float
    upright: bool
    where: dict[str, tuple[str, ...]]
    row: int | None


@dataclass(frozen=True)
class Published:
    """Numbers of a paper, in the units of the figure; where: the series and panel they belong to."""

    label: str
    x: tuple[Any, ...]
    y: tuple[float, ...]
    where: dict[str, tuple[str, ...]]
    row: int


@dataclass(frozen=True)
class Figure:
    """A figure: kind, axes, and its rows of panels; `y` is an axis for maps only.

    first: of several runs a curve is that of the first, not the statistic over them.
    """

    name: str
    title: str
    caption: str
    kind: str
    x: str
    x_label: str
    x_factor: float
    rows: tuple[Row, ...]
    y: str = ""
    y_label: str = ""
    panels: str = ""
    series: str = ""
    log: str = ""
    components: int = 1
    first: bool = False
    references: tuple[Reference, ...] = ()
    marks: tuple[Mark, ...] = ()
    published: tuple[Published, ...] = ()
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    limits: tuple[float, float] | None = None

    @property
    def grid(self) -> str:
        """The grid it is drawn from."""
        return self.rows[0].value.grid

    @property
    def where(self) -> dict[str, tuple[str, ...]]:
        """What its cases must have."""
        return self.rows[0].value.where


def read_figure(given: Mapping[str, Any], path: str, scope: Scope) -> Figure:
    """The figure that a table of keys describes.

    Raises:
        ValueError: naming the key's path.
    """
    kind = section(given, "kind", f"{path}.")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"{path}.kind: unknown {kind!r}{nearest(str(kind), KINDS)}")
    refuse_unknown(given, KINDS[kind], f"{path}.")
    for key in ("title", "caption", "x_label", "y_label", "value_label"):
        check_kind(given.get(key, ""), {"str"}, f"{path}.{key}")
    if read_number(given.get("x_factor", 1.0), f"{path}.x_factor") <= 0:
        raise ValueError(f"{path}.x_factor must be positive, not {given['x_factor']}")
    if given.get("log", "") not in LOGS:
        raise ValueError(f"{path}.log must be {', '.join(map(repr, LOGS))}, not {given['log']!r}")
    name = given.get("name", path.replace("[", "_").replace("]", "").replace("figures", "figure"))
    if not isinstance(name, str) or not re.fullmatch(r"[\w-]+", name):
        raise ValueError(f"{path}.name becomes the name of a file: letters, digits, _ and - only, not {name!r}")
    grid = scope.grid(given.get("grid"), f"{path}.grid")
    rows = _rows(given, path, scope, grid, kind)
    x = section(given, "x", f"{path}.")
    if kind == "curves":
        x = "steps" if x == "steps" else scope.number(x, f"{path}.x", grid)
    else:
        x = scope.axis(x, f"{path}.x", grid)
    made = Figure(
        name, given.get("title", ""), given.get("caption", ""), kind, x, given.get("x_label", ""),
        float(given.get("x_factor", 1.0)), rows, y_label=given.get("y_label", ""), log=given.get("log", ""),
        panels=_axis(given, "panels", path, scope, grid), series=_axis(given, "series", path, scope, grid),
        first=kind == "curves" and "statistic" not in given,
        components=_components(given, path, rows) if kind == "curves" else 1,
        x_range=_ends(given, "x_range", path), y_range=_ends(given, "y_range", path),
        limits=_ends(given, "limits", path),
    )  # fmt: skip
    if kind == "map":
        made = replace(made, y=scope.axis(section(given, "y", f"{path}."), f"{path}.y", grid))
    _refuse_axis_twice(made, path)
    if kind == "map":
        return made
    return replace(
        made,
        references=tuple(_reference(*each, rows, scope) for each in _tables(given, "references", path)),
        marks=tuple(
            _mark(one, place, key == "vertical", made, scope)
            for key in ("horizontal", "vertical")
            for one, place in _tables(given, key, path)
        ),
        published=tuple(_published(*each, made, scope) for each in _tables(given, "published", path)),
    )


def _refuse_axis_twice(figure: Figure, path: str) -> None:
    """Refuse an axis that is to be two things at once, of which each would show one case only."""
    met: dict[str, str] = {}
    for role in ("x", "y", "panels", "series"):
        axis = getattr(figure, role)
        if axis and (role != "x" or figure.kind != "curves") and (other := met.setdefault(axis, role)) != role:
            raise ValueError(f"{path}.{role}: {axis!r} is its {other} already")


def _rows(given: Mapping[str, Any], path: str, scope: Scope, grid: str, kind: str) -> tuple[Row, ...]:
    """What is drawn: `value`, or `y`: a name, a table of value keys, or a list of these."""
    shared = {key: given[key] for key in VALUE_KEYS if key in given and key != "value"} | {"grid": grid}
    if kind == "map" or "value" in given:
        if kind != "map" and "y" in given:
            raise ValueError(f"{path} has value and y, which say the same: one of them must go")
        value = read_value({"value": section(given, "value", f"{path}."), **shared}, path, scope)
        return (Row(value, given.get("value_label" if kind == "map" else "y_label", value.words)),)
    listed = section(given, "y", f"{path}.")
    several = isinstance(listed, list)
    listed = listed if several else [listed]
    if not listed:
        raise ValueError(f"{path}.y is empty, so there is nothing to draw")
    labels = given.get("y_labels", [given["y_label"]] if "y_label" in given else [])
    if labels and len(words(labels, f"{path}.y_labels")) != len(listed):
        raise ValueError(f"{path}: there are {len(listed)} values y and {len(labels)} labels")
    rows = []
    for i, one in enumerate(listed):
        place = f"{path}.y[{i}]" if several else f"{path}.y"
        own = one if isinstance(one, Mapping) else {"value": one}
        refuse_unknown(own, (*VALUE_KEYS, "label"), f"{place}.")
        if own is not one:
            scope.number(one, place, grid)
        value = read_value({**shared, **own}, place.removesuffix(".y"), scope)
        label = read_label(own, place, _curve_words(value, kind))
        rows.append(Row(value, labels[i] if labels else label))
    return tuple(rows)


def _curve_words(value: Value, kind: str) -> str:
    """A whole curve or vector is drawn, not one component at one moment."""
    return value.name.replace("_", " ") if kind == "curves" else value.words


def _axis(given: Mapping[str, Any], key: str, path: str, scope: Scope, grid: str) -> str:
    return scope.axis(given[key], f"{path}.{key}", grid) if key in given else ""


def _components(given: Mapping[str, Any], path: str, rows: tuple[Row, ...]) -> int:
    count = given.get("components", COMPONENTS)
    if type(count) is not int or count < 1:
        raise ValueError(f"{path}.components must be an integer of at least 1, not {count!r}")
    if "components" in given and not any(row.value.name in VECTORS for row in rows):
        raise ValueError(f"{path}.components: {rows[0].value.name!r} is one number a step")
    return count


def _ends(given: Mapping[str, Any], key: str, path: str) -> tuple[float, float] | None:
    """The ends of an axis or scale, which must be positive where it is logarithmic."""
    if key not in given:
        return None
    ends = given[key]
    if not isinstance(ends, list) or len(ends) != 2 or not all(type(end) in (int, float) for end in ends):
        raise ValueError(f"{path}.{key} must be two numbers, not {ends!r}")
    for end in ends:
        read_number(end, f"{path}.{key}")
    if not ends[0] < ends[1]:
        raise ValueError(f"{path}.{key}: {ends[0]} is not below {ends[1]}")
    if ends[0] <= 0 and (key[0] in given.get("log", "") or (key == "limits" and given.get("log"))):
        raise ValueError(f"{path}.{key} must be positive on a logarithmic scale, not {ends}")
    return float(ends[0]), float(ends[1])


def _tables(given: Mapping[str, Any], key: str, path: str) -> list[tuple[dict[str, Any], str]]:
    listed = given.get(key, [])
    if not isinstance(listed, list):
        raise ValueError(f"{path}.{key} must be a list of tables, not {listed!r}")
    return [(table(one, f"{path}.{key}[{i}]"), f"{path}.{key}[{i}]") for i, one in enumerate(listed)]


def _row(given: Mapping[str, Any], path: str, rows: tuple[Row, ...], default: int | None) -> int | None:
    """Which row of panels a `row = "effective_rank"` means."""
    if "row" not in given:
        return default
    names = [row.value.name for row in rows]
    if given["row"] not in names:
        raise ValueError(f"{path}.row: the figure has no row {given['row']!r}{nearest(str(given['row']), names)}")
    return names.index(given["row"])


def _reference(given: dict[str, Any], path: str, rows: tuple[Row, ...], scope: Scope) -> Reference:
    refuse_unknown(given, ("label", "row", *VALUE_KEYS), f"{path}.")
    label = section(given, "label", f"{path}.")
    check_kind(label, {"str"}, f"{path}.label")
    row = _row(given, path, rows, 0 if "value" in given else None)
    chosen = range(len(rows)) if row is None else [row]
    return Reference(label, {i: read_value(given, path, scope, like=rows[i].value) for i in chosen})


def _mark(given: dict[str, Any], path: str, upright: bool, figure: Figure, scope: Scope) -> Mark:
    letter = "x" if upright else "y"
    refuse_unknown(given, (letter, "label", "where", "row"), f"{path}.")
    at = _on_axis(section(given, letter, f"{path}."), f"{path}.{letter}", letter in figure.log)
    where = scope.where(given.get("where", {}), f"{path}.where", figure.grid)
    row = _row(given, path, figure.rows, None if upright else 0)
    return Mark(read_label(given, path, ""), at, upright, where, row)


def _on_axis(given: Any, path: str, log: bool) -> float:
    """A number that has a place on an axis."""
    number = read_number(given, path)
    if log and number <= 0:
        raise ValueError(f"{path} must be positive on a logarithmic scale, not {given}")
    return number


def _published(given: dict[str, Any], path: str, figure: Figure, scope: Scope) -> Published:
    refuse_unknown(given, ("label", "where", "x", "y", "row"), f"{path}.")
    label = read_label(given, path, "published")
    x, y = section(given, "x", f"{path}."), section(given, "y", f"{path}.")
    for letter, values in (("x", x), ("y", y)):
        if not isinstance(values, list) or not values:
            raise ValueError(f"{path}.{letter} must be a list of numbers, not {values!r}")
    if len(x) != len(y) or any(type(one) not in (int, float) for one in y):
        raise ValueError(f"{path}: x and y must be lists of as many numbers")
    axis = scope.axes.get(figure.x) if figure.kind == "lines" else None
    words_on_x = axis is not None and not all(map(is_number, axis.values))
    for letter, values in (("x", [] if words_on_x else x), ("y", y)):
        for one in values:
            _on_axis(one, f"{path}.{letter}", letter in figure.log)
    where = scope.where(given.get("where", {}), f"{path}.where", figure.grid)
    return Published(label, tuple(x), tuple(map(float, y)), where, _row(given, path, figure.rows, 0) or 0)
