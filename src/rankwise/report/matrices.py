"""The matrix before and after as a pair of heatmaps on one colour scale, holes apart from values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rankwise.registry import distinct

from .figures import layout, plain
from .wording import significant

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

SCALE = [[step / 4, f"var(--scale-{step})"] for step in range(5)]
MOST_DOTS = 1500  # beyond that, dots on filled cells would hide the cells
LONGEST_LABEL = 24


@dataclass(frozen=True)
class MatrixView:
    """The two matrices with their labels and the colour scale they share.

    Colour is (value - centre) / scale, one centre and scale per column: 0 and 1 where columns share a unit.
    """

    rows: list[str]
    columns: list[str]
    before: Array
    after: Array
    centre: Array
    scale: Array
    within_columns: bool
    limits: tuple[float, float]
    clipped: bool

    @property
    def hole(self) -> Mask:
        """Cells that were not observed."""
        return np.isnan(self.before)

    @property
    def left(self) -> Mask:
        """Cells that are still empty."""
        return np.isnan(self.after)

    @property
    def filled(self) -> Mask:
        """Cells that were not observed and have a value now."""
        return self.hole & ~self.left

    @property
    def dotted(self) -> bool:
        """Whether filled cells are few enough to mark each with a dot."""
        return 0 < int(self.filled.sum()) <= MOST_DOTS

    def shade(self, values: Array) -> Array:
        """Values as positions on the colour scale."""
        return (values - self.centre) / self.scale


def matrix_view(record: Mapping[str, Any]) -> MatrixView | None:
    """The matrices of a record made ready for drawing; None when it holds none.

    Raises ValueError when matrices, labels and positions disagree in length.
    """
    if not record.get("before") or not record.get("after"):
        return None
    before, after = (_array(record[name], name) for name in ("before", "after"))
    if before.shape != after.shape:
        raise ValueError(f"before and after differ in shape: {before.shape} and {after.shape}")
    rows = _labels(record.get("row_labels"), record.get("shown_rows"), before.shape[0], "row_labels")
    columns = _labels(record.get("column_names"), record.get("shown_cols"), before.shape[1], "column_names")
    within = _units_differ(before)
    centre, scale = _column_scale(before) if within else (np.zeros(before.shape[1]), np.ones(before.shape[1]))
    limits, clipped = _limits((before - centre) / scale, (after - centre) / scale)
    return MatrixView(rows, columns, before, after, centre, scale, within, limits, clipped)


def before_figure(view: MatrixView) -> dict[str, Any]:
    """What was observed, and the holes."""
    traces = [_cells(view, view.before, "observed"), _holes(view, view.hole)]
    return _heatmap(view, traces)


def after_figure(view: MatrixView) -> dict[str, Any]:
    """Observed and filled cells, told apart on hover and by dots while these are few; what stayed empty."""
    traces = [
        _cells(view, np.where(view.hole, np.nan, view.after), "observed"),
        _cells(view, np.where(view.filled, view.after, np.nan), "filled"),
        _holes(view, view.left),
    ]
    return _heatmap(view, [*traces, _dots(view)] if view.dotted else traces)


def _cells(view: MatrixView, values: Array, status: str) -> dict[str, Any]:
    """One heatmap of values, coloured by shade, hovered by value."""
    scale = {"zmin": view.limits[0], "zmax": view.limits[1], "colorscale": SCALE}
    if not view.within_columns:
        hover = f"%{{y}} · %{{x}}<br><b>%{{z:,.6~r}}</b> {status}<extra></extra>"
        return _trace(view, {"z": _rounded(values, 6), "hovertemplate": hover, **scale})
    hover = f"%{{y}} · %{{x}}<br><b>%{{customdata:,.6~r}}</b> {status}<br>%{{z:.2f}} SDs<extra></extra>"
    shades, raw = _rounded(view.shade(values), 4), _rounded(values, 6)
    return _trace(view, {"z": shades, "customdata": raw, "hovertemplate": hover, **scale})


def _holes(view: MatrixView, hole: Mask) -> dict[str, Any]:
    """Holes in one colour that the scale does not have."""
    return _trace(
        view,
        {
            "z": np.where(hole, 1.0, np.nan).tolist(),
            "zmin": 0,
            "zmax": 1,
            "colorscale": [[0, "var(--hole)"], [1, "var(--hole)"]],
            "hovertemplate": "%{y} · %{x}<br>hole<extra></extra>",
        },
    )


def _trace(view: MatrixView, entries: dict[str, Any]) -> dict[str, Any]:
    gap = 1 if max(view.before.shape) <= 60 else 0
    shared = {"type": "heatmap", "x": view.columns, "y": view.rows, "showscale": False, "hoverongaps": False}
    return {**shared, "xgap": gap, "ygap": gap, **entries}


def _dots(view: MatrixView) -> dict[str, Any]:
    rows, columns = np.nonzero(view.filled)
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [view.columns[column] for column in columns],
        "y": [view.rows[row] for row in rows],
        "hoverinfo": "skip",
        "showlegend": False,
        "marker": {"size": 5, "color": "var(--hole)", "line": {"width": 1, "color": "var(--surface)"}},
    }


def _heatmap(view: MatrixView, traces: list[dict[str, Any]]) -> dict[str, Any]:
    def axis(labels: list[str], **more: Any) -> dict[str, Any]:
        order = {"type": "category", "categoryorder": "array", "categoryarray": labels}
        return {**order, "showgrid": False, "ticks": "", "range": [-0.5, len(labels) - 0.5], **more}

    rows = axis(view.rows, nticks=14)
    rows["range"] = rows["range"][::-1]
    narrow = {"xaxis.nticks": 6}
    if max(map(len, view.rows)) > 12:
        narrow["yaxis.showticklabels"] = False
    return {
        "data": traces,
        "layout": layout(xaxis=axis(view.columns, nticks=16), yaxis=rows),
        "narrow": narrow,
    }


def _array(values: Sequence[Sequence[float | None]], name: str) -> Array:
    """Nested lists as an array, null and infinities as NaN."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must hold rows of equal length made of numbers and null") from None
    if array.ndim != 2:
        raise ValueError(f"{name} must have two dimensions, not {array.ndim}")
    return np.where(np.isfinite(array), array, np.nan)


