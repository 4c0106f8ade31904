"""Names: looked up in a registry, with the nearest one suggested when one is unknown; told apart where they repeat."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

T = TypeVar("T")


def nearest(name: str, known: Iterable[str]) -> str:
    """'; did you mean 'x'?' for the closest known name, else the list of known names."""
    names = sorted(set(known))
    close = get_close_matches(str(name), names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(names)}"


def look_up(name: str, registry: Mapping[str, T], what: str) -> T:
    """The registry's entry of that name.

    Raises:
        ValueError: if there is none; it names the nearest.
    """
    if name not in registry:
        raise ValueError(f"unknown {what} {name!r}{nearest(name, registry)}")
    return registry[name]


def describe(registry: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, description) of every entry: itself if it is words, else the first line of its docstring."""
    return [
        (name, entry if isinstance(entry, str) else (entry.__doc__ or "").strip().split("\n")[0])
        for name, entry in registry.items()
    ]


def distinct(names: Sequence[str], form: str = "{}_{}") -> list[str]:
    """The names, those that repeat others made distinct by numbers: of a name and a number, in this form."""
    taken, seen, made = set(names), set[str](), []
    for name in names:
        new, count = name, 1
        while new in seen or (new != name and new in taken):
            count += 1
            new = form.format(name, count)
        seen.add(new)
        made.append(new)
    return made
