"""The held-out entries of a completion: predicted against actual, and the errors beside those of simpler guesses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .blocks import Figure, Table
from .figures import plain, predicted_scatter
from .matrices import MatrixView
from .wording import count, finite, percent, plural, significant

MOST_POINTS = 2000

GUESSES = (
    ("rmse", "this completion"),
    ("rmse_effects", "row and column effects"),
    ("rmse_column_means", "column means"),
)


def shown_indices(length: int, limit: int) -> list[int]:
    """At most `limit` positions of `length`, evenly spaced, the first and the last among them."""
    if length <= limit:
        return list(range(length))
    return [round(step * (length - 1) / max(limit - 1, 1)) for step in range(limit)]


def compared(error: object, reference: object) -> str:
    """How much smaller or larger an error is than another, in percent."""
    ours, theirs = finite(error), finite(reference)
    if ours is None or theirs is None or theirs <= 0:
        return ""
    if ours == theirs:
        return "the same as"
    return f"{percent(1 - ours / theirs)} less than" if ours < theirs else f"{percent(ours / theirs - 1)} more than"


def error_table(holdout: Mapping[str, Any]) -> Table | None:
    """The error of each way to guess a held-out entry; None when there is none."""
    base = finite(holdout.get("rmse_column_means"))
    rows = []
    for key, name in GUESSES:
        error = finite(holdout.get(key))
        if error is not None:
            rows.append([name, significant(error), percent(error / base) if base else "–"])
    if not rows:
        return None
    head = ["filled by", "RMSE", "of column means' error"]
    return Table("Root mean square error (RMSE) at the held-out entries, in the table's own units", head, rows, marked=0)


def scatter_figure(holdout: Mapping[str, Any], view: MatrixView | None, names: Sequence[Any] | None) -> Figure | None:
    """Predicted against actual; in standard deviations of each column where the columns' units differ."""
    entries = _entries(holdout)
    if not entries:
        return None
    shown = [entries[index] for index in shown_indices(len(entries), MOST_POINTS)]
    units = _column_units(view, names)
    standardized = bool(units) and all(column in units for _, _, _, column in shown)
    centre_scale = [units[column] if standardized else (0.0, 1.0) for _, _, _, column in shown]
    actual = [(entry[0] - centre) / scale for entry, (centre, scale) in zip(shown, centre_scale, strict=True)]
    predicted = [(entry[1] - centre) / scale for entry, (centre, scale) in zip(shown, centre_scale, strict=True)]
    unit = "standard deviations of its column" if standardized else ""
    some = f"{count(len(shown))} of the {count(len(entries))}" if len(shown) < len(entries) else f"the {count(len(entries))}"
    caption = (
        f"Each dot is one of {some} observed entries that were hidden from the fit and then predicted."
        " On the dashed diagonal a prediction is exact; the closer the cloud, the better the filled values."
    )
    if standardized:
        caption += " The columns differ in unit, so each value is drawn in standard deviations from its column's mean."
    description = (
        f"Scatter of predicted against actual values at {plural(len(shown), 'held-out entry', 'held-out entries')};"
        f" root mean square error {significant(holdout.get('rmse'))}."
    )
    spec = predicted_scatter(actual, predicted, [_hover(entry) for entry in shown], unit)
    return Figure("Predicted against held out", spec, caption, description, height=420)


def _entries(holdout: Mapping[str, Any]) -> list[tuple[float, float, str, str]]:
    """(actual, predicted, row, column) of every held-out entry that has both numbers."""
    actual, predicted = holdout.get("actual") or [], holdout.get("predicted") or []
    if len(actual) != len(predicted):
        raise ValueError(f"holdout has {len(actual)} actual values and {len(predicted)} predicted ones")
    rows, columns = ([str(name) for name in holdout.get(key) or []] for key in ("row", "column"))
    rows, columns = (names if len(names) == len(actual) else [""] * len(actual) for names in (rows, columns))
    pairs = ((finite(value), finite(guess)) for value, guess in zip(actual, predicted, strict=True))
    return [
        (value, guess, row, column)
        for (value, guess), row, column in zip(pairs, rows, columns, strict=True)
        if value is not None and guess is not None
    ]


def _hover(entry: tuple[float, float, str, str]) -> str:
    actual, predicted, row, column = entry
    place = " · ".join(plain(name) for name in (row, column) if name)
    return f"{place}<br>actual <b>{significant(actual, 5)}</b><br>predicted <b>{significant(predicted, 5)}</b>"


def _column_units(view: MatrixView | None, names: Sequence[Any] | None) -> dict[str, tuple[float, float]]:
    """Centre and scale by column name where the columns' units differ and every column is at hand; else empty."""
    if view is None or not view.within_columns or not names or len(names) != len(view.columns):
        return {}
    units = dict(zip(map(str, names), zip(view.centre.tolist(), view.scale.tolist(), strict=True), strict=True))
    return units if len(units) == len(names) else {}
