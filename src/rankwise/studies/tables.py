"""Tables of a study: one value against one or two axes, or several values against one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rankwise.spec.reading import check_kind, refuse_unknown, section
from rankwise.studies.scope import Scope, key
from rankwise.studies.shared import spelled
from rankwise.studies.values import KEYS as VALUE_KEYS
from rankwise.studies.values import Value, read_label, read_value

if TYPE_CHECKING:
    from rankwise.studies.folder import Folder

KEYS = ("title", "caption", "rows", "columns", "values", "digits", *VALUE_KEYS)
# What `columns` says in place of an axis where each column is a value of its own.
BY_VALUE = "value"
# Whole numbers below it are written without an exponent.
LONGEST = 1e9


@dataclass(frozen=True)
class Table:
    """A table: an axis downwards, and across it another axis (`columns`) or several values."""

    title: str
    caption: str
    rows: str
    columns: str
    values: tuple[Value, ...]
    labels: tuple[str, ...]
    digits: int


def read_table(given: Mapping[str, Any], path: str, scope: Scope) -> Table:
    """The table that a table of keys describes.

    Raises:
        ValueError: naming the key's path.
    """
    refuse_unknown(given, KEYS, f"{path}.")
    for name in ("title", "caption"):
        check_kind(given.get(name, ""), {"str"}, f"{path}.{name}")
    digits = given.get("digits", 3)
    if type(digits) is not int or not 1 <= digits <= 17:
        raise ValueError(f"{path}.digits must be an integer from 1 to 17, not {digits!r}")
    grid = scope.grid(given.get("grid"), f"{path}.grid")
    rows = scope.axis(section(given, "rows", f"{path}."), f"{path}.rows", grid)
    columns = given.get("columns", BY_VALUE)
    shared = {name: given[name] for name in VALUE_KEYS if name in given and name != "value"}
    if columns != BY_VALUE:
        scope.axis(columns, f"{path}.columns", grid)
        if columns == rows:
            raise ValueError(f"{path}.columns: {columns!r} is the axis of the rows already")
        if "values" in given:
            raise ValueError(f'{path}.values is for columns = "value"; here `value` is needed')
        value = read_value({"value": section(given, "value", f"{path}."), **shared}, path, scope)
        return Table(given.get("title", ""), given.get("caption", ""), rows, columns, (value,), (value.words,), digits)
    listed = given.get("values", [given["value"]] if "value" in given else None)
    if not isinstance(listed, list) or not listed:
        raise ValueError(f"{path} needs `values`, a list of what its columns are")
    values, labels = [], []
    for i, one in enumerate(listed):
        place = f"{path}.values[{i}]"
        own = one if isinstance(one, Mapping) else {"value": one}
        refuse_unknown(own, (*VALUE_KEYS, "label"), f"{place}.")
        values.append(read_value({**shared, **own}, place, scope))
        labels.append(read_label(own, place, values[-1].words))
    return Table(
        given.get("title", ""), given.get("caption", ""), rows, "", tuple(values), tuple(labels), digits
    )  # fmt: skip


def fill_table(table: Table, folder: Folder) -> dict[str, Any]:
    """The numbers of a table, None where there is none, with heads in words."""
    first = table.values[0]
    entries = folder.select(first.grid, first.where)
    rows = folder.values(table.rows, entries)
    if table.columns:
        across = folder.values(table.columns, entries)
        head = [f"{folder.label(table.columns)} {spelled(one)}" for one in across]
        chosen = [(first, {table.columns: (key(one),)}) for one in across]
    else:
        head, chosen = list(table.labels), [(value, {}) for value in table.values]
    cells = [[_cell(value, {table.rows: (key(row),)} | more, folder) for value, more in chosen] for row in rows]
    return {
        "title": table.title, "caption": table.caption, "corner": folder.label(table.rows),
        "value": first.words if table.columns else "", "statistic": first.statistic, "head": head,
        "rows": [spelled(row) for row in rows], "cells": cells, "digits": table.digits,
        "counts": [_whole(column) for column in zip(*cells, strict=True)] if cells else [False] * len(head),
    }  # fmt: skip


def _whole(column: Iterable[float | None]) -> bool:
    """Whether all numbers of a column are whole ones, such as counts, and short enough to be written out."""
    return all(number is None or (abs(number) < LONGEST and number == int(number)) for number in column)


def _cell(value: Value, more: dict[str, tuple[str, ...]], folder: Folder) -> float | None:
    numbers = folder.numbers(folder.select(value.grid, value.where | more), value)
    return value.over(numbers) if numbers else None
