"""The held-out entries of a completion: predicted against actual, and the errors of simpler guesses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .blocks import Figure, Table
from .figures import plain, predicted_scatter
from .matrices import MatrixView
from .wording import count, finite, percent, shortened, significant

MOST_POINTS = 2000
MOST_COLUMNS = 30

GUESSES = {
    "rmse": "this completion",
    "rmse_rejected": "the low-rank fit that was not taken",
    "rmse_effects": "row and column effects",
    "rmse_column_means": "column means",
}
# The ending of the names of errors in column standard deviations.
STANDARDIZED = "_standardized"
ROUNDING = 1e-6  # errors this near to one another are the same


class Entry(NamedTuple):
    """One held-out entry: its value, the prediction, and where it stands."""

    actual: float
    predicted: float
    row: str
    column: str


def shown_indices(length: int, limit: int) -> list[int]:
    """At most `limit` positions of `length`, evenly spaced, the first and the last among them."""
    if length <= limit:
        return list(range(length))
    return [round(step * (length - 1) / max(limit - 1, 1)) for step in range(limit)]


def compared(error: object, reference: object) -> str:
    """How much smaller or larger an error is than another, in percent; empty where either is missing."""
    ours, theirs = finite(error), finite(reference)
    if ours is None or theirs is None or theirs <= 0:
        return ""
    if abs(ours - theirs) <= ROUNDING * theirs:
        return "the same as"
    return f"{percent(1 - ours / theirs)} less than" if ours < theirs else f"{percent(ours / theirs - 1)} more than"


def error_table(holdout: Mapping[str, Any]) -> Table | None:
    """The error of each way to guess a held-out entry; None when there is none."""
    errors = {key: error for key in GUESSES if (error := finite(holdout.get(key))) is not None}
    if not errors:
        return None
    rows = [[_guess(key, holdout), *_error_cells(holdout, key, "")] for key in errors]
    caption = "Root mean square error (RMSE) at the held-out entries, in the table's own units"
    head = ["filled by", "RMSE", "against column means"]
    if holdout.get("units_matter"):
        rows = [[*row, *_error_cells(holdout, key, STANDARDIZED)] for row, key in zip(rows, errors, strict=True)]
        caption += " and in column standard deviations (SDs), which the verdict compares"
        head += ["RMSE in column SDs", "against column means"]
    return Table(caption, head, rows, marked=0 if "rmse" in errors else None)


def column_table(columns: Sequence[Mapping[str, Any]]) -> Table | None:
    """The held-out error of each column in its own units; None when there is none.

    Of more than `MOST_COLUMNS` those with the most holes are shown, in the table's order.
    """
    if not any(finite(one.get("rmse")) is not None for one in columns):
        return None
    shown = sorted(range(len(columns)), key=lambda place: -(finite(columns[place].get("holes")) or 0))[:MOST_COLUMNS]
    rows = [_column_cells(columns[place]) for place in sorted(shown)]
    caption = "Column by column, each in its own units: standard deviation (SD) of observed cells, and held-out RMSE"
    if len(rows) < len(columns):
        caption += f"; the {count(len(rows))} of {count(len(columns))} columns with the most holes"
    return Table(caption, ["column", "holes", "SD", "held-out RMSE", "RMSE in SDs", "held-out cells"], rows)


def _column_cells(one: Mapping[str, Any]) -> list[str]:
    spread, rmse = finite(one.get("deviation")), finite(one.get("rmse"))
    relative = rmse / spread if rmse is not None and spread else None
    cells = [count(one.get("holes")), significant(spread), significant(rmse), significant(relative)]
    return [shortened(str(one.get("name"))), *cells, count(one.get("count"))]


def better_guess(holdout: Mapping[str, Any], units: str = "") -> tuple[str, float] | None:
    """The simple filling of less held-out error, and that error, in units named by the ending of the errors' names."""
    effects, means = (finite(holdout.get(key + units)) for key in ("rmse_effects", "rmse_column_means"))
    if effects is not None and (means is None or effects < means * (1 - ROUNDING)):
        return GUESSES["rmse_effects"], effects
    return None if means is None else (GUESSES["rmse_column_means"], means)


