"""One case of a study: everything that decides a run, as names and numbers, and its address."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True, eq=False)
class Case:
    """A run to be made.

    grid: which grid of the study it belongs to. labels: the value of each axis, by name. settings: `task`, and what
    that task reads. address: 20 hexadecimal digits of the hash of the settings, files by their content.
    """

    grid: str
    labels: dict[str, Any]
    settings: dict[str, Any]
    address: str

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
