"""The numbers and curves that a record keeps of a matrix and of a run's history."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rankwise.measures import MEASURES
from rankwise.problems import Problem
from rankwise.solution import History

# Final values that every record has, where what they need is there.
FINAL = (
    "train_loss", "heldout_loss", "mean_square_error", "relative_error", "nuclear_norm", "frobenius_norm",
    "effective_rank",
)  # fmt: skip
# By how much the rank that was found is off, where there is a truth.
RANK_ERROR = "rank_error"


def final_numbers(
    matrix: Any, problem: Problem, heldout: Problem | None, truth: Any, rank: int | None = None
) -> dict[str, float | None]:
    """The measures of `FINAL` of a matrix, and how far its rank is off; None where one is not finite."""
    given = {"matrix": matrix, "problem": problem, "heldout": heldout, "truth": truth}
    own = {} if truth is None or rank is None else {RANK_ERROR: float(abs(rank - truth.rank))}
    with np.errstate(over="ignore", invalid="ignore"):
        return own | {
            name: number(MEASURES[name](given))
            for name in FINAL
            if all(given.get(needed) is not None for needed in MEASURES[name].needs)
        }


def number(value: Any) -> float | None:
    """A float, None if it is not finite."""
    made = float(value)
    return made if math.isfinite(made) else None


def curves(history: History) -> tuple[list[int], dict[str, Any], dict[str, Any]]:
    """The steps, the curves and the vectors of a history, as lists."""
    lines, vectors = {}, {}
    for name, values in history.items():
        if name == "steps":
            continue
        flat = values.reshape(len(values), -1).astype(float)
        rows = [[number(one) for one in row] for row in flat]
        if values.ndim == 1:
            lines[name] = [row[0] for row in rows]
        else:
            vectors[name] = rows
    return [int(step) for step in history.steps], lines, vectors
