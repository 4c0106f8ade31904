"""Curves and scatters as plotly specifications: plain dicts whose colours the style sheet names."""

from __future__ import annotations

import html
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from .wording import finite

ACCENT, MUTED, INK, GRID = "var(--accent)", "var(--muted)", "var(--ink)", "var(--grid)"
UNDER_LEGEND = {"l": 8, "r": 8, "t": 64, "b": 8}
UNDER_TWO_LINES = {**UNDER_LEGEND, "t": 90}  # of a legend, in half the page's width
# Three names do not fit beside one another on a phone: there the legend goes to the bottom.
NARROW = {
    "legend.yref": "container",
    "legend.y": 0,
    "legend.yanchor": "bottom",
    "margin.t": 40,
    "legend.font.size": 11,
}
ROUNDING = 1e-12  # singular values this far below the largest are rounding
DASHES = ("dash", "dot", "dashdot", "longdash")


def plain(text: object) -> str:
    """Text that plotly, which reads a little HTML in labels, shows as it stands."""
    return html.escape(str(text), quote=False)


def layout(**entries: Any) -> dict[str, Any]:
    """The look all figures share; axes are merged with theirs, everything else replaces it."""
    axis = {
        "gridcolor": GRID,
        "linecolor": GRID,
        "zeroline": False,
        "automargin": True,
        "title": {"standoff": 10},
        "tickfont": {"size": 11},
    }
    shared: dict[str, Any] = {
        "font": {
            "family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
            "size": 12,
            "color": "var(--soft)",
        },
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 8, "r": 8, "t": 34, "b": 8},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "var(--muted)", "activecolor": "var(--accent)"},
        "hoverlabel": {"bgcolor": "var(--surface)", "bordercolor": MUTED, "font": {"color": INK, "size": 13}},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"},
    }
    for name in ("xaxis", "yaxis"):
        entries[name] = {**axis, **entries.get(name, {})}
    return {**shared, **entries}


def axis_title(text: str) -> dict[str, Any]:
    """An axis title set off from its tick labels."""
    return {"text": text, "standoff": 10}


def spectrum(values: Sequence[float], rank: int | None) -> dict[str, Any]:
    """Singular values in falling order on a log axis, the chosen rank marked."""
    largest = max((number for value in values if (number := finite(value)) is not None), default=0.0)
    points = [
        (index, number)
        for index, value in enumerate(values, start=1)
        if (number := finite(value)) is not None and number > ROUNDING * largest  # a log axis has no zero
    ]
    chosen = rank or 0
    kept = [point for point in points if point[0] <= chosen]
    beyond = [point for point in points if point[0] > chosen]
    traces = [
        _points(kept, "within the rank", ACCENT, "circle", "σ<sub>%{x}</sub> = %{y:.3~g}", size=9),
        _points(beyond, "beyond it", MUTED, "circle-open", "σ<sub>%{x}</sub> = %{y:.3~g}", size=7),
    ]
    axes = {
        "xaxis": {"title": axis_title("position"), "range": [0, len(values) + 1], **_whole(len(values))},
        "yaxis": {"title": axis_title("singular value"), **_log_axis([y for _, y in points])},
    }
    marks = {} if rank is None else _rank_line(chosen + 0.5, f"rank {chosen}", 2 * chosen > len(values))
    return {
        "data": [trace for trace in traces if trace["x"]],
        "layout": layout(margin=UNDER_LEGEND, **axes, **marks),
        "narrow": NARROW,
    }


def error_by_rank(path: Sequence[Mapping[str, Any]], rank: int | None, baselines: Mapping[str, Any]) -> dict[str, Any]:
    """Held-out and training error against rank, the chosen rank marked, baselines as level lines."""
    held_out, training = (_series(path, key) for key in ("holdout_rmse", "train_rmse"))
    levels = {name: number for name, value in baselines.items() if (number := finite(value)) is not None}
    traces = [
        _points(
            training,
            "training",
            MUTED,
            "circle-open",
            "rank %{x}: %{y:.3~r} on the training entries",
            line=1.5,
        ),
        _points(held_out, "held out", ACCENT, "circle", "rank %{x}: %{y:.3~r} on held-out entries", line=2.5),
    ]
    traces = [trace for trace in traces if trace["x"]]
    first, last = _ends(path, rank)
    for (name, level), dash in zip(levels.items(), itertools.cycle(DASHES), strict=False):
        traces.append(_level(name, level, first - 0.4, last + 0.4, dash))
    errors = [error for _, error in (*held_out, *training)] + list(levels.values())
    axes = {
        "xaxis": {
            "title": axis_title("rank"),
            "range": [first - 0.4, last + 0.4],
            **_whole(last - first + 1),
        },
        "yaxis": {"title": axis_title("root mean square error"), **_error_axis(errors)},
    }
    marks = {} if rank is None else _rank_line(rank, f"rank {rank}", 2 * rank > first + last)
    return {"data": traces, "layout": layout(margin=UNDER_TWO_LINES, **axes, **marks), "narrow": NARROW}


