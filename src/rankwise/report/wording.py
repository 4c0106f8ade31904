"""How a page writes numbers, shares and lists of names."""

from __future__ import annotations

import math
from collections.abc import Sequence

# So many characters of a name are shown in a list.
LONGEST = 40
# From so many seconds on a duration is in this unit, of so many seconds.
DURATIONS = ((7200.0, "h", 3600.0), (120.0, "min", 60.0), (1.0, "s", 1.0), (-math.inf, "ms", 1e-3))
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def finite(value: object) -> float | None:
    """The number as a float; None where there is none (missing, NaN, infinite, a word, true or false)."""
    if value is None or isinstance(value, (bool, str)):
        return None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def significant(value: object, digits: int = 3) -> str:
    """A number to so many significant digits, whole digits never dropped; a dash where there is none."""
    number = finite(value)
    if number is None:
        return "–"
    if number == 0:
        return "0"
    sign, number = ("−" if number < 0 else ""), abs(number)
    exponent = int(f"{number:.{digits - 1}e}".partition("e")[2])  # after rounding, so that 9.996 counts as 10
    if -4 <= exponent < 9:
        return f"{sign}{number:,.{max(digits - 1 - exponent, 0)}f}"
    mantissa = f"{number:.{digits - 1}e}".partition("e")[0]
    return f"{sign}{mantissa} × 10{str(exponent).translate(SUPERSCRIPTS)}"


def exact(value: object) -> str:
    """A number with as many digits as it was written with, and no more; a dash where there is none."""
    number = finite(value)
    if number is None:
        return "–"
    return significant(number, len(f"{abs(number)!r}".partition("e")[0].replace(".", "").strip("0")) or 1)


def count(value: object) -> str:
    """A whole number with thousands separated; a dash where there is none."""
    number = finite(value)
    return "–" if number is None else f"{int(number):,}"


def percent(share: object, digits: int = 0) -> str:
    """A share in percent, to so many significant digits at least; never rounded onto 0 % or 100 % unless it is that."""
    number = finite(share)
    if number is None:
        return "–"
    points = 100 * number
    least = max(1, digits - 1 - math.floor(math.log10(abs(points)))) if points and digits else 1
    for decimals in range(least, least + 3):
        text = f"{points:.{decimals}f}"
        if (float(text) not in (0.0, 100.0)) or points in (0.0, 100.0):
            return f"{text.removesuffix('.0')}\u00a0%"
    return "less than 0.001\u00a0%" if points < 50 else "more than 99.999\u00a0%"


def seconds(value: object) -> str:
    """A duration in the unit a reader expects: ms, s, min or h."""
    number = finite(value)
    if number is None:
        return "–"
    unit, size = next((unit, size) for least, unit, size in DURATIONS if number >= least)
    return f"{significant(number / size, 2)}\u00a0{unit}"


def plural(number: object, one: str, many: str | None = None) -> str:
    """`1 row`, `2 rows`."""
    return f"{count(number)} {one if finite(number) == 1 else many or one + 's'}"


def shortened(name: str) -> str:
    """A name of at most `LONGEST` characters."""
    return name if len(name) <= LONGEST else name[: LONGEST - 3] + "..."


def listing(names: Sequence[object], limit: int = 40) -> str:
    """Names, those of more than `LONGEST` characters shortened, and how many more there are beyond the limit."""
    shown = ", ".join(shortened(str(name)) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit:,} more"
