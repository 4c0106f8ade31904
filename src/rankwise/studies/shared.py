"""What figures, tables and claims share: cases by an axis, how values are called and colored, what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rankwise.studies.scope import key
from rankwise.vocabulary import COLORS, MORE_COLORS

if TYPE_CHECKING:
    from rankwise.studies.folder import Entry, Folder

# Violet to amber: the order of many curves, on light and dark ground and with any color vision.
RAMP = ((0x8A, 0x3F, 0xD1), (0xD8, 0x4A, 0x6E), (0xDE, 0x8F, 0x1F))
# From so many curves on, numbers are told by their order on the ramp, not by colors of their own.
MANY = 6


def groups(axis: str, entries: Sequence[Entry], folder: Folder) -> list[tuple[Any, list[Entry]]]:
    """The cases by the values of an axis, in its order; all of them under None without one."""
    if not axis:
        return [(None, list(entries))]
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        if axis in entry.keys:
            found.setdefault(entry.keys[axis], []).append(entry)
    return [(value, found[key(value)]) for value in folder.values(axis, entries)]


def called(axis: str, value: Any, folder: Folder) -> str:
    """A value of an axis in words: "depth 2"; a name speaks for itself."""
    return spelled(value) if isinstance(value, str) else f"{folder.label(axis)} {spelled(value)}"


def spelled(value: Any) -> str:
    """A value of an axis as it is written: numbers shortly, with thousands apart."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value).replace("_", " ")
    return f"{value:,}" if isinstance(value, int) or (value.is_integer() and value < 1e9) else f"{value:.4g}"


def lacking(done: int, cases: int) -> str:
    """That not all of so many cases are on record, in words."""
    if cases == 1:
        return "its case is not on record"
    return f"{f'only {done}' if done else 'none'} of its {cases} cases {'is' if done < 2 else 'are'} on record"


def shade(k: int, many: int) -> str:
    """The color at place k of so many, on the ramp."""
    place = (len(RAMP) - 1) * k / max(many - 1, 1)
    below = min(int(place), len(RAMP) - 2)
    share = place - below
    mixed = (round(a + share * (b - a)) for a, b in zip(RAMP[below], RAMP[below + 1], strict=True))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def color_of(values: Sequence[Any], k: int) -> str:
    """The color of the k-th value of an axis, "" if it is that of its position."""
    if all(is_number(value) for value in values):
        return shade(k, len(values)) if len(values) >= MANY else ""
    # With more names than colors all are on the ramp, so that no two look alike.
    if len(values) > len(COLORS) + len(MORE_COLORS):
        return shade(k, len(values))
    return "" if k < len(COLORS) else MORE_COLORS[k - len(COLORS)]


def is_number(value: Any) -> bool:
    """Whether the value of an axis has a place on a scale."""
    return isinstance(value, int | float) and not isinstance(value, bool)
