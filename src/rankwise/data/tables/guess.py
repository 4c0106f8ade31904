"""What a table does not say: whether its first line is a header and its first column holds labels."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from rankwise.data.tables.base import shortened

# First columns of these names hold labels even if they look like numbers.
LABEL_NAMES = frozenset({"", "id", "index", "label", "name", "row", "key", "year", "date", "time"})
# The same where the numbers are whole: names that end in "id" as a word of its own (sample_id, userId), and these.
ENDS_IN_ID = re.compile(r"(.*[^A-Za-z])?[iI][dD]|.*[a-z]I[dD]", re.DOTALL)
NUMBER_NAMES = frozenset({"timestamp", "datetime", "code", "number", "no", "nr", "#"})
# So many columns are named in notes of one kind.
MOST_NOTES = 5
# So many numbers that go up are names rather than chance.
MANY = 5
Column = Sequence[float | None]


def looks_like_header(cells: list[list[str]], numbers: Sequence[Column]) -> bool:
    """Whether the first line holds names.

    It does if a word stands in it above numbers, if it holds nothing but words (an empty first cell aside), or if
    it is a run of numbers: different ones beside an empty cell above words; whole ones in equal steps beside one
    of `LABEL_NAMES`, or beside an empty cell above a counter; `MANY` or more whole ones going up beside a word
    above words, as hardly any other line does; years above words and numbers, or years in equal steps, no other
    line being such a run. An empty first cell above mere numbers may be a hole: it is no sign by itself.

    numbers: the columns, with NaN for holes and None for words.
    """
    if len(cells) < 2:
        return all(column[0] is None for column in numbers)
    for column in numbers:
        if column[0] is None and None not in column[1:] and not _all_nan(column[1:]):
            return True
    rest = [column[0] for column in numbers[1:]]
    if all(first is None for first in rest) and (numbers[0][0] is None or _is_nan(numbers[0][0])):
        return len(numbers) > 1
    if not rest or any(first is None or _is_nan(first) for first in rest):
        return _years_above(numbers)
    below = numbers[0][1:]
    if not cells[0][0].strip():
        return _names_beside_blank(rest, below) or _years_above(numbers)
    if _named(cells[0][0]) and _whole(rest) and _equal_steps(rest):
        return True
    return _years_above(numbers) or (numbers[0][0] is None and None in below and _alone_goes_up(numbers))


def looks_like_labels(column: Column, names: list[str] | None) -> bool:
    """Whether a first column holds labels: words; or numbers, none missing and none twice, that are named as
    `LABEL_NAMES`, whole and named as `NUMBER_NAMES` or as something's id; or that count rows, as numbers do that go up
    by one from 1, 101, 1001, ... (from 0 too, where there is no header), and years one after another. Other numbers
    in equal steps may be temperatures or doses, and are data.
    """
    if None in column:
        return True
    if not column or any(_is_nan(x) for x in column) or len(set(column)) < len(column):
        return False
    if names is not None and (_named(names[0]) or (_whole(column) and _numbered(names[0]))):
        return True
    return _is_steady(column) and _counts_rows(column, names is not None)


def choose_labels(
    names: list[str], first: Column | None, words: Sequence[int], given: bool | None, flags: bool = True
) -> tuple[int | None, tuple[str, ...]]:
    """Which column of a table with typed columns holds the row labels, and what a reader should be told about it.

    The first, if its numbers (`first`; None if it has none) look like labels; else the first column of `words`.
    given: whether it is the first column, if this is known. flags: whether a reader has options to set this by.
    """
    if given is not None:
        return (0 if given else None), ()
    if first is None or len(names) < 2:
        return (words[0] if words else None), ()
    taken = looks_like_labels(first, names)
    return (0 if taken else words[0] if words else None), labels_notes(names[0], first, taken, flags)


def labels_notes(name: str, column: Column, taken: bool, flags: bool = True) -> tuple[str, ...]:
    """What to say of numbers in a first column, of this name or none: that they were taken for labels, or that they
    were not although `MANY` or more go in equal steps.
    """
    if None in column or not (taken or (len(column) >= MANY and _is_steady(column))):
        return ()
    where = f"column {shortened(name)!r}" if name.strip() else "the first column"
    if taken:
        remedy = "--no-labels if they are data" if flags else "put another column first if they are data"
        return (f"the numbers in {where} are taken for row labels, not for data; {remedy}",)
    return (f"the numbers in {where} are taken for data; --labels if they name the rows",) if flags else ()


def left_out(name: str, why: str, holes: bool = False) -> str:
    """The sentence on a column that is no data though it may hold some."""
    return f"column {shortened(name)!r} is left as it is{', its holes too' if holes else ''}: {why}"


def first_notes(notes: Sequence[str]) -> tuple[str, ...]:
    """At most `MOST_NOTES` sentences on columns left out, and how many columns more there are."""
    more = len(notes) - MOST_NOTES
    if more <= 0:
        return tuple(notes)
    columns = "1 more column is left as it is" if more == 1 else f"{more} more columns are left as they are"
    return (*notes[:MOST_NOTES], columns)


def _names_beside_blank(rest: Column, below: Column) -> bool:
    """Whether the first line, complete but for its first cell, names columns: `below` is what follows that cell."""
    if None in below:
        return len(set(rest)) == len(rest)
    if any(_is_nan(x) for x in below) or not (_whole(rest) and _whole(below) and _equal_steps(rest)):
        return False
    return _is_counter(below) or (len(rest) > 2 and _is_counter(rest) and _goes_up(below))


def _is_counter(numbers: Column) -> bool:
    """Whether numbers are 0, 1, 2, ... or 1, 2, 3, ..., or years in equal steps."""
    start = numbers[0]
    return (start in (0, 1) and [*numbers] == [start + k for k in range(len(numbers))]) or _is_run(numbers, equal=True)


def _alone_goes_up(numbers: Sequence[Column]) -> bool:
    """Whether the first line, beside the labels, is a long climb, and of the others at most a tenth."""
    first, *others = (_seen(line) for line in zip(*numbers[1:], strict=True))
    return _is_long_climb(first) and 10 * sum(_is_long_climb(line) for line in others) <= len(others)


def _is_long_climb(seen: list[float]) -> bool:
    """Whether `MANY` or more whole numbers go up."""
    return len(seen) >= MANY and _whole(seen) and _goes_up(seen)


def _named(cell: str) -> bool:
    return cell.strip().lower() in LABEL_NAMES


def _numbered(cell: str) -> bool:
    name = cell.strip()
    return name.rstrip(".").lower() in NUMBER_NAMES or ENDS_IN_ID.fullmatch(name) is not None


def _years_above(numbers: Sequence[Column]) -> bool:
    """Whether the first line, and no other, is a run of years; beside words they need no equal steps."""
    beside = numbers[0][0] is None and None in numbers[0][1:]
    lines = list(zip(*(numbers[1:] if beside else numbers), strict=True))
    steady = beside or _is_run(lines[0], equal=True)
    return steady and _is_run(lines[0]) and not any(_is_run(line) for line in lines[1:])


def _is_run(line: Column, equal: bool = False) -> bool:
    """Whether what is seen of a line are years that only go up or only go down."""
    seen = _seen(line)
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


def _is_steady(column: Column) -> bool:
    """Whether three or more whole numbers, none missing, go up or down in equal steps."""
    return len(column) > 2 and _whole(column) and _equal_steps(column)


def _counts_rows(column: Column, named: bool) -> bool:
    """Whether numbers in equal steps, in a column that is `named` or not, are those of rows."""
    first, step = column[0] or 0, (column[1] or 0) - (column[0] or 0)
    if abs(step) == 1 and _is_run(column):
        return True
    return step == 1 and (first == 1 or (first == 0 and not named) or re.fullmatch("10+1", f"{first:.0f}") is not None)


def _goes_up(numbers: Column) -> bool:
    return bool((np.diff(np.asarray(numbers, float)) > 0).all())


def _seen(line: Column) -> list[float]:
    """The numbers of a line, without words and holes."""
    return [x for x in line if x is not None and not _is_nan(x)]


def _is_nan(number: float | None) -> bool:
    return number is not None and number != number


def _all_nan(numbers: Column) -> bool:
    return all(_is_nan(x) for x in numbers)
