"""An axis of a study: its values as they are called, and what each of them changes in a case."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rankwise.registry import nearest
from rankwise.spec.reading import check_kind, refuse_unknown, section, table, words
from rankwise.studies.scope import SEED
from rankwise.studies.scope import key as key_of
from rankwise.studies.values import read_label

# Columns of `cases.parquet` beside the axes.
OF_INDEX = ("address", "grid")
# Seed s gives the key 2s + 1, which must lie below 2^32.
LARGEST = 2**31
# The most cases of a grid: their list alone takes minutes and gigabytes.
MOST = 10_000_000


@dataclass(frozen=True, eq=False)
class Axis:
    """A named axis: its values as they are called, and what each changes in a case, by dotted key."""

    name: str
    label: str
    values: tuple[Any, ...]
    changes: tuple[Mapping[str, Any], ...]


def read_axis(name: str, given: Any) -> Axis:
    """An axis: `key` (or `keys`) and `values`, or `choices`: a table of changes for each name; `only` some of them."""
    path, given = f"axes.{name}", table(given, f"axes.{name}")
    if not name:
        raise ValueError('axes."": an axis needs a name')
    refuse_unknown(given, ("label", "key", "keys", "values", "choices", "only"), f"{path}.")
    label = read_label(given, path, name.replace("_", " "))
    if name == SEED:
        raise ValueError(f"{path}: seeds have a key of their own: seeds = 3, or a list")
    if name in OF_INDEX:
        raise ValueError(f"{path}: an axis cannot be called {name!r}, as a column of every study's cases is")
    if "choices" in given:
        if extra := [key for key in ("key", "keys", "values") if key in given]:
            raise ValueError(f"{path} has choices, so {extra[0]} has no place in it")
        choices = table(given["choices"], f"{path}.choices")
        for i, one in enumerate(only := words(given.get("only", list(choices)), f"{path}.only")):
            if one not in choices:
                raise ValueError(f"{path}.only[{i}]: there is no choice {one!r}{nearest(one, choices)}")
        choices = {one: choices[one] for one in only}
        refuse_empty(choices, f"{path}.choices")
        refuse_twice(choices, f"{path}.choices")
        changes = tuple(table(one, f"{path}.choices.{word}") for word, one in choices.items())
        return Axis(name, label, tuple(choices), changes)
    if "only" in given:
        raise ValueError(f"{path}.only is a choice among choices; here values says it")
    values = section(given, "values", f"{path}.")
    if not isinstance(values, list):
        raise ValueError(f"{path}.values must be a list, not {values!r}")
    refuse_empty(values, f"{path}.values")
    keys = words(given["keys"], f"{path}.keys") if "keys" in given else [section(given, "key", f"{path}.")]
    for key in keys:
        check_kind(key, {"str"}, f"{path}.key")
        if not key:
            raise ValueError(f"{path}.key is empty: it is a dotted key of the case")
    called = tuple(_called(value) for value in values)
    refuse_twice(called, f"{path}.values")
    return Axis(name, label, called, tuple(dict.fromkeys(keys, value) for value in values))


def taken_of(axis: Axis, wanted: Any, path: str, versions: Sequence[Mapping[str, Axis]]) -> Axis:
    """The axis with those of its values that a grid takes, all without `wanted`.

    What this version lacks and another has is left out.
    """
    if wanted is None:
        return axis
    if not isinstance(wanted, list) or not wanted:
        raise ValueError(f"{path} must be a list of values of that axis, not {wanted!r}")
    called = {key_of(value) for axes in versions if axis.name in axes for value in axes[axis.name].values}
    for value in wanted:
        if key_of(value) not in called:
            raise ValueError(f"{path}: {value!r} is no value of axis {axis.name!r}{nearest(str(value), called)}")
    kept = [i for i, value in enumerate(axis.values) if key_of(value) in map(key_of, wanted)]
    refuse_empty(kept, path)
    return Axis(axis.name, axis.label, tuple(axis.values[i] for i in kept), tuple(axis.changes[i] for i in kept))


def seeds_axis(given: Any, path: str) -> Axis:
    """So many seeds from 0 on, or those of a list."""
    if type(given) is int:
        if not 1 <= given <= MOST:
            raise ValueError(f"{path} must be from 1 to {MOST:,}, the most cases of a grid, not {given:,}")
        return Axis(SEED, SEED, tuple(range(given)), ({},) * given)
    if not isinstance(given, list) or any(type(seed) is not int or seed < 0 for seed in given):
        raise ValueError(f"{path} must be a number of seeds or a list of them, not {given!r}")
    if max(given, default=0) >= LARGEST:
        raise ValueError(f"{path}: seeds must be below 2^31, not {max(given)}")
    refuse_empty(given, path)
    refuse_twice(given, path)
    return Axis(SEED, SEED, tuple(given), ({},) * len(given))


def refuse_vast_grid(axes: Iterable[Axis], path: str) -> None:
    """Refuse a grid of more cases than can be listed."""
    sizes = {axis.name: len(axis.values) for axis in axes}
    if (cases := math.prod(sizes.values())) > MOST:
        words = " x ".join(f"{size:,} of {name}" for name, size in sizes.items())
        raise ValueError(f"{path}: {cases:,} cases ({words}) are more than the {MOST:,} that a grid may have")


def _called(value: Any) -> Any:
    """How a value is called: itself if it is a number or word, else its name or its text."""
    if isinstance(value, Mapping):
        return str(value.get("name", dict(value)))
    return str(value) if isinstance(value, list) else value


def refuse_empty(values: Sequence[Any] | Mapping[str, Any], path: str) -> None:
    """Refuse an axis or a grid without anything in it."""
    if not values:
        raise ValueError(f"{path} is empty, so there is nothing to run")


def refuse_twice(values: Iterable[Any], path: str) -> None:
    """Refuse two values that nothing would tell apart in figures, tables and conditions."""
    met: set[str] = set()
    for value in values:
        if key_of(value) in met:
            raise ValueError(f"{path} has {value!r} twice")
        met.add(key_of(value))
