"""What a study asks to be made of its records: figures, tables and claims, read and checked together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rankwise.studies.claims import Claim, read_claim
from rankwise.studies.figures import Figure, read_figure
from rankwise.studies.scope import Scope
from rankwise.studies.tables import Table, read_table


@dataclass(frozen=True)
class Asked:
    """Figures, tables and claims in the order of the file."""

    figures: tuple[Figure, ...]
    tables: tuple[Table, ...]
    claims: tuple[Claim, ...]


def read_asked(
    figures: Sequence[Mapping[str, Any]],
    tables: Sequence[Mapping[str, Any]],
    claims: Sequence[Mapping[str, Any]],
    scope: Scope,
) -> Asked:
    """All of them.

    Raises:
        ValueError: naming the path of the key that is unknown, wrong or impossible.
    """
    drawn = tuple(read_figure(given, f"figures[{i}]", scope) for i, given in enumerate(figures))
    names: dict[str, int] = {}
    for i, figure in enumerate(drawn):
        # Names of files, which some systems tell apart by letters alone, not by their case.
        if (other := names.setdefault(figure.name.casefold(), i)) != i:
            raise ValueError(f"figures[{i}].name: figures[{other}] is called {drawn[other].name!r} already")
    return Asked(
        drawn,
        tuple(read_table(given, f"tables[{i}]", scope) for i, given in enumerate(tables)),
        tuple(read_claim(given, f"claims[{i}]", scope) for i, given in enumerate(claims)),
    )
