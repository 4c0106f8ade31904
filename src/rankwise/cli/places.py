"""Places to write to, refused before any work if nothing can be written there."""

from __future__ import annotations

import os
from pathlib import Path


def refuse_no_file(place: str | Path) -> None:
    """Raise a ValueError if the place is a folder, or lies in none."""
    if Path(place).is_dir():
        raise ValueError(f"{place} is a folder, not a file")
    refuse_no_parent(place)


def refuse_no_parent(place: str | Path) -> None:
    """Raise a ValueError if what should be the folder around the place is none, or links lead there in a circle."""
    target = Path(os.path.realpath(place))
    if target.is_symlink():  # only a circle leaves a link unresolved
        raise ValueError(f"{place}: symbolic links lead in a circle there")
    folder = target.parent
    if not folder.is_dir():
        raise ValueError(f"{place}: the folder {folder} {'is a file' if folder.exists() else 'does not exist'}")
