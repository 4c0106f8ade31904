"""Places to write to, refused before any work if nothing can be written there."""

from __future__ import annotations

from pathlib import Path


def refuse_no_file(place: str | Path) -> None:
    """Raise a ValueError if the place is a folder, or lies in one that does not exist."""
    if Path(place).is_dir():
        raise ValueError(f"{place} is a folder, not a file")
    refuse_no_parent(place)


def refuse_no_parent(place: str | Path) -> None:
    """Raise a ValueError if the folder around the place does not exist."""
    folder = Path(place).resolve().parent
    if not folder.is_dir():
        raise ValueError(f"{place}: the folder {folder} does not exist")