def _labels(labels: Sequence[Any] | None, shown: Sequence[int] | None, length: int, name: str) -> list[str]:
    """One distinct label per shown row or column; positions counted from 1 where there are none."""
    indices = list(shown) if shown is not None else list(range(length))
    if len(indices) != length:
        raise ValueError(f"{name}: {len(indices)} positions are said to be shown, the matrix has {length}")
    if not labels:
        chosen = [str(index + 1) for index in indices]
    elif len(labels) == length:
        chosen = [str(label) for label in labels]
    elif shown is not None and max(indices) < len(labels):
        chosen = [str(labels[index]) for index in indices]
    else:
        raise ValueError(f"{name} has {len(labels)} entries, the matrix shows {length}")
    # Plotly would draw two categories of one name on top of each other.
    return distinct([_shortened(label) for label in chosen], "{} ({})")


def _shortened(label: str) -> str:
    text = " ".join(label.split()) or "(blank)"
    if len(text) > LONGEST_LABEL:
        text = f"{text[: LONGEST_LABEL - 12]}…{text[-11:]}"
    return plain(text)


def _units_differ(values: Array) -> bool:
    """Whether one colour scale would show little but the columns' different levels or spreads."""
    columns = [column[~np.isnan(column)] for column in values.T]
    columns = [column for column in columns if column.size >= 2]
    if len(columns) < 2:
        return False
    quartiles = np.array([np.quantile(column, [0.25, 0.5, 0.75]) for column in columns])
    spread = quartiles[:, 2] - quartiles[:, 0]
    positive = spread[spread > 0]
    if positive.size < 2:
        return False
    low, high = np.quantile(positive, [0.1, 0.9])
    return bool(high > 5 * low or np.std(quartiles[:, 1] / high) > 3 * np.median(positive / high))


def _column_scale(values: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of each column's observed values; 0 and 1 where they say nothing."""
    observed = ~np.isnan(values)
    number = np.maximum(observed.sum(axis=0), 1)
    centre = np.where(observed, values, 0.0).sum(axis=0) / number
    apart = np.where(observed, values - centre, 0.0)
    top = np.maximum(np.abs(apart).max(axis=0), np.finfo(float).tiny)  # so that no square overflows or vanishes
    deviation = top * np.sqrt(((apart / top) ** 2).sum(axis=0) / number)
    return centre, np.where(deviation > 0, deviation, 1.0)


def _limits(before: Array, after: Array) -> tuple[tuple[float, float], bool]:
    """Ends of the colour scale, and whether shades lie beyond them.

    The extremes of what was observed, or its 1st and 99th percentile where a few values dwarf all others.
    """
    values = before[~np.isnan(before)]
    if values.size == 0:
        return (0.0, 1.0), False
    low, first, last, high = np.quantile(values, [0, 0.01, 0.99, 1])
    if high - low > 2 * (last - first) > 0:
        low, high = first, last
    if not high > low:
        high = low + 1.0
    return (float(low), float(high)), bool(np.any(after < low) or np.any(after > high))


def _rounded(values: Array, digits: int) -> list[list[float | None]]:
    """Values to so many significant digits, NaN as null: what a hover shows, and half the page's weight."""
    size = np.abs(np.where(np.isnan(values) | (values == 0), 1.0, values))
    places = np.clip(digits - 1 - np.floor(np.log10(size)), -300, 300)
    up, down = (
        10.0 ** np.maximum(places, 0),
        10.0 ** np.maximum(-places, 0),
    )  # dividing by a power of ten rounds once
    rounded = np.round(values * up / down) * down / up
    entries = rounded.astype(object)
    entries[np.isnan(values)] = None
    return entries.tolist()


def scale_ends(view: MatrixView) -> tuple[str, str]:
    """The two ends of the colour scale in words."""
    below, above = ("≤\u00a0", "≥\u00a0") if view.clipped else ("", "")
    unit = " SDs" if view.within_columns else ""
    low, high = (significant(end, 3) for end in view.limits)
    return below + low, above + high + unit
