"""What stands for a hole: words that everybody uses, and what a user names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from rankwise.data.tables.base import Table, shortened

# In lower case. Those of pandas, of spreadsheets, of statistics packages (the point), of the World Bank (two points),
# of Eurostat (the colon). Not here is what may be an answer, as "nd", which is "not detected" to a chemist.
HOLES = frozenset(
    {
        *("", "na", "n/a", "n.a.", "n.a", "<na>", "nan", "-nan", "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"),
        *("null", "nil", "none", "missing", "not available"),
        *("?", "-", "--", "---", "\u2013", "\u2014", ".", "..", "...", ":"),
        *("#n/a", "#n/a n/a", "#na", "#null!", "#value!", "#div/0!", "#ref!", "#num!", "#name?"),
    }
)
# Numbers that often stand for holes.
SENTINELS = (-99.0, -999.0, -9999.0, -99999.0)


def marks_of(named: Iterable[str | float]) -> frozenset[str | float]:
    """What a user names: finite numbers as floats, everything else as words in lower case.

    Raises:
        ValueError: on an empty word, which is a hole in any case.
    """
    marks: set[str | float] = set()
    for one in named:
        word = str(one).strip().lower()
        if not word:
            raise ValueError("holes must be named by words or numbers; an empty cell is a hole in any case")
        try:
            number = float(word)
        except ValueError:
            number = math.nan
        marks.add(number if math.isfinite(number) else word)
    return frozenset(marks)


def with_holes(table: Table, marks: frozenset[str | float]) -> Table:
    """The table with holes in place of some numbers; its notes say how many.

    Raises:
        ValueError: on a mark that is a word.
    """
    words = sorted(mark for mark in marks if isinstance(mark, str))
    if words:
        raise ValueError(f"only numbers can be named as holes of {table.name}, not the word {shortened(words[0])!r}")
    if not marks:
        return table
    values, counts = table.values.copy(), {}
    for mark in marks:
        there = table.values == table.values.dtype.type(mark)
        values[there], counts[mark] = np.nan, int(there.sum())
    return replace(table, values=values, notes=(*table.notes, *holes_notes(counts)))


def holes_notes(counts: Mapping[str | float, int]) -> tuple[str, ...]:
    """A sentence on how many cells each mark made holes, if there are marks."""
    if not counts:
        return ()
    total = sum(counts.values())
    cells = "1 cell is taken for a hole" if total == 1 else f"{total} cells are taken for holes"
    names = {mark: repr(shortened(mark)) if isinstance(mark, str) else f"{mark:.12g}" for mark in counts}
    each = ", ".join(f"{names[mark]} in {counts[mark] or 'none'}" for mark in sorted(counts, key=lambda m: names[m]))
    return (f"{cells}: {each}",)


def with_suspicion(table: Table) -> Table:
    """The table, with a note if its least number is one of `SENTINELS`, more than once and far from all others."""
    seen = table.values[~np.isnan(table.values)]
    least = float(seen.min()) if seen.size else 0.0
    others = seen[seen != least]
    count = len(seen) - len(others)
    if least not in SENTINELS or count < 2 or (others < least / 10).any():
        return table
    note = f"{least:g} stands in {count} cells and is taken for a number; --holes {least:g} if it marks holes"
    return replace(table, notes=(*table.notes, note))
