"""Curves along runs: tracked scalars and components of vectors against steps or one another."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from rankwise.studies.figures import Figure, Row
from rankwise.studies.folder import Entry, Folder
from rankwise.studies.shared import MANY, called, color_of, shade
from rankwise.studies.values import curve
from rankwise.theory.finding import Curve

SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def trajectories(
    figure: Figure, row: Row, series: Sequence[Any], k: int, entries: Sequence[Entry], folder: Folder
) -> list[Curve]:
    """The curves of the k-th series: of its first run, or the statistic over all; a vector's components each."""
    known = [entry.address for entry in entries if entry.address in folder.rows]
    runs = list(folder.curves(known[:1] if figure.first else known).values())
    count = _components(row.value.name, figure.components, runs)
    made = []
    for i in range(count if runs else 0):
        x, y, band = _along(figure, row, [_trace(run, figure, row, i) for run in runs])
        if figure.series:
            label, color = called(figure.series, series[k], folder), color_of(series, k)
        else:
            label = _component_label(row.value.name, i) if count > 1 else ""
            color = shade(i, count) if count >= MANY else ""
        made.append(Curve(label, x, y, "line", band, color))
    return made


def _components(name: str, most: int, runs: Sequence[dict[str, Any]]) -> int:
    widths = [len(run["vectors"][name][0]) for run in runs if run["vectors"].get(name)]
    return min(most, max(widths)) if widths else 1


def _component_label(name: str, i: int) -> str:
    return f"σ{str(i + 1).translate(SUBSCRIPTS)}" if name == "singular_values" else f"{name.replace('_', ' ')} {i + 1}"


def _trace(run: dict[str, Any], figure: Figure, row: Row, component: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y of one run."""
    steps, y = curve(run, row.value.name, component)
    x = np.array(steps, float) if figure.x == "steps" else curve(run, figure.x)[1]
    return figure.x_factor * x[: len(y)], y[: len(x)]


def _along(figure: Figure, row: Row, traces: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[Any, Any, Any]:
    """One trace as it is; of several, the statistic at all their x, a run that has ended keeping its last value."""
    traces = [trace for trace in traces if len(trace[0])]
    if not traces:
        return [], [], None
    (x, y), *more = traces
    every = y[None]
    if more:
        x = np.unique(np.concatenate([x for x, _ in traces]))
        # Runs may have checkpoints of their own: each counts with its latest one.
        every = np.array([y[np.maximum(np.searchsorted(at, x, "right") - 1, 0)] for at, y in traces])
        y = np.array([row.value.over([_none(v) for v in column]) for column in every.T], float)
    keep = np.isfinite(x) & np.isfinite(y)
    keep &= (x > 0) | ("x" not in figure.log)
    keep &= (y > 0) | ("y" not in figure.log)
    x, y, every = x[keep], y[keep], every[:, keep]
    if not more or row.value.statistic not in ("median", "mean"):
        return x.tolist(), y.tolist(), None
    low, high = np.nanmin(every, axis=0), np.nanmax(every, axis=0)
    if "y" in figure.log:  # a logarithmic axis ends above 0
        low = np.where(low > 0, low, y)
    return x.tolist(), y.tolist(), (low.tolist(), high.tolist())


def _none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
