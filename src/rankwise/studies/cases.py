"""One case of a study: everything that decides a run, as names and numbers, and its address."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rankwise.spec.reading import check_kind

# What of a case is for whoever runs it, not for its task.
OF_CASE = ("task", "limit")


@dataclass(frozen=True, eq=False)
class Case:
    """A run to be made.

    grid: which grid of the study it belongs to. labels: the value of each axis, by name. settings: `task`, what that
    task reads, and perhaps a `limit` in seconds. address: 20 hexadecimal digits of the hash of the settings, files by
    their content.
    """

    grid: str
    labels: dict[str, Any]
    settings: dict[str, Any]
    address: str

    @property
    def of_task(self) -> dict[str, Any]:
        """What its task reads."""
        return {key: value for key, value in self.settings.items() if key not in OF_CASE}

    @property
    def limit(self) -> float | None:
        """The seconds it may take, in a process of its own; None: any, in the process that asks."""
        return self.settings.get("limit")

    @property
    def words(self) -> str:
        """The case as it is called in messages."""
        return ", ".join([f"grid {self.grid}", *(f"{name} = {value}" for name, value in self.labels.items())])


def address(settings: Mapping[str, Any], folder: Path) -> str:
    """The hash that names a case: equal settings have equal addresses, on every machine.

    Raises:
        OSError: if a file that the settings name cannot be read.
    """
    text = json.dumps(_by_content(settings, folder), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def check_limit(settings: Mapping[str, Any]) -> None:
    """Raise a ValueError if the limit of a case is no number of seconds."""
    check_kind(settings.get("limit", 1.0), {"float"}, "limit")
    if not 0 < settings.get("limit", 1.0) < 1e6:
        raise ValueError(f"limit must be a positive number of seconds, not {settings['limit']}")


def _by_content(settings: Any, folder: Path) -> Any:
    """The settings with the hash of its bytes in place of each file."""
    if isinstance(settings, Mapping):
        return {
            key: _digest(folder / value) if key == "file" and isinstance(value, str) else _by_content(value, folder)
            for key, value in settings.items()
        }
    if isinstance(settings, list | tuple):
        return [_by_content(value, folder) for value in settings]
    # 1 and 1.0 are the same setting, and JSON would spell them differently.
    return int(settings) if isinstance(settings, float) and settings.is_integer() else settings


def _digest(path: Path) -> str:
    stamp = path.stat()
    return _hash(path, stamp.st_mtime_ns, stamp.st_size)


@cache
def _hash(path: Path, *_: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
