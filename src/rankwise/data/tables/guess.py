"""What a text table does not say: whether its first line is a header and its first column holds labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# First columns of these names hold labels even if they look like numbers.
LABEL_NAMES = frozenset({"", "id", "index", "label", "name", "row", "key", "year", "date", "time"})
Column = Sequence[float | None]


def looks_like_header(cells: list[list[str]], numbers: Sequence[Column]) -> bool:
    """Whether the first line holds names.

    It does if a word stands in it above numbers, if it holds nothing but words (an empty first cell aside), or if
    it is a run of whole numbers: in equal steps beside an empty first cell or one of `LABEL_NAMES`, of years
    above words and numbers, or of years in equal steps, no other line being such a run.

    numbers: the columns, with NaN for holes and None for words.
    """
    if len(cells) < 2:
        return False
    for column in numbers:
        if column[0] is None and None not in column[1:] and not _all_nan(column[1:]):
            return True
    rest = [column[0] for column in numbers[1:]]
    if all(first is None for first in rest) and (numbers[0][0] is None or _is_nan(numbers[0][0])):
        return len(numbers) > 1
    if _named(cells[0][0]) and rest and _whole(rest) and _equal_steps(rest):
        return True
    return _years_above(numbers)


def looks_like_labels(column: Column, names: list[str] | None) -> bool:
    """Whether a first column holds labels: words; or numbers, none missing and none twice, that are named as
    `LABEL_NAMES` or go up or down in equal steps.
    """
    if None in column:
        return True
    if not column or any(_is_nan(x) for x in column) or len(set(column)) < len(column):
        return False
    if names is not None and _named(names[0]):
        return True
    return len(column) > 2 and _whole(column) and _equal_steps(column)


def _named(cell: str) -> bool:
    return cell.strip().lower() in LABEL_NAMES


def _years_above(numbers: Sequence[Column]) -> bool:
    """Whether the first line, and no other, is a run of years; beside words they need no equal steps."""
    beside = numbers[0][0] is None and None in numbers[0][1:]
    lines = list(zip(*(numbers[1:] if beside else numbers), strict=True))
    steady = beside or _is_run(lines[0], equal=True)
    return steady and _is_run(lines[0]) and not any(_is_run(line) for line in lines[1:])


def _is_run(line: Column, equal: bool = False) -> bool:
    """Whether what is seen of a line are years that only go up or only go down."""
    seen = [x for x in line if x is not None and not _is_nan(x)]
    if len(seen) < 2 or None in line or not _whole(seen) or not all(1000 <= x <= 2999 for x in seen):
        return False
    steps = np.diff(seen)
    return _equal_steps(seen) if equal else bool((steps > 0).all() or (steps < 0).all())


def _whole(numbers: Column) -> bool:
    return all(x is not None and float(x).is_integer() for x in numbers)


def _equal_steps(numbers: Column) -> bool:
    with np.errstate(over="ignore"):
        steps = np.diff(np.asarray(numbers, float))
    return len(steps) > 0 and steps[0] != 0 and bool((steps == steps[0]).all())


def _is_nan(number: float | None) -> bool:
    return number is not None and number != number


def _all_nan(numbers: Column) -> bool:
    return all(_is_nan(x) for x in numbers)
