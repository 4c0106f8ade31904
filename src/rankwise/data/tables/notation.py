"""How a text table writes its numbers: the decimal sign, what separates thousands, and what stands for a hole."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rankwise.data.tables.holes import HOLES, SENTINELS
from rankwise.data.tables.sheet import NUMBER, Sheet

SIGNS = {",": "comma", ".": "point"}
OTHER = {",": ".", ".": ","}
WHOLE = re.compile(r"[+-]?\d+")
# One to three digits, groups of three after the sign, and perhaps decimals after the other sign.
GROUPED = {
    sign: re.compile(rf"[+-]?[1-9]\d{{0,2}}(?:{re.escape(sign)}\d{{3}})+(?:{re.escape(other)}\d*)?")
    for sign, other in OTHER.items()
}
# How many times as large, in the median, whole numbers are as those with a sign read as decimals: from the first on
# these look like thousands, up to the second like decimals.
FAR, NEAR = 100, 10
DECIMAL_NOTE = "the decimal sign is taken to be the comma"


@dataclass(frozen=True)
class Notation:
    """How numbers are written.

    thousands: the sign between groups of three digits, "" if none. marks: words, in lower case, and numbers that
    stand for holes besides `HOLES`. notes: what was guessed, a sentence each.
    """

    decimal: str = "."
    thousands: str = ","
    marks: frozenset[str | float] = frozenset()
    notes: tuple[str, ...] = ()

    def number(self, cell: str) -> float | None:
        """The number in a cell, NaN for a hole, None for words."""
        mark = _plain(cell)
        if mark in HOLES or mark in self.marks:
            return float("nan")
        number = self._number(mark)
        return float("nan") if number in self.marks else number

    def _number(self, cell: str) -> float | None:
        if self.thousands and self.thousands in cell:
            if not GROUPED[self.thousands].fullmatch(cell):
                return None
            cell = cell.replace(self.thousands, "")
        try:
            return None if "_" in cell else float(cell.replace(self.decimal, "."))
        except ValueError:
            return None

    def text(self, number: Any) -> str:
        """A number in at most 12 significant digits, thousands not set apart."""
        return f"{float(number):.12g}".replace(".", self.decimal)

    def counted(self, cells: Collection[str]) -> dict[str | float, int]:
        """In how many cells each of the `marks` stands."""
        counts: dict[str | float, int] = dict.fromkeys(self.marks, 0)
        for cell in cells if counts else ():
            mark = _plain(cell)
            key = mark if mark in counts else self._number(mark)
            if key is not None and key in counts:
                counts[key] += 1
        return counts


def notation_of(sheet: Sheet, name: str, told: Notation | None, marks: frozenset[str | float]) -> Notation:
    """How the numbers of a sheet are written; `told` are signs that a user gave.

    A sign is the decimal one where it shows itself: not between a leading digit other than 0 and groups of three
    (1.5, 0.125). It separates thousands where it stands twice in a number or before the decimal sign (1,043,500;
    1,043.5), or where the other sign shows itself as the decimal one. What is left, all of it like 1.043, is told by
    the whole numbers of the same columns and by the delimiter: see `_separates`.

    Raises:
        ValueError: if that tells nothing, or one thing and its contrary.
    """
    if told is not None:
        return replace(told, marks=marks)
    columns = list(zip(*sheet.texts, strict=True))
    point, comma = (_uses(columns, sign) for sign in ".,")
    if "decimal" in point or {"decimal", "thousands"} <= comma.keys():
        mixed = "decimal" in comma
        notes = () if mixed or not ({"thousands", "open"} & comma.keys()) else (_thousands_note(","),)
        return Notation(".", "" if mixed else ",", marks, notes)
    if "decimal" in comma:
        notes = (_thousands_note("."),) if {"thousands", "open"} & point.keys() else ()
        return Notation(",", ".", marks, (DECIMAL_NOTE, *notes))
    for sign, uses in ((".", point), (",", comma)):
        if "thousands" in uses:
            return Notation(OTHER[sign], sign, marks, (_thousands_note(sign),))
    for sign, uses in ((",", comma), (".", point)):
        if "open" in uses:
            return replace(_guessed(columns, uses["open"], sign, sheet.delimiter, name, marks), marks=marks)
    return Notation(marks=marks)


def _guessed(
    columns: list[tuple[str, ...]], places: list[int], sign: str, delimiter: str, name: str, marks: Collection[Any]
) -> Notation:
    """What a sign means of which every cell is like 1.043, in the columns of these places."""
    ratios, largest, holes = [], 0.0, {0.0, *SENTINELS, *marks}
    for j in places:
        decimals = [abs(float(cell.replace(sign, "."))) for cell in columns[j] if GROUPED[sign].fullmatch(cell.strip())]
        wholes = [float(cell) for cell in columns[j][1:] if WHOLE.fullmatch(cell.strip())]
        wholes = [abs(whole) for whole in wholes if whole not in holes]
        if wholes:
            ratios.append(float(np.median(wholes) / np.median(decimals)))
            largest = max(largest, *wholes)
    separates = _separates(sign, delimiter, max(ratios, default=None), largest >= 1000)
    shown = next(cell.strip() for cell in columns[places[0]] if sign in cell)
    if separates is None:
        raise ValueError(
            f"{name}: the {SIGNS[sign]} in {shown!r} may separate thousands or be the decimal sign: "
            f"say --thousands {sign} or --decimal {sign}"
        )
    if separates:
        note = f"{_thousands_note(sign)}, as in {shown!r}; --decimal {sign} if it does not"
        return Notation(OTHER[sign], sign, notes=(note,))
    note = f"the decimal sign is taken to be the {SIGNS[sign]}, as in {shown!r}; --thousands {sign} if it is not"
    return Notation(sign, OTHER[sign], notes=(note,))


def _separates(sign: str, delimiter: str, ratio: float | None, ungrouped: bool) -> bool | None:
    """Whether a sign separates thousands; None if that cannot be told.

    ratio: how many times as large as its numbers, read as decimals, the whole numbers of the same column are, in the
    median, and the largest such ratio. ungrouped: whether one of these is 1000 or more.

    It does where the ratio is at least `FAR`, so that thousands are of the size of the whole numbers, and where it is a
    comma in quotes between commas; unless one of 1000 or more goes without the sign. Otherwise such a one tells that it
    does not, or a ratio of at most `NEAR`; and else the custom: between semicolons the comma is the decimal sign,
    between other delimiters the point.
    """
    if sign == delimiter or (ratio is not None and ratio >= FAR):
        return None if ungrouped else True
    if ungrouped or (ratio is not None and ratio <= NEAR):
        return False
    return False if (sign == ",") == (delimiter == ";") else None


def _uses(columns: list[tuple[str, ...]], sign: str) -> dict[str, list[int]]:
    """What a sign is in some cells ("decimal", "thousands", or "open" to be either), and in which columns.

    Columns of words, which are no data, cannot tell that it separates thousands.
    """
    uses: dict[str, list[int]] = {}
    for j, column in enumerate(columns):
        kinds = {_use(cell.strip(), sign) for cell in column if sign in cell} - {""}
        if kinds - {"decimal"} and not all(
            _plain(cell) in HOLES or NUMBER.fullmatch(_plain(cell)) for cell in column[1:]
        ):
            kinds &= {"decimal"}
        for kind in kinds:
            uses.setdefault(kind, []).append(j)
        if sign == "." and "decimal" in kinds:
            break  # nothing else about it matters
    return uses


def _use(cell: str, sign: str) -> str:
    """What a sign is in one cell, "" if that is no number."""
    if GROUPED[sign].fullmatch(cell):
        return "thousands" if cell.count(sign) > 1 or OTHER[sign] in cell else "open"
    if cell.count(sign) > 1 or not NUMBER.fullmatch(cell):
        return ""
    return "decimal" if Notation(sign, OTHER[sign])._number(cell) is not None else ""


def _thousands_note(sign: str) -> str:
    return f"the {SIGNS[sign]} is taken to separate thousands"


def _plain(cell: str) -> str:
    return cell.strip().lower()
