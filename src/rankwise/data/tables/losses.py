"""What a filled table loses on its way into a file: words that the format has no place for, and fractions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rankwise.data.tables.base import Filled, Table, shortened

MATRICES = ("npy", "npz", "mtx")
# So many columns are named in a note.
MOST_NAMED = 5


def losses(table: Table, filled: Filled, format: str) -> tuple[str, ...]:
    """A sentence on what is left out of a file of that format, and one on numbers that become whole, if there are."""
    own = format == table.source.format
    notes = []
    # Tables with columns go into one another whole.
    if not own and (format in MATRICES or table.source.format in MATRICES) and (missing := table.source.besides()):
        notes.append(f"left out of the .{format} file: {listed(missing)}")
    if own or format not in MATRICES:
        fractions = filled.take & table.source.whole() & (np.rint(filled.values) != filled.values)
        names = [repr(shortened(table.column_names[j])) for j in np.flatnonzero(fractions.any(axis=0))]
        if names:
            notes.append(f"what was filled in is rounded in columns of whole numbers: {listed(names)}")
    return tuple(notes)


def listed(words: Sequence[str]) -> str:
    """The first of some words, and how many more there are."""
    more = len(words) - MOST_NAMED
    return ", ".join(words[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
