"""How much memory an instance takes: to draw it, to hold what is observed, and to compare an answer with its truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

# Bytes for each entry of the matrix: of a mark while observations are spread over rows and columns, of a number where
# more than one entry in so many is drawn, and of the answer and its truth as dense matrices, when they are compared.
MARK, NUMBER, SPARSE, COMPARED = 1, 8, 50, 16
# Bytes for each observation of a completion, measured: of its place and value, and of least squares with all of them.
OBSERVED = 160


def drawing(problem: Mapping[str, Any], entries: int) -> int:
    """The bytes that it takes to choose the observations of a matrix of so many entries."""
    name, count = problem.get("name", "completion"), problem.get("count")
    if name == "rank_one_sensing":
        return 0
    few = name == "completion" and type(count) is int and count <= entries // SPARSE
    return entries * (MARK * bool(problem.get("min_degree")) + NUMBER * (not few))


def instance(problem: Mapping[str, Any], entry: int = COMPARED, observed: int = OBSERVED) -> int:
    """The bytes of a synthetic instance while an answer is found; 0 for a table in a file.

    entry, observed: bytes for each entry of the matrix and for each observation, once it is drawn.
    """
    d1, d2 = shape(problem)
    count = problem.get("count", len(problem.get("observed", ())))
    held = (entry + NUMBER * sensors(problem)) * d1 * d2 + observed * count
    return max(drawing(problem, d1 * d2), held) if d1 else 0


def shape(problem: Mapping[str, Any]) -> tuple[int, int]:
    """The sides of a synthetic truth, (0, 0) where there is none."""
    truth = problem.get("truth", {})
    sides = truth.get("shape", (0, 0)) if "matrix" not in truth else np.shape(truth["matrix"])
    return int(sides[0]), int(sides[1])


def sensors(problem: Mapping[str, Any]) -> int:
    """How many dense sensors it has."""
    return int(problem.get("count", 0)) if problem.get("name") == "sensing" else 0
