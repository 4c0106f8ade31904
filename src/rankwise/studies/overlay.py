"""Tables of settings laid over one another, and settings under dotted keys."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

Settings = dict[str, Any]


def overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> Settings:
    """Both tables in one, `above` winning key by key; a table that brings a `name` replaces the one below whole.

    For what has a name takes settings of its own: those of another solver would be unknown to it.
    """
    made = copy.deepcopy(dict(below))
    for key, value in above.items():
        under = made.get(key)
        if isinstance(value, Mapping) and isinstance(under, Mapping) and "name" not in value:
            made[key] = overlay(under, value)
        else:
            made[key] = copy.deepcopy(value)
    return made


def nested(key: str, value: Any) -> Settings:
    """{"a": {"b": value}} for the key "a.b"."""
    *parents, last = key.split(".")
    made: Settings = {last: value}
    for parent in reversed(parents):
        made = {parent: made}
    return made


def put(settings: Mapping[str, Any], key: str, value: Any) -> Settings:
    """The settings with another value under a dotted key.

    Raises:
        ValueError: if the key leads through something that is not a table.
    """
    inner: Any = settings
    for parent in key.split(".")[:-1]:
        inner = inner.get(parent, {})
        if not isinstance(inner, Mapping):
            raise ValueError(f"{key} leads through {parent!r}, which is no table")
    return overlay(settings, nested(key, value))


def is_laid_over(settings: Any, key: str, value: Any) -> bool:
    """Whether the settings have a value under a dotted key, a table with all that it says."""
    for part in key.split("."):
        if not isinstance(settings, Mapping) or part not in settings:
            return False
        settings = settings[part]
    return _holds(settings, value)


def _holds(settings: Any, value: Any) -> bool:
    if isinstance(value, Mapping) and isinstance(settings, Mapping):
        return all(name in settings and _holds(settings[name], own) for name, own in value.items())
    return settings is value or settings == value  # a nan is itself
