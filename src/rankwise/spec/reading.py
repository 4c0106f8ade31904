"""Names and numbers as a TOML file has them: known, of the right kind, refused with the path of the key."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from rankwise.registry import look_up, nearest

# What a setting may be whose annotation, or else default, is of a kind, and how that is called.
KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "bool": ((bool,), "true or false"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "str": ((str,), "a word"),
}


def section(given: Mapping[str, Any], key: str, path: str) -> Any:
    """What stands under a key that must be there."""
    if key not in given:
        raise ValueError(f"{path}{key} is missing")
    return given[key]


def table(given: Any, path: str) -> dict[str, Any]:
    """A copy of a table of keys."""
    if not isinstance(given, Mapping):
        raise ValueError(f"{path} must be a table of keys, not {given!r}")
    return dict(given)


def named(given: Any, path: str, registry: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a table with a name out of a registry; a name alone stands for the table with nothing else."""
    settings: dict[str, Any] = {"name": given} if isinstance(given, str) else table(given, path)
    if "name" not in settings:
        raise ValueError(f"{path}.name is missing{nearest('', registry)}")
    return settings


def words(given: Any, path: str) -> list[str]:
    """A list of names."""
    if not isinstance(given, list | tuple) or not all(isinstance(one, str) for one in given):
        raise ValueError(f"{path} must be a list of names, not {given!r}")
    return list(given)


def check_kind(value: Any, kinds: set[str], path: str) -> None:
    """Refuse a value of another kind; kinds that are not in `KINDS` are left to whom the value is for."""
    if not kinds or not kinds <= KINDS.keys():
        return
    if not any(type(value) in KINDS[kind][0] for kind in kinds):
        raise ValueError(f"{path} must be {' or '.join(KINDS[kind][1] for kind in sorted(kinds))}, not {value!r}")
    if isinstance(value, int) and abs(value) >= 2**31:
        raise ValueError(f"{path} is too large: {value}")


def known(name: Any, registry: Mapping[str, Any], path: str) -> Any:
    """The registry's entry of that name; the error has the path of the key."""
    if not isinstance(name, str):
        raise ValueError(f"{path} must be a name, not {name!r}")
    try:
        return look_up(name, registry, path.removesuffix(".name").rpartition(".")[2].partition("[")[0])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def refuse_unknown(given: Mapping[str, Any], allowed: Any, path: str) -> None:
    """Refuse keys that nothing reads."""
    for key in given:
        if key not in allowed:
            raise ValueError(f"{path}{key} is not a key{nearest(key, allowed)}")


@cache
def parameters(make: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """The parameters of a function or class: a study reads the same few for every case."""
    return inspect.signature(make).parameters


def call(make: Callable[..., Any], settings: dict[str, Any], path: str, built: tuple[str, ...] = ()) -> Any:
    """make(**settings), each setting of the kind that its annotation or default says; `built` ones are objects."""
    for key, parameter in parameters(make).items():
        if key in settings and key not in built:
            kinds = {kind.strip() for kind in str(parameter.annotation).split("|")} - {"None"}
            if kinds == {"Any"}:  # a list (of times, say) is left to whom it is for
                kinds = set() if isinstance(settings[key], list) else {type(parameter.default).__name__}
            check_kind(settings[key], kinds, f"{path}.{key}")
    try:
        return make(**settings)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error
