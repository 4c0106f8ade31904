"""A box that all entries are known to lie in, such as ratings from 1 to 5."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rankwise.lowrank import dense
from rankwise.problems.base import Problem, working_precision


def checked_bounds(bounds: Any, problem: Problem | None = None) -> tuple[float, float]:
    """(lo, hi) as floats; either may be infinite.

    problem: a completion whose observed values must lie within the bounds too.

    Raises:
        ValueError: unless there are two numbers, lo below hi; or naming the first value that lies outside.
    """
    try:
        lo, hi = (float(bound) for bound in bounds)
    except (TypeError, ValueError):
        raise ValueError(f"bounds must be two numbers, the least and the greatest, not {bounds!r}") from None
    if math.isnan(lo) or math.isnan(hi) or not lo < hi:
        raise ValueError(f"bounds must be two numbers, the first below the second, not {lo:g} and {hi:g}")
    if problem is not None:
        values = np.asarray(problem.values)
        outside = np.nonzero((values < lo) | (values > hi))[0]
        if outside.size:
            first = int(outside[0])
            raise ValueError(f"{problem.place(first)} is {values[first]:g}, outside the bounds {lo:g} to {hi:g}")
    return lo, hi


def within(matrix: Any, bounds: Any) -> np.ndarray:
    """The dense matrix with every entry moved into [lo, hi], the nearest point of the box.

    No entry of a truth within the bounds is missed by more than before: |clip(w) - w*| <= |w - w*|, the projection on
    an interval being a contraction. What is returned need not be of low rank any more. float32 stays float32.

    Raises:
        ValueError: as `checked_bounds`, and if the matrix is not one of real numbers.
    """
    lo, hi = checked_bounds(bounds)
    return np.clip(working_precision(dense(matrix), "the matrix's entries"), lo, hi)
