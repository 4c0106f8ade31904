"""The studies that come with rankwise, by name."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from rankwise.registry import look_up


def shipped() -> dict[str, Path]:
    """The file of every study that comes with rankwise: inside the package, or beside the source in a checkout."""
    inside = Path(str(resources.files("rankwise.studies"))) / "library"
    folder = inside if inside.is_dir() else Path(__file__).resolve().parents[3] / "studies"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def find(given: str) -> Path:
    """The file of that path, or else the shipped study of that name.

    Raises:
        ValueError: if there is neither.
    """
    path = Path(given)
    if path.is_file() or path.suffix == ".toml" or path.parent != Path():
        return path
    return look_up(given, shipped(), "study")