def with_spread(error: object, spread: object) -> str:
    """An error with its standard error, where that is known."""
    return significant(error) + (f" ± {significant(spread, 2)}" if finite(spread) is not None else "")


def _guess(key: str, holdout: Mapping[str, Any]) -> str:
    rank = finite(holdout.get("rejected_rank")) if key == "rmse_rejected" else None
    return GUESSES[key] + (f", of rank {count(rank)}" if rank else "")


def _error_cells(holdout: Mapping[str, Any], key: str, units: str) -> list[str]:
    error, means = finite(holdout.get(key + units)), finite(holdout.get("rmse_column_means" + units))
    spread = holdout.get("rmse_error" + units) if key == "rmse" else None
    return [with_spread(error, spread), percent(error / means) if error is not None and means else "–"]


def scatter_figure(holdout: Mapping[str, Any], view: MatrixView | None, names: Sequence[Any] | None) -> Figure | None:
    """Predicted against actual; in standard deviations of each column where the columns' units differ."""
    entries = _entries(holdout)
    if not entries:
        return None
    shown = [entries[index] for index in shown_indices(len(entries), MOST_POINTS)]
    units = _column_units(view, names)
    standardized = bool(units) and all(entry.column in units for entry in shown)
    placed = [_standardized(entry, *units[entry.column]) for entry in shown] if standardized else shown
    some = f"{count(len(shown))} of " if len(shown) < len(entries) else ""
    caption = (
        f"Each dot is one of {some}the {count(len(entries))} observed entries hidden from the fit and"
        " then predicted. On the dashed diagonal a prediction is exact; the closer the cloud, the better the"
        " filled values."
    )
    if standardized:
        caption += " The columns differ in unit: drawn are standard deviations (SDs) from the column's mean."
    description = (
        f"Scatter of predicted against actual values; dots: {count(len(shown))};"
        f" root mean square error: {significant(holdout.get('rmse'))}."
    )
    spec = predicted_scatter(
        [entry.actual for entry in placed],
        [entry.predicted for entry in placed],
        [_hover(entry) for entry in shown],
        "in column SDs" if standardized else "",
    )
    return Figure("Predicted vs. held out", spec, caption, description, height=420)


def _entries(holdout: Mapping[str, Any]) -> list[Entry]:
    """Every held-out entry that has both numbers."""
    actual, predicted = holdout.get("actual") or [], holdout.get("predicted") or []
    if len(actual) != len(predicted):
        raise ValueError(f"holdout has {len(actual)} actual values and {len(predicted)} predicted ones")
    rows, columns = ([str(name) for name in holdout.get(key) or []] for key in ("row", "column"))
    rows, columns = (names if len(names) == len(actual) else [""] * len(actual) for names in (rows, columns))
    pairs = ((finite(value), finite(guess)) for value, guess in zip(actual, predicted, strict=True))
    return [
        Entry(value, guess, row, column)
        for (value, guess), row, column in zip(pairs, rows, columns, strict=True)
        if value is not None and guess is not None
    ]


def _standardized(entry: Entry, centre: float, scale: float) -> Entry:
    return entry._replace(actual=(entry.actual - centre) / scale, predicted=(entry.predicted - centre) / scale)


def _hover(entry: Entry) -> str:
    place = " · ".join(plain(name) for name in (entry.row, entry.column) if name)
    actual, predicted = significant(entry.actual, 5), significant(entry.predicted, 5)
    return f"{place}<br>actual <b>{actual}</b><br>predicted <b>{predicted}</b>"


def _column_units(view: MatrixView | None, names: Sequence[Any] | None) -> dict[str, tuple[float, float]]:
    """Centre and scale by column name where units differ and every column is at hand; else empty."""
    if view is None or not view.within_columns or not names or len(names) != len(view.columns):
        return {}
    pairs = zip(view.centre.tolist(), view.scale.tolist(), strict=True)
    units = dict(zip(map(str, names), pairs, strict=True))
    return units if len(units) == len(names) else {}