def predicted_scatter(
    actual: Sequence[float], predicted: Sequence[float], hover: Sequence[str], unit: str = ""
) -> dict[str, Any]:
    """Predicted against actual values on equal axes, with the diagonal on which a prediction is exact.

    `hover` is read as plotly reads it: pass names through `plain`.
    """
    low, high = min(*actual, *predicted), max(*actual, *predicted)
    margin = 0.04 * (high - low) or 1.0
    ends = [low - margin, high + margin]
    diagonal = {
        "type": "scatter",
        "mode": "lines",
        "x": ends,
        "y": ends,
        "hoverinfo": "skip",
        "showlegend": False,
    }
    diagonal["line"] = {"color": MUTED, "width": 1.5, "dash": "dash"}
    dots = {
        "type": "scatter",
        "mode": "markers",
        "x": list(actual),
        "y": list(predicted),
        "text": list(hover),
        "hovertemplate": "%{text}<extra></extra>",
        "showlegend": False,
        "marker": {"color": ACCENT, "size": 7, "opacity": 0.55, "line": {"width": 0}},
    }
    suffix = f" ({unit})" if unit else ""
    square = {"range": ends, "constrain": "domain"}
    across = {**square, "title": axis_title(f"held-out value{suffix}"), "constraintoward": "left"}
    upward = {
        **square,
        "title": axis_title(f"predicted{suffix}"),
        "constraintoward": "top",
        "scaleanchor": "x",
    }
    return {"data": [diagonal, dots], "layout": layout(xaxis=across, yaxis=upward)}


def _points(
    points: Sequence[tuple[float, float]],
    name: str,
    color: str,
    symbol: str,
    hover: str,
    *,
    size: int = 8,
    line: float = 0,
) -> dict[str, Any]:
    """One series of points, joined by a line where a width is given."""
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "lines+markers" if line else "markers",
        "x": [x for x, _ in points],
        "y": [y for _, y in points],
        "name": name,
        "hovertemplate": f"{hover}<extra></extra>",
        "marker": {"color": color, "size": size, "symbol": symbol, "line": {"color": color, "width": 1.5}},
    }
    if line:
        trace["line"] = {"color": color, "width": line}
    return trace


def _level(name: str, level: float, first: float, last: float, dash: str) -> dict[str, Any]:
    """A level line that names itself in the legend and on hover."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [first, last],
        "y": [level, level],
        "name": plain(name),
        "line": {"color": "var(--warm)", "width": 1.5, "dash": dash},
        "hovertemplate": f"{plain(name)}: %{{y:.3~r}}<extra></extra>",
    }


def _series(path: Sequence[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    """The (rank, number) pairs of those ranks that have the number."""
    pairs = ((finite(entry.get("rank")), finite(entry.get(key))) for entry in path)
    return [(rank, number) for rank, number in pairs if rank is not None and number is not None]


def _ends(path: Sequence[Mapping[str, Any]], rank: int | None) -> tuple[int, int]:
    ranks = [int(number) for entry in path if (number := finite(entry.get("rank"))) is not None]
    ranks += [] if rank is None else [rank]
    return (min(ranks), max(ranks)) if ranks else (0, 1)


def _whole(number: int) -> dict[str, Any]:
    """Ticks at whole numbers only."""
    return {"tickformat": "d", "dtick": 1} if number <= 12 else {"tickformat": "d", "nticks": 10}


def _error_axis(errors: Sequence[float]) -> dict[str, Any]:
    """From zero; logarithmic where the errors span more than a decade."""
    positive = [error for error in errors if error > 0]
    if positive and len(positive) == len(errors) and max(positive) > 10 * min(positive):
        return _log_axis(positive)
    return {"rangemode": "tozero"}


def _log_axis(values: Sequence[float]) -> dict[str, Any]:
    """Evenly stepped ticks within a decade, ticks at 1, 2, 5 over a few, at powers of ten over many."""
    if values and max(values) <= 10 * min(values):
        return {"type": "log", "nticks": 6, "tickformat": ".3~g"}  # of 1, 2 and 5 there may be one or none
    if values and max(values) < 3000 * min(values):
        return {"type": "log", "dtick": "D2", "tickformat": ".3~g"}
    return {"type": "log", "exponentformat": "power"}


def _rank_line(position: float, words: str, words_before: bool) -> dict[str, Any]:
    """A vertical line over the whole height with its words at the top, before it or after it."""
    line = {"color": "var(--accent)", "width": 1, "dash": "dot"}
    shape = {"type": "line", "x0": position, "x1": position, "yref": "paper", "y0": 0, "y1": 1, "line": line}
    note = {
        "x": position,
        "yref": "paper",
        "y": 1,
        "text": words,
        "showarrow": False,
        "xanchor": "right" if words_before else "left",
        "xshift": -5 if words_before else 5,
        "yanchor": "top",
        "font": {"color": ACCENT, "size": 12},
        "bgcolor": "var(--surface)",  # level lines shall not strike the words out
    }
    return {"shapes": [shape], "annotations": [note]}
